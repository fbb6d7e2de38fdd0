//! The reader against the conformance suite, against real recordings and against the `mcap` crate.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    io::Cursor,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

/// Recordings made by others; `None` where they are not there.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SAGWAN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    let path = root.join("data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    {
        eprintln!("skipped: {} is not there", path.display());
    }
    None
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "mcap") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn open(bytes: impl Into<Bytes>, options: ReadOptions) -> Result<PartReader, ReadError> {
    PartReader::read_from(Arc::new(bytes.into()), options)
}

/// Topic, sequence, log time, publish time, data.
type Plain = (String, u32, u64, u64, Vec<u8>);

fn plain(message: &Message) -> Plain {
    let time = |t: Timestamp| t.to_mcap();
    let topic = message.channel.descriptor.topic.clone();
    (topic, message.sequence, time(message.log_time), time(message.publish_time), message.data.to_vec())
}

fn theirs(bytes: &[u8]) -> Vec<Plain> {
    let messages = mcap::MessageStream::new(bytes).unwrap();
    messages
        .map(|m| {
            let m = m.unwrap();
            (m.channel.topic.clone(), m.sequence, m.log_time, m.publish_time, m.data.to_vec())
        })
        .collect()
}

fn ours(messages: Messages) -> Vec<Plain> {
    messages.map(|m| plain(&m.unwrap())).collect()
}

/// Fields of the suite's expectation: numbers are strings, bytes are arrays of them.
fn fields(record: &serde_json::Value) -> BTreeMap<&str, &serde_json::Value> {
    let pairs = record["fields"].as_array().unwrap();
    pairs.iter().map(|pair| (pair[0].as_str().unwrap(), &pair[1])).collect()
}

