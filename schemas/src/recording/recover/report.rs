//! What a recovery kept and what it could not, for people and for programs.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use serde::Serialize;

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was complete already; at most renamed.
    Whole,
    /// Its end was cut off where it was torn, and it was finished in place.
    Finished,
    /// Everything intact was copied to a new file.
    Copied,
}

/// One channel of a recovered file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveredChannel {
    /// Number in the recovered file.
    pub id: u16,
    /// Topic.
    pub topic: String,
    /// Messages kept.
    pub messages: u64,
    /// Of these, messages out of damaged chunks: whole as records, but no CRC vouches for their bytes.
    pub unverified: u64,
    /// Messages missing against the damaged file's own statistics, where it still has them.
    pub lost: Option<u64>,
}

/// A chunk that was not intact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedChunk {
    /// Where it begins in the damaged file.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Messages that came out of it nevertheless.
    pub messages: u64,
    /// Messages it held by its message indexes, where they are left.
    pub messages_expected: Option<u64>,
}

/// Bytes of the damaged file that are in no recovered record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostBytes {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// What is wrong there.
    pub reason: String,
}

/// What a recovery kept and what it could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoverReport {
    /// Version of this structure: 1.
    pub format_version: u32,
    /// The damaged file.
    pub input: PathBuf,
    /// The recovered file.
    pub output: PathBuf,
    /// What was done.
    pub outcome: Outcome,
    /// Messages kept.
    pub messages: u64,
    /// Of these, messages out of damaged chunks: whole as records, but no CRC vouches for their bytes.
    pub unverified: u64,
    /// Messages lost because no record describes their channel, by the channel's number.
    pub undefined: BTreeMap<u16, u64>,
    /// Channels of the recovered file.
    pub channels: Vec<RecoveredChannel>,
    /// Intact chunks.
    pub chunks: u64,
    /// Attachments kept.
    pub attachments: u64,
    /// Metadata records kept.
    pub metadata: u64,
    /// Chunks that were not intact; the first thousand.
    pub damaged_chunks: Vec<DamagedChunk>,
    /// Bytes in no recovered record; the first thousand ranges.
    pub lost: Vec<LostBytes>,
    /// All bytes in no recovered record.
    pub bytes_lost: u64,
    /// Schemas that channels name but no record describes; these channels have no schema now.
    pub schemas_missing: Vec<u16>,
}

/// Lists in a report end here; sums go on.
const LISTED: usize = 1000;

impl RecoverReport {
    pub(super) fn new(input: PathBuf, output: PathBuf, outcome: Outcome) -> Self {
        Self {
            format_version: 1,
            input,
            output,
            outcome,
            messages: 0,
            unverified: 0,
            undefined: BTreeMap::new(),
            channels: Vec::new(),
            chunks: 0,
            attachments: 0,
            metadata: 0,
            damaged_chunks: Vec::new(),
            lost: Vec::new(),
            bytes_lost: 0,
            schemas_missing: Vec::new(),
        }
    }

    pub(super) fn lose(&mut self, start: u64, end: u64, reason: String) {
        self.bytes_lost += end.saturating_sub(start);
        if let Some(last) = self.lost.last_mut().filter(|last| last.end == start) {
            last.end = end;
        } else if self.lost.len() < LISTED {
            self.lost.push(LostBytes { start, end, reason });
        }
    }

    pub(super) fn damage(&mut self, offset: u64, reason: String) {
        if self.damaged_chunks.len() < LISTED {
            self.damaged_chunks.push(DamagedChunk { offset, reason, messages: 0, messages_expected: None });
        }
    }

    /// Whether anything that the damaged file still tells of is missing or unverified.
    #[must_use]
    pub fn has_loss(&self) -> bool {
        self.bytes_lost > 0
            || self.unverified > 0
            || !self.damaged_chunks.is_empty()
            || !self.undefined.is_empty()
            || !self.schemas_missing.is_empty()
            || self.channels.iter().any(|c| c.lost.is_some_and(|lost| lost > 0))
    }

    /// For a person, lines without colours.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let done = match self.outcome {
            Outcome::Whole => "was complete already",
            Outcome::Finished => "was torn and is finished now",
            Outcome::Copied => "was damaged; what is intact is in the new file",
        };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}: {done}", self.input.display());
        let _ = writeln!(out, "recovered file: {}", self.output.display());
        let _ = writeln!(
            out,
            "kept: {} messages, {} intact chunks, {} attachments, {} metadata records",
            self.messages, self.chunks, self.attachments, self.metadata
        );
        for channel in &self.channels {
            let _ = write!(out, "  {}: {} messages", channel.topic, channel.messages);
            if channel.unverified > 0 {
                let _ = write!(out, ", {} of them from damaged chunks (not verified by a CRC)", channel.unverified);
            }
            if let Some(lost) = channel.lost.filter(|lost| *lost > 0) {
                let _ = write!(out, ", {lost} lost");
            }
            out.push('\n');
        }
        for (id, count) in &self.undefined {
            let _ = writeln!(out, "lost: {count} messages of channel {id}, whose description is gone");
        }
        for chunk in &self.damaged_chunks {
            let of = chunk.messages_expected.map_or(String::new(), |n| format!(" of {n}"));
            let _ =
                writeln!(out, "chunk at byte {}: {}; {}{of} messages kept", chunk.offset, chunk.reason, chunk.messages);
        }
        for lost in &self.lost {
            let _ = writeln!(
                out,
                "lost: bytes {}..{} ({} B): {}",
                lost.start,
                lost.end,
                lost.end - lost.start,
                lost.reason
            );
        }
        for id in &self.schemas_missing {
            let _ = writeln!(out, "lost: schema {id}; its channels have none now");
        }
        if !self.has_loss() {
            out.push_str("nothing was lost\n");
        }
        out
    }
}
