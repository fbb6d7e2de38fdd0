//! A disk in memory that logs what is done to it, fails on demand, and tells what a power cut may leave of it.
//!
//! [`SimulatedDisk`] is a [`Storage`]; [`power_cut`] turns its log into the states that are possible after a cut. Knows
//! nothing about MCAP.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use sagwan_schemas::recording::storage::{PartFile, Storage};

pub use self::power_cut::{CrashStates, Files, Operation, crash_states};

mod power_cut;

/// Free bytes that are told where there is no limit.
const UNLIMITED: u64 = 1 << 50;
/// Longest wait for a writer to meet a stall.
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
    blocked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Content by number; a file keeps its number when it is renamed.
    contents: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
    log: Vec<Operation>,
    faults: Faults,
}

/// What goes wrong. Counted from the moment at which it is asked for.
#[derive(Debug, Default)]
struct Faults {
    /// Bytes that still fit.
    room: Option<u64>,
    /// Results of the next appends to parts.
    appends: VecDeque<bool>,
    /// Results of the next syncs of parts.
    syncs: VecDeque<bool>,
    /// Most bytes that one append takes.
    append_max: Option<usize>,
    truncate_fails: bool,
    read_only: bool,
    stalled: bool,
    /// Threads that wait for the stall to end.
    waiting: usize,
}

impl Faults {
    /// Takes the next planned result.
    fn next(planned: &mut VecDeque<bool>) -> io::Result<()> {
        match planned.pop_front() {
            Some(true) => Err(input_output_error()),
            _ => Ok(()),
        }
    }

    fn writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "active")
}

fn plan(planned: &mut VecDeque<bool>, k: usize) {
    if planned.len() <= k {
        planned.resize(k + 1, false);
    }
    planned[k] = true;
}

impl SimulatedDisk {
    /// An empty disk that works.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that holds `files`; all of it durable.
    #[must_use]
    pub fn with(files: &Files) -> Self {
        let disk = Self::default();
        {
            let mut state = disk.shared.state.lock();
            for (path, content) in files {
                let number = state.contents.len();
                state.contents.push(content.clone());
                state.names.insert(path.clone(), number);
                state.log.push(Operation::Found { file: number, path: path.clone(), content: content.clone() });
            }
        }
        disk
    }

    /// Everything that was done to it, in order. Partial writes are logged as what was written.
    #[must_use]
    pub fn log(&self) -> Vec<Operation> {
        self.shared.state.lock().log.clone()
    }

    /// Its files as a running system sees them.
    #[must_use]
    pub fn files(&self) -> Files {
        let state = self.shared.state.lock();
        state.names.iter().map(|(path, number)| (path.clone(), state.contents[*number].clone())).collect()
    }

    /// From now on takes `bytes` more, then is full.
    pub fn set_room(&self, bytes: u64) {
        self.shared.state.lock().faults.room = Some(bytes);
    }

    /// Ends [`Self::set_room`].
    pub fn make_room(&self) {
        self.shared.state.lock().faults.room = None;
    }

    /// The `k`-th append to a part from now on, 0 for the next one, fails with an input/output error.
    pub fn fail_append(&self, k: usize) {
        plan(&mut self.shared.state.lock().faults.appends, k);
    }

    /// The `k`-th sync of a part from now on, 0 for the next one, fails with an input/output error.
    pub fn fail_sync(&self, k: usize) {
        plan(&mut self.shared.state.lock().faults.syncs, k);
    }

    /// Appends take at most `bytes` at once.
    pub fn set_append_max(&self, bytes: usize) {
        self.shared.state.lock().faults.append_max = Some(bytes);
    }

    /// Whether cutting files fails.
    pub fn set_truncate_fails(&self, fails: bool) {
        self.shared.state.lock().faults.truncate_fails = fails;
    }

    /// From now on refuses every change, as after a remount.
    pub fn set_read_only(&self) {
        self.shared.state.lock().faults.read_only = true;
    }

