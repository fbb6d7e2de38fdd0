//! Recovery against files whose layout is known, damaged at every place.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
    ops::Range,
};

use bytes::Bytes;
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};
use proptest::prelude::*;

use super::*;
use crate::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    recording::{
        part_reader::{Filter, Origin, ReadAt, parse},
        part_writer::{Attachment, ChunkPolicy, NewMessage, PartWriter},
    },
    stream::Compression,
};

/// A message, and where the file holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    pub(super) topic: String,
    sequence: u32,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Loose,
    Plain,
    Lz4,
    Zstd,
    Lanes,
}

const FORMS: [Form; 5] = [Form::Loose, Form::Plain, Form::Lz4, Form::Zstd, Form::Lanes];

/// Payload of message `i`: neither constant nor incompressible.
fn payload(i: usize) -> Vec<u8> {
    (0..20 + i * 7 % 60).map(|k| (k * (i + 3) % 23 + 65) as u8).collect()
}

fn build(form: Form, messages: usize) -> Vec<u8> {
    if form == Form::Lanes {
        return build_lanes(messages, true);
    }
    let options = mcap::WriteOptions::new()
        .use_chunks(form != Form::Loose)
        .chunk_size(Some(400))
        .compression_threads(0)
        .compression(match form {
            Form::Lz4 => Some(mcap::Compression::Lz4),
            Form::Zstd => Some(mcap::Compression::Zstd),
            _ => None,
        });
    let mut writer = options.create(Cursor::new(Vec::new())).unwrap();
    let schema = writer.add_schema("test/Thing", "ros2msg", b"int32 x").unwrap();
    for i in 0..messages {
        let topic = format!("/t{}", i % 3);
        let id = writer.add_channel(schema, &topic, "cdr", &BTreeMap::new()).unwrap();
        let header = mcap::records::MessageHeader {
            channel_id: id,
            sequence: i as u32,
            log_time: 1_700_000_000_000_000_000 + i as u64 * 1_000_000,
            publish_time: 7,
        };
        writer.write_to_known_channel(&header, &payload(i)).unwrap();
        if i == messages / 2 {
            writer
                .attach(&mcap::Attachment {
                    log_time: 1,
                    create_time: 2,
                    name: "a.txt".to_owned(),
                    media_type: "text/plain".to_owned(),
                    data: b"attached"[..].into(),
                })
                .unwrap();
            let metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
            writer.write_metadata(&mcap::records::Metadata { name: "m".to_owned(), metadata }).unwrap();
        }
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

/// Our own writer: a chunk per compression, open at once.
pub(super) fn build_lanes(messages: usize, finished: bool) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.mcap");
    let file = FileSystem.create(&path).unwrap();
    let mut part = PartWriter::create(file, "", ChunkPolicy { size: 400 }).unwrap();
    let ids: Vec<u16> = [Compression::None, Compression::Lz4, Compression::Zstd]
        .into_iter()
        .enumerate()
        .map(|(i, compression)| part.add_channel(channel(i), compression).unwrap())
        .collect();
    let metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    part.metadata("m", &metadata).unwrap();
    for i in 0..messages {
        let message = NewMessage {
            channel: ids[i % 3],
            source: 0,
            sequence: Some(i as u64),
            log_time: 1_700_000_000_000_000_000 + i as u64 * 1_000_000,
            publish_time: 7,
        };
        part.write(&message, &payload(i), 0).unwrap();
        if i == messages / 2 {
            part.attach(&Attachment {
                log_time: 1,
                create_time: 2,
                name: "a.txt".to_owned(),
                media_type: "text/plain".to_owned(),
                data: b"attached".to_vec(),
            })
            .unwrap();
        }
    }
    if finished {
        part.finish().unwrap();
    } else {
        part.close_chunks_opened_by(i64::MAX).unwrap();
    }
    std::fs::read(path).unwrap()
}

fn channel(i: usize) -> ChannelDescriptor {
    ChannelDescriptor {
        topic: format!("/t{i}"),
        message_encoding: "cdr".to_owned(),
        schema: Some(SchemaDescriptor {
            name: "test/Thing".to_owned(),
            encoding: "ros2msg".to_owned(),
            data: Bytes::from_static(b"int32 x"),
        }),
        metadata: BTreeMap::new(),
    }
}

/// Units that are intact or not as a whole: chunks with their messages, or single messages.
pub(super) struct Layout {
    pub(super) units: Vec<(Range<usize>, Vec<Known>)>,
    /// Places that define the channel of a topic.
    definitions: Vec<(Range<usize>, String)>,
    attachment: Option<Range<usize>>,
}

/// Reads the layout of an undamaged file, record by record and independently of the scanner.
pub(super) fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout { units: Vec::new(), definitions: Vec::new(), attachment: None };
    let mut topics = BTreeMap::new();
    let mut at = mcap::MAGIC.len();
    while let Ok(Some(record)) = parse::record_in(bytes, at) {
        let range = record.offset..record.end();
        match mcap::parse_record(record.opcode, record.content).unwrap() {
            mcap::records::Record::Channel(channel) => {
                layout.definitions.push((range, channel.topic.clone()));
                topics.insert(channel.id, channel.topic);
            }
            mcap::records::Record::Message { header, data } => {
                let topic = topics[&header.channel_id].clone();
                let known = Known { topic, sequence: header.sequence, data: data.into_owned() };
                layout.units.push((range, vec![known]));
            }
            mcap::records::Record::Chunk { header, data } => {
                let mut inside = Vec::new();
                for record in mcap::read::ChunkReader::new(header, &data).unwrap() {
                    match record.unwrap() {
                        mcap::records::Record::Channel(channel) => {
                            layout.definitions.push((range.clone(), channel.topic.clone()));
                            topics.insert(channel.id, channel.topic);
                        }
                        mcap::records::Record::Message { header, data } => inside.push(Known {
                            topic: topics[&header.channel_id].clone(),
                            sequence: header.sequence,
                            data: data.into_owned(),
                        }),
                        _ => {}
                    }
                }
                layout.units.push((range, inside));
            }
            mcap::records::Record::Attachment { .. } => layout.attachment = Some(range),
            mcap::records::Record::Footer(_) => break,
            _ => {}
        }
        at = record.end();
    }
    layout
}

