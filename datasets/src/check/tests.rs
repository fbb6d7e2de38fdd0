//! Checks of recordings made here, whole and spoilt, and of recordings made by others.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs};

use prost::Message as _;
use sagwan_schemas::{
    proto,
    recording::{
        part_writer::{ChunkPolicy, NewMessage, PartWriter},
        storage::{FileSystem, Storage},
    },
    stream::Compression,
};
use serde_json::json;

use super::*;

const T0: u64 = 1_768_469_400_000_000_000;

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

fn mcaps(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
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

fn errors(report: &Report) -> Vec<String> {
    let errors = report.findings.iter().filter(|f| f.severity == Severity::Error);
    errors.map(|f| format!("{} {}: {}", f.place.path.file_name().unwrap().display(), f.id, f.message)).collect()
}

/// A recording of two parts with these numbers of `/a`, and a ledger that tells of `told`.
fn recording(root: &Path, parts: [&[u64]; 2], told: Option<(u64, u64)>) -> PathBuf {
    let path = root.join("r");
    fs::create_dir_all(path.join("parts")).unwrap();
    let channel = |topic: &str| ChannelDescriptor {
        topic: topic.to_owned(),
        message_encoding: if topic == "/a" { "json" } else { "protobuf" }.to_owned(),
        schema: None,
        metadata: BTreeMap::new(),
    };
    let mut entries = Vec::new();
    for (index, sequences) in parts.into_iter().enumerate() {
        let file = format!("r_{index:04}.mcap");
        let part_path = path.join("parts").join(&file);
        let created = FileSystem.create(&part_path).unwrap();
        let mut part = PartWriter::create(created, "", ChunkPolicy { size: 300 }).unwrap();
        let a = part.add_channel(channel("/a"), Compression::None).unwrap();
        let loss = part.add_channel(channel("/sagwan/loss"), Compression::Zstd).unwrap();
        let message = |channel, sequence: u64| NewMessage {
            channel,
            source: 0,
            sequence: Some(sequence),
            log_time: T0 + sequence * 1000,
            publish_time: T0,
        };
        for sequence in sequences {
            part.write(&message(a, *sequence), b"{\"x\": 1}", 0).unwrap();
        }
        if let (Some((first, last)), 1) = (told, index) {
            let entry = proto::Loss {
                topic: "/a".to_owned(),
                count: last - first + 1,
                first_sequence: Some(first),
                last_sequence: Some(last),
                ..proto::Loss::default()
            };
            part.write(&message(loss, 0), &entry.encode_to_vec(), 0).unwrap();
        }
        let finished = part.finish().unwrap();
        entries.push(json!({
            "file": file, "bytes": finished.bytes, "sha256": sha256(&part_path).unwrap(), "messages": finished.messages,
        }));
    }
    let recorded = parts[0].len() + parts[1].len();
    let lost = told.map_or(0, |(first, last)| last - first + 1);
    let account = json!({ "transport": lost, "queue": 0, "disk": 0 });
    let sent = recorded as u64 + lost;
    let manifest = json!({
        "format_version": 1, "recording_id": "r", "state": "finished", "platform": "p",
        "started": { "ns": T0, "utc": "" }, "host": { "name": "h", "software": "s" }, "parts": entries,
        "loss": { "sent": sent, "recorded": recorded, "lost": account, "sources": [{
            "topic": "/a", "numbered": true, "sent": sent, "received": recorded, "recorded": recorded, "lost": account,
            "instances": 1,
        }]},
    });
    fs::write(path.join("recording.json"), manifest.to_string()).unwrap();
    path
}

fn ids(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|f| f.id.as_str()).collect()
}

#[test]
fn a_whole_recording_has_no_finding() {
    let dir = tempfile::tempdir().unwrap();
    let report = check(&recording(dir.path(), [&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[10, 11, 12]], None)).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.files, report.messages, report.messages_decoded), (2, 13, 13));
}

#[test]
fn a_gap_in_the_ledger_is_no_error_and_one_that_is_not_there_is() {
    let dir = tempfile::tempdir().unwrap();
    // Across the parts, and with a late number that fills part of it.
    let told = check(&recording(dir.path(), [&[0, 1, 2, 5, 3], &[9, 10]], Some((4, 8)))).unwrap();
    assert_eq!(ids(&told), ["mcap.time_order", "recording.loss"], "{:?}", told.findings);
    let dir = tempfile::tempdir().unwrap();
    let silent = check(&recording(dir.path(), [&[0, 1, 2], &[4, 5, 9]], Some((6, 8)))).unwrap();
    assert_eq!(errors(&silent), ["r recording.sequence: samples 3..=3 are missing and the ledger does not say why"]);
}

#[test]
fn whatever_is_changed_in_a_recording_is_found() {
    let spoil = |change: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        let path = recording(dir.path(), [&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[10, 11, 12]], None);
        change(&path);
        check(&path).unwrap()
    };
    let first = |path: &Path| path.join("parts/r_0000.mcap");
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let report = spoil(&|path| flip(&first(path), 400));
    assert!(ids(&report).contains(&"recording.sha256"), "{:?}", report.findings);
    assert!(ids(&report).contains(&"mcap.data_crc"), "{:?}", report.findings);
    let report = spoil(&|path| fs::remove_file(first(path)).unwrap());
    assert!(ids(&report).contains(&"recording.part"), "{:?}", report.findings);
    let report = spoil(&|path| fs::rename(first(path), path.join("parts/r_0000.mcap.active")).unwrap());
    assert!(ids(&report).contains(&"recording.leftover"), "{:?}", report.findings);
    let report = spoil(&|path| {
        let bytes = fs::read(first(path)).unwrap();
        fs::write(first(path), &bytes[..bytes.len() - 20]).unwrap();
    });
    assert!(ids(&report).contains(&"recording.size") && ids(&report).contains(&"mcap.end"), "{:?}", report.findings);
    let report = spoil(&|path| fs::write(path.join("recording.json"), "{").unwrap());
    assert_eq!(ids(&report), ["recording.manifest"]);
}

#[test]
fn every_flipped_byte_of_a_part_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = recording(dir.path(), [&[0, 1, 2], &[6]], None).join("parts/r_0000.mcap");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let report = check(&path).unwrap();
        assert!(!report.findings.is_empty(), "byte {at} of {}", whole.len());
    }
}

#[test]
fn recordings_of_others_pass_but_for_what_is_known_of_them() {
    let mut found = Vec::new();
    for folder in ["01_mcap_conformance", "02_mcap_recordings", "04_rosbags"] {
        let Some(root) = shared(folder) else { return };
        for path in mcaps(&root) {
            found.extend(errors(&check(&path).unwrap()));
        }
    }
    found.sort();
    let known = [
        // libmcap takes a log time of 0 for none.
        "rewriter_a_0.mcap mcap.statistics: the statistics do not fit the data: first log time 1000000 instead of 0",
        // Made to be broken.
        "test_bad_schema.mcap message.schema: ",
        // The schema of a service event holds the service's text.
        "topics_and_services.mcap message.schema: ",
    ];
    found.retain(|f| !known.iter().any(|known| f.starts_with(known)));
    assert_eq!(found, [""; 0]);
}
