//! What a preflight says, in Korean and English: what was seen, and what to do.

use sagwan_schemas::profile::{Bytes, LocalText, Stream};

use super::{DiskSeen, Language, SeenStream, Verdict};
use crate::health::text::{both, duration};

/// What was seen, and what to do.
type Advice = (LocalText, LocalText);

pub(super) fn pick(text: &LocalText, language: Language) -> &str {
    match language {
        Language::Ko => &text.ko,
        Language::En => &text.en,
    }
}

pub(super) fn missing(stream: &Stream) -> Advice {
    let key = stream.key.as_deref().unwrap_or(&stream.name);
    (
        both("표본이 하나도 오지 않음", "nothing came"),
        both(
            format!("장치와 발행 프로그램, 네트워크, 키 {key}를 확인하세요"),
            format!("check the device, its publisher, the network and the key {key}"),
        ),
    )
}

pub(super) fn rate(stream: &Stream, rate: f64) -> Advice {
    let wanted = stream.rate_hz.unwrap_or(0.0);
    let percent = stream.rate_tolerance * 100.0;
    (
        both(
            format!("초당 {rate:.1}개 (계약 {wanted} ± {percent:.0} %)"),
            format!("{rate:.1} samples/s; the contract is {wanted} ± {percent:.0} %"),
        ),
        both(
            "장치 설정과 대역폭을 확인하거나 프로필의 rate_hz를 고치세요",
            "check the device's settings and the bandwidth, or correct rate_hz in the profile",
        ),
    )
}

pub(super) fn no_schema() -> Advice {
    (
        both("스키마 없음: 원본 바이트만 기록됨", "no schema: recorded as raw bytes only"),
        both(
            "발행 프로그램이 스키마 질의(@schema)에 답하거나 인코딩에 schema=<이름>을 쓰게 하세요",
            "let the publisher answer the @schema query, or name it in the encoding: schema=<name>",
        ),
    )
}

pub(super) fn undecodable(error: &str) -> Advice {
    (
        both(format!("스키마로 해석되지 않음: {error}"), format!("does not decode by its schema: {error}")),
        both(
            "발행 프로그램의 스키마와 실제 메시지 버전이 같은지 확인하세요",
            "check that the publisher's schema and its messages are of the same version",
        ),
    )
}

pub(super) fn unnumbered() -> Advice {
    (
        both("일련번호 없음: 전송 손실을 알 수 없음", "not numbered: losses on the way cannot be noticed"),
        LocalText::default(),
    )
}

pub(super) fn unlisted(seen: &SeenStream) -> Advice {
    let samples = seen.samples;
    (
        both(
            format!("프로필에 없는 스트림 (표본 {samples}개)"),
            format!("not in the profile ({samples} samples seen)"),
        ),
        LocalText::default(),
    )
}

pub(super) fn fine(seen: &SeenStream) -> Advice {
    let detail = match seen.rate_hz {
        Some(rate) => both(format!("초당 {rate:.1}개"), format!("{rate:.1} samples/s")),
        None => both(format!("표본 {}개", seen.samples), format!("{} samples", seen.samples)),
    };
    (detail, LocalText::default())
}

pub(super) fn synchronise() -> LocalText {
    both(
        "PTP/chrony 시각 동기와 트리거 배선을 확인하세요",
        "check PTP/chrony time synchronisation and the trigger wiring",
    )
}

pub(super) fn disk(disk: &DiskSeen, left: Option<f64>) -> LocalText {
    let free = Bytes(disk.free);
    let Some(left) = left else { return both(format!("여유 {free}"), format!("{free} free")) };
    let (left_ko, left_en) = duration(left);
    let (needed_ko, needed_en) = disk
        .needed_seconds
        .map(duration)
        .map_or_else(Default::default, |(ko, en)| (format!(" (필요 {ko})"), format!(" ({en} needed)")));
    both(
        format!("여유 {free}, 현재 속도로 {left_ko}{needed_ko}"),
        format!("{free} free, {left_en} at the present rate{needed_en}"),
    )
}

pub(super) fn free_the_disk() -> LocalText {
    both(
        "오래된 기록을 옮기거나 더 큰 디스크에 기록하세요 (--out)",
        "move old recordings away, or record to a larger disk (--out)",
    )
}

pub(super) fn verdict(verdict: Verdict) -> LocalText {
    match verdict {
        Verdict::Go => both("기록 가능 (GO)", "GO"),
        Verdict::NoGo => both("기록 불가 (NO-GO): STOP 항목을 먼저 해결하세요", "NO-GO: resolve what says STOP first"),
    }
}
