//! The parts of one recording: opening, splitting, closing in the background.
//!
//! A part being written ends in `.mcap.active`. Closing (footer, sync, rename, directory sync, hash) happens on its own
//! thread, so that the next part takes samples at once.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use sagwan_schemas::{
    profile::RecordingPolicy,
    recording::{
        layout::RecordingDir,
        manifest::PartEntry,
        part_writer::{ChunkPolicy, Held, PartError, PartWriter},
        storage::Storage,
    },
    time::Timestamp,
};

use crate::sync::{Syncer, sha256};

/// Opening or closing a part failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// No file for the next part.
    #[error("cannot create part {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first records did not fit.
    #[error("cannot begin part {}", path.display())]
    Begin {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PartError,
    },
    /// Footer or sync failed; the file keeps its `.active` name and the next start recovers it.
    #[error("cannot finish part {}; it is recovered at the next start", path.display())]
    Finish {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PartError,
    },
    /// The finished file could not get its name; the next start does it.
    #[error("cannot rename part {}; it is recovered at the next start", path.display())]
    Rename {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread")]
    Thread {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PartsError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Begin { source, .. } | Self::Finish { source, .. } => source.is_disk_full(),
            Self::Create { source, .. } | Self::Rename { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Thread { .. } => false,
        }
    }
}

/// A part that was closed, or could not be.
#[derive(Debug)]
pub struct Closed {
    /// Its place in the order of parts.
    pub index: u32,
    /// What the manifest says of it.
    pub entry: Result<PartEntry, PartsError>,
    /// Messages that were in its last chunks and did not reach the disk.
    pub lost: Vec<Held>,
    /// Why, where the part could be closed nevertheless.
    pub refused: Option<PartError>,
}

#[derive(Debug)]
struct OpenPart {
    index: u32,
    writer: PartWriter,
    syncer: Syncer,
    opened_nanos: i64,
}

/// The parts of one recording.
#[derive(Debug)]
pub struct Parts {
    storage: Arc<dyn Storage>,
    dir: RecordingDir,
    policy: RecordingPolicy,
    next_index: u32,
    open: Option<OpenPart>,
    to_close: Option<Sender<OpenPart>>,
    closed: Receiver<Closed>,
    closer: Option<JoinHandle<()>>,
}

/// Parts that may wait to be closed; more, and the writer waits.
const CLOSING_MAX: usize = 4;

impl Parts {
    /// No part yet; the directory exists.
    ///
    /// # Errors
    /// [`PartsError::Thread`].
    pub fn new(storage: Arc<dyn Storage>, dir: RecordingDir, policy: RecordingPolicy) -> Result<Self, PartsError> {
        let (to_close, parts) = bounded(CLOSING_MAX);
        let (report, closed) = bounded(CLOSING_MAX * 2);
        let closer = thread::Builder::new()
            .name("sagwan-close".to_owned())
            .spawn({
                let (storage, dir) = (Arc::clone(&storage), dir.clone());
                move || {
                    for part in parts {
                        if report.send(close(&*storage, &dir, part)).is_err() {
                            return;
                        }
                    }
                }
            })
            .map_err(|source| PartsError::Thread { source })?;
        Ok(Self {
            storage,
            dir,
            policy,
            next_index: 0,
            open: None,
            to_close: Some(to_close),
            closed,
            closer: Some(closer),
        })
    }

    /// The open part.
    pub fn writer(&mut self) -> Option<&mut PartWriter> {
        self.open.as_mut().map(|part| &mut part.writer)
    }

