//! Everything intact in a damaged MCAP, into a clean one.

use std::collections::BTreeMap;

use mcap::records::{AttachmentIndex, op};

use crate::recording::{
    part_reader::{
        Definitions, ReadOptions,
        parse::{self, ChunkHead},
        source::Source,
    },
    record::RECORD_HEADER,
    recover::{
        Failed,
        ids::Ids,
        rebuild::{Rebuild, Sink},
        report::{RecoverReport, RecoveredChannel},
        scan::{Found, Scanner, What},
    },
};

/// One pass over a damaged file.
pub(super) struct Copy<'a> {
    source: Source,
    sink: &'a mut dyn Sink,
    rebuild: Rebuild,
    ids: Ids,
    begun: bool,
    report: RecoverReport,
    /// Messages out of damaged chunks, by channel of the rebuilt file.
    unverified: BTreeMap<u16, u64>,
    /// Message counts of the damaged file's own statistics, by channel of the rebuilt file.
    expected: Option<BTreeMap<u16, u64>>,
    /// Whether the next message indexes belong to the last damaged chunk.
    after_damage: bool,
    /// Whether messages may come out of a chunk whose own head is gone: damage came, and nothing with a CRC since.
    headless: bool,
}

/// What a pass did and learnt.
pub(super) struct Copied {
    pub(super) report: RecoverReport,
    pub(super) definitions: Definitions,
    /// Whether another pass that knows `definitions` from its start would find more.
    pub(super) again: bool,
}

/// Copies what is intact. `known` are channels learnt elsewhere: in the summary, or in an earlier pass.
pub(super) fn copy(
    source: &Source,
    options: ReadOptions,
    known: &Definitions,
    sink: &mut dyn Sink,
    report: RecoverReport,
) -> Result<Copied, Failed> {
    let channels = known.channels.keys().copied().collect();
    let mut scanner = Scanner::new(source.clone(), options, channels);
    let mut copy = Copy {
        source: source.clone(),
        sink,
        rebuild: Rebuild::with(known.clone()),
        ids: Ids::with(known),
        begun: false,
        report,
        unverified: BTreeMap::new(),
        expected: None,
        after_damage: false,
        headless: false,
    };
    while let Some(found) = scanner.next().map_err(Failed::Read)? {
        copy.take(found)?;
    }
    copy.finish(known)
}

