//! What the ledger tells: gaps on their way to the part, and sums for manifest and status.

use std::{fmt, vec};

use sagwan_schemas::{proto, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::{Run, SourceId};
use crate::stamp::proto_time;

/// Entries that wait to be drained; beyond it, gaps of one source and cause are told together.
const MAX_WAITING: usize = 4096;

/// Why samples are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Sent, but never received.
    Transport,
    /// Received, but shed because the queue was full.
    Queue,
    /// Queued, but the disk did not take it.
    Disk,
    /// Never sent; an estimate.
    Source,
}

impl Cause {
    /// The cause in `sagwan.Loss`.
    #[must_use]
    pub const fn to_proto(self) -> proto::LossCause {
        match self {
            Self::Transport => proto::LossCause::Transport,
            Self::Queue => proto::LossCause::Queue,
            Self::Disk => proto::LossCause::Disk,
            Self::Source => proto::LossCause::Source,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "transport",
            Self::Queue => "queue",
            Self::Disk => "disk",
            Self::Source => "source",
        })
    }
}

/// Missing samples by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Sent, but never received.
    pub transport: u64,
    /// Received, but shed because the queue was full.
    pub queue: u64,
    /// Queued, but the disk did not take it.
    pub disk: u64,
    /// Never sent; an estimate.
    pub source: u64,
}

impl Lost {
    /// Missing samples that were sent: transport, queue and disk.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.transport.saturating_add(self.queue).saturating_add(self.disk)
    }

    pub(super) fn add(&mut self, cause: Cause, count: u64) {
        let sum = match cause {
            Cause::Transport => &mut self.transport,
            Cause::Queue => &mut self.queue,
            Cause::Disk => &mut self.disk,
            Cause::Source => &mut self.source,
        };
        *sum = sum.saturating_add(count);
    }
}

/// Data known to be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose samples.
    pub source: SourceId,
    /// Topic of the source's channel.
    pub topic: String,
    /// The publisher; empty where it is not known.
    pub publisher: String,
    /// Why.
    pub cause: Cause,
    /// Number of samples missing. Less than the numbers span when others between them did arrive.
    pub count: u64,
    /// First missing number, where samples are numbered. Above the last one when the numbers wrapped.
    pub first_sequence: Option<u64>,
    /// Last missing number, inclusive.
    pub last_sequence: Option<u64>,
    /// Payload bytes missing, where known.
    pub bytes: u64,
    /// When the recorder noticed.
    pub log_time: Timestamp,
    /// What happened, for a person.
    pub detail: String,
}

impl Gap {
    pub(super) fn new(topic: &str, publisher: &str, entry: &Entry) -> Self {
        let Entry { source, cause, missing, scattered } = *entry;
        Self {
            source,
            topic: topic.to_owned(),
            publisher: publisher.to_owned(),
            cause,
            count: missing.count,
            first_sequence: missing.numbers.map(|n| n.0),
            last_sequence: missing.numbers.map(|n| n.1),
            bytes: missing.bytes,
            log_time: missing.log_time,
            detail: detail(cause, &missing, scattered),
        }
    }
}

impl From<Gap> for proto::Loss {
    fn from(gap: Gap) -> Self {
        Self {
            timestamp: Some(proto_time(gap.log_time)),
            topic: gap.topic,
            publisher: gap.publisher,
            cause: gap.cause.to_proto().into(),
            count: gap.count,
            first_sequence: gap.first_sequence,
            last_sequence: gap.last_sequence,
            bytes: gap.bytes,
            detail: gap.detail,
        }
    }
}

fn detail(cause: Cause, missing: &Missing, scattered: bool) -> String {
    let Missing { count, bytes, .. } = missing;
    let samples = if *count == 1 { "sample" } else { "samples" };
    let mut text = match cause {
        Cause::Transport => format!("{count} {samples} sent but not received"),
        Cause::Queue => format!("{count} {samples} ({bytes} bytes) shed: the queue was full"),
        Cause::Disk => format!("{count} {samples} ({bytes} bytes) not written: the disk did not take them"),
        Cause::Source => format!("about {count} {samples} not produced: capture times leave a hole"),
    };
    if scattered {
        text.push_str("; several gaps, told together");
    }
    text
}

