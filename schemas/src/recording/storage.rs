//! The disk under a recording, as narrow as durability needs it, so that tests can make it fail.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

mod direct;

use direct::DirectFile;

/// A file system that parts and manifests are written to.
///
/// Nothing written is safe before [`PartFile::sync_data`], nothing renamed or created before [`Storage::sync_dir`].
pub trait Storage: Send + Sync + fmt::Debug {
    /// Creates a directory and its parents.
    ///
    /// # Errors
    /// The file system's.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a file that must not exist yet.
    ///
    /// # Errors
    /// The file system's; `AlreadyExists` when there is one.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn PartFile>>;

    /// Creates the file of a part, which must not exist yet: much is going to be appended to it.
    ///
    /// # Errors
    /// The file system's; `AlreadyExists` when there is one.
    fn create_part(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        self.create(path)
    }

    /// Opens an existing file for reading and appending.
    ///
    /// # Errors
    /// The file system's.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn PartFile>>;

    /// Gives a file another name, replacing what has that name.
    ///
    /// # Errors
    /// The file system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The file system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    ///
    /// # Errors
    /// The file system's.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Bytes an unprivileged writer may still use.
    ///
    /// # Errors
    /// The file system's.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Size of the whole file system.
    ///
    /// # Errors
    /// The file system's.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;

    /// What should stay free where nobody said: 1 GiB, but not more than a twentieth of the disk.
    fn automatic_reserve(&self, path: &Path) -> u64 {
        self.total_bytes(path).map_or(0, |total| (total / 20).min(1 << 30))
    }

    /// Replaces a small file so that a crash leaves the old or the new content, never a mixture.
    ///
    /// # Errors
    /// The file system's; the old content is still there.
    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        match self.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create(&temporary)?;
        let mut written = 0;
        while written < content.len() {
            match file.append(&[IoSlice::new(&content[written..])])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => written += n,
            }
        }
        file.sync_data()?;
        self.rename(&temporary, path)?;
        match path.parent() {
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }
}

/// A file that only grows, except that a failed append can be cut off again.
pub trait PartFile: Send + Sync + fmt::Debug {
    /// Appends some of the bytes; returns how many.
    ///
    /// # Errors
    /// The file system's; some of the bytes may have been written.
    fn append(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Makes everything appended so far survive a power loss.
    ///
    /// # Errors
    /// The file system's; then nothing is known about what was appended since the last success.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// The file system's.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Reads at `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// The file system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Size in bytes.
    ///
    /// # Errors
    /// The file system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether nothing has been written.
    ///
    /// # Errors
    /// The file system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Storage for FileSystem {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).append(true).create_new(true).open(path)?))
    }

    fn create_part(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        match DirectFile::create(path) {
            Ok(file) => Ok(Arc::new(file)),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                self.create(path)
            }
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).append(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(path)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(path)?;
        Ok(status.f_blocks.saturating_mul(status.f_frsize))
    }
}

impl PartFile for File {
    fn append(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut file = self;
        file.write_vectored(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
