//! The native dialect between two sessions on the loopback: what one publishes is what the other receives.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, unbounded};
use mcap::{Compression, WriteOptions, Writer, records::MessageHeader};
use sagwan_bridges::{
    native::{
        self, Attachment, Flushed, Publisher, PublisherOptions, StreamDescriptor, classify, copy_payload,
        fetch_descriptor, fetch_latched, key,
    },
    replay::{Pace, ReplayOptions, ReplayReport, replay, replay_paced},
    wire::{self, WireOptions},
};
use sagwan_schemas::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    time::{Clock, ManualClock, Timestamp},
};
use tempfile::TempDir;
use zenoh::{
    Session, Wait,
    qos::Priority,
    sample::{Sample, SampleKind},
};

/// Far longer than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two connected sessions of their own.
fn pair() -> (Session, Session, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = vec![format!("unixsock-stream/{}", dir.path().join("wire.sock").display())];
    let receiver = wire::open(&WireOptions { listen: endpoint.clone(), ..WireOptions::default() }).unwrap();
    let sender = wire::open(&WireOptions { connect: endpoint, ..WireOptions::default() }).unwrap();
    assert!(wire::is_connected(&sender));
    (sender, receiver, dir)
}

fn subscribe(session: &Session, key_expr: &str) -> Receiver<Sample> {
    let (sender, samples) = unbounded();
    let callback = move |sample| drop(sender.send(sample));
    session.declare_subscriber(key_expr.to_owned()).callback(callback).background().wait().unwrap();
    samples
}

/// Waits until the publisher knows its subscriber.
fn matched(publisher: &Publisher) {
    let (sender, changes) = unbounded();
    publisher.on_subscribers(move |has| sender.send(has).unwrap_or_default()).unwrap();
    if !publisher.has_subscriber().unwrap() {
        assert!(changes.recv_timeout(PATIENCE).unwrap());
    }
}

fn imu(latched: bool) -> StreamDescriptor {
    let schema = SchemaDescriptor {
        name: "foxglove.Imu".to_owned(),
        encoding: "protobuf".to_owned(),
        data: Bytes::from(vec![7; 100_000]),
    };
    let channel = ChannelDescriptor {
        topic: "/imu".to_owned(),
        message_encoding: "protobuf".to_owned(),
        schema: Some(schema),
        metadata: BTreeMap::from([("frame".to_owned(), "base".to_owned())]),
    };
    StreamDescriptor { stream: "imu".to_owned(), channel, latched }
}

#[test]
fn a_stream_arrives_with_numbers_times_and_encoding() {
    let (sender, receiver, _socket) = pair();
    let samples = subscribe(&receiver, key::ALL_STREAMS);
    let publisher = Publisher::declare(&sender, "g1", imu(false), PublisherOptions::default()).unwrap();
    matched(&publisher);
    let first_instance = publisher.instance();
    let time = Timestamp::from_nanos(-5);
    assert_eq!(publisher.put(vec![1, 2, 3], time).unwrap(), 0);
    assert_eq!(publisher.skip(), 1);
    assert_eq!(publisher.put(vec![9; 3_000_000], time).unwrap(), 2);
    publisher.restart().unwrap();
    assert_eq!(publisher.put(Vec::new(), time).unwrap(), 0);

    for (sequence, instance, length) in
        [(0, first_instance, 3), (2, first_instance, 3_000_000), (0, publisher.instance(), 0)]
    {
        let sample = samples.recv_timeout(PATIENCE).unwrap();
        let received = classify(&sample);
        let expected = Attachment { sequence, capture_time: time, instance: Some(instance) };
        assert_eq!((received.key, received.native), ("sagwan/v1/g1/imu", Some(expected)));
        assert_eq!(received.encoding.to_string(), "application/protobuf;schema=foxglove.Imu");
        assert_eq!(copy_payload(received.payload).unwrap().len(), length);
        assert_eq!((received.stamped, received.source, received.is_delete), (None, None, false));
        assert_eq!(received.publish_time(Timestamp::EPOCH), time);
    }
    assert!(publisher.instance() > first_instance);
}

