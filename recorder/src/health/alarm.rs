//! Alarms: which conditions hold long enough to tell people.
//!
//! Pure hysteresis. Knows no streams: whoever judges a condition says so, again and again; the board decides when it
//! becomes an alarm and when that is over. Hold and clear times run on the monotonic clock.

use std::{collections::BTreeMap, fmt};

use sagwan_schemas::{profile::LocalText, proto, time::Timestamp};
use serde::{Serialize, Serializer};

use crate::{
    clock::Reading,
    stamp::{SEC, proto_time},
};

/// No alarm about streams is raised for this long after the start, nanoseconds.
pub const SETTLING_NANOS: i64 = 3 * SEC;
/// Subjects remembered per kind; the conditions of further ones are not judged.
const MAX_SUBJECTS: usize = 4096;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AlarmId {
    /// A required stream never came.
    StreamMissing,
    /// Fewer samples per second than contracted.
    StreamSlow,
    /// More samples per second than contracted.
    StreamFast,
    /// No sample for too long.
    StreamStalled,
    /// Samples arrive ever later after their capture.
    StreamLatency,
    /// Capture times of a sync group differ too much.
    SyncExceeded,
    /// The queue is nearly full.
    QueueHigh,
    /// The queue sheds samples.
    QueueShed,
    /// The disk will be full soon.
    DiskLow,
    /// The disk does not keep up.
    DiskSlow,
    /// The disk refuses to write.
    DiskFailed,
    /// The wall clock was stepped.
    ClockJump,
    /// No schema is known for a channel.
    SchemaMissing,
    /// Samples cannot be decoded by their schema.
    DecodeFailed,
}

impl AlarmId {
    /// Stable spelling, e.g. `stream.missing`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StreamMissing => "stream.missing",
            Self::StreamSlow => "stream.slow",
            Self::StreamFast => "stream.fast",
            Self::StreamStalled => "stream.stalled",
            Self::StreamLatency => "stream.latency",
            Self::SyncExceeded => "sync.exceeded",
            Self::QueueHigh => "queue.high",
            Self::QueueShed => "queue.shed",
            Self::DiskLow => "disk.low",
            Self::DiskSlow => "disk.slow",
            Self::DiskFailed => "disk.failed",
            Self::ClockJump => "clock.jump",
            Self::SchemaMissing => "schema.missing",
            Self::DecodeFailed => "decode.failed",
        }
    }

    /// How long the condition must hold, and then be gone, nanoseconds; and whether a recording's first seconds are
    /// excused from it.
    const fn rule(self) -> Rule {
        match self {
            Self::StreamMissing => Rule { hold: 0, clear: 0, settles: true },
            Self::StreamStalled => Rule { hold: 0, clear: SEC, settles: true },
            Self::StreamSlow | Self::StreamFast | Self::StreamLatency => {
                Rule { hold: 2 * SEC, clear: 2 * SEC, settles: true }
            }
            Self::SyncExceeded => Rule { hold: SEC, clear: 2 * SEC, settles: true },
            Self::SchemaMissing => Rule { hold: 2 * SEC, clear: 0, settles: true },
            Self::QueueHigh | Self::DiskSlow => Rule { hold: SEC / 2, clear: 2 * SEC, settles: false },
            Self::DiskLow => Rule { hold: SEC, clear: 5 * SEC, settles: false },
            Self::QueueShed | Self::DiskFailed | Self::ClockJump | Self::DecodeFailed => {
                Rule { hold: 0, clear: 5 * SEC, settles: false }
            }
        }
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AlarmId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[derive(Clone, Copy)]
struct Rule {
    hold: i64,
    clear: i64,
    settles: bool,
}

/// A condition that holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// What it is about.
    pub id: AlarmId,
    /// Topic, stream or sync group; empty for the recorder itself.
    pub subject: String,
    /// What is wrong, for people.
    pub detail: LocalText,
    /// When the condition began, by the wall clock of then.
    pub since: Timestamp,
}

impl From<&Alarm> for proto::Alarm {
    /// The detail is `Korean / English`.
    fn from(alarm: &Alarm) -> Self {
        Self {
            id: alarm.id.as_str().to_owned(),
            subject: alarm.subject.clone(),
            detail: format!("{} / {}", alarm.detail.ko, alarm.detail.en),
            since: Some(proto_time(alarm.since)),
        }
    }
}

/// An alarm that was raised or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlarmChange {
    /// It holds from now on.
    Raised(Alarm),
    /// It does not hold any more.
    Cleared(Alarm),
}

/// The state of one condition.
#[derive(Debug, Default)]
struct Condition {
    bad_since: Option<Reading>,
    good_since: Option<i64>,
    alarm: Option<Alarm>,
}

/// All alarms of a recording.
#[derive(Debug)]
pub struct Alarms {
    started: i64,
    stopping: bool,
    conditions: BTreeMap<AlarmId, BTreeMap<String, Condition>>,
    changes: Vec<AlarmChange>,
}

impl Alarms {
    /// No alarm; the recording starts at `started`.
    #[must_use]
    pub fn new(started: Reading) -> Self {
        Self { started: started.monotonic, stopping: false, conditions: BTreeMap::new(), changes: Vec::new() }
    }

    /// The recording is being stopped: streams may end now, no alarm is raised any more.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether streams are still excused.
    #[must_use]
    pub fn settling(&self, now: Reading) -> bool {
        now.monotonic.saturating_sub(self.started) < SETTLING_NANOS
    }

