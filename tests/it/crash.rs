//! Crash truth: whatever a power cut leaves, everything that was synced before is recovered.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IoSlice,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sagwan_schemas::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    profile::Bytes as Amount,
    recording::{
        part_writer::{Attachment, ChunkPolicy, NewMessage, PartWriter},
        recover::recover_in_place,
        storage::Storage,
    },
    stream::Compression,
};
use sagwan_tests::{
    contents::{Contents, Message, read_finished, read_unfinished},
    disk::{CrashStates, Files, Operation, SimulatedDisk},
};

use crate::rig::{Rig, now, payload};

const PARTS: &str = "/out/r/parts";

fn active(index: usize) -> PathBuf {
    Path::new(PARTS).join(format!("r_{index:04}.mcap.active"))
}

fn channel(topic: &str) -> ChannelDescriptor {
    ChannelDescriptor {
        topic: topic.to_owned(),
        message_encoding: "protobuf".to_owned(),
        schema: Some(SchemaDescriptor {
            name: format!("test{}", topic.replace('/', ".")),
            encoding: "protobuf".to_owned(),
            data: Bytes::from(topic.repeat(20)),
        }),
        metadata: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
    }
}

/// Two parts, as the recorder writes them: the first is finished, the second is not. Syncs come at any time.
fn two_parts(seed: u64) -> Vec<Operation> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let disk = SimulatedDisk::new();
    for index in 0..2 {
        let file = disk.create(&active(index)).unwrap();
        disk.sync_dir(Path::new(PARTS)).unwrap();
        let mut part = PartWriter::create(Arc::clone(&file), "", ChunkPolicy { size: 1_500 }).unwrap();
        part.metadata("sagwan.recording", &BTreeMap::from([("part".to_owned(), index.to_string())])).unwrap();
        let profile = Attachment {
            log_time: 1,
            create_time: 0,
            name: "profile.toml".to_owned(),
            media_type: "application/toml".to_owned(),
            data: vec![b'p'; 700],
        };
        part.attach(&profile).unwrap();
        let mut channels = Vec::new();
        for n in 0..90_u64 {
            if n % 12 == 0 && channels.len() < 5 {
                let compression = [Compression::None, Compression::Zstd, Compression::Lz4][channels.len() % 3];
                channels.push(part.add_channel(channel(&format!("/{}", channels.len())), compression).unwrap());
            }
            let message = NewMessage {
                channel: channels[rng.random_range(0..channels.len())],
                source: 0,
                sequence: Some(n),
                log_time: 1_000 + n,
                publish_time: 900 + n,
            };
            let size = if n % 17 == 3 { 2_500 } else { rng.random_range(8..120) };
            let payload: Vec<u8> = n.to_le_bytes().into_iter().chain((8..size).map(|_| rng.random())).collect();
            part.write(&message, &payload, 0).unwrap();
            if rng.random_bool(0.05) {
                part.close_chunks_opened_by(0).unwrap();
            }
            if rng.random_bool(0.05) {
                file.sync_data().unwrap();
            }
        }
        if index == 0 {
            part.finish().unwrap();
            disk.rename(&active(0), &active(0).with_extension("")).unwrap();
            disk.sync_dir(Path::new(PARTS)).unwrap();
        } else {
            part.close_chunks_opened_by(0).unwrap();
        }
    }
    disk.log()
}

/// What must come out of a recovery.
#[derive(Default)]
struct Promise {
    messages: BTreeSet<Message>,
    attachments: BTreeSet<(String, Vec<u8>)>,
}

impl Promise {
    /// What the whole chunks of the parts in `files` hold.
    fn of(files: &Files) -> Self {
        let mut promise = Self::default();
        for (path, content) in files {
            let name = path.to_string_lossy();
            if name.ends_with(".mcap") || name.ends_with(".mcap.active") {
                let Contents { messages, attachments, .. } = read_unfinished(content);
                promise.messages.extend(messages);
                promise.attachments.extend(attachments);
            }
        }
        promise
    }
}

/// Recovers everything as the next start does. Returns the disk and the number of messages that no CRC vouches for.
fn recover_all(files: &Files, what: &dyn Fn() -> String) -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::with(files);
    let mut unverified = 0;
    for path in files.keys().filter(|path| path.to_string_lossy().ends_with(".mcap.active")) {
        let report = recover_in_place(&disk, path);
        let report = report.unwrap_or_else(|error| panic!("{}: {}: {error:?}", what(), path.display()));
        unverified += report.unverified;
    }
    (disk, unverified)
}

/// The parts are sound, hold everything promised, and nothing that was never sent but what is told as unverified.
fn check(
    disk: &SimulatedDisk,
    unverified: u64,
    promise: &Promise,
    sent: &BTreeSet<Message>,
    what: &dyn Fn() -> String,
) {
    let mut found = BTreeSet::new();
    let mut attachments = BTreeSet::new();
    for (path, content) in disk.files() {
        let name = path.to_string_lossy().into_owned();
        if !name.contains("/parts/") {
            continue;
        }
        assert!(name.ends_with(".mcap"), "{}: {name} is left", what());
        let part = read_finished(&content).unwrap_or_else(|error| panic!("{}: {name}: {error:?}", what()));
        found.extend(part.messages);
        attachments.extend(part.attachments);
    }
    let missing = promise.messages.difference(&found).count();
    assert_eq!(missing, 0, "{}: of {} synced messages", what(), promise.messages.len());
    assert!(promise.attachments.is_subset(&attachments), "{}: an attachment is missing", what());
    // MCAP puts no checksum on a schema or channel record: one that was never synced and is torn cannot be told.
    let key = |message: &Message| (message.channel_id, message.sequence, message.log_time, message.data.clone());
    let sent: BTreeSet<_> = sent.iter().map(key).collect();
    let never_sent: Vec<_> = found.iter().filter(|message| !sent.contains(&key(message))).collect();
    assert!(
        never_sent.len() as u64 <= unverified,
        "{}: {} messages were never sent, {unverified} unverified: {:?}",
        what(),
        never_sent.len(),
        never_sent.first()
    );
}