#[test]
fn a_publisher_announces_itself_and_answers_for_its_schema() {
    let (sender, receiver, _socket) = pair();
    let (tokens_in, tokens) = unbounded();
    let callback = move |sample: Sample| drop(tokens_in.send((sample.kind(), sample.key_expr().to_string())));
    let liveliness = receiver.liveliness();
    let _subscriber = liveliness.declare_subscriber(key::ALL_LIVE).history(true).callback(callback).wait().unwrap();
    let descriptor = imu(true);
    let publisher = Publisher::declare(&sender, "g1", descriptor.clone(), PublisherOptions::default()).unwrap();

    let (kind, token) = tokens.recv_timeout(PATIENCE).unwrap();
    assert_eq!((kind, key::announced_key(&token)), (SampleKind::Put, Some(publisher.key())));
    let fetched = fetch_descriptor(&receiver, publisher.key(), PATIENCE).unwrap();
    assert_eq!(fetched, native::Fetched { channel: descriptor.channel, latched: true });

    drop(publisher);
    let (kind, gone) = tokens.recv_timeout(PATIENCE).unwrap();
    assert_eq!((kind, gone), (SampleKind::Delete, token));
    assert_eq!(fetch_descriptor(&receiver, "sagwan/v1/g1/imu", PATIENCE), None);
}

#[test]
fn latched_values_and_caches_of_advanced_publishers_are_fetched() {
    let (sender, receiver, _socket) = pair();
    let publisher = Publisher::declare(&sender, "g1", imu(true), PublisherOptions::default()).unwrap();
    // What zenoh-ext's AdvancedPublisher declares for its cache.
    let cached_key = "lab/map";
    let cache = "lab/map/@adv/pub/1f/0/_";
    let answer = move |query: zenoh::query::Query| query.reply(cached_key, "cached").wait().unwrap();
    let _cache = sender.declare_queryable(cache).callback(answer).wait().unwrap();
    // Tokens come after what was declared before them.
    let (tokens_in, tokens) = unbounded();
    let callback = move |_: Sample| tokens_in.send(()).unwrap_or_default();
    let liveliness = receiver.liveliness();
    let _subscriber = liveliness.declare_subscriber("lab/done").history(true).callback(callback).wait().unwrap();
    let _token = sender.liveliness().declare_token("lab/done").wait().unwrap();
    tokens.recv_timeout(PATIENCE).unwrap();

    assert!(fetch_latched(&receiver, publisher.key(), PATIENCE).unwrap().is_empty());
    publisher.put("old", Timestamp::EPOCH).unwrap();
    publisher.put("new", Timestamp::EPOCH).unwrap();
    for (key_expr, key, payload, sequence) in [
        ("sagwan/v1/g1/imu", "sagwan/v1/g1/imu", "new", Some(1)),
        ("sagwan/v1/**", "sagwan/v1/g1/imu", "new", Some(1)),
        ("lab/map", "lab/map", "cached", None),
        ("lab/**", "lab/map", "cached", None),
    ] {
        let samples = fetch_latched(&receiver, key_expr, PATIENCE).unwrap();
        let [sample] = samples.as_slice() else { panic!("{key_expr}: {} values", samples.len()) };
        let received = classify(sample);
        assert_eq!((received.key, received.native.map(|n| n.sequence)), (key, sequence));
        assert_eq!(copy_payload(received.payload).unwrap(), payload);
    }
}

#[test]
fn flush_returns_when_the_receiver_has_everything() {
    let (sender, receiver, _socket) = pair();
    assert_eq!(native::flush(&sender, Priority::Data, PATIENCE), Flushed::Unanswered);
    let _confirms = native::answer_flush(&receiver).unwrap();
    let samples = subscribe(&receiver, key::ALL_STREAMS);
    let publisher = Publisher::declare(&sender, "g1", imu(false), PublisherOptions::default()).unwrap();
    matched(&publisher);
    for length in [10_000_000, 1, 100_000, 0] {
        publisher.put(vec![0; length], Timestamp::EPOCH).unwrap();
    }
    assert_eq!(native::flush(&sender, Priority::Data, PATIENCE), Flushed::Confirmed(1));
    assert_eq!(samples.len(), 4);
}