impl Copy<'_> {
    fn take(&mut self, Found { offset, end, what }: Found) -> Result<(), Failed> {
        if !self.begun && !matches!(what, What::Magic | What::Header { .. }) {
            self.begin("", "")?;
        }
        if !matches!(what, What::MessageIndex(_) | What::Message { .. }) {
            self.after_damage = false;
        }
        match what {
            What::Magic | What::DataEnd | What::Footer => {}
            What::Header { profile, library } => {
                if !self.begun {
                    self.begin(&profile, &library)?;
                }
            }
            What::Definition { opcode, content } => {
                self.define(opcode, &content);
            }
            What::Message { content, in_damaged_chunk: true } => self.message_of_damaged_chunk(&content)?,
            What::Message { content, .. } => self.message(&content, self.headless)?,
            What::Chunk { head, stored, records } => {
                self.headless = false;
                self.chunk(&head, &stored, &records)?;
            }
            What::TornChunk { records, reason } => self.torn(offset, end, &records, &reason)?,
            What::OpenedChunk { reason } => {
                self.report.damage(offset, reason);
                self.after_damage = true;
            }
            What::MessageIndex((_, entries)) => {
                if self.after_damage
                    && let Some(chunk) = self.report.damaged_chunks.last_mut()
                {
                    *chunk.messages_expected.get_or_insert(0) += entries.len() as u64;
                }
            }
            What::Attachment(index) => self.attachment(index)?,
            What::Metadata { name, content } => {
                self.report.metadata += 1;
                self.rebuild.metadata(self.sink, name, &content).map_err(Failed::Write)?;
            }
            What::Private => {
                self.rebuild.flush(self.sink).map_err(Failed::Write)?;
                self.copy_bytes(offset, end)?;
            }
            What::Summary { opcode, content } => self.summary(opcode, &content),
            What::Damaged { reason } => {
                self.report.lose(offset, end, reason);
                self.headless = true;
                // Its message indexes may still come.
                self.after_damage = !self.report.damaged_chunks.is_empty();
            }
        }
        Ok(())
    }

    fn begin(&mut self, profile: &str, library: &str) -> Result<(), Failed> {
        self.begun = true;
        self.rebuild.begin(self.sink, profile, library).map_err(Failed::Write)
    }

    /// Whether the record holds in the rebuilt file as it is.
    fn define(&mut self, opcode: u8, content: &[u8]) -> bool {
        match opcode {
            op::SCHEMA => self.ids.take_schema(content, &mut self.rebuild.definitions),
            op::CHANNEL => self.ids.take_channel(content, &mut self.rebuild.definitions),
            _ => true,
        }
    }

    fn message(&mut self, content: &[u8], unverified: bool) -> Result<(), Failed> {
        let Ok(head) = parse::message(content) else { return Ok(()) };
        let Some(id) = self.ids.channel(head.channel_id) else {
            *self.report.undefined.entry(head.channel_id).or_default() += 1;
            return Ok(());
        };
        if unverified {
            *self.unverified.entry(id).or_default() += 1;
        }
        self.rebuild.message(self.sink, id, content).map_err(Failed::Write)
    }

    fn message_of_damaged_chunk(&mut self, content: &[u8]) -> Result<(), Failed> {
        let is_described = parse::message(content).is_ok_and(|head| self.ids.channel(head.channel_id).is_some());
        if is_described && let Some(chunk) = self.report.damaged_chunks.last_mut() {
            chunk.messages += 1;
        }
        self.message(content, true)
    }

    fn chunk(&mut self, head: &ChunkHead, stored: &[u8], records: &[u8]) -> Result<(), Failed> {
        self.report.chunks += 1;
        // As it is, unless a number in it means something else in the rebuilt file.
        let mut as_is = true;
        let mut at = 0;
        while let Ok(Some(record)) = parse::record_in(records, at) {
            as_is &= match record.opcode {
                op::MESSAGE => {
                    parse::message(record.content).is_ok_and(|m| self.ids.channel(m.channel_id) == Some(m.channel_id))
                }
                opcode => self.define(opcode, record.content),
            };
            at = record.end();
        }
        if as_is {
            return self.rebuild.chunk(self.sink, head, stored, records).map_err(Failed::Write);
        }
        self.messages_of(records, false).map(|_| ())
    }

    /// Takes definitions and messages one by one; returns how many bytes were good.
    fn messages_of(&mut self, records: &[u8], unverified: bool) -> Result<usize, Failed> {
        let mut at = 0;
        while let Ok(Some(record)) = parse::record_in(records, at) {
            match record.opcode {
                op::MESSAGE if unverified => self.message_of_damaged_chunk(record.content)?,
                op::MESSAGE => self.message(record.content, false)?,
                opcode => {
                    self.define(opcode, record.content);
                }
            }
            at = record.end();
        }
        Ok(at)
    }

    fn torn(&mut self, offset: u64, end: u64, records: &[u8], reason: &str) -> Result<(), Failed> {
        self.report.damage(offset, reason.to_owned());
        self.messages_of(records, true)?;
        let kept = self.report.damaged_chunks.last().map_or(0, |chunk| chunk.messages);
        self.report.lose(offset, end, format!("{reason}; {kept} messages came out of it"));
        self.after_damage = true;
        Ok(())
    }

    fn attachment(&mut self, index: AttachmentIndex) -> Result<(), Failed> {
        self.rebuild.flush(self.sink).map_err(Failed::Write)?;
        self.report.attachments += 1;
        let (start, end) = (index.offset, index.offset + index.length);
        self.rebuild.has_attachment(AttachmentIndex { offset: self.rebuild.offset, ..index });
        // Not the old head: its length may be damaged.
        let mut head = vec![op::ATTACHMENT];
        head.extend_from_slice(&(end - start - RECORD_HEADER as u64).to_le_bytes());
        self.rebuild.write(self.sink, &head).map_err(Failed::Write)?;
        self.copy_bytes(start + RECORD_HEADER as u64, end)
    }

    fn copy_bytes(&mut self, mut start: u64, end: u64) -> Result<(), Failed> {
        while start < end {
            let piece = self.source.read(start, (end - start).min(1 << 20)).map_err(Failed::Read)?;
            self.rebuild.write(self.sink, &piece).map_err(Failed::Write)?;
            start += piece.len() as u64;
        }
        Ok(())
    }

    fn summary(&mut self, opcode: u8, content: &[u8]) {
        if opcode == op::STATISTICS
            && let Ok(statistics) = parse::statistics(content)
        {
            let expected = self.expected.get_or_insert_default();
            for (id, count) in statistics.channel_message_counts {
                if let Some(id) = self.ids.channel(id) {
                    let sum = expected.entry(id).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
        }
    }

    fn finish(mut self, known: &Definitions) -> Result<Copied, Failed> {
        if !self.begun {
            self.begin("", "")?;
        }
        self.rebuild.finish(self.sink).map_err(Failed::Write)?;
        let definitions = std::mem::take(&mut self.rebuild.definitions);
        let mut report = self.report;
        report.channels = definitions
            .channels
            .values()
            .map(|channel| {
                let messages = self.rebuild.counts.get(&channel.id).copied().unwrap_or(0);
                let expected = self.expected.as_ref().map(|e| e.get(&channel.id).copied().unwrap_or(messages));
                RecoveredChannel {
                    id: channel.id,
                    topic: channel.descriptor.topic.clone(),
                    messages,
                    unverified: self.unverified.get(&channel.id).copied().unwrap_or(0),
                    lost: expected.map(|expected| expected.saturating_sub(messages)),
                }
            })
            .collect();
        report.messages = report.channels.iter().map(|c| c.messages).sum();
        report.unverified = report.channels.iter().map(|c| c.unverified).sum();
        report.schemas_missing = self.ids.schemas_missing.iter().copied().collect();
        let learnt = definitions.channels.len() > known.channels.len();
        let late_channel = report.undefined.keys().any(|id| definitions.channels.contains_key(id));
        let late_schema = report.schemas_missing.iter().any(|id| definitions.schemas.contains_key(id));
        let again = late_channel || late_schema || (learnt && report.bytes_lost > 0);
        Ok(Copied { report, definitions, again })
    }
}

/// The length of a record with this content.
pub(super) const fn record_len(content: usize) -> u64 {
    (RECORD_HEADER + content) as u64
}
