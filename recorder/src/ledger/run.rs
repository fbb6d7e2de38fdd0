//! What the ledger is told: a publisher's numbers, alone and in runs.

use sagwan_schemas::time::Timestamp;

use super::track::Span;

/// What a publisher says of one sample's place in its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Counts the publisher's samples from 0.
    pub sequence: u64,
    /// UTC nanoseconds, by the publisher's clock, at which this instance of it started.
    pub instance: Option<i64>,
}

/// Numbers of a [`Run`]: consecutive, of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunNumbers {
    /// First number.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// The instance, as in [`Numbering`].
    pub instance: Option<i64>,
}

/// Consecutive samples of one source that met the same fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Their numbers, where the publisher gives them.
    pub numbers: Option<RunNumbers>,
    /// How many samples.
    pub count: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Log time of the first one.
    pub first_log_time: Timestamp,
    /// Log time of the last one.
    pub last_log_time: Timestamp,
}

impl Run {
    /// A run of one sample.
    #[must_use]
    pub fn one(numbering: Option<Numbering>, bytes: u64, log_time: Timestamp) -> Self {
        Self {
            numbers: numbering.map(|n| RunNumbers { first: n.sequence, last: n.sequence, instance: n.instance }),
            count: 1,
            bytes,
            first_log_time: log_time,
            last_log_time: log_time,
        }
    }

    /// Adds the next sample; `false`, and nothing changed, if it does not follow the run: start another one then.
    #[must_use]
    pub fn extend(&mut self, numbering: Option<Numbering>, bytes: u64, log_time: Timestamp) -> bool {
        match (&mut self.numbers, numbering) {
            (None, None) => {}
            (Some(run), Some(next)) if run.instance == next.instance && next.sequence == run.last.wrapping_add(1) => {
                run.last = next.sequence;
            }
            _ => return false,
        }
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.last_log_time = log_time;
        true
    }

    /// The numbers as a span, if they say what `count` says. Without a believable span a run is counted only.
    pub(super) fn span(&self) -> Option<(Span, Option<i64>)> {
        let numbers = self.numbers?;
        let span = Span::inclusive(numbers.first, numbers.last)?;
        (span.len == self.count).then_some((span, numbers.instance))
    }
}
