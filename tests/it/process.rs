//! Real processes that are killed, interrupted, and run out of disk.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use sagwan_tests::contents::{Message, read_finished, read_unfinished};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(2);

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::park_timeout(LOOK);
    }
}

fn sagwan(arguments: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagwan"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn endpoint(&self) -> String {
        format!("unixsock-stream/{}", self.dir.path().join("wire.sock").display())
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn simulate(&self) -> Running {
        sagwan(&["simulate", "vessel", "--listen", &self.endpoint()])
    }

    fn record(&self, out: &Path, more: &[&str]) -> Running {
        let (endpoint, out) = (self.endpoint(), out.display().to_string());
        let arguments = ["record", "--key", "sagwan/v1/**", "--connect", &endpoint, "--out", &out];
        sagwan(&[&arguments[..], more].concat())
    }
}

/// Parts below `out` with that ending.
fn parts(out: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = entries(out.to_owned()).flat_map(|recording| entries(recording.join("parts")));
    found.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn bytes_of(paths: &[PathBuf]) -> u64 {
    paths.iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// Messages in whole chunks of unfinished parts.
fn written(out: &Path) -> BTreeSet<Message> {
    let read = |path: &PathBuf| read_unfinished(&fs::read(path).unwrap_or_default()).messages;
    parts(out, ".mcap.active").iter().flat_map(read).collect()
}

fn sound_messages(out: &Path) -> BTreeSet<Message> {
    let read = |path: PathBuf| {
        let content = fs::read(&path).unwrap();
        read_finished(&content).unwrap_or_else(|error| panic!("{}: {error:?}", path.display())).messages
    };
    parts(out, ".mcap").into_iter().flat_map(read).collect()
}

#[test]
fn a_recorder_that_is_killed_loses_nothing_it_had_written() {
    let bench = Bench::new();
    let _ship = bench.simulate();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for round in 0..3 {
        let mut recorder = bench.record(&bench.out(), &[]);
        let wanted = rng.random_range(10..400);
        until("enough is written", || written(&bench.out()).len() > wanted);
        recorder.0.kill().unwrap();
        recorder.end();
        let left = parts(&bench.out(), ".mcap.active");
        let promised = written(&bench.out());
        assert!(!promised.is_empty(), "round {round}");
        let mut next = bench.record(&bench.out(), &["--duration", "1"]);
        assert_eq!(next.end().code(), Some(0), "round {round}");
        assert_eq!(parts(&bench.out(), ".mcap.active"), Vec::<PathBuf>::new());
        let found = sound_messages(&bench.out());
        assert_eq!(promised.difference(&found).count(), 0, "round {round}: of {} messages", promised.len());
        for part in &left {
            let recording = part.parent().and_then(Path::parent).unwrap().display().to_string();
            assert_eq!(sagwan(&["check", &recording]).end().code(), Some(0), "{recording}");
        }
    }
}

#[test]
fn two_interrupts_in_a_row_do_not_corrupt() {
    let bench = Bench::new();
    let _ship = bench.simulate();
    let mut recorder = bench.record(&bench.out(), &[]);
    until("something is written", || bytes_of(&parts(&bench.out(), ".mcap.active")) > 50_000);
    recorder.signal(Signal::INT);
    recorder.signal(Signal::INT);
    let status = recorder.end();
    assert!(status.code().is_some(), "{status}");
    let mut next = bench.record(&bench.out(), &["--duration", "1"]);
    assert_eq!(next.end().code(), Some(0));
    assert_eq!(parts(&bench.out(), ".mcap.active"), Vec::<PathBuf>::new());
    assert!(!sound_messages(&bench.out()).is_empty());
}

/// A mounted tmpfs.
struct Mount(PathBuf);

impl Mount {
    #[expect(clippy::print_stderr, reason = "tells why nothing was tested")]
    fn new(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("skipped: a tmpfs cannot be mounted here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process may still have it open when its test failed.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_file_system_that_fills_up_ends_the_recording_with_sound_parts() {
    let bench = Bench::new();
    let Some(mount) = Mount::new(bench.out(), "3m") else { return };
    let _ship = bench.simulate();
    let mut recorder = bench.record(&mount.0, &[]);
    assert_eq!(recorder.end().code(), Some(3));
    assert_eq!(parts(&mount.0, ".mcap.active"), Vec::<PathBuf>::new());
    assert!(!sound_messages(&mount.0).is_empty());
}

#[test]
fn a_file_system_that_turns_read_only_leaves_parts_that_are_recovered() {
    let bench = Bench::new();
    let Some(mount) = Mount::new(bench.out(), "60m") else { return };
    let _ship = bench.simulate();
    let mut recorder = bench.record(&mount.0, &[]);
    until("something is written", || bytes_of(&parts(&mount.0, ".mcap.active")) > 50_000);
    // A plain remount is refused while a file is open for writing; then there is nothing to test.
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&mount.0).output();
    if !remounted.is_ok_and(|output| output.status.success()) {
        return;
    }
    recorder.signal(Signal::TERM);
    assert_eq!(recorder.end().code(), Some(3));
}