/// Cuts the power after every operation of `log`; returns how many states were recovered.
fn cut_everywhere(log: &[Operation], samples: usize, seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut whole = CrashStates::new();
    log.iter().for_each(|operation| whole.apply(operation));
    let sent = Promise::of(&whole.all()).messages;
    let mut states = CrashStates::new();
    let mut promise = Promise::default();
    let mut count = 0;
    for (at, operation) in log.iter().enumerate() {
        states.apply(operation);
        if matches!(operation, Operation::SyncData { .. } | Operation::SyncDir { .. }) {
            promise = Promise::of(&states.certain());
        }
        for (number, files) in states.possible(samples, &mut rng).iter().enumerate() {
            let what = || format!("cut after operation {at}, state {number}, seed {seed}");
            let (disk, unverified) = recover_all(files, &what);
            check(&disk, unverified, &promise, &sent, &what);
            count += 1;
        }
    }
    count
}

#[test]
fn everything_synced_is_recovered_whenever_the_power_goes() {
    for seed in 0..3 {
        let log = two_parts(seed);
        let states = cut_everywhere(&log, 8, seed);
        assert!(states > log.len() * 3, "{states} states");
    }
}

#[test]
fn what_a_recorder_synced_is_recovered_whenever_the_power_goes() {
    let rig = Rig::start(|options| {
        let policy = &mut options.profile.profile.recording;
        (policy.chunk_size, policy.part_size) = (Amount(2_000), Amount(12_000));
        policy.sync_interval.0 = Duration::from_millis(1);
    });
    let imu = rig.publisher("imu");
    for n in 0..60 {
        imu.put(payload("imu", n, 400), now()).unwrap();
        rig.until_received(n + 1);
    }
    let log = rig.disk.log();
    rig.stop();
    let states = cut_everywhere(&log, 4, 30);
    assert!(states > log.len(), "{states} states of {} operations", log.len());
}

#[test]
fn a_recovery_that_is_cut_off_loses_nothing_either() {
    for seed in 10..12 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = two_parts(seed);
        let mut whole = CrashStates::new();
        log.iter().for_each(|operation| whole.apply(operation));
        let sent = Promise::of(&whole.all()).messages;
        let mut states = CrashStates::new();
        for (at, operation) in log.iter().enumerate() {
            states.apply(operation);
            if at % 4 != 0 {
                continue;
            }
            let files = states.possible(3, &mut rng).pop().unwrap_or_default();
            // All of it is durable by now: what the first recovery finds, the second must find.
            let mut promise = Promise::of(&files);
            let (first, unverified) = recover_all(&files, &|| format!("first recovery of {at}"));
            promise.messages.retain(|message| sent.contains(message));
            let again = first.log();
            let mut second = CrashStates::new();
            for (step, operation) in again.iter().enumerate() {
                second.apply(operation);
                if matches!(operation, Operation::Found { .. }) {
                    continue;
                }
                for (number, files) in second.possible(2, &mut rng).iter().enumerate() {
                    let what = || format!("cut at {at}, recovery cut after {step}, state {number}, seed {seed}");
                    let (disk, more) = recover_all(files, &what);
                    check(&disk, unverified + more, &promise, &sent, &what);
                }
            }
        }
    }
}

#[test]
fn a_recovery_that_meets_a_full_or_broken_disk_can_be_repeated() {
    let log = two_parts(20);
    let mut whole = CrashStates::new();
    log.iter().for_each(|operation| whole.apply(operation));
    let mut files = whole.all();
    // Torn: the last chunk is cut in the middle.
    let torn = files.get_mut(&active(1)).unwrap();
    torn.truncate(torn.len() - 40);
    let promise = Promise::of(&files);
    for room in (0..4_000).step_by(97) {
        let disk = SimulatedDisk::with(&files);
        disk.set_room(room);
        let _may_fail = recover_in_place(&disk, &active(1));
        disk.make_room();
        let what = || format!("{room} bytes of room");
        let (disk, unverified) = recover_all(&disk.files(), &what);
        check(&disk, unverified + 100, &promise, &promise.messages, &what);
    }
    let disk = SimulatedDisk::with(&files);
    disk.set_read_only();
    assert!(recover_in_place(&disk, &active(1)).is_err());
    assert_eq!(disk.files(), files, "a read-only disk is left as it was");
}

#[test]
fn a_manifest_is_the_old_or_the_new_one_whenever_the_power_goes() {
    let disk = SimulatedDisk::new();
    let path = Path::new("/out/r/recording.json");
    disk.set_append_max(300);
    for n in 0..4_u8 {
        disk.write_atomic(path, &vec![n; 1_000 + usize::from(n) * 400]).unwrap();
    }
    let file = disk.open(path).unwrap();
    assert_eq!(file.append(&[IoSlice::new(&[])]).unwrap(), 0);
    let mut states = CrashStates::new();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut was_there = false;
    for operation in disk.log() {
        states.apply(&operation);
        for files in states.possible(20, &mut rng) {
            match files.get(path) {
                None => assert!(!was_there),
                Some(content) => {
                    let n = content.first().copied().unwrap();
                    assert_eq!(*content, vec![n; 1_000 + usize::from(n) * 400]);
                }
            }
        }
        was_there |= states.certain().contains_key(path);
    }
}
