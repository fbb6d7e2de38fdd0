//! The numbers of one publisher instance: which were seen, which are missing, which may still come.
//!
//! Knows no topics, no causes but "shed", and no output. All arithmetic on sequence numbers wraps: the number after
//! `u64::MAX` is 0, and a number counts as later than another when it is less than 2⁶³ steps ahead of it.

use std::collections::VecDeque;

use sagwan_schemas::time::Timestamp;

use crate::stamp::SEC;

/// A gap becomes final after this many further samples of its instance,
pub(super) const REORDER_SAMPLES: u64 = 64;
/// or after this many nanoseconds.
pub(super) const REORDER_NANOS: i64 = SEC;
/// Without an instance, a larger step forward is another publisher, not a gap.
pub(super) const MAX_JUMP: u64 = 1 << 32;
/// Gaps held back per instance; one more makes the oldest final.
const MAX_OPEN: usize = 64;
/// Shed runs that wait for the samples before them; one more applies the oldest.
const MAX_AHEAD: usize = 256;
/// Half of all numbers: the border between ahead and behind.
const HALF: u64 = 1 << 63;

/// `len` consecutive numbers from `first` on; `len` ≥ 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) len: u64,
}

impl Span {
    /// `first..=last`; [`None`] where that is half of all numbers or more.
    pub(super) fn inclusive(first: u64, last: u64) -> Option<Self> {
        let steps = last.wrapping_sub(first);
        (steps < HALF).then_some(Self { first, len: steps + 1 })
    }

    pub(super) fn last(self) -> u64 {
        self.first.wrapping_add(self.len - 1)
    }

    fn after(self) -> u64 {
        self.first.wrapping_add(self.len)
    }

    fn contains(self, number: u64) -> bool {
        number.wrapping_sub(self.first) < self.len
    }

    /// The numbers of both.
    fn common(self, other: Self) -> Option<Self> {
        let first = if other.contains(self.first) {
            self.first
        } else if self.contains(other.first) {
            other.first
        } else {
            return None;
        };
        let len = (self.len - first.wrapping_sub(self.first)).min(other.len - first.wrapping_sub(other.first));
        Some(Self { first, len })
    }

    /// What is left of it before and after `hole`, which lies inside it.
    fn without(self, hole: Self) -> [Option<Self>; 2] {
        let before = hole.first.wrapping_sub(self.first);
        let behind = self.len - before - hole.len;
        [
            (before > 0).then_some(Self { first: self.first, len: before }),
            (behind > 0).then_some(Self { first: hole.after(), len: behind }),
        ]
    }
}

/// Missing numbers that may still come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) span: Span,
    /// Log time of the sample that showed the gap.
    pub(super) log_time: Timestamp,
    /// Samples of the instance seen by then.
    seen: u64,
}

/// What a number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The next one.
    InOrder,
    /// Later than the next one: a gap was opened.
    Jumped,
    /// Out of order, into a gap.
    Filled,
    /// Accounted for already.
    Duplicate,
    /// Not of this instance.
    Foreign,
}

/// One publisher instance.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) instance: Option<i64>,
    /// Whether `joined` and `last` mean anything yet.
    started: bool,
    joined: u64,
    last: u64,
    seen: u64,
    /// In the order in which they were found.
    open: VecDeque<Open>,
    /// Shed runs beyond `last`, ascending, apart from each other and from `last`.
    ahead: Vec<Span>,
}

impl Track {
    pub(super) fn new(instance: Option<i64>) -> Self {
        Self { instance, started: false, joined: 0, last: 0, seen: 0, open: VecDeque::new(), ahead: Vec::new() }
    }

    pub(super) fn started(&self) -> bool {
        self.started
    }

    /// First number of the account.
    pub(super) fn joined(&self) -> Option<u64> {
        self.started.then_some(self.joined).or_else(|| self.ahead.first().map(|run| run.first))
    }

    /// Last number of the account.
    pub(super) fn last(&self) -> Option<u64> {
        self.ahead.last().map(|run| run.last()).or_else(|| self.started.then_some(self.last))
    }

    /// Numbers in the account: everything from the first to the last, and shed runs beyond it.
    pub(super) fn sent(&self) -> u64 {
        let span = if self.started { self.last.wrapping_sub(self.joined).saturating_add(1) } else { 0 };
        self.ahead.iter().fold(span, |sum, run| sum.saturating_add(run.len))
    }

    /// Numbers in gaps that are not final.
    pub(super) fn unsettled(&self) -> u64 {
        self.open.iter().fold(0, |sum, gap| sum.saturating_add(gap.span.len))
    }

