//! What a power cut may leave of a disk, given the log of what was done to it.
//!
//! The model is as hostile as POSIX allows where the recorder could notice, and no more:
//! - What a file held at its last sync is there, unless it was cut or overwritten since.
//! - Of everything since, each 512-byte sector holds any of the contents that it had since the last sync, or zeros where
//!   it never had one, and the file has any of the sizes it had, or ends at a sector in between.
//! - Creations, renames and removals happen in order, and are durable up to any of those since the directory's last
//!   sync. They do not wait for the data.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Files by path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// One thing done to a disk. Files have numbers, because their names change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file that was there, durably, before the log began.
    Found {
        /// Its number.
        file: usize,
        /// Its name.
        path: PathBuf,
        /// What it held.
        content: Vec<u8>,
    },
    /// A new, empty file.
    Create {
        /// Its number.
        file: usize,
        /// Its name.
        path: PathBuf,
    },
    /// Bytes were written.
    Write {
        /// The file's number.
        file: usize,
        /// Where they begin.
        offset: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file was cut.
    Truncate {
        /// Its number.
        file: usize,
        /// Bytes left.
        len: usize,
    },
    /// A file's content was made durable.
    SyncData {
        /// Its number.
        file: usize,
    },
    /// A file got another name.
    Rename {
        /// Former name.
        from: PathBuf,
        /// New name.
        to: PathBuf,
    },
    /// A name was removed.
    Remove {
        /// The name.
        path: PathBuf,
    },
    /// A directory's names were made durable.
    SyncDir {
        /// The directory.
        path: PathBuf,
    },
}

/// A file's content: durable, and since.
#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    /// Contents after each operation since the last sync, oldest first.
    since: Vec<Vec<u8>>,
}

impl Content {
    fn now(&self) -> &[u8] {
        self.since.last().unwrap_or(&self.durable)
    }

    /// A content that the cut may leave.
    fn torn(&self, rng: &mut impl Rng) -> Vec<u8> {
        let versions: Vec<&[u8]> =
            std::iter::once(&self.durable[..]).chain(self.since.iter().map(Vec::as_slice)).collect();
        let longest = versions.iter().map(|version| version.len()).max().unwrap_or(0);
        let shortest = versions.iter().map(|version| version.len()).min().unwrap_or(0);
        let len = match rng.random_range(0..3) {
            0 => versions[rng.random_range(0..versions.len())].len(),
            1 => longest,
            _ => (rng.random_range(shortest..=longest) / SECTOR * SECTOR).max(shortest),
        };
        // Mostly whole, mostly missing, or half and half.
        let present = [0.1, 0.5, 0.9][rng.random_range(0..3)];
        let mut torn = vec![0; len];
        for (sector, bytes) in torn.chunks_mut(SECTOR).enumerate() {
            let start = sector * SECTOR;
            let version =
                if rng.random_bool(present) { versions.len() - 1 } else { rng.random_range(0..versions.len()) };
            let source = versions[version].get(start..).unwrap_or_default();
            let count = source.len().min(bytes.len());
            bytes[..count].copy_from_slice(&source[..count]);
        }
        torn
    }
}

/// Goes through a log and tells the states that a cut may leave.
#[derive(Clone, Debug, Default)]
pub struct CrashStates {
    contents: BTreeMap<usize, Content>,
    /// Names as they are durable.
    durable: BTreeMap<PathBuf, usize>,
    /// Names after each operation since.
    since: Vec<(PathBuf, BTreeMap<PathBuf, usize>)>,
}

impl CrashStates {
    /// Before the first operation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Does one operation.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Found { file, path, content } => {
                self.contents.insert(*file, Content { durable: content.clone(), since: Vec::new() });
                self.durable.insert(path.clone(), *file);
            }
            Operation::Create { file, path } => {
                self.contents.insert(*file, Content::default());
                self.change_names(path, |names| names.insert(path.clone(), *file));
            }
            Operation::Write { file, offset, bytes } => self.change(*file, |content| {
                content.resize(*offset, 0);
                content.extend_from_slice(bytes);
            }),
            Operation::Truncate { file, len } => self.change(*file, |content| content.resize(*len, 0)),
            Operation::SyncData { file } => {
                let content = self.contents.entry(*file).or_default();
                if let Some(last) = content.since.pop() {
                    content.durable = last;
                    content.since.clear();
                }
            }
            Operation::Rename { from, to } => self.change_names(to, |names| {
                let file = names.remove(from);
                file.and_then(|file| names.insert(to.clone(), file))
            }),
            Operation::Remove { path } => self.change_names(path, |names| names.remove(path)),
            Operation::SyncDir { path } => self.sync_dir(path),
        }
    }

    fn change(&mut self, file: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let content = self.contents.entry(file).or_default();
        let mut next = content.now().to_vec();
        change(&mut next);
        content.since.push(next);
    }

    fn change_names(&mut self, path: &Path, change: impl FnOnce(&mut BTreeMap<PathBuf, usize>) -> Option<usize>) {
        let mut names = self.names().clone();
        change(&mut names);
        self.since.push((path.parent().unwrap_or(Path::new("")).to_owned(), names));
    }

    fn names(&self) -> &BTreeMap<PathBuf, usize> {
        self.since.last().map_or(&self.durable, |(_, names)| names)
    }

    /// A journal commits in order: everything up to the last change in that directory becomes durable.
    fn sync_dir(&mut self, dir: &Path) {
        if let Some(last) = self.since.iter().rposition(|(changed, _)| changed == dir) {
            self.durable = self.since.drain(..=last).next_back().map(|(_, names)| names).unwrap_or_default();
        }
    }

    /// What is certainly there: durable content under durable names.
    #[must_use]
    pub fn certain(&self) -> Files {
        self.durable.iter().map(|(path, file)| (path.clone(), self.contents[file].durable.clone())).collect()
    }

    /// What is there if nothing since was lost, as after the death of the process alone.
    #[must_use]
    pub fn all(&self) -> Files {
        self.names().iter().map(|(path, file)| (path.clone(), self.contents[file].now().to_vec())).collect()
    }

    /// States that a cut now may leave: the least, the most, every set of names with all data, and `samples` at random.
    #[must_use]
    pub fn possible(&self, samples: usize, rng: &mut impl Rng) -> Vec<Files> {
        let mut states = vec![self.certain(), self.all()];
        let histories: Vec<_> =
            std::iter::once(&self.durable).chain(self.since.iter().map(|(_, names)| names)).collect();
        for names in &histories {
            states.push(names.iter().map(|(path, file)| (path.clone(), self.contents[file].now().to_vec())).collect());
        }
        for _ in 0..samples {
            let names = histories[rng.random_range(0..histories.len())];
            states.push(names.iter().map(|(path, file)| (path.clone(), self.contents[file].torn(rng))).collect());
        }
        states.sort_unstable();
        states.dedup();
        states
    }
}

/// The states that a cut after the first `at` operations of `log` may leave; `samples` of them at random from `seed`.
#[must_use]
pub fn crash_states(log: &[Operation], at: usize, samples: usize, seed: u64) -> Vec<Files> {
    let mut states = CrashStates::new();
    log.iter().take(at).for_each(|operation| states.apply(operation));
    states.possible(samples, &mut ChaCha8Rng::seed_from_u64(seed))
}
