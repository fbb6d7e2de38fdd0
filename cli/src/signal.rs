//! SIGINT and SIGTERM: the first asks to finish, a second is told that it is finishing, only the third ends at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::Context as _;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::output;

/// Whether somebody asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    flag: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

/// Exit code of a process ended by SIGINT, by the shells' convention.
const KILLED: i32 = 130;

impl Stop {
    /// Listens for signals from now on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let stop = Self { flag: Arc::default(), count: Arc::default() };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let told = stop.clone();
        std::thread::Builder::new()
            .name("sagwan-signal".to_owned())
            .spawn(move || {
                for _signal in &mut signals {
                    told.ask();
                }
            })
            .context("cannot start a thread")?;
        Ok(stop)
    }

    /// Asks to stop, as a signal does.
    pub(crate) fn ask(&self) {
        self.flag.store(true, Ordering::SeqCst);
        match self.count.fetch_add(1, Ordering::SeqCst) {
            0 => {}
            1 => output::note(
                "finishing: what was received is being written and the files are being closed; please wait",
            ),
            _ => {
                output::release_log();
                crate::dashboard::restore_terminal();
                output::note("ended at once; an unfinished part is recovered at the next start");
                std::process::exit(KILLED);
            }
        }
    }

    /// Whether to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// For functions that want a flag.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.flag
    }
}