#[test]
fn shared_memory_is_read_and_what_was_taken_back_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zenoh.json5");
    std::fs::write(&config, "{transport: {shared_memory: {enabled: true, mode: 'init'}}}").unwrap();
    let endpoint = vec![format!("unixsock-stream/{}", dir.path().join("wire.sock").display())];
    let options = WireOptions { zenoh_config: Some(config), ..WireOptions::default() };
    let receiver = wire::open(&WireOptions { listen: endpoint.clone(), ..options.clone() }).unwrap();
    let sender = wire::open(&WireOptions { connect: endpoint, ..options }).unwrap();
    let samples = subscribe(&receiver, key::ALL_STREAMS);
    let publisher = Publisher::declare(&sender, "g1", imu(false), PublisherOptions::default()).unwrap();
    matched(&publisher);
    for i in 0..20_u8 {
        publisher.put(vec![i; 100_000], Timestamp::EPOCH).unwrap();
        let sample = samples.recv_timeout(PATIENCE).unwrap();
        // zenoh decides which payloads travel by shared memory; the bytes are right or there are none.
        match copy_payload(sample.payload()) {
            Ok(bytes) => assert_eq!(bytes, vec![i; 100_000]),
            Err(error) => assert_eq!(error, native::PayloadError::Reclaimed { length: 100_000 }),
        }
    }
}

/// Channels with their messages as (publish time, payload) in order.
type Channels = Vec<(ChannelDescriptor, Vec<(u64, Vec<u8>)>)>;

/// Log time, publish time and payload of each message.
type Timed = Vec<(u64, u64, Vec<u8>)>;

fn sorted(mut channels: Channels) -> Channels {
    channels.sort_by_cached_key(|(channel, messages)| format!("{channel:?} {messages:?}"));
    channels
}

/// What an independent reader finds, in file order; messages of a channel in order of log time if `by_log_time`.
fn expected(path: &Path, by_log_time: bool) -> Channels {
    let bytes = std::fs::read(path).unwrap();
    let mut channels: BTreeMap<u16, (ChannelDescriptor, Timed)> = BTreeMap::new();
    // Ends at the first error: what is torn off is not expected.
    for message in mcap::MessageStream::new(&bytes).unwrap().map_while(Result::ok) {
        let channel = &message.channel;
        let described = || ChannelDescriptor {
            topic: channel.topic.clone(),
            message_encoding: channel.message_encoding.clone(),
            schema: channel.schema.as_ref().map(|schema| SchemaDescriptor {
                name: schema.name.clone(),
                encoding: schema.encoding.clone(),
                data: Bytes::copy_from_slice(&schema.data),
            }),
            metadata: channel.metadata.clone(),
        };
        let (_, messages) = channels.entry(channel.id).or_insert_with(|| (described(), Vec::new()));
        messages.push((message.log_time, message.publish_time, message.data.to_vec()));
    }
    let strip = |(channel, mut messages): (ChannelDescriptor, Timed)| {
        if by_log_time {
            messages.sort_by_key(|(log_time, ..)| *log_time);
        }
        (channel, messages.into_iter().map(|(_, publish_time, data)| (publish_time, data)).collect())
    };
    sorted(channels.into_values().map(strip).collect())
}

/// What a recorder has of `count` messages: channels by what their publishers say, messages as they came.
fn record(session: &Session, samples: &Receiver<Sample>, count: usize) -> Channels {
    let mut by_key: BTreeMap<String, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    for _ in 0..count {
        let sample = samples.recv_timeout(PATIENCE).unwrap();
        let received = classify(&sample);
        let native = received.native.unwrap();
        let messages = by_key.entry(received.key.to_owned()).or_default();
        assert_eq!(native.sequence, messages.len() as u64, "{}", received.key);
        messages.push((native.capture_time.to_mcap(), copy_payload(received.payload).unwrap().to_vec()));
    }
    let describe =
        |(key, messages): (String, _)| (fetch_descriptor(session, &key, PATIENCE).unwrap().channel, messages);
    sorted(by_key.into_iter().map(describe).collect())
}

fn at_once() -> ReplayOptions {
    // The end comes when the schemas have been asked for.
    ReplayOptions { rate: 0.0, linger: PATIENCE, wait_for_subscribers: Some(PATIENCE), ..ReplayOptions::default() }
}

