//! Messages into parts: channels of the open part, what every part must hold, and what the disk refuses.
//!
//! Knows no wire. A message that the disk refused is reported by source and number, never dropped in silence.

use std::{collections::BTreeMap, sync::Arc};

use prost::Name;
use sagwan_schemas::{
    channel::ChannelDescriptor,
    message::bundled,
    profile::RecordingPolicy,
    recording::{
        layout::{RECORDING_METADATA, RecordingDir},
        part_writer::{Attachment, ChannelId, Held, NewMessage, PartError, PartWriter},
        storage::Storage,
    },
    stream::Compression,
    time::Timestamp,
};

use crate::{
    engine::error_chain,
    output::video::Gop,
    parts::{Closed, Parts, PartsError},
};

mod video;

/// Source number of what the recorder writes itself and of repeated messages; their loss is nobody's gap.
pub(crate) const OWN: u32 = u32::MAX;
/// How long no part is tried after one could not be opened.
const RETRY_NANOS: i64 = 1_000_000_000;

/// A channel of the recording, whichever part is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// A message on its way to the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) slot: Slot,
    pub(crate) source: u32,
    pub(crate) sequence: Option<u64>,
    pub(crate) log_time: Timestamp,
    pub(crate) publish_time: Timestamp,
    pub(crate) payload: &'a [u8],
}

#[derive(Clone, Debug)]
struct Kept {
    sequence: Option<u64>,
    publish_time: Timestamp,
    payload: Box<[u8]>,
}

#[derive(Debug)]
struct Channel {
    descriptor: ChannelDescriptor,
    compression: Compression,
    /// Its number in the part of that generation.
    id: Option<(u32, ChannelId)>,
    /// Whether the last value is repeated in every part, and that value.
    latched: bool,
    last: Option<Kept>,
    /// The pictures since the last key frame, of a video channel.
    gop: Option<Gop>,
    /// Written by the recorder itself: in every part, also where it has nothing to tell.
    own: bool,
}

/// What stands at the beginning of every part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preamble {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) attachments: Vec<Attachment>,
}

/// How the disk behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Good,
    /// It refused something; recording goes on.
    Failing,
    /// No room: recording must end.
    Full,
}

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Output {
    parts: Parts,
    preamble: Preamble,
    channels: Vec<Channel>,
    /// Counts the parts opened; 0 before the first.
    generation: u32,
    retry_at_nanos: i64,
    disk: Disk,
    /// Refused and not yet taken by [`Self::take_lost`].
    lost: Vec<Held>,
    errors: Vec<String>,
}