/// Sums of one or all sources. Once finished, `sent = recorded + lost.transport + lost.queue + lost.disk`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Samples from the first to the last that belong to the recording, by the publishers' numbers; samples without
    /// numbers as far as they arrived.
    pub sent: u64,
    /// Samples that reached the recorder, duplicates and shed ones included.
    pub received: u64,
    /// Samples written, duplicates not counted.
    pub recorded: u64,
    /// Samples whose number had been accounted for already.
    pub duplicates: u64,
    /// Missing samples that may still come; not part of `lost` yet. 0 once finished.
    pub unsettled: u64,
    /// Missing samples.
    pub lost: Lost,
}

impl Totals {
    /// Whether every sample sent is recorded or accounted for as lost.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.unsettled == 0 && self.sent == self.recorded.saturating_add(self.lost.sent())
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.sent, other.sent),
            (&mut self.received, other.received),
            (&mut self.recorded, other.recorded),
            (&mut self.duplicates, other.duplicates),
            (&mut self.unsettled, other.unsettled),
        ] {
            *sum = sum.saturating_add(part);
        }
        for (cause, count) in [
            (Cause::Transport, other.lost.transport),
            (Cause::Queue, other.lost.queue),
            (Cause::Disk, other.lost.disk),
            (Cause::Source, other.lost.source),
        ] {
            self.lost.add(cause, count);
        }
    }
}

/// The account of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLoss {
    /// Topic of its channel.
    pub topic: String,
    /// The publisher; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub publisher: String,
    /// Publisher instances met; 0 for a source that does not number its samples.
    pub instances: u64,
    /// First number of the first instance that belongs to the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<u64>,
    /// Last number of the instance heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<u64>,
    /// Its sums.
    #[serde(flatten)]
    pub totals: Totals,
    /// Log time of the first sample that arrived, written or shed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_log_time: Option<Timestamp>,
    /// Log time of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_log_time: Option<Timestamp>,
}

/// All accounts of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossSummary {
    /// Sums over all sources.
    pub totals: Totals,
    /// One entry per source, in the order in which they were met.
    pub sources: Vec<SourceLoss>,
}

/// Missing samples of one source and cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    /// First and last number, inclusive.
    pub(super) numbers: Option<(u64, u64)>,
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) log_time: Timestamp,
}

impl Missing {
    pub(super) fn of_run(run: &Run) -> Self {
        let numbers = run.numbers.map(|n| (n.first, n.last));
        Self { numbers, count: run.count, bytes: run.bytes, log_time: run.first_log_time }
    }

    fn continues_as(&self, next: &Self) -> bool {
        match (self.numbers, next.numbers) {
            (Some((_, last)), Some((first, _))) => last.wrapping_add(1) == first,
            (None, None) => true,
            _ => false,
        }
    }

    fn merge(&mut self, next: &Self) {
        self.numbers = match (self.numbers, next.numbers) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (one, other) => one.or(other),
        };
        self.count = self.count.saturating_add(next.count);
        self.bytes = self.bytes.saturating_add(next.bytes);
    }
}

/// A final gap that waits to be drained.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: SourceId,
    pub(super) cause: Cause,
    pub(super) missing: Missing,
    /// Samples between its numbers did arrive.
    pub(super) scattered: bool,
}

/// Final gaps that wait to be drained.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    /// Per source and cause, the latest entry in `entries`.
    tails: Vec<[Option<usize>; 4]>,
}

impl Journal {
    pub(super) fn add_source(&mut self) {
        self.tails.push([None; 4]);
    }

    /// Appends, or merges into the source's latest entry of that cause.
    pub(super) fn push(&mut self, source: SourceId, cause: Cause, missing: Missing) {
        let full = self.entries.len() >= MAX_WAITING;
        let Some(tail) = self.tails.get_mut(source.index()).and_then(|tails| tails.get_mut(cause as usize)) else {
            return;
        };
        if let Some(entry) = tail.and_then(|i| self.entries.get_mut(i)) {
            let follows = entry.missing.continues_as(&missing);
            if follows || full {
                entry.missing.merge(&missing);
                entry.scattered |= !follows;
                return;
            }
        }
        *tail = Some(self.entries.len());
        self.entries.push(Entry { source, cause, missing, scattered: false });
    }

    /// Takes everything that waits.
    pub(super) fn drain(&mut self) -> vec::Drain<'_, Entry> {
        self.tails.fill([None; 4]);
        self.entries.drain(..)
    }
}