/// All messages of a valid file, after checking all its CRCs with the `mcap` crate.
pub(super) fn checked(bytes: &[u8]) -> BTreeSet<Known> {
    let options = LinearReaderOptions::default()
        .with_validate_chunk_crcs(true)
        .with_validate_data_section_crc(true)
        .with_validate_summary_section_crc(true);
    let mut reader = LinearReader::new_with_options(options);
    let mut rest = bytes;
    while let Some(event) = reader.next_event() {
        if let LinearReadEvent::ReadRequest(n) = event.unwrap() {
            let n = n.min(rest.len());
            reader.insert(n).copy_from_slice(&rest[..n]);
            reader.notify_read(n);
            rest = &rest[n..];
        }
    }
    let part = PartReader::read_from(Arc::new(Bytes::copy_from_slice(bytes)), ReadOptions::default()).unwrap();
    assert_eq!((&part.summary().origin, &part.summary().torn), (&Origin::File, &None));
    let ours = part.messages(Filter::all()).map(Result::unwrap).count();
    let theirs: Vec<_> = mcap::MessageStream::new(bytes).unwrap().map(Result::unwrap).collect();
    assert_eq!(ours, theirs.len());
    assert_eq!(part.summary().statistics.message_count, ours as u64);
    theirs
        .into_iter()
        .map(|m| Known { topic: m.channel.topic.clone(), sequence: m.sequence, data: m.data.into_owned() })
        .collect()
}

fn recovered(bytes: &[u8]) -> (RecoverReport, Vec<u8>) {
    let options = ReadOptions { chunk_bytes_max: 1 << 20, record_bytes_max: 1 << 20, ..ReadOptions::default() };
    let inner: Arc<dyn ReadAt> = Arc::new(Bytes::copy_from_slice(bytes));
    let source = Source::new(inner).unwrap();
    let mut known = known(&source, &RecoverOptions { read: options });
    for last in [false, true] {
        let mut out = Vec::new();
        let report = RecoverReport::new("in".into(), "out".into(), Outcome::Copied);
        let copied = copy::copy(&source, options, &known, &mut out, report).unwrap();
        if last || !copied.again {
            return (copied.report, out);
        }
        known = copied.definitions;
    }
    unreachable!()
}

