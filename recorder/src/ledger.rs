//! The loss ledger: every sample that is known to be missing, with its cause.
//!
//! Pure bookkeeping on the writer thread. It is told what was queued, shed and lost on the way to the disk, in arrival
//! order per source, and finds from the publishers' numbers what never arrived. For every source, once
//! [finished](Ledger::finish), exactly `sent = recorded + transport + queue + disk`, where `sent` counts from the first
//! number that belongs to the recording to the last one seen, per publisher instance.
//!
//! What counts as what:
//! - The first number of an instance is where it was joined, not a gap, unless its attachment tells that the instance
//!   started after the recording did: then everything from 0 on belongs to the recording.
//! - A step forward opens a gap. It is held back until 64 further samples of the instance, one second, or 64 newer gaps
//!   have passed; a number that comes late fills it. Only then is it final and told.
//! - Another instance value is a restart, not a gap. Without instance values, a number at or below the last one that
//!   fills no gap is a restart, and so is a step forward beyond 2³²: no stream loses four billion samples in between.
//! - The last number again is a duplicate; with an instance value, so is any number accounted for already. Duplicates
//!   are counted apart from `recorded`, whether or not they are written.
//!
//! Memory: eight instances per source, each with at most 64 open gaps and 256 shed runs; what waits to be drained is
//! merged per source and cause beyond 4096 entries.

mod gap;
mod run;
mod track;

use sagwan_schemas::time::Timestamp;

use self::{
    gap::{Journal, Missing},
    track::{Open, Span, Taken, Track},
};
pub use gap::{Cause, Gap, LossSummary, Lost, SourceLoss, Totals};
pub use run::{Numbering, Run, RunNumbers};

/// Instances per source that may send in turns.
const MAX_TRACKS: usize = 8;

/// One (channel, publisher) pair; a dense index, valid for the ledger that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

impl SourceId {
    /// As an index into per-source tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the ledger made of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The next number, or a sample without one.
    InOrder,
    /// The first number of an instance.
    Joined,
    /// Later than the next number: some are missing.
    Jumped,
    /// Out of order, but in time.
    Late,
    /// Accounted for already; not part of any [`Run`] given to [`Ledger::disk_lost`].
    Duplicate,
}

/// The account of one source.
#[derive(Debug)]
struct Source {
    topic: String,
    publisher: String,
    /// Instances, in the order in which they were met; never empty.
    tracks: Vec<Track>,
    current: usize,
    /// Numbers that belonged to instances that are not kept any more.
    retired_sent: u64,
    /// Whether an instance was given up to make room: one that comes back may look new.
    forgetful: bool,
    instances: u64,
    joined_at: Option<u64>,
    received: u64,
    recorded: u64,
    duplicates: u64,
    unnumbered: u64,
    lost: Lost,
    first_log_time: Option<Timestamp>,
    last_log_time: Option<Timestamp>,
}

/// The loss ledger of one recording.
#[derive(Debug)]
pub struct Ledger {
    started: Timestamp,
    sources: Vec<Source>,
    journal: Journal,
    /// Scratch: gaps that just became final.
    settled: Vec<Open>,
}

