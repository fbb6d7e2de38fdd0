//! Executes a retention plan under a root directory so that a crash at any point leaves whole recordings and trash,
//! never half a recording.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use sagwan_schemas::recording::{layout::RecordingDir, manifest::Manifest};

use super::Stored;

/// Prefix of the name that a recording gets before it is removed.
const TRASH: &str = ".trash-";
/// Most entries of a recording that are counted, so that a directory that is no recording cannot keep it busy.
const ENTRIES_MAX: usize = 100_000;

/// What the sweep needs of a file system, as narrow as that, so that tests can make it fail.
pub trait Disk {
    /// Names of the directories in `root`; symbolic links are none.
    ///
    /// # Errors
    /// The file system's.
    fn directories(&self, root: &Path) -> io::Result<Vec<String>>;
    /// Bytes of all files below a directory.
    ///
    /// # Errors
    /// The file system's.
    fn bytes(&self, directory: &Path) -> io::Result<u64>;
    /// Gives a directory another name and makes that survive a power loss.
    ///
    /// # Errors
    /// The file system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a directory and all in it, following no link.
    ///
    /// # Errors
    /// The file system's; part of it may be gone.
    fn remove(&self, directory: &Path) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn directories(&self, root: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn bytes(&self, directory: &Path) -> io::Result<u64> {
        let (mut bytes, mut entries) = (0_u64, 0);
        let mut open = vec![directory.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                // Of the entry itself, not of what a link points to.
                let metadata = entry.metadata()?;
                entries += 1;
                if entries > ENTRIES_MAX {
                    return Ok(bytes);
                }
                if metadata.is_dir() {
                    open.push(entry.path());
                } else {
                    bytes = bytes.saturating_add(metadata.len());
                }
            }
        }
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        match to.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        fs::remove_dir_all(directory)
    }
}