/// Recovers `damaged` and checks that whatever is unchanged against `whole` is in the result.
fn check(whole: &[u8], layout: &Layout, damaged: &[u8], what: &dyn std::fmt::Debug) {
    check_after(&mut (Vec::new(), BTreeSet::new()), whole, layout, damaged, what);
}

/// [`check`]; `before` is an earlier result and what it held, which is not read again when it is the same.
fn check_after(
    before: &mut (Vec<u8>, BTreeSet<Known>),
    whole: &[u8],
    layout: &Layout,
    damaged: &[u8],
    what: &dyn std::fmt::Debug,
) {
    let intact = |range: &Range<usize>| damaged.get(range.clone()) == Some(&whole[range.clone()]);
    let (report, out) = recovered(damaged);
    if before.0 != out {
        *before = (out.clone(), checked(&out));
    }
    let found = &before.1;
    let defined: BTreeSet<&String> =
        layout.definitions.iter().filter(|(range, _)| intact(range)).map(|(_, topic)| topic).collect();
    for (range, messages) in layout.units.iter().filter(|(range, _)| intact(range)) {
        for message in messages.iter().filter(|message| defined.contains(&message.topic)) {
            assert!(found.contains(message), "{what:?}: {message:?} of {range:?} is missing\n{}", report.to_text());
        }
    }
    if layout.attachment.as_ref().is_some_and(&intact) {
        assert_eq!(report.attachments, 1, "{what:?}: attachment missing\n{}", report.to_text());
    }
}

#[test]
fn truncated_at_every_byte_every_intact_message_is_kept() {
    for form in FORMS {
        let whole = build(form, 14);
        let layout = layout(&whole);
        let mut before = (Vec::new(), BTreeSet::new());
        for len in 0..=whole.len() {
            check_after(&mut before, &whole, &layout, &whole[..len], &(form, len));
        }
    }
}

#[test]
fn an_undamaged_file_loses_nothing() {
    for form in FORMS {
        let whole = build(form, 60);
        let (report, out) = recovered(&whole);
        assert!(!report.has_loss(), "{form:?}\n{}", report.to_text());
        assert_eq!(checked(&out), checked(&whole), "{form:?}");
        assert_eq!((report.attachments, report.metadata), (1, 1));
    }
}

#[test]
fn a_chunk_length_left_open_by_a_crash_does_not_hide_its_messages() {
    for form in [Form::Plain, Form::Zstd, Form::Lz4] {
        let mut bytes = build(form, 40);
        let layout = layout(&bytes);
        let (last, _) = layout.units.last().unwrap();
        bytes.truncate(last.end);
        let head = parse::chunk_head(&bytes[last.start + 9..]).unwrap();
        let size_at = last.start + 9 + head.len() as usize - 8;
        for at in [last.start + 1, last.start + 25, size_at] {
            bytes[at..at + 8].fill(0xff);
        }
        let (report, out) = recovered(&bytes);
        assert_eq!(checked(&out).len(), 40, "{form:?}\n{}", report.to_text());
        assert!(report.has_loss());
    }
}

#[test]
fn messages_of_a_damaged_plain_chunk_come_out_one_by_one() {
    let mut bytes = build(Form::Plain, 40);
    let layout = layout(&bytes);
    let (range, messages) = &layout.units[1];
    // In the data of the chunk's second message: its length still leads to the third.
    let at = range.end - 3;
    bytes[at] ^= 0xff;
    let (report, out) = recovered(&bytes);
    let found = checked(&out);
    assert_eq!(found.len(), 40);
    assert_eq!(report.unverified, messages.len() as u64);
    let damaged = &report.damaged_chunks[0];
    assert_eq!((damaged.messages, damaged.messages_expected), (damaged.messages, Some(messages.len() as u64)));
    assert!(damaged.reason.contains("CRC"), "{}", damaged.reason);
}

