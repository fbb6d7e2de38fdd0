//! Puts MCAP files back on the wire in the native dialect with their original timing.
//!
//! Every channel becomes a stream whose descriptor carries topic, message encoding, schema and metadata, so that a
//! recorder writes the same channel again. Payloads go out as they are, per channel in order of log time and then of the
//! file; capture time is the message's publish time. Attachments and metadata records of the files are not sent.
//!
//! The pieces: `source` opens a file and reads its messages, `streams` decides which channel is which stream, `pace` says
//! when a message is due; here they are run. Knows no recorder: the other end may be anybody.

mod pace;
mod source;
mod streams;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::bounded;
use sagwan_schemas::time::Timestamp;
use zenoh::{Session, qos::Priority};

use crate::native::{Congestion, Flushed, NativeError, Publisher, PublisherOptions, StreamDescriptor, flush};

use pace::Schedule;
pub use pace::{Pace, SystemPace};
use source::{Source, Window};
use streams::{Selection, plan};

/// Progress is reported at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// With some but not all streams subscribed, how long to wait for the next subscription.
const LATE_SUBSCRIBERS: Duration = Duration::from_millis(300);
/// How often a wait looks whether it should stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);
/// How long receivers that confirm may need for what is still on its way.
const FLUSH_PATIENCE: Duration = Duration::from_secs(30);
/// How often the end looks whether every schema was asked for.
const LINGER_INTERVAL: Duration = Duration::from_millis(10);

/// What to send, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOptions {
    /// Seconds of log time per second; 0, negative or not finite means as fast as the network takes it.
    pub rate: f64,
    /// Begin again at the end, until stopped.
    pub looped: bool,
    /// First log time sent.
    pub start: Option<Timestamp>,
    /// Log time before which sending ends.
    pub end: Option<Timestamp>,
    /// Topics to send, `*` stands for any text; empty means all but `/sagwan/…`, which must be asked for.
    pub include: Vec<String>,
    /// Topics not to send, in the same spelling; wins over `include`.
    pub exclude: Vec<String>,
    /// Second part of the keys, after `sagwan/v1`.
    pub platform: String,
    /// How long to wait for subscribers before the first message; `None` does not wait.
    pub wait_for_subscribers: Option<Duration>,
    /// How long the streams stay alive at the end for receivers that do not confirm that they have everything (see
    /// [`crate::native::flush()`]) or have not asked for the schemas yet. With those that do, the end comes at once.
    pub linger: Duration,
    /// What to do when the network is slower than the recording.
    pub congestion: Congestion,
    /// Decompressed chunks that may be in memory at once, bytes; files that need more are read in file order, which
    /// needs memory for one message only.
    pub memory_bytes: u64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            rate: 1.0,
            looped: false,
            start: None,
            end: None,
            include: Vec::new(),
            exclude: Vec::new(),
            platform: "replay".to_owned(),
            wait_for_subscribers: Some(Duration::from_secs(5)),
            linger: Duration::from_secs(2),
            congestion: Congestion::Block,
            memory_bytes: 512 * 1024 * 1024,
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Messages sent so far, over all loops.
    pub messages: u64,
    /// Payload bytes sent so far.
    pub bytes: u64,
    /// Messages of one pass, if the files say it.
    pub total_messages: Option<u64>,
    /// Log time of the last message; `None` before the first and at the end.
    pub log_time: Option<Timestamp>,
    /// Since the first message was due.
    pub elapsed: Duration,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// One entry per stream, in the order of the files' channels.
    pub streams: Vec<StreamReport>,
    /// Messages sent.
    pub messages: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// From the first to the last message.
    pub elapsed: Duration,
    /// Complete passes.
    pub passes: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// Whether every stream had a subscriber before its first message, if that was waited for.
    pub all_subscribed: Option<bool>,
    /// Receivers that confirmed to have every message; 0 if none can or one did not in time.
    pub confirmed: usize,
    /// Files that could not be read to their end, and messages that belong to no channel.
    pub damage: Vec<Damage>,
}

/// What was sent of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReport {
    /// Topic of its channel.
    pub topic: String,
    /// Key it was sent on.
    pub key: String,
    /// Messages sent.
    pub messages: u64,
    /// Payload bytes sent.
    pub bytes: u64,
}

/// Something of a file that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; everything before it was sent.
    pub reason: String,
    /// Messages that were read but belong to no channel.
    pub orphans: u64,
}

/// Why nothing, or nothing more, could be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A directory without MCAP files in it or its `parts/`.
    #[error("no .mcap file in {path} nor in its parts/")]
    NoFiles {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory could not be read.
    #[error("cannot read {path}")]
    Read {
        /// File or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not an MCAP file.
    #[error("not a readable MCAP file: {path}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: mcap::McapError,
    },
    /// The range ends before it starts.
    #[error("the range ends at {end}, before its start at {start}")]
    Range {
        /// First log time asked for.
        start: Timestamp,
        /// End asked for.
        end: Timestamp,
    },
    /// More channels than a session should publish.
    #[error("{count} channels are more than the {max} that are sent at once; choose topics")]
    TooManyStreams {
        /// Channels selected.
        count: usize,
        /// Most that are sent.
        max: usize,
    },
    /// No channel is left to send.
    #[error("no topic to send: the files have {available} channels, none is selected")]
    NothingSelected {
        /// Channels in the files.
        available: usize,
    },
    /// A stream could not be published.
    #[error("cannot publish topic {topic}")]
    Publish {
        /// Topic of the channel.
        topic: String,
        /// Why.
        source: NativeError,
    },
}

