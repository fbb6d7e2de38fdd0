//! A part file that bypasses the page cache: the processor copies nothing into the kernel, and a long recording does not
//! push everything else out of memory.
//!
//! Bytes gather in an aligned block and go to the disk a whole block at a time (`O_DIRECT`). A sync writes the unfilled
//! rest through the page cache, at its place; the block is written again, with the same bytes and more, when it is full.
//! Room is allocated ahead, so that a full disk refuses an append and not bytes that were accepted before.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::PartFile;

/// Alignment of memory, offsets and lengths: no disk asks for more.
const ALIGNMENT: usize = 4096;
/// Bytes written at once.
const BLOCK: usize = 1 << 20;
/// Room allocated at once.
const AHEAD: u64 = 64 << 20;

/// Memory whose start is aligned.
#[derive(Debug)]
struct Block {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Block {
    fn new() -> Self {
        let memory = vec![0; BLOCK + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, len: 0 }
    }

    fn filled(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    /// Takes in what fits; returns how much that was.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BLOCK - self.len);
        let at = self.start + self.len;
        self.memory[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        taken
    }
}

#[derive(Debug)]
struct State {
    block: Block,
    /// Offset of the block in the file; a multiple of [`BLOCK`].
    base: u64,
    /// Room that the disk has promised, from the start of the file.
    allocated: u64,
    /// The part of the block that the file has, from an earlier sync.
    synced: usize,
}

impl State {
    fn len(&self) -> u64 {
        self.base + self.block.len as u64
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct DirectFile {
    direct: File,
    buffered: File,
    state: Mutex<State>,
}

impl DirectFile {
    /// Creates a file that must not exist yet.
    ///
    /// # Errors
    /// The file system's; `InvalidInput` or `Unsupported` where it knows no direct writes, and then there is no file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let buffered = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let direct =
            OpenOptions::new().read(true).write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path);
        let opened = direct.and_then(|direct| {
            fallocate(&buffered, FallocateFlags::KEEP_SIZE, 0, ALIGNMENT as u64)?;
            Ok(direct)
        });
        match opened {
            Ok(direct) => {
                let state = State { block: Block::new(), base: 0, allocated: ALIGNMENT as u64, synced: 0 };
                Ok(Self { direct, buffered, state: Mutex::new(state) })
            }
            Err(error) => {
                std::fs::remove_file(path)?;
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole values behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allocate(&self, state: &mut State, end: u64) -> io::Result<()> {
        if end <= state.allocated {
            return Ok(());
        }
        let (from, need) = (state.allocated, end - state.allocated);
        let ahead = need.next_multiple_of(AHEAD);
        // Near the end of the disk just what is needed has to do.
        let got = match fallocate(&self.buffered, FallocateFlags::KEEP_SIZE, from, ahead) {
            Ok(()) => ahead,
            Err(_no_room_ahead) => {
                fallocate(&self.buffered, FallocateFlags::KEEP_SIZE, from, need)?;
                need
            }
        };
        state.allocated += got;
        Ok(())
    }
}

impl PartFile for DirectFile {
    fn append(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        let total: usize = bytes.iter().map(|piece| piece.len()).sum();
        let end = state.len() + total as u64;
        self.allocate(&mut state, end)?;
        for piece in bytes {
            let mut rest: &[u8] = piece;
            while !rest.is_empty() {
                if state.block.len == BLOCK {
                    self.direct.write_all_at(state.block.filled(), state.base)?;
                    state.base += BLOCK as u64;
                    state.block.len = 0;
                    state.synced = 0;
                }
                let taken = state.block.fill(rest);
                rest = &rest[taken..];
            }
        }
        Ok(total)
    }

    fn sync_data(&self) -> io::Result<()> {
        {
            let mut state = self.state();
            let (from, to) = (state.synced, state.block.len);
            if to > from {
                self.buffered.write_all_at(&state.block.filled()[from..], state.base + from as u64)?;
                state.synced = to;
            }
        }
        // Without the lock: the writer goes on meanwhile.
        self.buffered.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if len > state.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if len < state.base {
            let base = len - len % BLOCK as u64;
            let mut block = Block::new();
            let rest = (len - base) as usize;
            block.len = rest;
            let start = block.start;
            self.buffered.read_exact_at(&mut block.memory[start..start + rest], base)?;
            (state.block, state.base, state.synced) = (block, base, rest);
        }
        state.block.len = (len - state.base) as usize;
        state.synced = state.synced.min(state.block.len);
        // Beyond the promised size nothing stays behind; the promise itself is given up with it.
        let size = state.base + state.synced as u64;
        self.buffered.set_len(size)?;
        state.allocated = state.allocated.min(size);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state();
        if offset >= state.base {
            let at = usize::try_from(offset - state.base).unwrap_or(usize::MAX);
            let rest = state.block.filled().get(at..).unwrap_or_default();
            let got = rest.len().min(buffer.len());
            buffer[..got].copy_from_slice(&rest[..got]);
            return Ok(got);
        }
        let want = usize::try_from(state.base - offset).unwrap_or(usize::MAX).min(buffer.len());
        drop(state);
        let is_aligned = |n: usize| n.is_multiple_of(ALIGNMENT);
        if is_aligned(offset as usize) && is_aligned(want) && is_aligned(buffer.as_ptr().addr()) {
            return FileExt::read_at(&self.direct, &mut buffer[..want], offset);
        }
        FileExt::read_at(&self.buffered, &mut buffer[..want], offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len())
    }
}

impl Drop for DirectFile {
    /// Gives back the room that was allocated ahead.
    fn drop(&mut self) {
        let written = {
            let state = self.state();
            state.base + state.synced as u64
        };
        // A failure leaves some room taken until the file is next cut; nothing is lost.
        self.buffered.set_len(written).ok();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A directory on a disk that knows direct writes; memory file systems may not.
    fn file() -> Option<(tempfile::TempDir, std::path::PathBuf, DirectFile)> {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("part");
        let file = DirectFile::create(&path).ok()?;
        Some((dir, path, file))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Sync,
        Cut(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_usize..700_000).prop_map(Step::Append),
            2 => Just(Step::Sync),
            1 => any::<u32>().prop_map(Step::Cut),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_file_holds_what_was_appended_and_not_cut(steps in prop::collection::vec(step(), 1..24)) {
            let Some((_dir, path, file)) = file() else { return Ok(()) };
            let mut model = Vec::new();
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Append(len) => {
                        let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + n) as u8).collect();
                        let (head, tail) = bytes.split_at(len / 3);
                        prop_assert_eq!(file.append(&[IoSlice::new(head), IoSlice::new(tail)]).unwrap(), len);
                        model.extend_from_slice(&bytes);
                    }
                    Step::Sync => {
                        file.sync_data().unwrap();
                        prop_assert!(std::fs::read(&path).unwrap() == model, "a sync writes everything");
                    }
                    Step::Cut(at) => {
                        let len = at as usize % (model.len() + 1);
                        file.truncate(len as u64).unwrap();
                        model.truncate(len);
                    }
                }
                prop_assert_eq!(file.len().unwrap(), model.len() as u64);
            }
            let mut read = vec![0; model.len()];
            let mut at = 0;
            while at < read.len() {
                at += file.read_at(&mut read[at..], at as u64).unwrap();
            }
            prop_assert!(read == model, "what was appended can be read before a sync");
            file.sync_data().unwrap();
            drop(file);
            prop_assert!(std::fs::read(&path).unwrap() == model);
        }
    }
}