    /// Index of the open part, or of the next one.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.open.as_ref().map_or(self.next_index, |part| part.index)
    }

    /// Opens the next part; the former one must have been handed over.
    ///
    /// # Errors
    /// The disk's; no part is open then.
    pub fn open_next(&mut self, now_nanos: i64) -> Result<&mut PartWriter, PartsError> {
        let path = self.dir.active_part(self.next_index);
        let create = |source| PartsError::Create { path: path.clone(), source };
        let file = self.storage.create_part(&path).map_err(create)?;
        // An index is used once, also when what follows fails: its file may still be there.
        let index = self.next_index;
        self.next_index += 1;
        let _dir_is_synced_with_the_first_data = self.storage.sync_dir(&self.dir.parts());
        let chunk_size = usize::try_from(self.policy.chunk_size.0).unwrap_or(usize::MAX);
        let writer = PartWriter::create(Arc::clone(&file), "", ChunkPolicy { size: chunk_size })
            .map_err(|source| PartsError::Begin { path, source })?;
        let syncer =
            Syncer::spawn(file, self.policy.sync_interval.0).map_err(|source| PartsError::Thread { source })?;
        let part = self.open.insert(OpenPart { index, writer, syncer, opened_nanos: now_nanos });
        Ok(&mut part.writer)
    }

    /// Whether the open part has reached its size or age.
    #[must_use]
    pub fn is_split_due(&self, now_nanos: i64) -> bool {
        self.open.as_ref().is_some_and(|part| {
            part.writer.offset() + part.writer.buffered() as u64 >= self.policy.part_size.0
                || now_nanos.saturating_sub(part.opened_nanos) >= self.policy.part_duration.nanos()
        })
    }

    /// Hands the open part over to be closed.
    pub fn hand_over(&mut self) {
        if let (Some(part), Some(to_close)) = (self.open.take(), &self.to_close)
            && to_close.send(part).is_err()
        {
            tracing::error!("the thread that closes parts is gone; the part is recovered at the next start");
        }
    }

    /// Tells the syncer how far the open part has come.
    pub fn note_written(&self) {
        if let Some(part) = &self.open {
            part.syncer.written(part.writer.offset());
        }
    }

    /// Whether a sync of the open part failed.
    #[must_use]
    pub fn sync_failed(&self) -> bool {
        self.open.as_ref().is_some_and(|part| part.syncer.failed())
    }

    /// Bytes of the open part that are written and that are durable, and the longest time data waited for its sync.
    #[must_use]
    pub fn progress(&self) -> (u64, u64, Duration) {
        self.open.as_ref().map_or((0, 0, Duration::ZERO), |part| {
            (part.writer.offset(), part.syncer.synced(), part.syncer.exposure_max())
        })
    }

    /// Parts that were closed since the last call.
    pub fn poll_closed(&mut self) -> Vec<Closed> {
        self.closed.try_iter().collect()
    }

    /// Hands the open part over and waits until all parts are closed.
    pub fn close_all(&mut self) -> Vec<Closed> {
        self.hand_over();
        self.to_close = None;
        let closed: Vec<_> = self.closed.iter().collect();
        if let Some(closer) = self.closer.take()
            && closer.join().is_err()
        {
            tracing::error!("the thread that closes parts panicked");
        }
        closed
    }
}

fn close(storage: &dyn Storage, dir: &RecordingDir, mut part: OpenPart) -> Closed {
    let active = dir.active_part(part.index);
    let mut lost = Vec::new();
    let mut refused = None;
    let finished = part.writer.finish().or_else(|mut error| match error {
        PartError::Torn { .. } | PartError::Sync { .. } => Err(error),
        _ => {
            // What its last chunks held is lost, and the room they wanted is there for the footer.
            lost.extend(error.take_lost());
            refused = Some(error);
            part.writer.finish()
        }
    });
    part.syncer.stop();
    let entry = finished
        .map_err(|mut source| {
            lost.extend(source.take_lost());
            PartsError::Finish { path: active.clone(), source }
        })
        .and_then(|finished| {
            let path = dir.part(part.index);
            storage
                .rename(&active, &path)
                .and_then(|()| storage.sync_dir(&dir.parts()))
                .map_err(|source| PartsError::Rename { path: active.clone(), source })?;
            Ok(PartEntry {
                file: dir.part_name(part.index),
                bytes: finished.bytes,
                sha256: sha256(&**part.writer.file(), finished.bytes),
                messages: finished.messages,
                start: finished.message_times.map(|(start, _)| Timestamp::from_mcap(start).into()),
                end: finished.message_times.map(|(_, end)| Timestamp::from_mcap(end).into()),
                recovered: false,
            })
        });
    Closed { index: part.index, entry, lost, refused }
}