impl Output {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        dir: RecordingDir,
        policy: RecordingPolicy,
        preamble: Preamble,
    ) -> Result<Self, PartsError> {
        Ok(Self {
            parts: Parts::new(storage, dir, policy)?,
            preamble,
            channels: Vec::new(),
            generation: 0,
            retry_at_nanos: i64::MIN,
            disk: Disk::Good,
            lost: Vec::new(),
            errors: Vec::new(),
        })
    }

    /// Another channel of the recording.
    pub(crate) fn add_channel(
        &mut self,
        descriptor: ChannelDescriptor,
        compression: Compression,
        latched: bool,
    ) -> Slot {
        let is_video = descriptor.schema.as_ref().is_some_and(|schema| schema.name == video::SCHEMA);
        let gop = (is_video && descriptor.message_encoding == "protobuf").then(Gop::default);
        self.channels.push(Channel { descriptor, compression, id: None, latched, last: None, gop, own: false });
        Slot(self.channels.len() - 1)
    }

    /// A channel of the recorder's own messages of type `M`.
    pub(crate) fn add_own_channel<M: Name>(&mut self, topic: &str) -> Slot {
        let schema = bundled::schema(&M::full_name());
        let descriptor = ChannelDescriptor {
            topic: topic.to_owned(),
            message_encoding: "protobuf".to_owned(),
            schema,
            metadata: BTreeMap::new(),
        };
        let slot = self.add_channel(descriptor, Compression::None, false);
        self.channels[slot.0].own = true;
        slot
    }

    pub(crate) fn descriptor(&self, slot: Slot) -> &ChannelDescriptor {
        &self.channels[slot.0].descriptor
    }

    /// Writes a message, or notes it as lost.
    pub(crate) fn write(&mut self, message: &Outgoing<'_>, now_nanos: i64) {
        // A part that this message opens begins with the values before it.
        let has_part = self.ensure_part(message.log_time, now_nanos);
        let channel = &mut self.channels[message.slot.0];
        if channel.latched {
            channel.last = Some(Kept {
                sequence: message.sequence,
                publish_time: message.publish_time,
                payload: message.payload.into(),
            });
        }
        if !has_part {
            self.lose(message);
            return;
        }
        self.write_missing_gop(message, now_nanos);
        self.write_now(message, now_nanos);
        if let Some(gop) = &mut self.channels[message.slot.0].gop {
            gop.note(message.sequence, message.publish_time, message.payload);
        }
    }

    /// Writes one of the recorder's own messages.
    pub(crate) fn write_own(&mut self, slot: Slot, message: &impl prost::Message, time: Timestamp, now_nanos: i64) {
        let payload = message.encode_to_vec();
        let outgoing =
            Outgoing { slot, source: OWN, sequence: None, log_time: time, publish_time: time, payload: &payload };
        self.write(&outgoing, now_nanos);
    }

    fn write_now(&mut self, message: &Outgoing<'_>, now_nanos: i64) {
        let Some(id) = self.channel_id(message.slot) else {
            self.lose(message);
            return;
        };
        let new = NewMessage {
            channel: id,
            source: message.source,
            sequence: message.sequence,
            log_time: message.log_time.to_mcap(),
            publish_time: message.publish_time.to_mcap(),
        };
        let Some(writer) = self.parts.writer() else {
            self.lose(message);
            return;
        };
        if let Err(error) = writer.write(&new, message.payload, now_nanos) {
            self.note_failure(error);
        }
    }

    /// A part that begins between two key frames repeats the pictures since the last one.
    fn write_missing_gop(&mut self, message: &Outgoing<'_>, now_nanos: i64) {
        let channel = &mut self.channels[message.slot.0];
        let is_first_of_part = channel.id.is_none_or(|(generation, _)| generation != self.generation);
        let Some(gop) = &mut channel.gop else { return };
        if !is_first_of_part || video::is_key_frame(message.payload) {
            return;
        }
        let gop = std::mem::take(gop);
        for picture in gop.pictures() {
            let repeated = Outgoing {
                slot: message.slot,
                source: OWN,
                sequence: picture.sequence,
                log_time: message.log_time,
                publish_time: picture.publish_time,
                payload: &picture.payload,
            };
            self.write_now(&repeated, now_nanos);
        }
        self.channels[message.slot.0].gop = Some(gop);
    }

    fn lose(&mut self, message: &Outgoing<'_>) {
        if message.source != OWN {
            self.lost.push(Held {
                source: message.source,
                bytes: u32::try_from(message.payload.len()).unwrap_or(u32::MAX),
                sequence: message.sequence,
            });
        }
    }

    /// The channel's number in the open part, registered there if need be.
    fn channel_id(&mut self, slot: Slot) -> Option<ChannelId> {
        let generation = self.generation;
        let channel = self.channels.get_mut(slot.0)?;
        if let Some((of, id)) = channel.id
            && of == generation
        {
            return Some(id);
        }
        let added = self.parts.writer()?.add_channel(channel.descriptor.clone(), channel.compression);
        match added {
            Ok(id) => {
                channel.id = Some((generation, id));
                Some(id)
            }
            Err(error) => {
                self.note_failure(error);
                None
            }
        }
    }

    fn ensure_part(&mut self, time: Timestamp, now_nanos: i64) -> bool {
        if self.parts.writer().is_some() {
            return true;
        }
        if self.disk == Disk::Full || now_nanos < self.retry_at_nanos {
            return false;
        }
        let index = self.parts.index();
        match self.parts.open_next(now_nanos) {
            Ok(writer) => {
                if let Err(error) = begin_part(writer, &self.preamble, index) {
                    // A part without what every part must hold is none: another one is tried.
                    self.note_failure(error);
                    self.parts.hand_over();
                    self.retry_at_nanos = now_nanos.saturating_add(RETRY_NANOS);
                    return false;
                }
                self.generation += 1;
                for slot in
                    (0..self.channels.len()).filter(|slot| self.channels[*slot].own).map(Slot).collect::<Vec<_>>()
                {
                    self.channel_id(slot);
                }
                self.repeat_latched(time, now_nanos);
                self.parts.writer().is_some()
            }
            Err(error) => {
                self.retry_at_nanos = now_nanos.saturating_add(RETRY_NANOS);
                self.disk = if error.is_disk_full() { Disk::Full } else { Disk::Failing };
                self.report(&error);
                false
            }
        }
    }

    fn repeat_latched(&mut self, time: Timestamp, now_nanos: i64) {
        for index in 0..self.channels.len() {
            let Some(kept) = self.channels[index].last.clone() else { continue };
            let repeated = Outgoing {
                slot: Slot(index),
                source: OWN,
                sequence: kept.sequence,
                log_time: time,
                publish_time: kept.publish_time,
                payload: &kept.payload,
            };
            self.write_now(&repeated, now_nanos);
        }
    }

    fn note_failure(&mut self, mut error: PartError) {
        self.lost.extend(error.take_lost().into_iter().filter(|held| held.source != OWN));
        self.disk = if error.is_disk_full() { Disk::Full } else { Disk::Failing };
        if matches!(error, PartError::Torn { .. }) {
            // It takes nothing any more; closing it reports the rest and leaves it to recovery.
            self.parts.hand_over();
        }
        self.report(&error);
    }

    fn report(&mut self, error: &dyn std::error::Error) {
        let text = error_chain(error);
        if !self.errors.contains(&text) && self.errors.len() < 100 {
            tracing::error!("{text}");
            self.errors.push(text);
        }
    }

    /// Writes aged chunks, splits where due, and tells the syncer. Called some times a second.
    ///
    /// Returns whether a new part is due: its first message opens it.
    pub(crate) fn tick(&mut self, chunk_age_nanos: i64, now_nanos: i64) -> bool {
        if let Some(writer) = self.parts.writer()
            && let Err(error) = writer.close_chunks_opened_by(now_nanos.saturating_sub(chunk_age_nanos))
        {
            self.note_failure(error);
        }
        self.parts.note_written();
        if self.parts.sync_failed() {
            self.disk = Disk::Failing;
            self.errors.push("fdatasync failed: what was written since the last sync may be lost".to_owned());
            self.parts.hand_over();
            return true;
        }
        if self.parts.is_split_due(now_nanos) {
            self.parts.hand_over();
            return true;
        }
        false
    }

    /// Notes that the disk refused something while a part was closed.
    pub(crate) fn note_refused(&mut self, error: &PartError) {
        if self.disk != Disk::Full {
            self.disk = if error.is_disk_full() { Disk::Full } else { Disk::Failing };
        }
        self.report(error);
    }

    /// Notes messages that a part lost while it was closed.
    pub(crate) fn lose_held(&mut self, held: Vec<Held>) {
        self.lost.extend(held.into_iter().filter(|held| held.source != OWN));
    }

    /// The channel's number in the open part.
    pub(crate) fn id_in_open_part(&self, slot: Slot) -> Option<ChannelId> {
        self.channels.get(slot.0)?.id.filter(|(generation, _)| *generation == self.generation).map(|(_, id)| id)
    }

    /// Messages that the disk refused since the last call.
    pub(crate) fn take_lost(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.lost)
    }

    /// Parts closed since the last call.
    pub(crate) fn poll_closed(&mut self) -> Vec<Closed> {
        self.parts.poll_closed()
    }

    /// Closes the last part and waits for all of them.
    pub(crate) fn close(&mut self) -> Vec<Closed> {
        self.parts.close_all()
    }

    pub(crate) fn disk(&self) -> Disk {
        self.disk
    }

    /// What the disk refused, for a person; each once.
    pub(crate) fn errors(&self) -> &[String] {
        &self.errors
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }
}

fn begin_part(writer: &mut PartWriter, preamble: &Preamble, index: u32) -> Result<(), PartError> {
    let mut metadata = preamble.metadata.clone();
    metadata.insert("part".to_owned(), index.to_string());
    writer.metadata(RECORDING_METADATA, &metadata)?;
    preamble.attachments.iter().try_for_each(|attachment| writer.attach(attachment))
}