fn number(value: &serde_json::Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes_of(value: &serde_json::Value) -> Vec<u8> {
    value.as_array().unwrap().iter().map(|b| number(b) as u8).collect()
}

#[test]
fn the_conformance_suite_reads_as_expected() {
    let Some(root) = shared("01_mcap_conformance") else { return };
    let files = files(&root);
    assert_eq!(files.len(), 188);
    for path in files {
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let part = PartReader::open(&path).unwrap();
        let summary = part.summary();
        assert_eq!(summary.torn, None, "{path:?}");
        let mut channels = BTreeMap::new();
        let (mut messages, mut attachments, mut metadata) = (Vec::new(), Vec::new(), Vec::new());
        for record in expected["records"].as_array().unwrap() {
            let f = fields(record);
            match record["type"].as_str().unwrap() {
                "Channel" => drop(channels.insert(number(f["id"]), f["topic"].as_str().unwrap().to_owned())),
                "Message" => messages.push((
                    channels[&number(f["channel_id"])].clone(),
                    number(f["sequence"]) as u32,
                    number(f["log_time"]),
                    number(f["publish_time"]),
                    bytes_of(f["data"]),
                )),
                "Attachment" => attachments.push((
                    f["name"].as_str().unwrap().to_owned(),
                    f["media_type"].as_str().unwrap().to_owned(),
                    bytes_of(f["data"]),
                )),
                "Metadata" => metadata.push((
                    f["name"].as_str().unwrap().to_owned(),
                    serde_json::from_value::<BTreeMap<String, String>>(f["metadata"].clone()).unwrap(),
                )),
                _ => {}
            }
        }
        assert_eq!(ours(part.messages(Filter::all())), messages, "{path:?}");
        assert_eq!(ours(part.messages_in_file_order(Filter::all())), messages, "{path:?}");
        assert_eq!(summary.statistics.message_count, messages.len() as u64, "{path:?}");
        assert_eq!(summary.definitions.channels.len(), channels.len(), "{path:?}");
        let read = |index| part.attachment(index).map(|a| (a.name, a.media_type, a.data)).unwrap();
        assert_eq!(summary.attachments.iter().map(read).collect::<Vec<_>>(), attachments, "{path:?}");
        let read = |index| part.metadata(index).unwrap();
        assert_eq!(summary.metadata.iter().map(read).collect::<Vec<_>>(), metadata, "{path:?}");
    }
}

#[test]
fn real_recordings_read_as_the_mcap_crate_reads_them() {
    for folder in ["02_mcap_recordings", "04_rosbags"] {
        let Some(root) = shared(folder) else { return };
        for path in files(&root) {
            let bytes = std::fs::read(&path).unwrap();
            let mut expected = theirs(&bytes);
            let part = PartReader::open(&path).unwrap();
            assert_eq!(part.summary().torn, None, "{path:?}");
            assert_eq!(part.summary().statistics.message_count, expected.len() as u64, "{path:?}");
            assert!(ours(part.messages_in_file_order(Filter::all())) == expected, "{path:?}");
            expected.sort_by_key(|m| m.2);
            assert!(ours(part.messages(Filter::all())) == expected, "{path:?}");
        }
    }
}

#[test]
fn without_summary_a_walk_finds_the_same() {
    for folder in ["02_mcap_recordings", "04_rosbags"] {
        let Some(root) = shared(folder) else { return };
        for path in files(&root) {
            let whole = PartReader::open(&path).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(bytes.len() - 1);
            let torn = open(bytes, ReadOptions::default()).unwrap();
            assert!(matches!(torn.summary().origin, Origin::Scan { .. }));
            assert!(torn.summary().torn.is_some());
            assert!(ours(torn.messages(Filter::all())) == ours(whole.messages(Filter::all())), "{path:?}");
            let (a, b) = (&torn.summary().statistics, &whole.summary().statistics);
            assert_eq!(a.message_count, b.message_count, "{path:?}");
            assert_eq!(a.channel_message_counts, b.channel_message_counts, "{path:?}");
            // libmcap takes a log time of 0 for none.
            if a.message_start_time != 0 {
                assert_eq!(a.message_start_time, b.message_start_time, "{path:?}");
            }
            assert_eq!(a.message_end_time, b.message_end_time, "{path:?}");
        }
    }
}

/// A file with overlapping chunks, as several lanes write them, and with messages outside chunks.
fn lanes(times: &[(u8, u64)], chunked: bool, chunk_size: u64) -> Vec<u8> {
    let options = mcap::WriteOptions::new()
        .compression(if chunk_size.is_multiple_of(2) { Some(mcap::Compression::Lz4) } else { None })
        .compression_threads(0)
        .use_chunks(chunked)
        .chunk_size(Some(chunk_size));
    let mut writer = options.create(Cursor::new(Vec::new())).unwrap();
    let schema = writer.add_schema("s", "ros2msg", b"int32 x").unwrap();
    let ids: Vec<u16> =
        (0..3).map(|i| writer.add_channel(schema, &format!("/t{i}"), "cdr", &BTreeMap::new()).unwrap()).collect();
    for (sequence, (lane, time)) in times.iter().enumerate() {
        let header = mcap::records::MessageHeader {
            channel_id: ids[usize::from(*lane) % 3],
            sequence: sequence as u32,
            log_time: *time,
            publish_time: *time + 1,
        };
        writer.write_to_known_channel(&header, &[*lane; 20]).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn log_time_order_is_a_stable_sort_whatever_the_cache(
        times in prop::collection::vec((0_u8..3, 0_u64..50), 1..80),
        chunked: bool,
        chunk_size in 100_u64..400,
        cache in 0_u64..600,
        range in (0_u64..50, 0_u64..50),
    ) {
        let bytes = lanes(&times, chunked, chunk_size);
        let mut expected = theirs(&bytes);
        let part = open(bytes, ReadOptions { cache_bytes_max: cache, ..ReadOptions::default() }).unwrap();
        prop_assert_eq!(&ours(part.messages_in_file_order(Filter::all())), &expected);
        expected.sort_by_key(|m| m.2);
        prop_assert_eq!(&ours(part.messages(Filter::all())), &expected);
        let range = range.0.min(range.1)..range.0.max(range.1);
        expected.retain(|m| m.0 == "/t1" && range.contains(&m.2));
        let t = |nanos: u64| Timestamp::from_mcap(nanos);
        let filter = Filter::all().topics(["/t1"]).log_times(t(range.start)..t(range.end));
        prop_assert_eq!(ours(part.messages(filter)), expected);
    }

    #[test]
    fn hostile_bytes_neither_panic_nor_hold_more_than_allowed(
        times in prop::collection::vec((0_u8..3, 0_u64..50), 1..30),
        chunked: bool,
        chunk_size in 100_u64..400,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = lanes(&times, chunked, chunk_size);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let options = ReadOptions { chunk_bytes_max: 1 << 20, record_bytes_max: 1 << 20, ..ReadOptions::default() };
        if let Ok(part) = open(bytes, options) {
            let _ = part.messages(Filter::all()).count();
            let _ = part.messages_in_file_order(Filter::all()).count();
            for index in &part.summary().attachments {
                let _ = part.attachment(index);
            }
        }
    }
}

#[test]
fn lengths_of_4_gib_in_a_small_file_are_refused_without_allocating() {
    let mut content = vec![0_u8; 60];
    content[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(parse::channel(&content).is_err());
    assert!(parse::schema(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    assert!(parse::attachment_head(&[0xff; 36]).is_err());
    assert!(parse::message_index(&[0, 0, 0xff, 0xff, 0xff, 0xff]).is_err());
    let head = parse::ChunkHead {
        start: 0,
        end: 0,
        uncompressed_size: u64::MAX,
        uncompressed_crc: 0,
        compression: "zstd".to_owned(),
        stored_size: 4,
    };
    let unpacked = chunk::unpack(&head, Bytes::from_static(&[1, 2, 3, 4]), 1 << 20, true);
    assert!(matches!(unpacked.error, Some(ChunkError::TooLarge { .. })));
}

#[test]
fn a_compression_bomb_ends_at_what_its_chunk_claims() {
    let stored = zstd::bulk::compress(&vec![0_u8; 10 << 20], 1).unwrap();
    let head = parse::ChunkHead {
        start: 0,
        end: 0,
        uncompressed_size: 1000,
        uncompressed_crc: 0,
        compression: "zstd".to_owned(),
        stored_size: stored.len() as u64,
    };
    let unpacked = chunk::unpack(&head, stored.into(), 1 << 30, true);
    assert!(unpacked.records.len() <= 1001);
    assert!(matches!(unpacked.error, Some(ChunkError::Size { .. })));
}
