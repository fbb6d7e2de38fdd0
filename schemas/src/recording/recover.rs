//! Rescues what is intact in torn and damaged files: any MCAP by copying, our own unfinished parts in place.
//!
//! Nothing in here trusts a length, a count or a place that the damaged file gives, and nothing that is intact is
//! changed: chunks are copied as they are.

use std::{
    fs::{self, File},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{
    in_place::recover_in_place,
    report::{DamagedChunk, LostBytes, Outcome, RecoverReport, RecoveredChannel},
};
use crate::recording::{
    part_reader::{Definitions, PartReader, ReadOptions, source::Source},
    recover::rebuild::Sink,
    storage::{FileSystem, PartFile, Storage},
};

mod copy;
mod ids;
mod in_place;
mod rebuild;
mod report;
mod scan;

pub(crate) use scan::crc_of;

/// How to rescue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoverOptions {
    /// Limits of what is read: larger records and chunks count as damaged.
    pub read: ReadOptions,
}

/// Why a rescue did not happen. The damaged file is as it was, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The damaged file cannot be opened or read.
    #[error("cannot read {path}")]
    Read {
        /// The damaged file.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// There is a file with the new name.
    #[error("{path} exists already")]
    Exists {
        /// The file that would have been overwritten.
        path: PathBuf,
    },
    /// The new file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file being written.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// The recovered file cannot get its name, or the unfinished one cannot be removed.
    #[error("cannot rename or remove {path}")]
    Rename {
        /// The file.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// Not the name of an unfinished part.
    #[error("{path} does not end in `.mcap.active`")]
    Name {
        /// The file.
        path: PathBuf,
    },
}

/// Which side of a copy failed.
#[derive(Debug)]
enum Failed {
    Read(io::Error),
    Write(io::Error),
}

impl Failed {
    fn into_error(self, input: &Path, output: &Path) -> RecoverError {
        match self {
            Self::Read(source) => RecoverError::Read { path: input.to_owned(), source },
            Self::Write(source) => RecoverError::Write { path: output.to_owned(), source },
        }
    }
}

/// Copies every intact message, schema, channel, attachment and metadata record of any broken MCAP to a new file.
///
/// Chunks that are intact are copied byte for byte. What comes out of damaged chunks is kept and counted as
/// [`unverified`](RecoveredChannel::unverified). The new file gets its name when it is complete and synced.
///
/// # Errors
/// When `input` cannot be read, or `output` exists or cannot be written; then there is no output.
pub fn recover_copy(input: &Path, output: &Path, options: RecoverOptions) -> Result<RecoverReport, RecoverError> {
    let read = |source| RecoverError::Read { path: input.to_owned(), source };
    if output.try_exists().map_err(|source| RecoverError::Write { path: output.to_owned(), source })? {
        return Err(RecoverError::Exists { path: output.to_owned() });
    }
    let file = File::open(input).map_err(read)?;
    if file.metadata().map_err(read)?.is_dir() {
        return Err(read(io::ErrorKind::IsADirectory.into()));
    }
    let source = Source::new(Arc::new(file)).map_err(read)?;
    let temporary = with_suffix(output, ".recovering");
    let result = copy_to(&FileSystem, &source, input, output, &temporary, options);
    if result.is_err() {
        // The error that is on its way says more than a failure to clean up would.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Copies to `temporary`, syncs, and renames to `output`.
fn copy_to(
    storage: &dyn Storage,
    source: &Source,
    input: &Path,
    output: &Path,
    temporary: &Path,
    options: RecoverOptions,
) -> Result<RecoverReport, RecoverError> {
    let write = |source| RecoverError::Write { path: temporary.to_owned(), source };
    let mut known = known(source, &options);
    for last in [false, true] {
        remove_if_there(storage, temporary)?;
        let file = storage.create(temporary).map_err(write)?;
        let mut sink = FileSink::new(file);
        let report = RecoverReport::new(input.to_owned(), output.to_owned(), Outcome::Copied);
        let copied = copy::copy(source, options.read, &known, &mut sink, report)
            .map_err(|failed| failed.into_error(input, temporary))?;
        if copied.again && !last {
            known = copied.definitions;
            continue;
        }
        sink.finish().map_err(write)?;
        rename(storage, temporary, output)?;
        return Ok(copied.report);
    }
    Err(write(io::ErrorKind::Other.into()))
}

/// What the summary, if it is left, says of channels.
fn known(source: &Source, options: &RecoverOptions) -> Definitions {
    PartReader::summary_definitions(source, &options.read)
}

fn rename(storage: &dyn Storage, from: &Path, to: &Path) -> Result<(), RecoverError> {
    let failed = |source| RecoverError::Rename { path: from.to_owned(), source };
    storage.rename(from, to).map_err(failed)?;
    to.parent().map_or(Ok(()), |parent| storage.sync_dir(parent)).map_err(failed)
}

fn remove_if_there(storage: &dyn Storage, path: &Path) -> Result<(), RecoverError> {
    match storage.remove(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RecoverError::Rename { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes to a part file in large pieces.
struct FileSink {
    file: Arc<dyn PartFile>,
    buffer: Vec<u8>,
}

const BUFFER: usize = 1 << 20;

impl FileSink {
    fn new(file: Arc<dyn PartFile>) -> Self {
        Self { file, buffer: Vec::with_capacity(BUFFER) }
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    fn flush(&mut self) -> io::Result<()> {
        append_all(&*self.file, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Sink for FileSink {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            return append_all(&*self.file, bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

fn append_all(file: &dyn PartFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