    /// Appends and syncs of parts block until [`Self::release`].
    pub fn stall(&self) {
        self.shared.state.lock().faults.stalled = true;
    }

    /// Waits until somebody is blocked by [`Self::stall`]; whether that happened in time.
    #[must_use]
    pub fn wait_until_blocked(&self) -> bool {
        let mut state = self.shared.state.lock();
        !self.shared.blocked.wait_while_for(&mut state, |state| state.faults.waiting == 0, PATIENCE).timed_out()
    }

    /// Ends [`Self::stall`].
    pub fn release(&self) {
        self.shared.state.lock().faults.stalled = false;
        self.shared.released.notify_all();
    }

    fn file(&self, number: usize, path: &Path) -> Arc<dyn PartFile> {
        Arc::new(SimulatedFile { shared: Arc::clone(&self.shared), number, is_part: is_part(path) })
    }
}

impl Shared {
    /// The state, once the disk moves.
    fn lock_moving(&self, is_part: bool) -> parking_lot::MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while is_part && state.faults.stalled {
            state.faults.waiting += 1;
            self.blocked.notify_all();
            self.released.wait(&mut state);
            state.faults.waiting -= 1;
        }
        state
    }
}

impl Storage for SimulatedDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        self.shared.state.lock().faults.writable()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        let mut state = self.shared.state.lock();
        state.faults.writable()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.faults.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = state.contents.len();
        state.contents.push(Vec::new());
        state.names.insert(path.to_owned(), number);
        state.log.push(Operation::Create { file: number, path: path.to_owned() });
        Ok(self.file(number, path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        let state = self.shared.state.lock();
        // Ours is opened for appending, which a read-only file system refuses.
        state.faults.writable()?;
        let number = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(number, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.faults.writable()?;
        let number = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), number);
        state.log.push(Operation::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.faults.writable()?;
        state.names.remove(path);
        state.log.push(Operation::Remove { path: path.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.faults.writable()?;
        state.log.push(Operation::SyncDir { path: path.to_owned() });
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        // What is left by plan is a surprise: nobody may see it coming.
        Ok(UNLIMITED)
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(UNLIMITED)
    }
}

/// An open file of a [`SimulatedDisk`].
#[derive(Debug)]
struct SimulatedFile {
    shared: Arc<Shared>,
    number: usize,
    is_part: bool,
}

impl PartFile for SimulatedFile {
    fn append(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.shared.lock_moving(self.is_part);
        let state = &mut *state;
        state.faults.writable()?;
        if self.is_part {
            Faults::next(&mut state.faults.appends)?;
        }
        let wanted: usize = bytes.iter().map(|slice| slice.len()).sum();
        let mut taken = wanted.min(state.faults.append_max.unwrap_or(wanted));
        if let Some(room) = &mut state.faults.room {
            taken = usize::try_from(*room).map_or(taken, |room| taken.min(room));
            if taken == 0 && wanted > 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= taken as u64;
        }
        let written: Vec<u8> = bytes.iter().flat_map(|slice| slice.iter().copied()).take(taken).collect();
        let content = &mut state.contents[self.number];
        let offset = content.len();
        content.extend_from_slice(&written);
        state.log.push(Operation::Write { file: self.number, offset, bytes: written });
        Ok(taken)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.shared.lock_moving(self.is_part);
        state.faults.writable()?;
        if self.is_part {
            Faults::next(&mut state.faults.syncs)?;
        }
        state.log.push(Operation::SyncData { file: self.number });
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        state.faults.writable()?;
        if state.faults.truncate_fails {
            return Err(input_output_error());
        }
        let len = usize::try_from(len).map_err(|_too_large| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let content = &mut state.contents[self.number];
        let freed = content.len().saturating_sub(len);
        content.resize(len, 0);
        if let Some(room) = &mut state.faults.room {
            *room += freed as u64;
        }
        state.log.push(Operation::Truncate { file: self.number, len });
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.shared.state.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = state.contents[self.number].get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.shared.state.lock().contents[self.number].len() as u64)
    }
}
