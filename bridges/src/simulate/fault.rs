//! Faults on purpose: what is to go wrong, when, and to which stream.
//!
//! Every decision is a function of the seed and the sample's place, so a faulty run can be repeated exactly.

use std::{str::FromStr, time::Duration};

use sagwan_schemas::quantity::{QuantityError, Span};

use super::noise::Noise;

/// One fault, as it is written on the command line.
///
/// `drop:head_color:0.01` · `corrupt:head_color:0.01` · `stall:lidar_top:at=5s,for=2s` ·
/// `burst:imu:at=5s,for=2s` · `jitter:imu:5ms` · `restart:joint_states:at=5s` · `clock-step:+1h:at=10s`
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A share of samples gets a number but is not sent.
    Drop {
        /// The stream.
        stream: String,
        /// 0…1.
        share: f64,
    },
    /// A share of samples is sent with bytes that no decoder accepts.
    Corrupt {
        /// The stream.
        stream: String,
        /// 0…1.
        share: f64,
    },
    /// The sensor gives nothing for a while: no samples, no numbers.
    Stall {
        /// The stream.
        stream: String,
        /// Since the start.
        at: Duration,
        /// Length.
        lasts: Duration,
    },
    /// Samples are held back for a while and then all sent at once.
    Burst {
        /// The stream.
        stream: String,
        /// Since the start.
        at: Duration,
        /// Length.
        lasts: Duration,
    },
    /// Each sample is sent up to this much later, at random; its capture time stays true.
    Jitter {
        /// The stream.
        stream: String,
        /// Longest delay.
        most: Duration,
    },
    /// The publisher goes away and comes back as a new instance that counts from 0.
    Restart {
        /// The stream.
        stream: String,
        /// Since the start.
        at: Duration,
    },
    /// The platform's clock is set: capture times of all streams jump.
    ClockStep {
        /// Nanoseconds, positive into the future.
        nanos: i64,
        /// Since the start.
        at: Duration,
    },
}

/// A text that is not a fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The first word is not a kind of fault.
    #[error("unknown fault {kind:?}; use one of drop, corrupt, stall, burst, jitter, restart, clock-step")]
    Kind {
        /// The word.
        kind: String,
    },
    /// The parts do not fit the kind.
    #[error("fault {text:?} does not read like {example:?}")]
    Form {
        /// The text.
        text: String,
        /// One that is right.
        example: &'static str,
    },
    /// A share is not a number in 0…1.
    #[error("{share:?} in fault {text:?} is no share between 0 and 1")]
    Share {
        /// The text.
        text: String,
        /// The part.
        share: String,
    },
    /// A time is not a time.
    #[error("{part:?} in fault {text:?} is no time")]
    Time {
        /// The text.
        text: String,
        /// The part.
        part: String,
        /// Why.
        #[source]
        source: QuantityError,
    },
    /// The platform has no such stream.
    #[error("no stream {stream:?} on this platform; it has {known}")]
    Stream {
        /// The name.
        stream: String,
        /// The names there are.
        known: String,
    },
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let parser = Parser { text };
        let mut parts = text.split(':').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let example = match kind {
            "drop" => "drop:head_color:0.01",
            "corrupt" => "corrupt:head_color:0.01",
            "stall" => "stall:lidar_top:at=5s,for=2s",
            "burst" => "burst:imu:at=5s,for=2s",
            "jitter" => "jitter:imu:5ms",
            "restart" => "restart:joint_states:at=5s",
            "clock-step" => "clock-step:+1h:at=10s",
            _ => return Err(FaultError::Kind { kind: kind.to_owned() }),
        };
        let form = || FaultError::Form { text: text.to_owned(), example };
        let (Some(subject), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else { return Err(form()) };
        if subject.is_empty() {
            return Err(form());
        }
        let stream = subject.to_owned();
        let field = |name: &str| parser.field(rest, name).ok_or_else(form);
        Ok(match kind {
            "drop" => Self::Drop { stream, share: parser.share(rest)? },
            "corrupt" => Self::Corrupt { stream, share: parser.share(rest)? },
            "stall" => Self::Stall { stream, at: parser.time(field("at")?)?, lasts: parser.time(field("for")?)? },
            "burst" => Self::Burst { stream, at: parser.time(field("at")?)?, lasts: parser.time(field("for")?)? },
            "jitter" => Self::Jitter { stream, most: parser.time(rest)? },
            "restart" => Self::Restart { stream, at: parser.time(field("at")?)? },
            _ => Self::ClockStep { nanos: parser.signed(subject)?, at: parser.time(field("at")?)? },
        })
    }
}