/// Sends `paths`, MCAP files or recording directories, one after the other, until the end or until `stop` is true.
///
/// Parts of one directory keep the time between them; each further path begins at once. When it returns, receivers that
/// confirm have everything; for others the end waits [`ReplayOptions::linger`], because closing the session cuts off
/// what is still on its way.
///
/// # Errors
/// [`ReplayError`]. Files that are damaged at the end are sent as far as they go and named in the report.
pub fn replay(
    session: &Session,
    paths: &[PathBuf],
    options: &ReplayOptions,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<ReplayReport, ReplayError> {
    replay_paced(session, paths, options, &SystemPace::new(), stop, progress)
}

/// [`replay`] with the time injected.
///
/// # Errors
/// As [`replay`].
pub fn replay_paced(
    session: &Session,
    paths: &[PathBuf],
    options: &ReplayOptions,
    pace: &dyn Pace,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<ReplayReport, ReplayError> {
    let window = Window::new(options.start, options.end)?;
    let groups = open_groups(paths, options.memory_bytes)?;
    let sources = || groups.iter().flatten();
    let selection = Selection { include: &options.include, exclude: &options.exclude };
    let planned = plan(sources().map(|s| &s.channels), &selection)?;
    let streams = declare(session, options, planned.streams)?;
    let total_messages = window.is_all().then(|| source::count(sources().zip(&planned.routes))).flatten();

    let mut run = Run {
        session,
        options,
        window,
        pace,
        stop,
        progress,
        streams,
        total_messages,
        report: ReplayReport::default(),
        started: pace.now_nanos(),
        reported: None,
    };
    if let Some(patience) = options.wait_for_subscribers {
        run.report.all_subscribed = Some(run.wait_for_subscribers(patience)?);
    }
    run.started = pace.now_nanos();
    loop {
        let before = run.report.messages;
        run.pass(&groups, &planned.routes)?;
        if run.report.stopped || !options.looped || run.report.messages == before {
            break;
        }
    }
    run.linger();
    Ok(run.finish())
}

/// Sources of each path: the parts of one recording are one group.
fn open_groups(paths: &[PathBuf], memory_bytes: u64) -> Result<Vec<Vec<Source>>, ReplayError> {
    let open = |path: &PathBuf| {
        files_of(path)?.into_iter().map(|file| Source::open(file, memory_bytes)).collect::<Result<Vec<_>, _>>()
    };
    paths.iter().map(open).collect()
}

/// The file itself, or the MCAP files of a recording directory in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let read = |source| ReplayError::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(read)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let parts = path.join("parts");
    let directory = if parts.is_dir() { parts } else { path.to_owned() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(read)? {
        let file = entry.map_err(read)?.path();
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // `.active` is the part that was being written when its recorder died.
        if name.ends_with(".mcap") || name.ends_with(".mcap.active") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ReplayError::NoFiles { path: path.to_owned() });
    }
    Ok(files)
}

struct Stream {
    publisher: Publisher,
    sent: StreamReport,
}

fn declare(
    session: &Session,
    options: &ReplayOptions,
    planned: Vec<StreamDescriptor>,
) -> Result<Vec<Stream>, ReplayError> {
    let declare_one = |descriptor: StreamDescriptor| {
        let topic = descriptor.channel.topic.clone();
        let publisher_options = PublisherOptions { congestion: options.congestion, ..PublisherOptions::default() };
        match Publisher::declare(session, &options.platform, descriptor, publisher_options) {
            Ok(publisher) => {
                let key = publisher.key().to_owned();
                Ok(Stream { publisher, sent: StreamReport { topic, key, messages: 0, bytes: 0 } })
            }
            Err(source) => Err(ReplayError::Publish { topic, source }),
        }
    };
    planned.into_iter().map(declare_one).collect()
}

/// One replay under way.
struct Run<'a> {
    session: &'a Session,
    options: &'a ReplayOptions,
    window: Window,
    pace: &'a dyn Pace,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(Progress),
    streams: Vec<Stream>,
    total_messages: Option<u64>,
    report: ReplayReport,
    started: i64,
    reported: Option<i64>,
}

