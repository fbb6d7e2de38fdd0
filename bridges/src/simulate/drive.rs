//! Puts samples where they belong when they are due. Knows neither what is in them nor what takes them.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sagwan_schemas::{profile::Stream, time::Timestamp};

use super::{
    Options, Platform, SimulateError,
    fault::{Fate, FaultError, FaultPlan, corrupt},
    pace::{Due, Paced, Rhythm, Schedule},
    platform::{Moment, Source, is_heavy},
    report::{Journal, Outcome, Report, StreamReport, Use},
};
use crate::native::NativeError;

/// Takes the samples of one stream.
pub trait Sink: Send {
    /// Key expression.
    fn key(&self) -> String;
    /// When this instance of the publisher started, nanoseconds UTC.
    fn instance(&self) -> i64;
    /// Sends one sample under the next number.
    ///
    /// # Errors
    /// When it cannot be sent.
    fn put(&mut self, payload: Vec<u8>, capture_time: Timestamp) -> Result<(), NativeError>;
    /// Uses up a number.
    fn skip(&mut self);
    /// Begins anew: another instance, numbers from 0.
    ///
    /// # Errors
    /// When it cannot.
    fn restart(&mut self) -> Result<(), NativeError>;
}

/// Time since the start.
pub trait Timer: Sync {
    /// Nanoseconds since the start.
    fn now(&self) -> i64;
    /// Returns true at that time, or false as soon as everything is to end.
    fn wait_until(&self, nanos: i64) -> bool;
}

/// The machine's time, and a flag that ends it.
#[derive(Debug)]
pub struct RealTimer<'a> {
    origin: Instant,
    stop: &'a AtomicBool,
}

/// How long the flag may go unseen.
const STOP_LATENCY: Duration = Duration::from_millis(50);

impl<'a> RealTimer<'a> {
    /// Starts now.
    #[must_use]
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self { origin: Instant::now(), stop }
    }
}

impl Timer for RealTimer<'_> {
    fn now(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    fn wait_until(&self, nanos: i64) -> bool {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = nanos.saturating_sub(self.now());
            if left <= 0 {
                return true;
            }
            thread::sleep(Duration::from_nanos(left.unsigned_abs()).min(STOP_LATENCY));
        }
    }
}

/// Samples whose turn comes this much too late are counted, nanoseconds.
const LATE: i64 = 10_000_000;

struct Playing<S> {
    /// Place in the report.
    place: usize,
    source: Box<dyn Source>,
    sink: S,
    report: StreamReport,
    next: u64,
    restarts: usize,
}

struct Worker<S> {
    streams: Vec<Playing<S>>,
    schedule: Schedule,
}

struct Shared<'a, T> {
    timer: &'a T,
    start: Timestamp,
    journal: Option<Mutex<Journal>>,
    failed: AtomicBool,
}

/// Plays all streams of a platform into what `open` gives; `begin` is asked for the timer and the wall clock when
/// everything is ready.
///
/// # Errors
/// The first thing that fails ends all.
pub fn drive<S: Sink, T: Timer>(
    platform: &Platform,
    options: &Options,
    open: impl Fn(&Stream) -> Result<S, SimulateError>,
    begin: &dyn Fn() -> (T, Timestamp),
) -> Result<Report, SimulateError> {
    let chosen = check(platform, options)?;
    let mut workers = assemble(platform, options, &chosen, open)?;
    let (timer, start) = begin();
    let mut report =
        Report { platform: options.platform.clone(), seed: options.seed, start, streams: streams_of(&workers) };
    let journal = options.report.as_ref().map(|path| Journal::create(path, &report)).transpose();
    let journal = journal.map_err(SimulateError::Report)?.map(Mutex::new);
    let shared = Shared { timer: &timer, start, journal, failed: AtomicBool::new(false) };
    let outcomes: Vec<Result<(), SimulateError>> = thread::scope(|scope| {
        let handles: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                let name = worker.streams.first().map_or_else(String::new, |first| first.report.stream.clone());
                let thread_name = format!("sim {name}").chars().take(15).collect();
                let handle = thread::Builder::new().name(thread_name).spawn_scoped(scope, || worker.run(&shared));
                (name, handle)
            })
            .collect();
        handles
            .into_iter()
            .map(|(stream, handle)| match handle.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(SimulateError::Thread { stream }),
            })
            .collect()
    });
    outcomes.into_iter().collect::<Result<(), _>>()?;
    report.streams = streams_of(&workers);
    if let Some(journal) = shared.journal {
        let journal = journal.into_inner().unwrap_or_else(PoisonError::into_inner);
        journal.finish(&report).map_err(SimulateError::Report)?;
    }
    Ok(report)
}

