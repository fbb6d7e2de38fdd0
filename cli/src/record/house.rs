//! The directory of recordings: what crashes left in it, and room for the next hours.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sagwan_recorder::{
    daemon::Daemon,
    leftover,
    recorder::Options,
    retention::{self, RealDisk},
};

use crate::units;

/// How often recordings beyond the quota are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// Finishes recordings that a crash left open. What cannot be finished is told and does not hinder a new recording.
pub(super) fn recover_leftovers(options: &Options) {
    match leftover::recover_all(&*options.storage, &options.root) {
        Ok((recovered, failed)) => {
            for done in recovered {
                let torn: u64 = done.parts.iter().map(|part| part.bytes_lost).sum();
                tracing::warn!(
                    "recovered {} that a crash left open: {} messages kept, {} of its torn end lost",
                    done.recording_id,
                    units::count(done.messages),
                    units::bytes(torn)
                );
            }
            for (path, error) in failed {
                let error = anyhow::Error::new(error);
                tracing::warn!("{} was left open by a crash and cannot be recovered: {error:#}", path.display());
            }
        }
        Err(error) => tracing::warn!("cannot look for recordings that a crash left: {:#}", anyhow::Error::new(error)),
    }
}

/// Deletes the oldest finished recordings beyond the quota; `active` are never touched. Without a quota only the remains
/// of earlier deletions go.
pub(super) fn make_room(options: &Options, active: &[String]) {
    if let Err(error) = try_make_room(options, active) {
        tracing::warn!("cannot make room: {error:#}");
    }
}

fn try_make_room(options: &Options, active: &[String]) -> anyhow::Result<()> {
    let root = &options.root;
    retention::sweep_trash(&RealDisk, root)?;
    let quota = options.profile.profile.recording.quota.0;
    if quota == 0 {
        return Ok(());
    }
    let active: BTreeSet<String> = active.iter().cloned().collect();
    let scan = retention::scan(&RealDisk, root, &active)?;
    let min_free = match options.profile.profile.recording.min_free.0 {
        0 => options.storage.automatic_reserve(root),
        given => given,
    };
    let free = options.storage.free_bytes(root).unwrap_or(u64::MAX);
    let plan = retention::plan(&scan.recordings, quota, min_free, free);
    for deletion in &plan.delete {
        tracing::info!("deleting {} ({}): beyond the quota", deletion.id, units::bytes(deletion.bytes));
        retention::delete(&RealDisk, root, &deletion.id)?;
    }
    if !plan.enough {
        tracing::warn!(
            "the quota of {} cannot be kept: only preserved, running and the newest recordings are left",
            units::bytes(quota)
        );
    }
    Ok(())
}

/// Makes room again and again while recording, beside it.
#[derive(Debug)]
pub(super) struct Housekeeping {
    next: Instant,
    busy: Arc<AtomicBool>,
}

impl Housekeeping {
    pub(super) fn new() -> Self {
        Self { next: Instant::now() + RETENTION_INTERVAL, busy: Arc::default() }
    }

    /// Starts a round when it is time and the last one is over.
    pub(super) fn look(&mut self, daemon: &Arc<Daemon>) {
        let options = daemon.options();
        if options.profile.profile.recording.quota.0 == 0
            || Instant::now() < self.next
            || self.busy.swap(true, Ordering::SeqCst)
        {
            return;
        }
        self.next = Instant::now() + RETENTION_INTERVAL;
        let (options, busy) = (options.clone(), Arc::clone(&self.busy));
        let active: Vec<String> = daemon.status().map(|status| status.recording_id.clone()).into_iter().collect();
        let round = move || {
            make_room(&options, &active);
            busy.store(false, Ordering::SeqCst);
        };
        if let Err(error) = thread::Builder::new().name("sagwan-retention".to_owned()).spawn(round) {
            tracing::warn!(%error, "cannot start a thread");
        }
    }
}