impl Run<'_> {
    /// Sends everything once.
    fn pass(&mut self, groups: &[Vec<Source>], routes: &[streams::Routes]) -> Result<(), ReplayError> {
        let mut routes = routes.iter();
        for group in groups {
            let mut schedule = Schedule::new(self.options.rate);
            for source in group {
                let Some(route) = routes.next() else { continue };
                self.send_source(source, route, &mut schedule)?;
                if self.report.stopped {
                    return Ok(());
                }
            }
        }
        self.report.passes += 1;
        Ok(())
    }

    fn send_source(
        &mut self,
        source: &Source,
        route: &streams::Routes,
        schedule: &mut Schedule,
    ) -> Result<(), ReplayError> {
        if route.is_empty() {
            return Ok(());
        }
        let mut orphans = 0;
        let mut messages = source.messages(self.window, route)?;
        while let Some(message) = messages.next()? {
            let Some(&index) = route.get(&message.channel_id) else {
                orphans += u64::from(!source.channels.contains_key(&message.channel_id));
                continue;
            };
            if self.wait_until_due(schedule, message.log_time) {
                self.report.stopped = true;
                return Ok(());
            }
            let Some(stream) = self.streams.get_mut(index) else { continue };
            let bytes = message.data.len() as u64;
            stream
                .publisher
                .put(message.data, Timestamp::from_mcap(message.publish_time))
                .map_err(|source| ReplayError::Publish { topic: stream.sent.topic.clone(), source })?;
            stream.sent.messages += 1;
            stream.sent.bytes += bytes;
            self.report.messages += 1;
            self.report.bytes += bytes;
            self.show(Some(Timestamp::from_mcap(message.log_time)), false);
        }
        let reason = messages.damage().map(ToString::to_string);
        if reason.is_some() || orphans > 0 {
            let reason = reason.unwrap_or_else(|| "messages of unknown channels".to_owned());
            let damage = Damage { path: source.path.clone(), reason, orphans };
            // A loop meets the same damage in every pass.
            if !self.report.damage.contains(&damage) {
                self.report.damage.push(damage);
            }
        }
        Ok(())
    }

    /// Returns whether to stop instead.
    fn wait_until_due(&self, schedule: &mut Schedule, log_time: u64) -> bool {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return true;
            }
            let early = schedule.nanos_until(log_time, self.pace.now_nanos());
            if early == 0 {
                return false;
            }
            self.pace.wait(Duration::from_nanos(early).min(STOP_INTERVAL));
        }
    }

    /// Waits until every stream has a subscriber, or some have and no more come; false if not all have.
    fn wait_for_subscribers(&mut self, patience: Duration) -> Result<bool, ReplayError> {
        let (sender, changes) = bounded(1);
        for stream in &self.streams {
            let sender = sender.clone();
            let watched = stream.publisher.on_subscribers(move |_| {
                // Full means that a change is already waiting to be looked at.
                sender.try_send(()).ok();
            });
            watched.map_err(|source| ReplayError::Publish { topic: stream.sent.topic.clone(), source })?;
        }
        let deadline = Instant::now() + patience;
        let mut quiet_since = Instant::now();
        loop {
            let subscribed = self.subscribed()?;
            let now = Instant::now();
            if subscribed == self.streams.len() {
                return Ok(true);
            }
            let is_quiet = subscribed > 0 && now.duration_since(quiet_since) >= LATE_SUBSCRIBERS;
            if is_quiet || now >= deadline || self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            self.show(None, false);
            if changes.recv_timeout(STOP_INTERVAL.min(deadline - now)).is_ok() {
                quiet_since = Instant::now();
            }
        }
    }

    /// Keeps the streams alive until everybody has everything and knows what it is.
    fn linger(&mut self) {
        let ended = self.pace.now_nanos();
        self.report.elapsed = elapsed(self.started, ended);
        let unknown = |s: &Stream| s.sent.messages > 0 && s.publisher.schema_requests() == 0;
        loop {
            if self.report.confirmed == 0 {
                match flush(self.session, Priority::Data, FLUSH_PATIENCE) {
                    Flushed::Confirmed(receivers) => self.report.confirmed = receivers,
                    // Perhaps its answerer is not known here yet.
                    Flushed::Unanswered => {}
                    Flushed::TimedOut => return,
                }
            }
            let is_known = self.report.confirmed > 0 && !self.streams.iter().any(unknown);
            let is_over = elapsed(ended, self.pace.now_nanos()) >= self.options.linger;
            if is_known || is_over || self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.pace.wait(LINGER_INTERVAL);
        }
    }

    fn subscribed(&self) -> Result<usize, ReplayError> {
        let mut count = 0;
        for stream in &self.streams {
            let has = stream.publisher.has_subscriber();
            let has = has.map_err(|source| ReplayError::Publish { topic: stream.sent.topic.clone(), source })?;
            count += usize::from(has);
        }
        Ok(count)
    }

    fn show(&mut self, log_time: Option<Timestamp>, always: bool) {
        let now = self.pace.now_nanos();
        let since = self.reported.map(|at| elapsed(at, now));
        if !always && since.is_some_and(|since| since < PROGRESS_INTERVAL) {
            return;
        }
        self.reported = Some(now);
        (self.progress)(Progress {
            messages: self.report.messages,
            bytes: self.report.bytes,
            total_messages: self.total_messages,
            log_time,
            elapsed: elapsed(self.started, now),
        });
    }

    fn finish(mut self) -> ReplayReport {
        self.show(None, true);
        self.report.streams = self.streams.into_iter().map(|stream| stream.sent).collect();
        self.report
    }
}

fn elapsed(from: i64, to: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}