    /// The whole work for the common case: the next number, and nothing is held back.
    #[inline]
    pub(super) fn take_next(&mut self, instance: Option<i64>, number: u64) -> bool {
        let next = self.started
            && self.instance == instance
            && number == self.last.wrapping_add(1)
            && self.open.is_empty()
            && self.ahead.is_empty();
        if next {
            self.last = number;
            self.seen += 1;
        }
        next
    }

    /// Accounts for the first observed number; `whole` when everything from 0 on belongs to the recording. `false` if
    /// the number had been shed already.
    pub(super) fn start(&mut self, number: u64, whole: bool, log_time: Timestamp, settled: &mut Vec<Open>) -> bool {
        let fresh = !self.ahead.iter().any(|run| run.contains(number));
        let earliest = self.ahead.first().map_or(number, |run| run.first);
        self.joined = match whole && number <= MAX_JUMP {
            true => 0,
            false if number.wrapping_sub(earliest) < HALF => earliest,
            false => number,
        };
        self.started = true;
        self.last = self.joined.wrapping_sub(1);
        self.advance(number, log_time, settled);
        fresh
    }

    /// Accounts for an observed number; the track has started.
    pub(super) fn take(&mut self, number: u64, log_time: Timestamp, settled: &mut Vec<Open>) -> Taken {
        self.settle(log_time, settled);
        let steps = number.wrapping_sub(self.last);
        if steps == 0 {
            return Taken::Duplicate;
        }
        if steps < HALF {
            if self.instance.is_none() && steps > MAX_JUMP {
                return Taken::Foreign;
            }
            if self.ahead.iter().any(|run| run.contains(number)) {
                return Taken::Duplicate;
            }
            self.advance(number, log_time, settled);
            return if steps == 1 { Taken::InOrder } else { Taken::Jumped };
        }
        let this = Span { first: number, len: 1 };
        if self.fill(this, settled) == 1 {
            self.seen += 1;
            return Taken::Filled;
        }
        if self.instance.is_none() {
            return Taken::Foreign;
        }
        if self.reach_back(this, log_time, settled) { Taken::Filled } else { Taken::Duplicate }
    }

    /// Accounts for a shed run; the numbers that nobody had accounted for, or [`None`] if they are not of this
    /// instance.
    pub(super) fn shed(&mut self, run: Span, log_time: Timestamp, settled: &mut Vec<Open>) -> Option<u64> {
        if !self.started {
            return Some(self.hold(run, log_time, settled));
        }
        let steps = run.first.wrapping_sub(self.last);
        if (1..HALF).contains(&steps) {
            if self.instance.is_none() && steps > MAX_JUMP {
                return None;
            }
            return Some(self.hold(run, log_time, settled));
        }
        let mut lost = self.fill(run, settled);
        // What of the run lies beyond the last number.
        let known = self.last.wrapping_sub(run.first).saturating_add(1);
        if known < run.len {
            let tail = Span { first: self.last.wrapping_add(1), len: run.len - known };
            lost = lost.saturating_add(self.hold(tail, log_time, settled));
        }
        if lost > 0 {
            return Some(lost);
        }
        if self.instance.is_none() {
            return (run.first == self.last).then_some(0);
        }
        Some(if self.reach_back(run, log_time, settled) { run.len } else { 0 })
    }

    /// Makes final what has waited long enough.
    pub(super) fn settle(&mut self, now: Timestamp, settled: &mut Vec<Open>) {
        while let Some(oldest) = self.open.front() {
            let waited = now.nanos_since(oldest.log_time).unsigned_abs();
            if self.seen.wrapping_sub(oldest.seen) < REORDER_SAMPLES && waited < REORDER_NANOS.unsigned_abs() {
                break;
            }
            settled.push(*oldest);
            self.open.pop_front();
        }
    }

    /// Makes everything final; nothing more will come of this instance.
    pub(super) fn finish(&mut self, now: Timestamp, settled: &mut Vec<Open>) {
        while !self.ahead.is_empty() {
            self.apply_first_ahead(now, settled);
        }
        settled.extend(self.open.drain(..));
    }

    /// Moves `last` on to `number`; what lies between and was not shed becomes an open gap.
    fn advance(&mut self, number: u64, log_time: Timestamp, settled: &mut Vec<Open>) {
        self.seen += 1;
        while let Some(run) = self.ahead.first()
            && number.wrapping_sub(run.first) < HALF
        {
            self.apply_first_ahead(log_time, settled);
        }
        self.open_until(number, log_time, settled);
        if number.wrapping_sub(self.last) < HALF {
            self.last = number;
        }
        self.absorb_ahead();
    }

