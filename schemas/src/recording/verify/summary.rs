//! Whether the summary section says what the data section holds.

use std::{collections::BTreeMap, io};

use mcap::records::{ChunkIndex, op};

use crate::recording::{
    part_reader::{parse, summary::footer},
    record::RECORD_HEADER,
    verify::{MAGIC, Severity, Verifier},
};

const FOOTER: u64 = RECORD_HEADER as u64 + 20;

/// `at` is the end of the data end record.
pub(super) fn verify(verifier: &mut Verifier<'_>, at: u64) -> io::Result<()> {
    let footer = match footer(&verifier.source)? {
        Ok(footer) => footer,
        Err(reason) => {
            verifier.error("mcap.end", at, format!("{reason} at the end of the file"));
            return Ok(());
        }
    };
    let footer_at = verifier.source.len() - FOOTER - MAGIC;
    if footer.summary_start == 0 {
        if footer_at != at && footer.summary_offset_start == 0 {
            verifier.error("mcap.summary", at, "the footer says that there is no summary, but there is something");
        } else {
            verifier.fault(
                "mcap.summary",
                Severity::Warning,
                footer_at,
                "the file has no summary: readers must read it whole",
            );
        }
        return Ok(());
    }
    if footer.summary_start != at || footer_at < at {
        let message =
            format!("the footer says that the summary begins at byte {}, it begins at {at}", footer.summary_start);
        verifier.error("mcap.summary", footer_at, message);
        return Ok(());
    }
    let size = footer_at - at;
    if size > verifier.options.summary_bytes_max {
        verifier.error("mcap.summary", at, format!("a summary of {size} bytes is over the limit"));
        return Ok(());
    }
    let bytes = verifier.source.read(at, size + FOOTER - 4)?;
    let actual = crc32fast::hash(&bytes);
    if footer.summary_crc != 0 && footer.summary_crc != actual {
        let message = format!("CRC of the summary is {actual:08X}, not {:08X}", footer.summary_crc);
        verifier.error("mcap.summary_crc", at, message);
    }
    let mut seen = Seen::default();
    let mut next = 0;
    let records = &bytes[..usize::try_from(size).unwrap_or(0)];
    loop {
        let result = match parse::record_in(records, next) {
            Ok(None) => break,
            Ok(Some(record)) => {
                next = record.end();
                let at = at + record.offset as u64;
                verifier
                    .summary_record(&mut seen, record.opcode, at, record.content)
                    .map_err(|error| (at, error, false))
            }
            Err(error) => Err((at + next as u64, error, true)),
        };
        if let Err((at, error, last)) = result {
            verifier.error("mcap.record", at, error.to_string());
            if last {
                break;
            }
        }
    }
    verifier.missing(&seen, at);
    Ok(())
}

/// What the summary has told.
#[derive(Default)]
struct Seen {
    chunks: usize,
    attachments: usize,
    metadata: usize,
    channels: usize,
    statistics: bool,
}