/// Replays onto a wire of its own with one subscriber to everything, and closes the session at once.
fn replay_and_record(paths: &[PathBuf], options: &ReplayOptions, count: usize) -> (Channels, ReplayReport) {
    let (sender, receiver, _socket) = pair();
    let _confirms = native::answer_flush(&receiver).unwrap();
    let samples = subscribe(&receiver, key::ALL_STREAMS);
    std::thread::scope(|scope| {
        let replaying = scope.spawn(|| {
            let report = replay(&sender, paths, options, &AtomicBool::new(false), &mut |_| {}).unwrap();
            sender.close().wait().unwrap();
            report
        });
        let recorded = record(&receiver, &samples, count);
        let report = replaying.join().unwrap();
        assert!(samples.is_empty());
        assert_eq!(report.messages, count as u64);
        assert_eq!((report.all_subscribed, report.confirmed), (Some(true), 1));
        (recorded, report)
    })
}

/// Three channels, two of one topic, log times that run backwards now and then, chunks that overlap.
fn write_mcap(path: &Path, options: WriteOptions, first: u64, count: u64) {
    let mut writer = Writer::with_options(File::create(path).unwrap(), options).unwrap();
    let schema = writer.add_schema("pkg/msg/Thing", "ros2msg", b"int32 x\n").unwrap();
    let metadata = BTreeMap::from([("offered_qos_profiles".to_owned(), "- history: 3".to_owned())]);
    let channels = [
        writer.add_channel(schema, "/thing", "cdr", &metadata).unwrap(),
        writer.add_channel(schema, "/thing", "cdr", &BTreeMap::new()).unwrap(),
        writer.add_channel(0, "odd topic/*", "", &BTreeMap::new()).unwrap(),
    ];
    for i in first..first + count {
        let channel_id = channels[(i % 3) as usize];
        // Pairs of messages share a log time; every fifth is late.
        let log_time = 1_000_000 * (i / 2 * 2) - if i % 5 == 0 { 3_000_000.min(1_000_000 * (i / 2 * 2)) } else { 0 };
        let header = MessageHeader { channel_id, sequence: 0, log_time, publish_time: 7 * i };
        let payload = vec![u8::try_from(i % 251).unwrap(); usize::try_from(i * 37 % 900).unwrap()];
        writer.write_to_known_channel(&header, &payload).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_replayed_file_arrives_byte_equal_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mcap");
    let chunked = |compression| WriteOptions::new().compression(compression).chunk_size(Some(4096));
    for (name, options, by_log_time) in [
        ("zstd", chunked(Some(Compression::Zstd)), true),
        ("lz4", chunked(Some(Compression::Lz4)), true),
        ("uncompressed", chunked(None), true),
        ("without chunks", WriteOptions::new().use_chunks(false), false),
        ("without chunk indexes", chunked(None).emit_chunk_indexes(false), false),
        ("without channels in the summary", chunked(None).repeat_channels(false), false),
    ] {
        write_mcap(&path, options, 0, 400);
        let expected = expected(&path, by_log_time);
        let (recorded, report) = replay_and_record(std::slice::from_ref(&path), &at_once(), 400);
        assert_eq!(recorded, expected, "{name}");
        assert_eq!(report.damage, [], "{name}");
        assert_eq!(report.streams.iter().map(|s| s.messages).collect::<Vec<_>>(), [134, 133, 133]);
        assert_eq!(report.streams[1].key, "sagwan/v1/replay/thing/%=1");
    }
}

#[test]
fn a_torn_file_is_replayed_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("torn.mcap.active");
    write_mcap(&path, WriteOptions::new().compression(None).chunk_size(Some(4096)), 0, 400);
    let whole = std::fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(whole / 2).unwrap();
    let expected = expected(&path, false);
    let count = expected.iter().map(|(_, messages)| messages.len()).sum();
    assert!(count > 100);
    let (recorded, report) = replay_and_record(&[path], &at_once(), count);
    assert_eq!(recorded, expected);
    assert_eq!(report.damage.len(), 1);
}

