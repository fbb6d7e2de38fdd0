//! Bytes at an offset: a file, a file under test, or memory. Knows no MCAP.

use std::{fmt, fs::File, io, sync::Arc};

use bytes::Bytes;

use crate::recording::storage::PartFile;

/// Something that can be read at any offset, by several threads at once.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Reads at `offset`; 0 at the end.
    ///
    /// # Errors
    /// The file system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Size in bytes.
    ///
    /// # Errors
    /// The file system's.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Arc<dyn PartFile> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        PartFile::read_at(&**self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        PartFile::len(&**self)
    }
}

/// A [`ReadAt`] whose size was looked at once: what is appended later is not seen.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    inner: Arc<dyn ReadAt>,
    len: u64,
}

impl Source {
    pub(crate) fn new(inner: Arc<dyn ReadAt>) -> io::Result<Self> {
        let len = inner.size()?;
        Ok(Self { inner, len })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes `[offset, offset + len)`; `UnexpectedEof` without reading or allocating when they are not all there.
    pub(crate) fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.len);
        let len = usize::try_from(len).ok().filter(|_| fits).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut buffer = vec![0; len];
        self.fill(offset, &mut buffer)?;
        Ok(buffer)
    }

    /// Fills `buffer` from `offset`.
    pub(crate) fn fill(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.inner.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Up to `len` bytes at `offset`, fewer at the end.
    pub(crate) fn read_up_to(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        self.read(offset, len.min(self.len.saturating_sub(offset)))
    }
}

/// Reads small pieces of a source in rising order without a system call for each.
#[derive(Debug)]
pub(crate) struct Window {
    source: Source,
    start: u64,
    buffer: Vec<u8>,
}

/// Enough for some hundred small records, little enough to skip over large ones.
const WINDOW: u64 = 16 * 1024;

impl Window {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, start: 0, buffer: Vec::new() }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Up to `len` bytes at `offset`, fewer at the end of the file.
    pub(crate) fn peek(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let end = offset.saturating_add(len as u64).min(self.source.len());
        let offset = offset.min(end);
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            self.buffer = self.source.read_up_to(offset, WINDOW.max(len as u64))?;
            self.start = offset;
        }
        let at = (offset - self.start) as usize;
        Ok(&self.buffer[at..at + (end - offset) as usize])
    }
}
