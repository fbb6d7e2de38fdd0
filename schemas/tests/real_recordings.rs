//! Every message of recordings made by others decodes, or is known not to.

use std::{collections::HashMap, fs, path::PathBuf};

use bytes::Bytes;
use sagwan_schemas::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    encoding::Decoder,
};

/// The folder of shared recordings, if this machine has it.
fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("SAGWAN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    root.join("data").is_dir().then(|| root.join("data"))
}

fn descriptor(channel: &mcap::Channel<'_>) -> ChannelDescriptor {
    ChannelDescriptor {
        topic: channel.topic.clone(),
        message_encoding: channel.message_encoding.clone(),
        schema: channel.schema.as_ref().map(|schema| SchemaDescriptor {
            name: schema.name.clone(),
            encoding: schema.encoding.clone(),
            data: Bytes::copy_from_slice(&schema.data),
        }),
        metadata: channel.metadata.clone(),
    }
}

/// Messages of an MCAP that decode, and that do not.
#[expect(clippy::unwrap_used, reason = "tests")]
fn count(file: &[u8]) -> (u64, u64) {
    let (mut decoded, mut not_decoded) = (0, 0);
    let mut decoders = HashMap::new();
    for message in mcap::MessageStream::new(file).unwrap() {
        let message = message.unwrap();
        let decoder = decoders.entry(message.channel.id).or_insert_with(|| Decoder::new(&descriptor(&message.channel)));
        let known = decoder.as_ref().is_ok_and(|decoder| decoder.opaque_reason().is_none());
        if known && decoder.as_ref().is_ok_and(|decoder| decoder.decode(&message.data).is_ok()) {
            decoded += 1;
        } else {
            not_decoded += 1;
        }
    }
    (decoded, not_decoded)
}

/// What a line such as ``- `a/b.mcap` (…) decoded 10, not decoded 2; …`` says.
fn expectation(line: &str) -> Option<(&str, u64, u64)> {
    let (path, rest) = line.strip_prefix("- `")?.split_once('`')?;
    let (before, after) = rest.split_once(", not decoded ")?;
    let decoded = before.rsplit(' ').next()?.parse().ok()?;
    let not_decoded = after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    path.ends_with(".mcap").then_some((path, decoded, not_decoded))
}

#[test]
#[expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]
fn recordings_of_others_decode_as_far_as_their_schemas_allow() {
    let Some(data) = shared() else {
        eprintln!("skipped: no folder of shared recordings on this machine (SAGWAN_SHARED)");
        return;
    };
    for (folder, least) in [("02_mcap_recordings", 19), ("04_rosbags", 6)] {
        let folder = data.join(folder);
        let source = fs::read_to_string(folder.join("SOURCE.md")).unwrap();
        let mut files = 0;
        for (path, decoded, not_decoded) in source.lines().filter_map(expectation) {
            let file = fs::read(folder.join(path)).unwrap();
            assert_eq!(count(&file), (decoded, not_decoded), "{path}");
            files += 1;
        }
        assert!(files >= least, "{files} recordings listed in {}", folder.display());
    }
}
