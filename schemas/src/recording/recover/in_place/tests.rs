//! Recovery in place on a disk that dies at any operation.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IoSlice,
    sync::{Mutex, MutexGuard},
};

use super::*;
use crate::recording::{
    recover::tests::{Known, build_lanes, checked, layout},
    storage::PartFile,
};

/// A file's bytes as programs see them, and as they survive a power loss.
#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    seen: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// Changes that still succeed; then the machine is dead.
    left: usize,
}

#[derive(Clone, Debug)]
struct Sim(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct SimFile(Sim, usize);

impl Sim {
    fn with(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut disk = Disk { left: usize::MAX, ..Disk::default() };
        for (path, bytes) in files {
            disk.seen.insert(path.clone(), disk.inodes.len());
            disk.inodes.push(Inode { seen: bytes.clone(), durable: bytes.clone() });
        }
        disk.durable = disk.seen.clone();
        Self(Arc::new(Mutex::new(disk)))
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn change(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.lock();
        if disk.left == 0 {
            return Err(io::Error::other("the machine is dead"));
        }
        disk.left -= 1;
        Ok(disk)
    }

    /// What is on the disk after the machine died: all that was done, or only what was synced.
    fn after_power_loss(&self, only_synced: bool) -> BTreeMap<PathBuf, Vec<u8>> {
        let disk = self.lock();
        let names = if only_synced { &disk.durable } else { &disk.seen };
        names
            .iter()
            .map(|(path, i)| {
                let inode = &disk.inodes[*i];
                (path.clone(), if only_synced { inode.durable.clone() } else { inode.seen.clone() })
            })
            .collect()
    }
}

impl Storage for Sim {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        let mut disk = self.change()?;
        let inode = disk.inodes.len();
        if disk.seen.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.inodes.push(Inode::default());
        disk.seen.insert(path.to_owned(), inode);
        Ok(Arc::new(SimFile(self.clone(), inode)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn PartFile>> {
        let inode = *self.lock().seen.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.change()?;
        let inode = disk.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.seen.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.lock().seen.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change()?.seen.remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut disk = self.change()?;
        disk.durable = disk.seen.clone();
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn total_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl PartFile for SimFile {
    fn append(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut disk = self.0.change()?;
        // Short writes, so that the machine dies in the middle of a record too.
        let first = bytes.iter().find(|b| !b.is_empty()).map_or(&[][..], |b| &b[..b.len().min(700)]);
        disk.inodes[self.1].seen.extend_from_slice(first);
        Ok(first.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.change()?;
        let inode = &mut disk.inodes[self.1];
        inode.durable = inode.seen.clone();
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.change()?.inodes[self.1].seen.truncate(len as usize);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.0.lock();
        let rest = disk.inodes[self.1].seen.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().inodes[self.1].seen.len() as u64)
    }
}

const ACTIVE: &str = "/r/parts/r_0000.mcap.active";
const WHOLE: &str = "/r/parts/r_0000.mcap";

/// Recovers, dying after every number of changes; whatever is left is recovered again and must hold `expected`.
fn check_at_every_death(damaged: &[u8], expected: &BTreeSet<Known>) {
    let files = BTreeMap::from([(PathBuf::from(ACTIVE), damaged.to_vec())]);
    for changes in 0..200 {
        let sim = Sim::with(&files);
        sim.lock().left = changes;
        let done = recover_in_place(&sim, Path::new(ACTIVE));
        for only_synced in [false, true] {
            let left = Sim::with(&sim.after_power_loss(only_synced));
            recover_in_place(&left, Path::new(ACTIVE)).unwrap();
            // Once more: nothing to do.
            let again = recover_in_place(&left, Path::new(ACTIVE)).unwrap();
            assert_eq!(again.outcome, Outcome::Whole);
            let files = left.after_power_loss(true);
            let found = checked(&files[Path::new(WHOLE)]);
            assert!(found.is_superset(expected), "{changes} changes, only synced: {only_synced}");
            let names: Vec<_> = left.after_power_loss(false).into_keys().collect();
            assert_eq!(names, [PathBuf::from(WHOLE)], "{changes} changes");
        }
        if done.is_ok() {
            return;
        }
    }
    panic!("recovery never ended");
}

fn expected(whole: &[u8], damaged: &[u8]) -> BTreeSet<Known> {
    let units = layout(whole).units.into_iter();
    let intact = units.filter(|(range, _)| damaged.get(range.clone()) == Some(&whole[range.clone()]));
    intact.flat_map(|(_, messages)| messages).collect()
}

#[test]
fn a_machine_that_dies_during_recovery_loses_nothing_intact() {
    let whole = build_lanes(24, false);
    let chunks: Vec<_> = layout(&whole).units.into_iter().map(|(range, _)| range).collect();
    let (second, last) = (chunks[1].clone(), chunks.last().unwrap().clone());
    // Torn in a chunk, in its message indexes, in its head, and between records.
    for cut in [last.end - 10, last.end + 20, last.start + 5, last.start, second.end - 3, 30, 0] {
        check_at_every_death(&whole[..cut], &expected(&whole, &whole[..cut]));
    }
    // A file system that grew the file but did not write it.
    let mut zeros = whole.clone();
    zeros[last.start..].fill(0);
    check_at_every_death(&zeros, &expected(&whole, &zeros));
    // The last but some chunk did not get to the disk, later ones did.
    let mut hole = whole.clone();
    hole[second.start + 3..second.end - 2].fill(0);
    check_at_every_death(&hole, &expected(&whole, &hole));
    // Died while writing the summary, or before the rename.
    let finished = build_lanes(24, true);
    for cut in [finished.len(), finished.len() - 1, finished.len() - 60, whole.len() + 5] {
        check_at_every_death(&finished[..cut], &expected(&finished, &finished));
    }
}

#[test]
fn a_torn_chunk_gives_back_its_complete_messages() {
    let whole = build_lanes(24, false);
    let layout = layout(&whole);
    // The last plain chunk, cut three bytes before its end: all but its last message are complete.
    let (range, messages) = layout.units.iter().rev().find(|(_, m)| m[0].topic == "/t0").unwrap();
    let sim = Sim::with(&BTreeMap::from([(PathBuf::from(ACTIVE), whole[..range.end - 3].to_vec())]));
    let report = recover_in_place(&sim, Path::new(ACTIVE)).unwrap();
    assert_eq!(report.outcome, Outcome::Finished);
    assert_eq!(report.unverified, messages.len() as u64 - 1, "{}", report.to_text());
    let found = checked(&sim.after_power_loss(true)[Path::new(WHOLE)]);
    assert!(messages[..messages.len() - 1].iter().all(|m| found.contains(m)));
}

#[test]
fn truncated_at_every_byte_a_part_is_finished_with_all_that_is_intact() {
    let whole = build_lanes(18, false);
    let mut before = (Vec::new(), BTreeSet::new());
    for len in 0..=whole.len() {
        let sim = Sim::with(&BTreeMap::from([(PathBuf::from(ACTIVE), whole[..len].to_vec())]));
        recover_in_place(&sim, Path::new(ACTIVE)).unwrap();
        let out = sim.after_power_loss(true).remove(Path::new(WHOLE)).unwrap();
        if before.0 != out {
            before = (out.clone(), checked(&out));
        }
        assert!(before.1.is_superset(&expected(&whole, &whole[..len])), "{len}");
    }
}

#[test]
fn only_unfinished_parts_are_touched() {
    let sim = Sim::with(&BTreeMap::from([(PathBuf::from("/x.mcap"), Vec::new())]));
    assert!(matches!(recover_in_place(&sim, Path::new("/x.mcap")), Err(RecoverError::Name { .. })));
    assert!(matches!(recover_in_place(&sim, Path::new("/y.mcap.active")), Err(RecoverError::Read { .. })));
}
