//! Recordings that others made, where the folder with them is there.

use std::{collections::BTreeMap, fs, path::PathBuf};

use bytes::Bytes;

use crate::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    encoding::Decoder,
    message::Message,
    value::Value,
};

fn recordings() -> Vec<PathBuf> {
    let root = std::env::var_os("SAGWAN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    let folders = fs::read_dir(root.join("data/02_mcap_recordings")).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "mcap")).collect()
}

fn tree(message: &mcap::Message<'_>) -> Option<Value> {
    let schema = message.channel.schema.as_ref().map(|schema| SchemaDescriptor {
        name: schema.name.clone(),
        encoding: schema.encoding.clone(),
        data: Bytes::copy_from_slice(&schema.data),
    });
    let channel = ChannelDescriptor {
        topic: message.channel.topic.clone(),
        message_encoding: message.channel.message_encoding.clone(),
        schema,
        metadata: BTreeMap::new(),
    };
    Decoder::new(&channel).ok()?.decode(&message.data).ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "says that nothing was tested")]
fn recordings_of_others_give_views() {
    let files = recordings();
    if files.is_empty() {
        eprintln!("skipped: no ../shared/data/02_mcap_recordings (set SAGWAN_SHARED)");
        return;
    }
    let mut seen = BTreeMap::new();
    for file in files {
        let Ok(messages) = fs::read(&file) else { continue };
        let Ok(stream) = mcap::MessageStream::new(&messages) else { continue };
        for message in stream.flatten() {
            let Some(schema) = message.channel.schema.as_ref() else { continue };
            let view = if message.channel.message_encoding == "protobuf" {
                Message::from_protobuf(&schema.name, &message.data)
            } else {
                tree(&message).and_then(|tree| Message::from_value(&schema.name, &tree))
            };
            if let Some(view) = view {
                let view = view.unwrap_or_else(|error| {
                    panic!("{} {}: {error}: {}", file.display(), message.channel.topic, error.problem)
                });
                let (count, unstamped) = seen.entry(schema.name.clone()).or_insert((0_u32, 0_u32));
                *count += 1;
                *unstamped += u32::from(view.timestamp().is_none());
            }
        }
    }
    eprintln!("(samples, without a time): {seen:?}");
    assert!(seen.len() > 3, "{seen:?}");
}