    /// Says whether a condition holds at `now`; `detail` is asked for only while it is an alarm or becomes one.
    pub fn judge(&mut self, id: AlarmId, subject: &str, bad: bool, now: Reading, detail: impl FnOnce() -> LocalText) {
        let rule = id.rule();
        let excused = self.stopping || (rule.settles && self.settling(now));
        let conditions = self.conditions.entry(id).or_default();
        if !conditions.contains_key(subject) {
            if !bad || conditions.len() >= MAX_SUBJECTS {
                return;
            }
            conditions.insert(subject.to_owned(), Condition::default());
        }
        let Some(condition) = conditions.get_mut(subject) else { return };
        if bad {
            condition.good_since = None;
            let since = *condition.bad_since.get_or_insert(now);
            if let Some(alarm) = &mut condition.alarm {
                alarm.detail = detail();
            } else if !excused && now.monotonic.saturating_sub(since.monotonic) >= rule.hold {
                let alarm = Alarm { id, subject: subject.to_owned(), detail: detail(), since: since.wall };
                self.changes.push(AlarmChange::Raised(alarm.clone()));
                condition.alarm = Some(alarm);
            }
            return;
        }
        condition.bad_since = None;
        let since = *condition.good_since.get_or_insert(now.monotonic);
        let over = condition.alarm.is_none() || now.monotonic.saturating_sub(since) >= rule.clear;
        if over && let Some(condition) = conditions.remove(subject) {
            self.changes.extend(condition.alarm.map(AlarmChange::Cleared));
        }
    }

    /// Takes back everything about a subject that is not judged any more.
    pub fn forget(&mut self, subject: &str) {
        for conditions in self.conditions.values_mut() {
            let gone = conditions.remove(subject).and_then(|condition| condition.alarm);
            self.changes.extend(gone.map(AlarmChange::Cleared));
        }
    }

    /// The alarms that hold, by kind and subject.
    pub fn active(&self) -> impl Iterator<Item = &Alarm> {
        self.conditions.values().flat_map(BTreeMap::values).filter_map(|condition| condition.alarm.as_ref())
    }

    /// What was raised and cleared since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<AlarmChange> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Reading {
        Reading { wall: Timestamp::from_nanos(ms * 1_000_000), monotonic: ms * 1_000_000 }
    }

    fn text() -> LocalText {
        LocalText { ko: "느림".to_owned(), en: "slow".to_owned() }
    }

    /// Plays (milliseconds, bad) and gives (milliseconds, raised?) of the changes.
    fn play(id: AlarmId, steps: &[(i64, bool)], stop_at: i64) -> Vec<(i64, bool)> {
        let mut alarms = Alarms::new(at(0));
        let mut seen = Vec::new();
        for (ms, bad) in steps {
            if *ms >= stop_at {
                alarms.stop();
            }
            alarms.judge(id, "/imu", *bad, at(*ms), text);
            let changes = alarms.take_changes();
            seen.extend(changes.iter().map(|change| (*ms, matches!(change, AlarmChange::Raised(_)))));
        }
        seen
    }

    #[test]
    fn alarms_are_raised_and_cleared_with_hysteresis() {
        use AlarmId::{DiskFailed, QueueHigh, StreamSlow, StreamStalled};
        type Case = (&'static str, AlarmId, &'static [(i64, bool)], i64, &'static [(i64, bool)]);
        let never = i64::MAX;
        let cases: [Case; 8] = [
            ("holds", StreamSlow, &[(5000, true), (6999, true), (7000, true), (8000, true)], never, &[(7000, true)]),
            ("too short", StreamSlow, &[(5000, true), (6500, true), (6600, false), (7100, true)], never, &[]),
            ("settling", StreamSlow, &[(0, true), (2999, true), (3000, true)], never, &[(3000, true)]),
            ("stopping", StreamStalled, &[(5000, true), (6000, true)], 5000, &[]),
            ("at once", StreamStalled, &[(5000, true)], never, &[(5000, true)]),
            (
                "clears once it was fine for a while",
                StreamStalled,
                &[(5000, true), (6000, false), (6500, true), (7000, false), (7999, false), (8000, false)],
                never,
                &[(5000, true), (8000, false)],
            ),
            ("the disk is not excused", DiskFailed, &[(0, true)], never, &[(0, true)]),
            ("nor the queue", QueueHigh, &[(0, true), (500, true)], never, &[(500, true)]),
        ];
        for (name, id, steps, stop_at, changes) in cases {
            assert_eq!(play(id, steps, stop_at), changes, "{name}");
        }
    }

    #[test]
    fn an_alarm_tells_since_when_in_both_languages() {
        let mut alarms = Alarms::new(at(0));
        alarms.judge(AlarmId::StreamSlow, "/imu", true, at(4000), text);
        alarms.judge(AlarmId::StreamSlow, "/imu", true, at(9000), text);
        let messages: Vec<_> = alarms.active().map(proto::Alarm::from).collect();
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].id.as_str(), messages[0].detail.as_str()), ("stream.slow", "느림 / slow"));
        assert_eq!(messages[0].since.map(|t| t.seconds), Some(4));
    }

    #[test]
    fn a_wall_clock_that_steps_raises_nothing_by_itself() {
        let mut alarms = Alarms::new(at(0));
        alarms.judge(AlarmId::StreamSlow, "/imu", true, at(4000), text);
        let stepped = Reading { wall: at(4_000_000).wall, ..at(4100) };
        alarms.judge(AlarmId::StreamSlow, "/imu", true, stepped, text);
        assert_eq!(alarms.active().count(), 0);
    }
}