impl Ledger {
    /// The ledger of a recording that started at `started` of the recorder's wall clock.
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self { started, sources: Vec::new(), journal: Journal::default(), settled: Vec::new() }
    }

    /// Opens the account of another source. `publisher` is empty where it is not known.
    ///
    /// # Panics
    /// Beyond 2³² sources, which no memory holds.
    #[expect(clippy::expect_used, reason = "each source holds more than one byte")]
    pub fn add_source(&mut self, topic: impl Into<String>, publisher: impl Into<String>) -> SourceId {
        let id = u32::try_from(self.sources.len()).expect("fewer than 2³² sources");
        self.sources.push(Source::new(topic.into(), publisher.into()));
        self.journal.add_source();
        SourceId(id)
    }

    /// Corrects the topic of a source, once its publisher has told it.
    pub fn set_topic(&mut self, source: SourceId, topic: &str) {
        if let Some(account) = self.sources.get_mut(source.index()) {
            topic.clone_into(&mut account.topic);
        }
    }

    /// Notes a sample that will be written. In arrival order per source; a foreign id is ignored.
    #[inline]
    pub fn observe(
        &mut self,
        source: SourceId,
        numbering: Option<Numbering>,
        log_time: Timestamp,
        capture_time: Option<Timestamp>,
    ) -> Observed {
        let Some(account) = self.sources.get_mut(source.index()) else { return Observed::InOrder };
        account.received = account.received.saturating_add(1);
        account.last_log_time = Some(log_time);
        let Some(number) = numbering else {
            account.first_log_time.get_or_insert(log_time);
            account.recorded = account.recorded.saturating_add(1);
            account.unnumbered = account.unnumbered.saturating_add(1);
            return Observed::InOrder;
        };
        if let Some(track) = account.tracks.get_mut(account.current)
            && track.take_next(number.instance, number.sequence)
        {
            account.recorded = account.recorded.saturating_add(1);
            return Observed::InOrder;
        }
        self.observe_slowly(source, number, log_time, capture_time)
    }

    fn observe_slowly(
        &mut self,
        source: SourceId,
        number: Numbering,
        log_time: Timestamp,
        capture_time: Option<Timestamp>,
    ) -> Observed {
        let Some(account) = self.sources.get_mut(source.index()) else { return Observed::InOrder };
        account.first_log_time.get_or_insert(log_time);
        let whole = started_within(self.started, number.instance, log_time, capture_time);
        let observed = account.place(number, whole, log_time, &mut self.settled);
        match observed {
            Observed::Duplicate => account.duplicates = account.duplicates.saturating_add(1),
            _ => account.recorded = account.recorded.saturating_add(1),
        }
        self.book_settled(source);
        observed
    }

    /// Notes samples that the queue shed: they arrived, but will not be written.
    ///
    /// May be told before samples that arrived earlier and still wait in the queue, as long as their publisher sends
    /// instance values or does not restart in between. A run whose `count` is not what its numbers say is counted
    /// without its numbers; build runs with [`Run::extend`].
    pub fn shed(&mut self, source: SourceId, run: Run) {
        let Some(account) = self.sources.get_mut(source.index()) else { return };
        account.received = account.received.saturating_add(run.count);
        account.first_log_time.get_or_insert(run.first_log_time);
        account.last_log_time = Some(run.last_log_time);
        let lost = match run.span() {
            Some((span, instance)) => account.place_shed(span, instance, run.first_log_time, &mut self.settled),
            None => {
                account.unnumbered = account.unnumbered.saturating_add(run.count);
                run.count
            }
        };
        account.duplicates = account.duplicates.saturating_add(run.count.saturating_sub(lost));
        self.book_settled(source);
        self.book(source, Cause::Queue, Missing { count: lost, ..Missing::of_run(&run) });
    }

    /// Notes samples that had been [observed](Self::observe) but could not be written: they move from recorded to lost.
    pub fn disk_lost(&mut self, source: SourceId, run: Run) {
        let Some(account) = self.sources.get_mut(source.index()) else { return };
        let count = run.count.min(account.recorded);
        account.recorded -= count;
        self.book(source, Cause::Disk, Missing { count, ..Missing::of_run(&run) });
    }

    /// Notes an estimate that the source itself left out `count` samples before `log_time`. Never part of the identity:
    /// they were not sent.
    pub fn source_missing(&mut self, source: SourceId, count: u64, log_time: Timestamp) {
        self.book(source, Cause::Source, Missing { numbers: None, count, bytes: 0, log_time });
    }

    /// Samples of a source that were observed and not lost since; duplicates not counted.
    #[must_use]
    pub fn recorded(&self, source: SourceId) -> u64 {
        self.sources.get(source.index()).map_or(0, |account| account.recorded)
    }

    /// The account of one source so far; [`None`] for a foreign id.
    #[must_use]
    pub fn source(&self, source: SourceId) -> Option<SourceLoss> {
        self.sources.get(source.index()).map(Source::summary)
    }

    /// Received and missing (transport, queue and disk) samples of a source, without building its summary.
    #[must_use]
    pub fn received_and_missing(&self, source: SourceId) -> (u64, u64) {
        self.sources.get(source.index()).map_or((0, 0), |account| (account.received, account.lost.sent()))
    }

    /// Sums over all sources.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for account in &self.sources {
            totals.add(&account.totals());
        }
        totals
    }

    /// The state of all accounts, for manifest and status.
    #[must_use]
    pub fn summary(&self) -> LossSummary {
        LossSummary { totals: self.totals(), sources: self.sources.iter().map(Source::summary).collect() }
    }

    /// Takes the gaps that are final at `now`, in the order in which they became so; contiguous gaps of one cause are
    /// one. Call some times a second. What the iterator still holds when dropped is gone.
    pub fn drain_final(&mut self, now: Timestamp) -> impl Iterator<Item = Gap> + '_ {
        for i in 0..self.sources.len() {
            let Some(account) = self.sources.get_mut(i) else { break };
            for track in &mut account.tracks {
                track.settle(now, &mut self.settled);
            }
            if !self.settled.is_empty()
                && let Ok(id) = u32::try_from(i)
            {
                self.book_settled(SourceId(id));
            }
        }
        let sources = &self.sources;
        self.journal.drain().filter_map(move |entry| {
            let account = sources.get(entry.source.index())?;
            Some(Gap::new(&account.topic, &account.publisher, &entry))
        })
    }

    /// Makes everything final: no sample will come any more. Then [drain](Self::drain_final) and
    /// [sum up](Self::summary).
    pub fn finish(&mut self, now: Timestamp) {
        for i in 0..self.sources.len() {
            let Some(account) = self.sources.get_mut(i) else { break };
            for track in &mut account.tracks {
                track.finish(now, &mut self.settled);
            }
            if let Ok(id) = u32::try_from(i) {
                self.book_settled(SourceId(id));
            }
        }
    }

    fn book_settled(&mut self, source: SourceId) {
        let mut settled = std::mem::take(&mut self.settled);
        for gap in settled.drain(..) {
            let numbers = Some((gap.span.first, gap.span.last()));
            let missing = Missing { numbers, count: gap.span.len, bytes: 0, log_time: gap.log_time };
            self.book(source, Cause::Transport, missing);
        }
        // Back with its room.
        self.settled = settled;
    }

    fn book(&mut self, source: SourceId, cause: Cause, missing: Missing) {
        let Some(account) = self.sources.get_mut(source.index()) else { return };
        if missing.count > 0 {
            account.lost.add(cause, missing.count);
            self.journal.push(source, cause, missing);
        }
    }
}