#[test]
fn a_channel_described_only_behind_its_messages_is_found_in_a_second_pass() {
    let whole = build(Form::Loose, 12);
    let layout = layout(&whole);
    let mut bytes = whole.clone();
    // The first definition of /t1 is gone, and so is the closing magic; the summary's repeat is left.
    let (range, _) = layout.definitions.iter().find(|(_, topic)| topic == "/t1").unwrap();
    bytes[range.clone()].fill(0);
    bytes.truncate(whole.len() - 2);
    let (report, out) = recovered(&bytes);
    assert_eq!(checked(&out).len(), 12, "{}", report.to_text());
    assert!(report.undefined.is_empty());
}

#[test]
fn messages_without_channel_are_counted_as_lost() {
    let whole = build(Form::Loose, 12);
    let layout = layout(&whole);
    let mut bytes = whole.clone();
    for (range, _) in layout.definitions.iter().filter(|(_, topic)| topic == "/t1") {
        bytes[range.clone()].fill(0);
    }
    let (report, out) = recovered(&bytes);
    assert_eq!(checked(&out).len(), 8, "{}", report.to_text());
    assert!(report.bytes_lost > 0);
    assert_eq!(report.undefined.values().sum::<u64>(), 4, "{}", report.to_text());
}

#[test]
fn two_files_glued_together_keep_both_channels_of_one_number() {
    let first = build(Form::Zstd, 10);
    let mut writer = mcap::Writer::new(Cursor::new(Vec::new())).unwrap();
    let id = writer.add_channel(0, "/other", "json", &BTreeMap::new()).unwrap();
    let header = mcap::records::MessageHeader { channel_id: id, sequence: 0, log_time: 5, publish_time: 5 };
    writer.write_to_known_channel(&header, b"{}").unwrap();
    writer.finish().unwrap();
    let second = writer.into_inner().into_inner();
    let (report, out) = recovered(&[first, second].concat());
    let found = checked(&out);
    assert_eq!(found.len(), 11, "{}", report.to_text());
    assert!(found.iter().any(|m| m.topic == "/other"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_damaged_every_intact_chunk_is_kept(
        form in prop::sample::select(FORMS.to_vec()),
        messages in 1_usize..60,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..6),
        holes in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..300, any::<Option<u64>>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let whole = build(form, messages);
        let layout = layout(&whole);
        let mut damaged = whole.clone();
        // A flipped length of a record outside chunks cannot be told from a true one by its bytes alone.
        if form != Form::Loose {
            for (at, mask) in flips {
                let at = at.index(damaged.len());
                damaged[at] ^= mask;
            }
        }
        for (at, len, garbage) in holes {
            let at = at.index(damaged.len());
            let end = (at + len).min(damaged.len());
            let mut state = garbage.unwrap_or(0);
            for byte in &mut damaged[at..end] {
                *byte = state as u8;
                state = state.rotate_left(7).wrapping_mul(6_364_136_223_846_793_005);
            }
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()) + 1);
        }
        check(&whole, &layout, &damaged, &(form, messages));
    }

    #[test]
    fn any_bytes_recover_to_a_valid_file(
        form in prop::sample::select(FORMS.to_vec()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..200),
    ) {
        let mut bytes = build(form, 12);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        checked(&recovered(&bytes).1);
    }
}

#[test]
fn a_truncated_recording_of_others_gives_back_what_its_original_begins_with() {
    let root = std::env::var_os("SAGWAN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from)
        .join("data/03_damaged");
    if !root.is_dir() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {} is not there", root.display());
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out.mcap");
    let report = recover_copy(&root.join("test_sample_truncated.mcap"), &output, RecoverOptions::default()).unwrap();
    assert!(report.has_loss());
    let found = checked(&fs::read(&output).unwrap());
    let whole = checked(&fs::read(root.join("test_sample.mcap")).unwrap());
    assert!(found.is_subset(&whole), "{}", report.to_text());
    assert_eq!(found.len() as u64, report.messages);
    assert!(!found.is_empty(), "{}", report.to_text());
    // Only the new file, and never over an existing one.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let again = recover_copy(&root.join("test_sample.mcap"), &output, RecoverOptions::default());
    assert!(matches!(again, Err(RecoverError::Exists { .. })));
}