/// The streams to play, after a look at the options.
fn check(platform: &Platform, options: &Options) -> Result<Vec<usize>, SimulateError> {
    if !(options.rate_scale > 0.0 && options.rate_scale.is_finite()) {
        return Err(SimulateError::RateScale { scale: options.rate_scale });
    }
    let named = options.faults.iter().filter_map(|fault| fault.stream());
    for name in named.chain(options.streams.iter().map(String::as_str)) {
        if !platform.streams().iter().any(|stream| stream.name == name) {
            let known: Vec<&str> = platform.streams().iter().map(|stream| stream.name.as_str()).collect();
            let source = FaultError::Stream { stream: name.to_owned(), known: known.join(", ") };
            return Err(SimulateError::Stream { kind: platform.kind(), source });
        }
    }
    let wanted = |stream: &Stream| options.streams.is_empty() || options.streams.contains(&stream.name);
    let streams = platform.streams().iter().enumerate();
    Ok(streams.filter(|(_, stream)| wanted(stream)).map(|(index, _)| index).collect())
}

fn assemble<S: Sink>(
    platform: &Platform,
    options: &Options,
    chosen: &[usize],
    open: impl Fn(&Stream) -> Result<S, SimulateError>,
) -> Result<Vec<Worker<S>>, SimulateError> {
    let (heavy, light): (Vec<usize>, Vec<usize>) =
        chosen.iter().copied().partition(|&stream| is_heavy(&platform.streams()[stream]));
    let groups = std::iter::once(light).chain(heavy.into_iter().map(|stream| vec![stream]));
    let mut workers = Vec::new();
    for group in groups.filter(|group| !group.is_empty()) {
        let mut streams = Vec::new();
        let mut paced = Vec::new();
        for index in group {
            let stream = &platform.streams()[index];
            let sink = open(stream)?;
            let report = StreamReport { stream: stream.name.clone(), key: sink.key(), ..Default::default() };
            let place = chosen.iter().position(|&other| other == index).unwrap_or_default();
            streams.push(Playing { place, source: platform.source(index)?, sink, report, next: 0, restarts: 0 });
            let rhythm = match platform.rhythm(stream) {
                Rhythm::Rate(rate) => Rhythm::Rate(rate * options.rate_scale),
                Rhythm::Once => Rhythm::Once,
            };
            paced.push(Paced { rhythm, faults: FaultPlan::for_stream(&options.faults, &stream.name, options.seed) });
        }
        let end = options.duration.map(|duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
        workers.push(Worker { streams, schedule: Schedule::new(paced, end, options.max_messages) });
    }
    Ok(workers)
}

fn streams_of<S>(workers: &[Worker<S>]) -> Vec<StreamReport> {
    let mut streams: Vec<_> =
        workers.iter().flat_map(|worker| &worker.streams).map(|stream| (stream.place, &stream.report)).collect();
    streams.sort_by_key(|(place, _)| *place);
    streams.into_iter().map(|(_, report)| report.clone()).collect()
}

impl<S: Sink> Worker<S> {
    fn run<T: Timer>(&mut self, shared: &Shared<'_, T>) -> Result<(), SimulateError> {
        while let Some(due) = self.schedule.next() {
            if shared.failed.load(Ordering::Relaxed) || !shared.timer.wait_until(due.send_at) {
                break;
            }
            let faults = self.schedule.faults(due.stream);
            if let Err(error) = self.streams[due.stream].play(&due, faults, shared) {
                shared.failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl<S: Sink> Playing<S> {
    fn play<T: Timer>(&mut self, due: &Due, faults: &FaultPlan, shared: &Shared<'_, T>) -> Result<(), SimulateError> {
        let delay = shared.timer.now().saturating_sub(due.send_at);
        self.report.late += u64::from(delay > LATE);
        self.report.latest_nanos = self.report.latest_nanos.max(delay);
        let publish = |source| SimulateError::Publish { stream: self.report.stream.clone(), source };
        while self.restarts < faults.restarts(due.at) {
            self.sink.restart().map_err(publish)?;
            self.restarts += 1;
            self.next = 0;
        }
        let outcome = match faults.fate(due.index, due.at) {
            Fate::Silent => {
                self.report.stalled += 1;
                return Ok(());
            }
            Fate::Drop => Outcome::Dropped,
            Fate::Corrupt => Outcome::Corrupted,
            Fate::Send => Outcome::Sent,
        };
        let capture_time = shared.start.offset(due.at).offset(faults.clock_offset(due.at));
        let mut payload = Vec::new();
        if outcome != Outcome::Dropped {
            let moment = Moment { index: due.index, seconds: due.at as f64 * 1e-9, capture_time };
            let made = self.source.sample(&moment);
            payload = made.map_err(|source| SimulateError::Image { stream: self.report.stream.clone(), source })?;
        }
        if outcome == Outcome::Corrupted {
            corrupt(&mut payload);
        }
        let (instance, bytes) = (self.sink.instance(), payload.len() as u64);
        let usage = Use { stream: self.place, instance, sequence: self.next, outcome, bytes };
        self.next += 1;
        if let Some(journal) = &shared.journal {
            let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.note(&usage).map_err(SimulateError::Report)?;
        }
        match outcome {
            Outcome::Dropped => self.sink.skip(),
            Outcome::Sent | Outcome::Corrupted => self.sink.put(payload, capture_time).map_err(publish)?,
        }
        self.report.count(&usage);
        Ok(())
    }
}
