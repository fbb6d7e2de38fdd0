//! Watching a recording without a terminal: log lines for people, lines of JSON for programs. Alarms are in the log by
//! the recorder itself.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sagwan_recorder::{
    daemon::{Daemon, Phase},
    status::Status,
};

use super::{View, shown_path};
use crate::{output, units};

/// Time between two lines of how it goes.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two lines of JSON.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// Log lines on standard error.
#[derive(Debug)]
pub(super) struct LogLines {
    next: Instant,
    recording: Option<String>,
}

impl LogLines {
    pub(super) fn new(daemon: &Daemon) -> Self {
        if daemon.phase() == Phase::Idle {
            tracing::info!("waiting for `sagwan ctl start`; Ctrl-C ends");
        }
        Self { next: Instant::now(), recording: None }
    }
}

impl View for LogLines {
    fn look(&mut self, daemon: &Arc<Daemon>, patience: Duration) -> anyhow::Result<()> {
        thread::sleep(patience);
        let Some(status) = daemon.status() else { return Ok(()) };
        let phase = daemon.phase();
        if phase == Phase::Recording && self.recording.as_ref() != Some(&status.recording_id) {
            self.recording = Some(status.recording_id.clone());
            self.next = Instant::now() + LINE_INTERVAL;
            let path = daemon.path().map(|path| shown_path(&path)).unwrap_or_default();
            tracing::info!("recording to {path}");
        }
        if phase == Phase::Recording && Instant::now() >= self.next {
            self.next += LINE_INTERVAL;
            tracing::info!("{}", line(&status));
        }
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// How it goes, in one line.
pub(super) fn line(status: &Status) -> String {
    let lost = status.lost.total();
    let lost = if lost == 0 { "nothing lost".to_owned() } else { format!("{} LOST", units::count(lost)) };
    let rate: f64 = status.streams.iter().map(|stream| stream.rate_hz).sum();
    format!(
        "{}  {} samples, {}/s  {}, {}  {lost}  disk {}{}",
        units::clock(status.elapsed_seconds),
        units::count(status.received),
        units::hertz(rate),
        units::bytes(status.bytes),
        units::bytes_per_second(status.bytes_per_second),
        units::bytes(status.disk.free),
        status.disk.seconds_left.map_or(String::new(), |left| format!(" ({})", units::roughly(left))),
    )
}

/// A line of JSON every second on standard output.
#[derive(Debug, Default)]
pub(super) struct JsonLines {
    last: Option<Instant>,
}

impl View for JsonLines {
    fn look(&mut self, daemon: &Arc<Daemon>, patience: Duration) -> anyhow::Result<()> {
        if self.last.is_none_or(|last| last.elapsed() >= JSON_INTERVAL) && daemon.phase() != Phase::Finishing {
            self.last = Some(Instant::now());
            output::json_line(&daemon.status_json());
        }
        thread::sleep(patience);
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
