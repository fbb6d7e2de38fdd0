//! What the dashboard says, in Korean and English. Every text of the screen is here.

/// Language of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Ko,
    En,
}

impl Language {
    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Ko => Self::En,
            Self::En => Self::Ko,
        }
    }

    /// The text of this language.
    pub(super) const fn of<'a>(self, ko: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ko => ko,
            Self::En => en,
        }
    }
}

/// A stream's state in a word.
pub(super) fn state(state: &str, language: Language) -> &str {
    let ko = match state {
        "ok" => "정상",
        "missing" => "없음",
        "slow" => "느림",
        "fast" => "빠름",
        "stalled" => "멈춤",
        "waiting" => "대기",
        other => other,
    };
    language.of(ko, state)
}

/// Column titles of the streams.
pub(super) const fn columns(language: Language) -> [&'static str; 7] {
    match language {
        Language::Ko => ["상태", "스트림", "주기/계약 Hz", "지터", "지연", "받음", "손실"],
        Language::En => ["state", "stream", "rate/contract", "jitter", "latency", "received", "missing"],
    }
}

/// The keys that do something now.
pub(super) const fn keys(language: Language, is_recording: bool, has_episode: bool) -> &'static str {
    if !is_recording {
        return match language {
            Language::Ko => "l English  q 종료",
            Language::En => "l 한국어  q quit",
        };
    }
    match (language, has_episode) {
        (Language::Ko, false) => "b 에피소드 시작  r 다시 기록  d 폐기  m 표시  p 보존  l English  ↑↓ 이동  q 종료",
        (Language::Ko, true) => "s 성공  f 실패  d 폐기  r 다시 기록  m 표시  p 보존  l English  ↑↓ 이동  q 종료",
        (Language::En, false) => "b begin episode  r re-record  d discard  m mark  p preserve  l 한국어  q stop",
        (Language::En, true) => "s success  f failure  d discard  r re-record  m mark  p preserve  q stop",
    }
}