    fn apply_first_ahead(&mut self, log_time: Timestamp, settled: &mut Vec<Open>) {
        let run = self.ahead.remove(0);
        if !self.started {
            self.started = true;
            self.joined = run.first;
            self.last = run.first.wrapping_sub(1);
        }
        self.open_until(run.first, log_time, settled);
        self.last = run.last();
    }

    /// Opens a gap over everything between `last` and `number`, both excluded.
    fn open_until(&mut self, number: u64, log_time: Timestamp, settled: &mut Vec<Open>) {
        let len = number.wrapping_sub(self.last).wrapping_sub(1);
        // Behind `last`, where hostile numbers can lead, there is nothing to open.
        if (1..HALF).contains(&len) {
            let span = Span { first: self.last.wrapping_add(1), len };
            self.push_open(span, log_time, settled);
        }
    }

    fn push_open(&mut self, span: Span, log_time: Timestamp, settled: &mut Vec<Open>) {
        self.open.push_back(Open { span, log_time, seen: self.seen });
        self.bound_open(settled);
    }

    fn bound_open(&mut self, settled: &mut Vec<Open>) {
        while self.open.len() > MAX_OPEN {
            settled.extend(self.open.pop_front());
        }
    }

    /// Takes `span` out of the open gaps; how many numbers that were.
    fn fill(&mut self, span: Span, settled: &mut Vec<Open>) -> u64 {
        let mut filled = 0_u64;
        let mut i = 0;
        while let Some(&gap) = self.open.get(i) {
            let Some(hole) = gap.span.common(span) else {
                i += 1;
                continue;
            };
            filled = filled.saturating_add(hole.len);
            self.open.remove(i);
            for rest in gap.span.without(hole).into_iter().flatten() {
                self.open.insert(i, Open { span: rest, ..gap });
                i += 1;
            }
        }
        self.bound_open(settled);
        filled
    }

    /// Takes numbers before the first one into the account, if that is where they lie: the first samples of an
    /// instance may be out of order too.
    fn reach_back(&mut self, run: Span, log_time: Timestamp, settled: &mut Vec<Open>) -> bool {
        let inside = |n: u64| n.wrapping_sub(self.joined) <= self.last.wrapping_sub(self.joined);
        if inside(run.first) || inside(run.last()) {
            return false;
        }
        let between = self.joined.wrapping_sub(run.after());
        if between >= MAX_JUMP {
            return false;
        }
        self.joined = run.first;
        self.seen += 1;
        if between > 0 {
            self.push_open(Span { first: run.after(), len: between }, log_time, settled);
        }
        true
    }

    /// Keeps a shed run until the numbers before it are known; how many of its numbers were not shed before.
    ///
    /// A run may be told before samples that arrived earlier but still wait in the queue.
    fn hold(&mut self, run: Span, log_time: Timestamp, settled: &mut Vec<Open>) -> u64 {
        let mut pieces = vec![run];
        for known in &self.ahead {
            pieces = pieces
                .into_iter()
                .flat_map(|piece| match piece.common(*known) {
                    Some(hole) => piece.without(hole),
                    None => [Some(piece), None],
                })
                .flatten()
                .collect();
        }
        let mut fresh = 0_u64;
        for piece in pieces {
            fresh = fresh.saturating_add(piece.len);
            self.insert_ahead(piece);
        }
        self.absorb_ahead();
        while self.ahead.len() > MAX_AHEAD {
            self.apply_first_ahead(log_time, settled);
        }
        fresh
    }

    fn insert_ahead(&mut self, run: Span) {
        // Runs come almost always in order: look from the end.
        let at = self.ahead.iter().rposition(|known| run.first.wrapping_sub(known.first) < HALF).map_or(0, |i| i + 1);
        let joins_before = at > 0 && self.ahead[at - 1].after() == run.first;
        let joins_behind = self.ahead.get(at).is_some_and(|next| next.first == run.after());
        match (joins_before, joins_behind) {
            (true, true) => {
                let behind = self.ahead.remove(at);
                self.ahead[at - 1].len = self.ahead[at - 1].len.saturating_add(run.len).saturating_add(behind.len);
            }
            (true, false) => self.ahead[at - 1].len = self.ahead[at - 1].len.saturating_add(run.len),
            (false, true) => {
                let next = &mut self.ahead[at];
                *next = Span { first: run.first, len: next.len.saturating_add(run.len) };
            }
            (false, false) => self.ahead.insert(at, run),
        }
    }

    /// Moves `last` over shed runs that follow it without a hole.
    fn absorb_ahead(&mut self) {
        while self.started
            && let Some(run) = self.ahead.first()
            && run.first == self.last.wrapping_add(1)
        {
            self.last = run.last();
            self.ahead.remove(0);
        }
    }
}