#[test]
fn the_parts_of_a_recording_are_one_replay() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("parts")).unwrap();
    for part in 0..3 {
        let path = dir.path().join(format!("parts/r_{part:04}.mcap"));
        write_mcap(&path, WriteOptions::new(), part * 90, 90);
    }
    std::fs::write(dir.path().join("parts/notes.txt"), "no part").unwrap();
    let (recorded, report) = replay_and_record(&[dir.path().to_owned()], &at_once(), 270);
    assert_eq!(report.streams.len(), 3);
    let mut times: Vec<u64> = recorded.iter().flat_map(|(_, m)| m.iter().map(|(time, _)| time / 7)).collect();
    times.sort_unstable();
    assert_eq!(times, (0..270).collect::<Vec<_>>());
}

/// Waiting moves the time.
#[derive(Debug)]
struct ManualPace(ManualClock);

impl Pace for ManualPace {
    fn now_nanos(&self) -> i64 {
        self.0.monotonic_nanos()
    }

    fn wait(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

#[test]
fn timing_range_topics_and_loops_are_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mcap");
    write_mcap(&path, WriteOptions::new(), 0, 401);
    let (sender, _receiver, _socket) = pair();
    let ms = |ms: i64| Some(Timestamp::from_nanos(ms * 1_000_000));
    let plain = ReplayOptions { wait_for_subscribers: None, ..ReplayOptions::default() };
    for (options, messages, elapsed_ms) in [
        (plain.clone(), 401, 398),
        (ReplayOptions { rate: 2.0, ..plain.clone() }, 401, 199),
        (ReplayOptions { rate: 0.0, ..plain.clone() }, 401, 0),
        (ReplayOptions { start: ms(100), end: ms(200), ..plain.clone() }, 100, 98),
        (ReplayOptions { include: vec!["odd*".to_owned()], ..plain.clone() }, 133, 398),
        (ReplayOptions { exclude: vec!["odd*".to_owned()], ..plain.clone() }, 268, 398),
        (ReplayOptions { memory_bytes: 1, ..plain.clone() }, 401, 398),
    ] {
        let pace = ManualPace(ManualClock::default());
        let stop = AtomicBool::new(false);
        let report = replay_paced(&sender, std::slice::from_ref(&path), &options, &pace, &stop, &mut |_| {}).unwrap();
        assert_eq!((report.messages, report.passes, report.stopped), (messages, 1, false), "{options:?}");
        let elapsed = u64::try_from(report.elapsed.as_millis()).unwrap();
        assert!(elapsed.abs_diff(elapsed_ms) <= 3, "{elapsed} ms for {options:?}");
    }

    let stop = AtomicBool::new(false);
    let options = ReplayOptions { looped: true, ..plain };
    let mut last = None;
    let mut stop_in_third_pass = |progress: sagwan_bridges::replay::Progress| {
        assert_eq!(progress.total_messages, Some(401));
        stop.store(progress.messages > 802, std::sync::atomic::Ordering::Relaxed);
        last = Some(progress);
    };
    let pace = ManualPace(ManualClock::default());
    let report = replay_paced(&sender, &[path], &options, &pace, &stop, &mut stop_in_third_pass).unwrap();
    assert_eq!((report.passes, report.stopped), (2, true));
    assert!(report.messages > 802);
    assert_eq!(last.map(|p| p.messages), Some(report.messages));
}

/// The folder with recordings made by others, absent in a stranger's clone.
fn shared_recordings() -> Option<PathBuf> {
    let shared = std::env::var_os("SAGWAN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    Some(shared.join("data/02_mcap_recordings")).filter(|folder| folder.is_dir())
}

fn mcap_files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            mcap_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "mcap") {
            found.insert(path);
        }
    }
}

#[test]
fn recordings_of_others_arrive_byte_equal_and_in_order() {
    let Some(folder) = shared_recordings() else {
        eprintln!("skipped: ../shared/data/02_mcap_recordings is not there (SAGWAN_SHARED may name ../shared)");
        return;
    };
    let mut files = BTreeSet::new();
    mcap_files(&folder, &mut files);
    assert!(!files.is_empty());
    for path in files {
        let expected = expected(&path, true);
        let count = expected.iter().map(|(_, messages)| messages.len()).sum();
        let (recorded, report) = replay_and_record(std::slice::from_ref(&path), &at_once(), count);
        assert_eq!(report.damage, [], "{}", path.display());
        assert!(recorded == expected, "{}", path.display());
    }
}
