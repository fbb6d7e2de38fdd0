//! Which schema and channel of the rebuilt file a number of the damaged file means. Files glued together, or a record
//! whose damage nothing shows, may use one number for two channels.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    recording::part_reader::{Channel, Definitions, parse},
};

/// From the damaged file's numbers to those of the rebuilt file.
#[derive(Debug, Default)]
pub(super) struct Ids {
    schemas: BTreeMap<u16, u16>,
    channels: BTreeMap<u16, u16>,
    /// Schemas that a channel names but no record describes.
    pub(super) schemas_missing: std::collections::BTreeSet<u16>,
}

impl Ids {
    /// Numbers that are known beforehand keep their meaning.
    pub(super) fn with(definitions: &Definitions) -> Self {
        Self {
            schemas: definitions.schemas.keys().map(|id| (*id, *id)).collect(),
            channels: definitions.channels.keys().map(|id| (*id, *id)).collect(),
            schemas_missing: std::collections::BTreeSet::new(),
        }
    }

    /// The rebuilt file's number of a channel; `None` when no record describes it.
    pub(super) fn channel(&self, id: u16) -> Option<u16> {
        self.channels.get(&id).copied()
    }

    /// Takes a schema record; whether its number stays.
    pub(super) fn take_schema(&mut self, content: &[u8], definitions: &mut Definitions) -> bool {
        let Ok(record) = parse::schema(content) else { return false };
        let same =
            |s: &SchemaDescriptor| (&*s.name, &*s.encoding, &*s.data) == (record.name, record.encoding, record.data);
        let known = &mut definitions.schemas;
        let id = match known.get(&record.id) {
            Some(schema) if same(schema) => Some(record.id),
            None if record.id != 0 => Some(record.id),
            _ => {
                known.iter().find(|(_, s)| same(s)).map(|(id, _)| *id).or_else(|| free(1, |id| known.contains_key(&id)))
            }
        };
        let Some(id) = id else { return false };
        known.entry(id).or_insert_with(|| SchemaDescriptor {
            name: record.name.to_owned(),
            encoding: record.encoding.to_owned(),
            data: Bytes::copy_from_slice(record.data),
        });
        self.schemas.insert(record.id, id);
        id == record.id
    }

    /// Takes a channel record; whether its numbers stay.
    pub(super) fn take_channel(&mut self, content: &[u8], definitions: &mut Definitions) -> bool {
        let Ok(record) = parse::channel(content) else { return false };
        let schema_id = match record.schema_id {
            0 => 0,
            id => self.schemas.get(&id).copied().unwrap_or_else(|| {
                self.schemas_missing.insert(id);
                0
            }),
        };
        let descriptor = ChannelDescriptor {
            topic: record.topic,
            message_encoding: record.message_encoding,
            schema: definitions.schemas.get(&schema_id).cloned(),
            metadata: record.metadata,
        };
        let same = |c: &Channel| c.schema_id == schema_id && c.descriptor == descriptor;
        let known = &mut definitions.channels;
        let id = match known.get(&record.id) {
            Some(channel) if same(channel) => Some(record.id),
            None => Some(record.id),
            Some(_) => {
                known.iter().find(|(_, c)| same(c)).map(|(id, _)| *id).or_else(|| free(0, |id| known.contains_key(&id)))
            }
        };
        let Some(id) = id else { return false };
        known.entry(id).or_insert_with(|| Arc::new(Channel { id, schema_id, descriptor }));
        self.channels.insert(record.id, id);
        id == record.id && schema_id == record.schema_id
    }
}

fn free(from: u16, taken: impl Fn(u16) -> bool) -> Option<u16> {
    (from..=u16::MAX).find(|id| !taken(*id))
}