impl Fault {
    /// The stream it strikes; `None` for all.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        match self {
            Self::Drop { stream, .. }
            | Self::Corrupt { stream, .. }
            | Self::Stall { stream, .. }
            | Self::Burst { stream, .. }
            | Self::Jitter { stream, .. }
            | Self::Restart { stream, .. } => Some(stream),
            Self::ClockStep { .. } => None,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
}

impl Parser<'_> {
    fn field<'a>(&self, rest: &'a str, name: &str) -> Option<&'a str> {
        rest.split(',').filter_map(|pair| pair.split_once('=')).find(|(key, _)| key.trim() == name).map(|(_, v)| v)
    }

    fn share(&self, part: &str) -> Result<f64, FaultError> {
        let share = part.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| FaultError::Share { text: self.text.to_owned(), share: part.to_owned() })
    }

    fn time(&self, part: &str) -> Result<Duration, FaultError> {
        let span: Result<Span, _> = part.parse();
        span.map(|span| span.0).map_err(|source| FaultError::Time {
            text: self.text.to_owned(),
            part: part.to_owned(),
            source,
        })
    }

    fn signed(&self, part: &str) -> Result<i64, FaultError> {
        let (sign, amount) = match part.strip_prefix('-') {
            Some(amount) => (-1, amount),
            None => (1, part.strip_prefix('+').unwrap_or(part)),
        };
        Ok(sign * nanos(self.time(amount)?))
    }
}

/// What becomes of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent as it is.
    Send,
    /// It gets a number and is not sent.
    Drop,
    /// It is sent broken.
    Corrupt,
    /// The sensor did not produce it.
    Silent,
}

/// All that goes wrong with one stream.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    drop: f64,
    corrupt: f64,
    /// `[from, to)`, nanoseconds since the start.
    stalls: Vec<(i64, i64)>,
    bursts: Vec<(i64, i64)>,
    jitter: i64,
    /// Sorted.
    restarts: Vec<i64>,
    /// At, by.
    steps: Vec<(i64, i64)>,
    noise: Option<Noise>,
}

impl FaultPlan {
    /// Those of `faults` that strike `stream`.
    #[must_use]
    pub fn for_stream(faults: &[Fault], stream: &str, seed: u64) -> Self {
        let mut plan = Self { noise: Some(Noise::new(seed).named("fault").named(stream)), ..Self::default() };
        for fault in faults.iter().filter(|fault| fault.stream().is_none_or(|s| s == stream)) {
            match fault {
                Fault::Drop { share, .. } => plan.drop = *share,
                Fault::Corrupt { share, .. } => plan.corrupt = *share,
                Fault::Stall { at, lasts, .. } => plan.stalls.push((nanos(*at), nanos(at.saturating_add(*lasts)))),
                Fault::Burst { at, lasts, .. } => plan.bursts.push((nanos(*at), nanos(at.saturating_add(*lasts)))),
                Fault::Jitter { most, .. } => plan.jitter = nanos(*most),
                Fault::Restart { at, .. } => plan.restarts.push(nanos(*at)),
                Fault::ClockStep { nanos: by, at } => plan.steps.push((nanos(*at), *by)),
            }
        }
        plan.restarts.sort_unstable();
        plan
    }

    fn chance(&self, label: u64, index: u64) -> f64 {
        self.noise.map_or(1.0, |noise| noise.at(label).unit(index))
    }

    /// What becomes of sample `index`, captured `at` nanoseconds after the start.
    #[must_use]
    pub fn fate(&self, index: u64, at: i64) -> Fate {
        if self.stalls.iter().any(|&(from, to)| (from..to).contains(&at)) {
            Fate::Silent
        } else if self.chance(0, index) < self.drop {
            Fate::Drop
        } else if self.chance(1, index) < self.corrupt {
            Fate::Corrupt
        } else {
            Fate::Send
        }
    }

    /// When it is sent, nanoseconds after the start.
    #[must_use]
    pub fn send_at(&self, index: u64, at: i64) -> i64 {
        let held = self.bursts.iter().filter(|&&(from, to)| (from..to).contains(&at)).map(|&(_, to)| to).max();
        let late = if self.jitter > 0 { (self.chance(2, index) * self.jitter as f64) as i64 } else { 0 };
        held.unwrap_or(at).saturating_add(late)
    }

