//! Overviews of files whose content is known.
#![expect(clippy::unwrap_used, reason = "tests")]

use prost::Message as _;

use super::*;
use crate::{
    channel::ChannelDescriptor,
    proto,
    recording::{
        part_writer::{Attachment, ChunkPolicy, NewMessage, PartWriter},
        storage::{FileSystem, Storage},
    },
    stream::Compression,
};

const T0: u64 = 1_768_469_400_000_000_000;

fn add(part: &mut PartWriter, topic: &str, compression: Compression) -> u16 {
    let metadata = BTreeMap::new();
    let (topic, message_encoding) = (topic.to_owned(), "protobuf".to_owned());
    part.add_channel(ChannelDescriptor { topic, message_encoding, schema: None, metadata }, compression).unwrap()
}

fn write(part: &mut PartWriter, channel: u16, log_time: u64, data: &[u8]) {
    let message = NewMessage { channel, source: 0, sequence: None, log_time, publish_time: log_time };
    part.write(&message, data, 0).unwrap();
}

fn stamp(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_768_469_400 + seconds, nanos: 0 })
}

/// A part with 101 messages at 100 Hz, a gap of half a second among them, an episode, an event and losses.
fn part(path: &Path, finish: bool) {
    let mut part = PartWriter::create(FileSystem.create(path).unwrap(), "", ChunkPolicy { size: 2000 }).unwrap();
    let (data, own) = (add(&mut part, "/a", Compression::None), Compression::Zstd);
    for i in 0..101_u64 {
        let late = if i > 50 { 490_000_000 } else { 0 };
        write(&mut part, data, T0 + i * 10_000_000 + late, &[7; 100]);
    }
    let (episode, event, loss) = (
        add(&mut part, "/sagwan/episode", own),
        add(&mut part, "/sagwan/event", own),
        add(&mut part, "/sagwan/loss", own),
    );
    for state in [proto::episode::State::Begun, proto::episode::State::Ended] {
        let ended = state == proto::episode::State::Ended;
        let message = proto::Episode {
            index: 0,
            state: state.into(),
            outcome: if ended { proto::episode::Outcome::Success.into() } else { 0 },
            instruction_ko: "컵을 들어라".to_owned(),
            start: stamp(0),
            end: if ended { stamp(1) } else { None },
            ..proto::Episode::default()
        };
        write(&mut part, episode, T0 + u64::from(ended), &message.encode_to_vec());
    }
    let clock = proto::Event { timestamp: stamp(1), kind: "clock".to_owned(), ..proto::Event::default() };
    write(&mut part, event, T0, &clock.encode_to_vec());
    for _ in 0..2 {
        let message = proto::Loss {
            topic: "/a".to_owned(),
            cause: proto::LossCause::Queue.into(),
            count: 3,
            ..proto::Loss::default()
        };
        write(&mut part, loss, T0, &message.encode_to_vec());
    }
    let (name, media_type) = ("p.toml".to_owned(), "text/toml\u{1b}[2J".to_owned());
    part.attach(&Attachment { log_time: 0, create_time: 0, name, media_type, data: vec![1; 2048] }).unwrap();
    part.metadata("sagwan.recording", &BTreeMap::new()).unwrap();
    if finish {
        part.finish().unwrap();
    } else {
        part.close_chunks_opened_by(i64::MAX).unwrap();
    }
}

#[test]
fn a_part_is_told_with_and_without_its_summary() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, torn) = (dir.path().join("x.mcap"), dir.path().join("y.mcap"));
    part(&whole, true);
    part(&torn, false);
    let overview = read(&whole).unwrap();
    assert!(overview.warnings.is_empty(), "{:?}", overview.warnings);
    assert_eq!(overview.messages, 106);
    let channel = &overview.channels[0];
    assert_eq!((channel.topic.as_str(), channel.messages), ("/a", 101));
    assert_eq!(channel.gap_seconds_max, Some(0.5));
    assert_eq!(channel.bytes, Some(101 * 131));
    assert!((channel.rate_hz.unwrap() - 100.0 / 1.49).abs() < 1e-9);
    let episode = &overview.episodes[0];
    assert_eq!((episode.state.as_str(), episode.outcome.as_str()), ("ended", "success"));
    assert_eq!((overview.losses[0].count, overview.losses[0].entries, overview.clock_jumps), (6, 2, 1));
    assert_eq!(overview.chunks[""].bytes_uncompressed, 101 * 131);

    let walked = read(&torn).unwrap();
    assert_eq!(walked.channels, overview.channels);
    assert_eq!((&walked.episodes, &walked.losses), (&overview.episodes, &overview.losses));
    assert!(walked.warnings[0].contains("torn"), "{:?}", walked.warnings);
}

#[test]
fn the_text_is_aligned_and_holds_no_control_characters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mcap");
    part(&path, true);
    let mut overview = read(&path).unwrap();
    overview.path = "x.mcap".into();
    let text = overview.to_text();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    insta::assert_snapshot!(text);
}

#[test]
fn a_directory_without_parts_is_no_recording() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read(dir.path()), Err(OverviewError::NotARecording { .. })));
    fs::create_dir(dir.path().join(PARTS)).unwrap();
    part(&dir.path().join(PARTS).join("r_0000.mcap"), true);
    part(&dir.path().join(PARTS).join("r_0001.mcap.active"), false);
    let overview = read(dir.path()).unwrap();
    assert_eq!((overview.parts.len(), overview.messages), (2, 212));
    assert!(overview.parts[1].active);
    assert_eq!(overview.warnings.len(), 2, "{:?}", overview.warnings);
}