/// A step of the sweep that failed. What was done before it stays done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// The root could not be listed.
    #[error("cannot list the recordings in {}", root.display())]
    List {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An id that is no name of a directory below the root.
    #[error("{id:?} is not the id of a recording")]
    Id {
        /// The id.
        id: String,
    },
    /// A recording could not be taken out; it is still whole.
    #[error("cannot delete the recording {}", path.display())]
    Rename {
        /// The recording.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was taken out could not be removed; the next sweep tries again.
    #[error("cannot remove what is left of a deleted recording, {}", path.display())]
    Remove {
        /// The trash.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The recordings under a root.
#[derive(Debug, Default)]
pub struct Scan {
    /// Those with a readable manifest.
    pub recordings: Vec<Stored>,
    /// Directories that have a manifest which cannot be read, or is another's; never deleted.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Looks at every `<root>/*/recording.json`; `active` are the ids being recorded now. Directories without a manifest are
/// not recordings and are passed over.
///
/// # Errors
/// [`RetentionError::List`].
pub fn scan(disk: &impl Disk, root: &Path, active: &BTreeSet<String>) -> Result<Scan, RetentionError> {
    let names = disk.directories(root).map_err(|source| RetentionError::List { root: root.to_owned(), source })?;
    let mut scan = Scan::default();
    for id in names.into_iter().filter(|name| is_id(name)) {
        let directory = RecordingDir::new(root, &id);
        if !directory.manifest().exists() {
            continue;
        }
        match stored(disk, &directory, active) {
            Ok(stored) => scan.recordings.push(stored),
            Err(reason) => scan.unreadable.push((directory.path, reason)),
        }
    }
    Ok(scan)
}

fn stored(disk: &impl Disk, directory: &RecordingDir, active: &BTreeSet<String>) -> Result<Stored, String> {
    let manifest = Manifest::read(&directory.manifest()).map_err(|error| error.to_string())?;
    if manifest.recording_id != directory.id {
        return Err(format!("its manifest is that of {:?}", manifest.recording_id));
    }
    Ok(Stored {
        bytes: disk.bytes(&directory.path).map_err(|error| error.to_string())?,
        ended_at: manifest.ended.map(|moment| moment.ns),
        preserved: manifest.preserved,
        active: active.contains(&directory.id),
        id: directory.id.clone(),
    })
}

/// Deletes one recording: it first gets a name that is no recording's, durably, and is then removed.
///
/// # Errors
/// [`RetentionError::Id`], [`RetentionError::Rename`] (still whole), [`RetentionError::Remove`] (gone, but not its space).
pub fn delete(disk: &impl Disk, root: &Path, id: &str) -> Result<(), RetentionError> {
    if !is_id(id) {
        return Err(RetentionError::Id { id: id.to_owned() });
    }
    let (path, trash) = (root.join(id), root.join(format!("{TRASH}{id}")));
    // A leftover of the same name would be in the way.
    if trash.exists() {
        disk.remove(&trash).map_err(|source| RetentionError::Remove { path: trash.clone(), source })?;
    }
    disk.rename(&path, &trash).map_err(|source| RetentionError::Rename { path, source })?;
    disk.remove(&trash).map_err(|source| RetentionError::Remove { path: trash, source })
}

/// Removes what interrupted deletions left; returns how many.
///
/// # Errors
/// [`RetentionError::List`]; [`RetentionError::Remove`] of the first that could not be removed, after all were tried.
pub fn sweep_trash(disk: &impl Disk, root: &Path) -> Result<usize, RetentionError> {
    let names = disk.directories(root).map_err(|source| RetentionError::List { root: root.to_owned(), source })?;
    let (mut removed, mut failed) = (0, None);
    for name in names.iter().filter(|name| name.starts_with(TRASH)) {
        let path = root.join(name);
        match disk.remove(&path) {
            Ok(()) => removed += 1,
            Err(source) => failed = failed.or(Some(RetentionError::Remove { path, source })),
        }
    }
    failed.map_or(Ok(removed), Err)
}

/// One visible path component.
fn is_id(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use sagwan_schemas::{
        recording::manifest::{FORMAT_VERSION, Moment, State},
        time::Timestamp,
    };
    use std::cell::Cell;

    fn manifest(id: &str, preserved: bool) -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            recording_id: id.to_owned(),
            state: State::Finished,
            started: Moment::from(Timestamp::from_nanos(1)),
            ended: Some(Moment::from(Timestamp::from_nanos(2))),
            platform: "p".to_owned(),
            profile: None,
            operator: String::new(),
            site: String::new(),
            consent: String::new(),
            notes: String::new(),
            host: Default::default(),
            clock: Default::default(),
            preserved,
            parts: Vec::new(),
            loss: Default::default(),
            episodes: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn recording(root: &Path, id: &str, manifest: &Manifest) -> u64 {
        let directory = RecordingDir::new(root, id);
        fs::create_dir_all(directory.parts()).unwrap();
        let json = serde_json::to_vec(manifest).unwrap();
        fs::write(directory.manifest(), &json).unwrap();
        fs::write(directory.part(0), [0; 1000]).unwrap();
        1000 + json.len() as u64
    }

    /// Fails from the `n`th change on, as a machine that dies does.
    struct Dying(Cell<usize>);

    impl Dying {
        fn step(&self) -> io::Result<()> {
            match self.0.get() {
                0 => Err(io::ErrorKind::Other.into()),
                n => {
                    self.0.set(n - 1);
                    Ok(())
                }
            }
        }
    }

    impl Disk for Dying {
        fn directories(&self, root: &Path) -> io::Result<Vec<String>> {
            RealDisk.directories(root)
        }
        fn bytes(&self, directory: &Path) -> io::Result<u64> {
            RealDisk.bytes(directory)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.step()?;
            RealDisk.rename(from, to)
        }
        fn remove(&self, directory: &Path) -> io::Result<()> {
            // Dies in the middle: a part is gone, the rest is not.
            for entry in fs::read_dir(directory.join("parts")).into_iter().flatten() {
                self.step()?;
                fs::remove_file(entry?.path())?;
            }
            self.step()?;
            RealDisk.remove(directory)
        }
    }

    #[test]
    fn a_scan_finds_recordings_and_reports_what_it_cannot_read() {
        let root = tempfile::tempdir().unwrap();
        let bytes = recording(root.path(), "a", &manifest("a", false));
        recording(root.path(), "b", &manifest("b", true));
        recording(root.path(), "c", &manifest("another", false));
        recording(root.path(), ".trash-d", &manifest("d", false));
        recording(root.path(), "e", &manifest("e", false));
        fs::write(root.path().join("e/recording.json"), "{").unwrap();
        fs::create_dir(root.path().join("holiday pictures")).unwrap();
        std::os::unix::fs::symlink(root.path().join("a"), root.path().join("link")).unwrap();
        let scan = scan(&RealDisk, root.path(), &BTreeSet::from(["b".to_owned()])).unwrap();
        let ended_at = Some(Timestamp::from_nanos(2));
        assert_eq!(scan.recordings[0], Stored { id: "a".to_owned(), bytes, ended_at, preserved: false, active: false });
        assert_eq!(
            scan.recordings.iter().map(|r| (r.preserved, r.active)).collect::<Vec<_>>(),
            [(false, false), (true, true)]
        );
        let unreadable: Vec<_> = scan.unreadable.iter().filter_map(|(path, _)| path.file_name()).collect();
        assert_eq!(unreadable, ["c", "e"]);
    }

    #[test]
    fn a_deletion_that_dies_anywhere_leaves_whole_recordings_and_trash_that_the_next_sweep_cleans() {
        for steps in 0..6 {
            let root = tempfile::tempdir().unwrap();
            recording(root.path(), "a", &manifest("a", false));
            recording(root.path(), "b", &manifest("b", false));
            let died = delete(&Dying(Cell::new(steps)), root.path(), "a").is_err();
            assert_eq!(died, steps < 3, "{steps}");
            let scan = scan(&RealDisk, root.path(), &BTreeSet::new()).unwrap();
            assert!(scan.unreadable.is_empty());
            for stored in &scan.recordings {
                assert!(RecordingDir::new(root.path(), &stored.id).part(0).exists(), "{steps}: {stored:?}");
            }
            assert!(scan.recordings.iter().any(|r| r.id == "b"));
            sweep_trash(&RealDisk, root.path()).unwrap();
            assert!(RealDisk.directories(root.path()).unwrap().iter().all(|name| !name.starts_with(TRASH)));
        }
    }

    #[test]
    fn ids_that_point_elsewhere_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for id in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b"] {
            assert!(matches!(delete(&RealDisk, root.path(), id), Err(RetentionError::Id { .. })), "{id:?}");
        }
    }

    #[test]
    fn a_recording_is_preserved_once_with_its_reason() {
        let mut manifest = manifest("a", false);
        assert!(super::super::preserve(&mut manifest, "near miss"));
        assert!(!super::super::preserve(&mut manifest, "again"));
        assert!(manifest.preserved);
        assert_eq!(manifest.remarks, ["preserved: near miss"]);
    }
}
