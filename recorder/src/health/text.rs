//! What alarms say, in Korean and English.

use sagwan_schemas::{
    profile::{Bytes, LocalText},
    time::Timestamp,
};

/// A text in both languages.
pub(crate) fn both(ko: impl Into<String>, en: impl Into<String>) -> LocalText {
    LocalText { ko: ko.into(), en: en.into() }
}

/// `queue.high`: bytes waiting and the budget.
#[must_use]
pub fn queue_high(waiting: u64, budget: u64) -> LocalText {
    let (waiting, budget) = (Bytes(waiting), Bytes(budget));
    both(
        format!("대기열에 {waiting} 쌓임 (한도 {budget})"),
        format!("{waiting} wait in the queue; its budget is {budget}"),
    )
}

/// `queue.shed`: samples shed since the start.
#[must_use]
pub fn queue_shed(count: u64) -> LocalText {
    both(format!("대기열이 가득 차 표본 {count}개를 버림"), format!("{count} samples shed: the queue was full"))
}

/// `disk.low`: what is free, and how long that lasts at the present rate, where it is known.
#[must_use]
pub fn disk_low(free: u64, seconds_left: Option<f64>) -> LocalText {
    let free = Bytes(free);
    match seconds_left {
        Some(s) => {
            let (ko, en) = duration(s);
            both(format!("디스크 여유 {free}, 약 {ko} 남음"), format!("{free} free on the disk: about {en} left"))
        }
        None => both(format!("디스크 여유 {free}"), format!("{free} free on the disk")),
    }
}

/// `disk.slow`: how long the disk has not taken anything, seconds.
#[must_use]
pub fn disk_slow(seconds: f64) -> LocalText {
    both(format!("디스크 쓰기가 {seconds:.1}초째 밀림"), format!("the disk does not keep up: behind by {seconds:.1} s"))
}

/// `disk.failed`: what the system said.
#[must_use]
pub fn disk_failed(error: &str) -> LocalText {
    both(format!("디스크 쓰기 실패: {error}"), format!("cannot write to the disk: {error}"))
}

/// `clock.jump`: how far the wall clock was stepped, and its time after that.
#[must_use]
pub fn clock_jump(nanos: i64, at: Timestamp) -> LocalText {
    let seconds = nanos as f64 * 1e-9;
    both(
        format!("시스템 시계가 {seconds:+.3}초 건너뜀 ({at})"),
        format!("the wall clock was stepped by {seconds:+.3} s, to {at}"),
    )
}

/// `schema.missing`.
#[must_use]
pub fn schema_missing(name: &str) -> LocalText {
    both(
        format!("스키마 {name}을(를) 찾지 못해 원본 바이트만 기록함"),
        format!("no schema {name:?} found: recorded as raw bytes"),
    )
}

/// `decode.failed`: how many samples, and why the last one.
#[must_use]
pub fn decode_failed(count: u64, error: &str) -> LocalText {
    both(
        format!("표본 {count}개를 해석할 수 없음 (원본은 기록됨): {error}"),
        format!("{count} samples cannot be decoded (recorded as they came): {error}"),
    )
}

/// A length of time for people, Korean and English.
pub(crate) fn duration(seconds: f64) -> (String, String) {
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    if seconds >= 2.0 * 86400.0 {
        let days = seconds / 86400.0;
        (format!("{days:.0}일"), format!("{days:.0} days"))
    } else if seconds >= 2.0 * 3600.0 {
        let hours = seconds / 3600.0;
        (format!("{hours:.1}시간"), format!("{hours:.1} h"))
    } else if seconds >= 120.0 {
        let minutes = seconds / 60.0;
        (format!("{minutes:.0}분"), format!("{minutes:.0} min"))
    } else {
        (format!("{seconds:.0}초"), format!("{seconds:.0} s"))
    }
}