impl Source {
    fn new(topic: String, publisher: String) -> Self {
        Self {
            topic,
            publisher,
            tracks: Vec::new(),
            current: 0,
            retired_sent: 0,
            forgetful: false,
            instances: 0,
            joined_at: None,
            received: 0,
            recorded: 0,
            duplicates: 0,
            unnumbered: 0,
            lost: Lost::default(),
            first_log_time: None,
            last_log_time: None,
        }
    }

    /// Accounts for an observed number.
    fn place(&mut self, number: Numbering, whole: bool, log_time: Timestamp, settled: &mut Vec<Open>) -> Observed {
        let whole = whole && !self.forgetful;
        let track = self.track(number.instance, log_time, settled);
        if track.started() {
            match track.take(number.sequence, log_time, settled) {
                Taken::InOrder => return Observed::InOrder,
                Taken::Jumped => return Observed::Jumped,
                Taken::Filled => return Observed::Late,
                Taken::Duplicate => return Observed::Duplicate,
                Taken::Foreign => {}
            }
            self.retire(self.current, log_time, settled);
        }
        let track = self.track(number.instance, log_time, settled);
        match track.start(number.sequence, whole, log_time, settled) {
            true => Observed::Joined,
            false => Observed::Duplicate,
        }
    }

    /// Accounts for a shed run; how many of its numbers nobody had accounted for.
    fn place_shed(&mut self, span: Span, instance: Option<i64>, log_time: Timestamp, settled: &mut Vec<Open>) -> u64 {
        if let Some(lost) = self.track(instance, log_time, settled).shed(span, log_time, settled) {
            return lost;
        }
        self.retire(self.current, log_time, settled);
        self.track(instance, log_time, settled).shed(span, log_time, settled).unwrap_or(0)
    }

    /// Makes the track of `instance` the current one; a new one if it is not kept.
    fn track(&mut self, instance: Option<i64>, log_time: Timestamp, settled: &mut Vec<Open>) -> &mut Track {
        let found = self.tracks.iter().position(|track| track.instance == instance);
        self.current = found.unwrap_or_else(|| {
            if self.tracks.len() >= MAX_TRACKS {
                self.forgetful = true;
                self.retire(0, log_time, settled);
            }
            self.instances = self.instances.saturating_add(1);
            self.tracks.push(Track::new(instance));
            self.tracks.len() - 1
        });
        &mut self.tracks[self.current]
    }

    /// Closes the account of an instance.
    fn retire(&mut self, index: usize, log_time: Timestamp, settled: &mut Vec<Open>) {
        let mut track = self.tracks.remove(index);
        track.finish(log_time, settled);
        self.joined_at = self.joined_at.or(track.joined());
        self.retired_sent = self.retired_sent.saturating_add(track.sent());
    }

    fn totals(&self) -> Totals {
        let numbered = self.tracks.iter().fold(self.retired_sent, |sum, track| sum.saturating_add(track.sent()));
        Totals {
            sent: numbered.saturating_add(self.unnumbered),
            received: self.received,
            recorded: self.recorded,
            duplicates: self.duplicates,
            unsettled: self.tracks.iter().fold(0, |sum, track| sum.saturating_add(track.unsettled())),
            lost: self.lost,
        }
    }

    fn summary(&self) -> SourceLoss {
        SourceLoss {
            topic: self.topic.clone(),
            publisher: self.publisher.clone(),
            instances: self.instances,
            joined_at: self.joined_at.or_else(|| self.tracks.first().and_then(Track::joined)),
            last_sequence: self.tracks.get(self.current).and_then(Track::last),
            totals: self.totals(),
            first_log_time: self.first_log_time,
            last_log_time: self.last_log_time,
        }
    }
}

/// Whether an instance started after the recording did: its age by its own clock, taken back from our log time.
fn started_within(
    recording: Timestamp,
    instance: Option<i64>,
    log_time: Timestamp,
    capture_time: Option<Timestamp>,
) -> bool {
    let (Some(instance), Some(capture)) = (instance, capture_time) else { return false };
    let Some(age) = capture.as_nanos().checked_sub(instance).filter(|age| *age >= 0) else { return false };
    log_time.as_nanos().checked_sub(age).is_some_and(|start| start > recording.as_nanos())
}

#[cfg(test)]
mod tests;
