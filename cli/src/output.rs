//! The only place that prints: results to standard output, everything else to standard error.
//!
//! A reader that went away (`sagwan info … | head`) is no error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::args::Command;

/// How a command ended; its exit code is a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 0.
    Done,
    /// 1: it could not do what was asked.
    Failed,
    /// 3: done, but with data loss or findings of severity error.
    Lossy,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Lossy => 3,
        })
    }
}

/// Prints a text to standard output as it is.
pub(crate) fn text(text: &str) {
    // Who reads it may be gone.
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line to standard output.
pub(crate) fn line(line: impl AsRef<str>) {
    let line = line.as_ref();
    text(&format!("{line}\n"));
}

/// Prints a value to standard output as indented JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")));
}

/// Prints a value to standard output as one line of JSON.
pub(crate) fn json_line(value: &impl serde::Serialize) {
    line(serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")));
}

/// Tells a person something that is no result.
pub(crate) fn note(line: impl AsRef<str>) {
    let _ = writeln!(LogWriter, "{}", line.as_ref());
}

/// An error with its whole chain of causes.
pub(crate) fn error(error: &anyhow::Error) {
    note(format!("error: {error}"));
    for cause in error.chain().skip(1) {
        for (index, part) in cause.to_string().lines().enumerate() {
            note(format!("{}{part}", if index == 0 { "  because: " } else { "           " }));
        }
    }
}

/// What the command line parser says; `--help` and `--version` are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether a person looks at standard output and can press keys.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Korean where the environment asks for it.
pub(crate) fn is_korean() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).is_some_and(|value| value.starts_with("ko"))
}

/// A bar on standard error while something long runs; invisible in a pipe. Without a total it is a spinner.
pub(crate) fn progress(total: Option<u64>, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Log lines wait here while the dashboard has the screen.
static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static HOLDING: AtomicBool = AtomicBool::new(false);
/// Most bytes that wait; the oldest go first.
const HELD_MAX: usize = 8 << 10;

/// Keeps log lines off the screen until [`release_log`].
pub(crate) fn hold_log() {
    HOLDING.store(true, Ordering::SeqCst);
}

/// Prints what was held, and everything from now on.
pub(crate) fn release_log() {
    HOLDING.store(false, Ordering::SeqCst);
    let held = std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner));
    let _ = io::stderr().write_all(&held);
}

#[derive(Clone, Copy, Debug)]
struct LogWriter;

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !HOLDING.load(Ordering::SeqCst) {
            let _ = io::stderr().write_all(bytes);
            return Ok(bytes.len());
        }
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend_from_slice(bytes);
        if held.len() > HELD_MAX {
            let excess = held.len() - HELD_MAX / 2;
            let cut = held.iter().skip(excess).position(|byte| *byte == b'\n').map_or(excess, |at| excess + at + 1);
            held.drain(..cut);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// How much a command logs without being asked to say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Errors: it tells what matters itself.
    Little,
    /// Warnings.
    Some,
    /// What happens.
    Much,
}

impl Talk {
    /// How much `command` logs.
    pub(crate) const fn of(command: &Command) -> Self {
        match command {
            Command::Demo(_) => Self::Little,
            Command::Record(_) => Self::Much,
            _ => Self::Some,
        }
    }
}

/// Log lines on standard error; `-v` says what happens, `-vv` everything of ours. `RUST_LOG` wins.
pub(crate) fn start_log(verbose: u8, talk: Talk) {
    let ours = match (verbose, talk) {
        (0, Talk::Little) => "error",
        (0, Talk::Some) => "warn",
        (0, Talk::Much) | (1, _) => "info",
        (2.., _) => "debug",
    };
    // zenoh's session calls every sample that crosses the end of a subscription an error.
    let others = "error,zenoh::api::session=off";
    let default = format!("{others},sagwan={ours},sagwan_recorder={ours},sagwan_bridges={ours},sagwan_datasets={ours}");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A subscriber that is there already is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogWriter)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