    /// How far the platform's clock is off, nanoseconds.
    #[must_use]
    pub fn clock_offset(&self, at: i64) -> i64 {
        self.steps.iter().filter(|&&(from, _)| at >= from).fold(0, |sum, &(_, by)| sum.saturating_add(by))
    }

    /// How often the publisher has restarted by then.
    #[must_use]
    pub fn restarts(&self, at: i64) -> usize {
        self.restarts.partition_point(|&restart| restart <= at)
    }
}

/// Makes a payload that is no protobuf message: its first field has a wire type that does not exist.
pub fn corrupt(payload: &mut Vec<u8>) {
    payload.truncate((payload.len() / 2).max(1));
    if payload.is_empty() {
        payload.push(0);
    }
    for byte in payload.iter_mut().take(12) {
        *byte = 0xff;
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn plan(texts: &[&str]) -> FaultPlan {
        let faults: Vec<Fault> = texts.iter().map(|text| text.parse().unwrap()).collect();
        FaultPlan::for_stream(&faults, "imu", 1)
    }

    #[test]
    fn faults_are_read_as_they_are_documented() {
        let five = Duration::from_secs(5);
        for (text, fault) in [
            ("drop:head_color:0.01", Fault::Drop { stream: "head_color".into(), share: 0.01 }),
            (
                "stall:lidar_top:at=5s,for=2s",
                Fault::Stall { stream: "lidar_top".into(), at: five, lasts: Duration::from_secs(2) },
            ),
            ("jitter:imu:5ms", Fault::Jitter { stream: "imu".into(), most: Duration::from_millis(5) }),
            ("clock-step:-1h:at=5s", Fault::ClockStep { nanos: -3600 * SECOND, at: five }),
            ("restart:a/b:at=5 s", Fault::Restart { stream: "a/b".into(), at: five }),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, hint) in [
            ("", "clock-step"),
            ("smash:imu:1", "drop, corrupt"),
            ("drop:imu", "drop:head_color:0.01"),
            ("drop::0.5", "drop:head_color:0.01"),
            ("drop:imu:2", "between 0 and 1"),
            ("drop:imu:NaN", "between 0 and 1"),
            ("stall:imu:at=5s", "at=5s,for=2s"),
            ("stall:imu:at=5s,for=soon", "\"soon\""),
            ("clock-step:1 parsec:at=5s", "1 parsec"),
            ("restart:imu:at=5s:more", "restart:joint_states"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_share_of_samples_is_struck_and_always_the_same() {
        let plan_a = plan(&["drop:imu:0.1", "corrupt:imu:0.05", "drop:other:1"]);
        let count = |fate| (0..10_000).filter(|&i| plan_a.fate(i, 0) == fate).count();
        assert!((900..1100).contains(&count(Fate::Drop)) && (350..550).contains(&count(Fate::Corrupt)));
        let again = plan(&["drop:imu:0.1", "corrupt:imu:0.05"]);
        assert!((0..10_000).all(|i| again.fate(i, 0) == plan_a.fate(i, 0)));
    }

    #[test]
    fn times_apply_from_their_start_to_before_their_end() {
        let plan = plan(&[
            "stall:imu:at=5s,for=2s",
            "burst:imu:at=1s,for=1s",
            "clock-step:+1s:at=3s",
            "clock-step:-3s:at=4s",
            "restart:imu:at=6s",
        ]);
        assert_eq!(plan.fate(0, 5 * SECOND - 1), Fate::Send);
        assert_eq!(plan.fate(0, 5 * SECOND), Fate::Silent);
        assert_eq!(plan.fate(0, 7 * SECOND), Fate::Send);
        assert_eq!((plan.send_at(0, SECOND), plan.send_at(0, 2 * SECOND)), (2 * SECOND, 2 * SECOND));
        assert_eq!([2, 3, 4].map(|s| plan.clock_offset(s * SECOND) / SECOND), [0, 1, -2]);
        assert_eq!([5, 6, 7].map(|s| plan.restarts(s * SECOND)), [0, 1, 1]);
    }

    #[test]
    fn corrupted_payloads_do_not_decode() {
        use prost::Message as _;
        for length in [0, 1, 5, 1000] {
            let mut payload = vec![0; length];
            corrupt(&mut payload);
            assert!(sagwan_schemas::proto::Imu::decode(&payload[..]).is_err(), "{length}");
        }
    }
}