impl Verifier<'_> {
    fn summary_record(
        &mut self,
        seen: &mut Seen,
        opcode: u8,
        at: u64,
        content: &[u8],
    ) -> Result<(), parse::ParseError> {
        match opcode {
            op::SCHEMA => {
                let schema = parse::schema(content)?;
                let same = self.state.definitions.schemas.get(&schema.id).map(|known| {
                    (&*known.name, &*known.encoding, &*known.data) == (schema.name, schema.encoding, schema.data)
                });
                if same == Some(false) {
                    self.error("mcap.summary", at, format!("schema {} differs from the data section's", schema.id));
                }
                self.state.definitions.learn(opcode, content)?;
            }
            op::CHANNEL => {
                seen.channels += 1;
                let channel = parse::channel(content)?;
                let known = self.state.definitions.channels.get(&channel.id).map(|known| &known.descriptor);
                let same = known.map(|k| {
                    (&k.topic, &k.message_encoding, &k.metadata)
                        == (&channel.topic, &channel.message_encoding, &channel.metadata)
                });
                if same == Some(false) {
                    self.error("mcap.summary", at, format!("channel {} differs from the data section's", channel.id));
                }
                self.state.definitions.learn(opcode, content)?;
            }
            op::CHUNK_INDEX => {
                seen.chunks += 1;
                let index = parse::chunk_index(content)?;
                self.chunk_index(at, &index);
            }
            op::ATTACHMENT_INDEX => {
                seen.attachments += 1;
                let index = parse::attachment_index(content)?;
                let entry = self.state.attachments.get(&index.offset);
                if entry != Some(&(index.length, index.name.clone())) {
                    self.error("mcap.index", at, format!("no attachment `{}` at byte {}", index.name, index.offset));
                }
            }
            op::METADATA_INDEX => {
                seen.metadata += 1;
                let index = parse::metadata_index(content)?;
                let entry = self.state.metadata.get(&index.offset);
                if entry != Some(&(index.length, index.name.clone())) {
                    self.error("mcap.index", at, format!("no metadata `{}` at byte {}", index.name, index.offset));
                }
            }
            op::STATISTICS => {
                seen.statistics = true;
                let told = parse::statistics(content)?;
                self.statistics(at, &told);
            }
            op::SUMMARY_OFFSET => drop(parse::summary_offset(content)?),
            _ => {}
        }
        Ok(())
    }

    fn chunk_index(&mut self, at: u64, index: &ChunkIndex) {
        let chunks = &self.state.chunks;
        let found = chunks.binary_search_by_key(&index.chunk_start_offset, |chunk| chunk.chunk_start_offset);
        let Some(chunk) = found.ok().and_then(|i| chunks.get(i)) else {
            self.error("mcap.index", at, format!("no chunk at byte {}", index.chunk_start_offset));
            return;
        };
        // Some writers name channels without messages, others leave message indexes out.
        let offsets = |c: &ChunkIndex| c.message_index_offsets.clone();
        let (told, held) = (offsets(index), offsets(chunk));
        let right = told.iter().all(|(id, offset)| held.get(id).is_none_or(|held| held == offset))
            && (told.is_empty() || held.keys().all(|id| told.contains_key(id)));
        let without = |c: &ChunkIndex| ChunkIndex {
            message_index_offsets: BTreeMap::new(),
            message_index_length: 0,
            ..c.clone()
        };
        let length = told.is_empty() || index.message_index_length == chunk.message_index_length;
        if without(index) != without(chunk) || !right || !length {
            let message = format!("the index of the chunk at byte {} does not fit it", index.chunk_start_offset);
            self.error("mcap.index", at, message);
        }
    }

    fn statistics(&mut self, at: u64, told: &mcap::records::Statistics) {
        let held = &self.state.statistics;
        let counts: BTreeMap<u16, u64> =
            told.channel_message_counts.iter().filter(|(_, n)| **n > 0).map(|(id, n)| (*id, *n)).collect();
        let mut wrong = Vec::new();
        let mut compare = |name: &str, told: u64, held: u64| {
            if told != held {
                wrong.push(format!("{name} {told} instead of {held}"));
            }
        };
        compare("messages", told.message_count, held.message_count);
        compare("chunks", told.chunk_count.into(), held.chunk_count.into());
        compare("attachments", told.attachment_count.into(), self.state.attachments.len() as u64);
        compare("metadata", told.metadata_count.into(), self.state.metadata.len() as u64);
        if held.message_count > 0 {
            compare("first log time", told.message_start_time, held.message_start_time);
            compare("last log time", told.message_end_time, held.message_end_time);
        }
        // Some writers leave out channels without messages.
        let channels = held.channel_message_counts.len()..=self.state.definitions.channels.len();
        if !channels.contains(&(told.channel_count as usize)) {
            wrong.push(format!("channels {} instead of {}", told.channel_count, channels.end()));
        }
        if !counts.is_empty() && counts != held.channel_message_counts {
            wrong.push("other counts per channel".to_owned());
        }
        if !wrong.is_empty() {
            self.error("mcap.statistics", at, format!("the statistics do not fit the data: {}", wrong.join(", ")));
        }
    }

    /// What the summary leaves out, though it begins to tell.
    fn missing(&mut self, seen: &Seen, at: u64) {
        let state = &self.state;
        let lists = [
            ("chunks", seen.chunks, state.chunks.len()),
            ("attachments", seen.attachments, state.attachments.len()),
            ("metadata records", seen.metadata, state.metadata.len()),
            ("channels", seen.channels, state.statistics.channel_message_counts.len()),
        ];
        let short: Vec<String> = lists
            .iter()
            .filter(|(_, told, held)| told < held)
            .map(|(name, told, held)| format!("{told} of {held} {name}"))
            .collect();
        if !short.is_empty() || !seen.statistics {
            let statistics = if seen.statistics { "" } else { "; no statistics" };
            let message = format!("the summary is not complete: it tells {}{statistics}", short.join(", "));
            self.fault("mcap.summary", Severity::Warning, at, message);
        }
    }
}
