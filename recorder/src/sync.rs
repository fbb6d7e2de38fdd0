//! Makes a growing part durable beside its writer: one thread per open part, fdatasync at most every `interval`. The
//! writer never waits for it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use sagwan_schemas::recording::storage::PartFile;
use sha2::{Digest, Sha256};

/// Read at once for hashing, bytes.
const HASH_STEP: usize = 1 << 20;
/// No disk asks for more.
const ALIGNMENT: usize = 4096;

#[derive(Debug, Default)]
struct Shared {
    /// Bytes written, by the writer.
    written: AtomicU64,
    /// Bytes known to be durable.
    synced: AtomicU64,
    failed: AtomicBool,
    /// Longest time between two syncs that data waited for, ms.
    exposure_millis_max: AtomicU64,
    stop: Mutex<bool>,
    wake: Condvar,
}

/// The thread that syncs one part.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// SHA-256 of the file's first `end` bytes, lower-case hex; empty where it cannot be read.
///
/// Costs about half a second per gigabyte: for the thread that closes parts, not for one that records.
pub(crate) fn sha256(file: &dyn PartFile, end: u64) -> String {
    let mut digest = Sha256::new();
    // Aligned, so that a file that bypasses the page cache is read that way too.
    let mut memory = vec![0; HASH_STEP + ALIGNMENT];
    let aligned = memory.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut memory[aligned..aligned + HASH_STEP];
    let mut hashed = 0;
    while hashed < end {
        let want = usize::try_from(end - hashed).map_or(HASH_STEP, |rest| rest.min(HASH_STEP));
        match file.read_at(&mut buffer[..want], hashed) {
            Ok(got) if got > 0 => {
                digest.update(&buffer[..got]);
                hashed += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => {
                tracing::error!(?other, "cannot read a part back for its hash");
                return String::new();
            }
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Syncer {
    pub(crate) fn spawn(file: Arc<dyn PartFile>, interval: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("sagwan-sync".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&*file, &shared, interval)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Tells that the file has `bytes` bytes of whole records.
    pub(crate) fn written(&self, bytes: u64) {
        self.shared.written.store(bytes, Ordering::Release);
    }

    /// Bytes known to be durable.
    pub(crate) fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// Whether a sync failed: nothing is known about what was written since the last one.
    pub(crate) fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Longest time that data waited for its sync.
    pub(crate) fn exposure_max(&self) -> Duration {
        Duration::from_millis(self.shared.exposure_millis_max.load(Ordering::Relaxed))
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        self.halt();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs a part panicked");
        }
    }

    fn halt(&self) {
        *self.shared.stop.lock() = true;
        self.shared.wake.notify_all();
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.halt();
    }
}

fn run(file: &dyn PartFile, shared: &Shared, interval: Duration) {
    let mut last_sync = Instant::now();
    loop {
        {
            let mut stop = shared.stop.lock();
            let deadline = last_sync + interval;
            while !*stop && !shared.wake.wait_until(&mut stop, deadline).timed_out() {}
            if *stop {
                return;
            }
        }
        let written = shared.written.load(Ordering::Acquire);
        let began = Instant::now();
        if written > shared.synced.load(Ordering::Acquire) {
            if let Err(error) = file.sync_data() {
                tracing::error!(%error, "fdatasync failed: what was written since the last one may be lost");
                shared.failed.store(true, Ordering::Release);
                return;
            }
            shared.synced.store(written, Ordering::Release);
            let exposure = u64::try_from(last_sync.elapsed().as_millis()).unwrap_or(u64::MAX);
            shared.exposure_millis_max.fetch_max(exposure, Ordering::Relaxed);
        }
        // The interval counts from when a sync began: a slow one does not add to the next.
        last_sync = began;
    }
}
