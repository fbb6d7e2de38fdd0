//! The pre-trigger ring: holds the last samples in memory and lets through those that lie in an event's window.
//!
//! Monotonic time alone decides, because the wall clock may jump. Knows neither what a sample is nor who writes it.

use std::collections::VecDeque;

use sagwan_schemas::time::Timestamp;

/// What the ring needs to know of a sample.
pub trait RingItem {
    /// Bytes that it holds in memory; must not change while the ring has it.
    fn bytes(&self) -> usize;
    /// When it was received, UTC; told to people, never compared.
    fn log_time(&self) -> Timestamp;
}

/// How far back a ring reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingBounds {
    /// Longest time that a sample is held, nanoseconds.
    pub span_nanos: i64,
    /// Most bytes held, counting the ring's own few bytes per sample.
    pub bytes: usize,
}

/// Counts since the ring was made. `pushed = written + outside + held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// Samples given to the ring.
    pub pushed: u64,
    /// Samples handed on to be written.
    pub written: u64,
    /// Samples that lay in no event's window: not recorded, and not lost either.
    pub outside: u64,
    /// Their bytes.
    pub outside_bytes: u64,
}

/// Why a window's beginning was gone from the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortfallCause {
    /// The ring's bytes were used up: raise `ring_size`.
    Bytes,
    /// The window begins before the ring's span: raise `ring_duration`.
    Span,
}

/// The beginning of an event's window that the ring no longer had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What let it go.
    pub cause: ShortfallCause,
    /// From the window's start up to and including the newest sample let go, nanoseconds.
    pub nanos: i64,
    /// Log time of that newest sample.
    pub until: Timestamp,
}

#[derive(Debug)]
struct Held<T> {
    monotonic: i64,
    item: T,
}

#[derive(Clone, Copy, Debug)]
struct Evicted {
    monotonic: i64,
    log_time: Timestamp,
    cause: ShortfallCause,
}

/// Samples that wait for an event. See the module's text.
#[derive(Debug)]
pub struct Ring<T> {
    bounds: RingBounds,
    /// Oldest first; `monotonic` never decreases.
    held: VecDeque<Held<T>>,
    bytes: usize,
    /// Latest monotonic time seen.
    now: i64,
    /// End of the open window, inclusive. It began at or before `now`, so a sample up to here lies in it.
    open_until: Option<i64>,
    evicted: Option<Evicted>,
    counts: RingCounts,
}

impl<T: RingItem> Ring<T> {
    /// An empty ring.
    #[must_use]
    pub fn new(bounds: RingBounds) -> Self {
        Self {
            bounds,
            held: VecDeque::new(),
            bytes: 0,
            now: i64::MIN,
            open_until: None,
            evicted: None,
            counts: RingCounts::default(),
        }
    }

    /// Takes a sample that came at `monotonic` nanoseconds; inside a window it goes straight on to `out`.
    ///
    /// A time before the latest seen counts as the latest: callbacks of several threads race by microseconds.
    pub fn push(&mut self, item: T, monotonic: i64, out: &mut impl Extend<T>) {
        self.now = self.now.max(monotonic);
        self.counts.pushed += 1;
        if self.open_until.is_some_and(|end| self.now <= end) {
            self.counts.written += 1;
            out.extend(Some(item));
        } else {
            self.bytes = self.bytes.saturating_add(cost(&item));
            self.held.push_back(Held { monotonic: self.now, item });
        }
        self.evict();
    }

    /// An event at `monotonic`: everything held in `[monotonic - pre, monotonic + post]` goes to `out`, oldest first,
    /// and what comes until its end will. Negative rolls count as 0.
    ///
    /// Windows that overlap make one range; no sample is handed on twice. An event may be told late, when newer samples
    /// are held already. Returns what the window wanted and the ring no longer had.
    pub fn fire(
        &mut self,
        monotonic: i64,
        pre_nanos: i64,
        post_nanos: i64,
        out: &mut impl Extend<T>,
    ) -> Option<Shortfall> {
        let start = monotonic.saturating_sub(pre_nanos.max(0));
        let end = monotonic.saturating_add(post_nanos.max(0));
        let from = self.held.partition_point(|h| h.monotonic < start);
        let to = self.held.partition_point(|h| h.monotonic <= end).max(from);
        for held in self.held.drain(from..to) {
            self.bytes = self.bytes.saturating_sub(cost(&held.item));
            self.counts.written += 1;
            out.extend(Some(held.item));
        }
        self.now = self.now.max(monotonic);
        self.open_until = self.open_until.max(Some(end));
        let evicted = self.evicted.filter(|e| e.monotonic >= start)?;
        Some(Shortfall {
            cause: evicted.cause,
            nanos: evicted.monotonic.min(end).saturating_sub(start),
            until: evicted.log_time,
        })
    }

    /// Whether a sample that comes at `monotonic` would be written.
    #[must_use]
    pub fn is_open(&self, monotonic: i64) -> bool {
        self.open_until.is_some_and(|end| self.now.max(monotonic) <= end)
    }

    /// The recording ends: what is still held lies outside every window and is let go.
    pub fn drain(&mut self) -> RingCounts {
        while let Some(held) = self.held.pop_front() {
            self.let_go(&held.item);
        }
        self.counts
    }

    /// Samples held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Bytes held, counting the ring's own few bytes per sample.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts up to now.
    #[must_use]
    pub fn counts(&self) -> RingCounts {
        self.counts
    }

    fn evict(&mut self) {
        let oldest = self.now.saturating_sub(self.bounds.span_nanos.max(0));
        while let Some(front) = self.held.front() {
            let cause = if front.monotonic < oldest {
                ShortfallCause::Span
            } else if self.bytes > self.bounds.bytes {
                ShortfallCause::Bytes
            } else {
                break;
            };
            self.evicted = Some(Evicted { monotonic: front.monotonic, log_time: front.item.log_time(), cause });
            if let Some(held) = self.held.pop_front() {
                self.let_go(&held.item);
            }
        }
    }

    fn let_go(&mut self, item: &T) {
        self.bytes = self.bytes.saturating_sub(cost(item));
        self.counts.outside += 1;
        self.counts.outside_bytes = self.counts.outside_bytes.saturating_add(item.bytes() as u64);
    }
}

/// A sample's bytes and the ring's own for it, so that many small samples are bounded too.
fn cost<T: RingItem>(item: &T) -> usize {
    item.bytes().saturating_add(size_of::<Held<T>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Sample {
        id: usize,
        bytes: usize,
    }

    impl RingItem for Sample {
        fn bytes(&self) -> usize {
            self.bytes
        }
        fn log_time(&self) -> Timestamp {
            Timestamp::from_nanos(self.id as i64)
        }
    }

    const NO_LIMIT: RingBounds = RingBounds { span_nanos: 1000, bytes: 1 << 20 };

    /// One sample per nanosecond from `from` to `to`, inclusive; ids are the times.
    fn feed(ring: &mut Ring<Sample>, from: i64, to: i64, out: &mut Vec<Sample>) {
        for t in from..=to {
            ring.push(Sample { id: t as usize, bytes: 100 }, t, out);
        }
    }

    fn ids(out: &[Sample]) -> Vec<usize> {
        out.iter().map(|s| s.id).collect()
    }

    #[test]
    fn an_event_takes_its_pre_and_post_roll_and_no_more() {
        let (mut ring, mut out) = (Ring::new(NO_LIMIT), Vec::new());
        feed(&mut ring, 0, 10, &mut out);
        assert_eq!(ring.fire(10, 3, 2, &mut out), None);
        feed(&mut ring, 11, 20, &mut out);
        assert_eq!(ids(&out), [7, 8, 9, 10, 11, 12]);
        let counts = ring.drain();
        assert_eq!((counts.pushed, counts.written, counts.outside, counts.outside_bytes), (21, 6, 15, 1500));
        assert_eq!((ring.len(), ring.bytes()), (0, 0));
    }

    #[test]
    fn overlapping_events_are_one_range_without_doubles() {
        let (mut ring, mut out) = (Ring::new(NO_LIMIT), Vec::new());
        feed(&mut ring, 0, 10, &mut out);
        ring.fire(10, 2, 4, &mut out);
        feed(&mut ring, 11, 12, &mut out);
        ring.fire(12, 8, 6, &mut out);
        feed(&mut ring, 13, 30, &mut out);
        let mut got = ids(&out);
        got.sort_unstable();
        assert_eq!(got, (4..=18).collect::<Vec<_>>());
    }

    #[test]
    fn an_event_told_late_takes_its_own_window_only() {
        let (mut ring, mut out) = (Ring::new(NO_LIMIT), Vec::new());
        feed(&mut ring, 0, 20, &mut out);
        ring.fire(10, 2, 3, &mut out);
        assert_eq!(ids(&out), [8, 9, 10, 11, 12, 13]);
        assert!(!ring.is_open(20));
    }

    #[test]
    fn a_window_that_reaches_beyond_the_ring_says_what_is_missing_and_why() {
        let bounds = RingBounds { bytes: 5 * (100 + size_of::<Held<Sample>>()), ..NO_LIMIT };
        let (mut ring, mut out) = (Ring::new(bounds), Vec::new());
        feed(&mut ring, 0, 19, &mut out);
        let shortfall = ring.fire(19, 10, 0, &mut out);
        let until = Timestamp::from_nanos(14);
        assert_eq!(shortfall, Some(Shortfall { cause: ShortfallCause::Bytes, nanos: 5, until }));
        assert_eq!(ids(&out), [15, 16, 17, 18, 19]);

        let (mut ring, mut out) = (Ring::new(RingBounds { span_nanos: 4, ..NO_LIMIT }), Vec::new());
        feed(&mut ring, 0, 19, &mut out);
        assert_eq!(ring.fire(19, 4, 0, &mut out), None);
        assert_eq!(ids(&out), [15, 16, 17, 18, 19]);
        let shortfall = ring.fire(19, 6, 0, &mut out);
        assert_eq!(shortfall.map(|s| (s.cause, s.nanos)), Some((ShortfallCause::Span, 1)));
    }

    #[test]
    fn a_sample_larger_than_the_ring_is_not_held_but_written_in_a_window() {
        let (mut ring, mut out) = (Ring::new(RingBounds { bytes: 10, ..NO_LIMIT }), Vec::new());
        feed(&mut ring, 0, 0, &mut out);
        assert!(ring.is_empty());
        ring.fire(0, 0, 5, &mut out);
        feed(&mut ring, 1, 1, &mut out);
        assert_eq!(ids(&out), [1]);
    }

    #[test]
    fn extreme_times_and_rolls_do_not_overflow() {
        let (mut ring, mut out) = (Ring::new(RingBounds { span_nanos: i64::MAX, bytes: usize::MAX }), Vec::new());
        ring.push(Sample { id: 0, bytes: 1 }, i64::MIN, &mut out);
        ring.push(Sample { id: 1, bytes: 1 }, i64::MAX, &mut out);
        assert_eq!(ring.fire(i64::MAX, i64::MAX, i64::MAX, &mut out), None);
        assert_eq!(ids(&out), [1]);
        let shortfall = ring.fire(i64::MIN, i64::MAX, i64::MIN, &mut out);
        assert_eq!(shortfall.map(|s| (s.cause, s.nanos)), Some((ShortfallCause::Span, 0)));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push { bytes: usize },
        Fire { late: i64, pre: i64, post: i64 },
    }

    fn step() -> impl Strategy<Value = (i64, Step)> {
        let push = (0_usize..200).prop_map(|bytes| Step::Push { bytes });
        let fire = (-3_i64..12, 0_i64..20, 0_i64..20).prop_map(|(late, pre, post)| Step::Fire { late, pre, post });
        (0_i64..5, prop_oneof![6 => push, 1 => fire])
    }

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Fate {
        Held,
        Written,
        Outside,
    }

    /// Every sample and every window is kept, and each step looks at all of them.
    struct Model {
        bounds: RingBounds,
        samples: Vec<(i64, Sample, Fate)>,
        windows: Vec<(i64, i64)>,
        now: i64,
    }

    impl Model {
        fn settle(&mut self) {
            for (t, _, fate) in &mut self.samples {
                if *fate == Fate::Held && self.windows.iter().any(|(from, to)| from <= t && *t <= *to) {
                    *fate = Fate::Written;
                }
            }
        }

        fn evict(&mut self) {
            let mut held: usize =
                self.samples.iter().filter(|(_, _, fate)| *fate == Fate::Held).map(|(_, s, _)| cost(s)).sum();
            for (t, sample, fate) in &mut self.samples {
                if *fate == Fate::Held && (*t < self.now - self.bounds.span_nanos || held > self.bounds.bytes) {
                    *fate = Fate::Outside;
                    held -= cost(sample);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Against a model that keeps everything: the same samples are written, each once; what a window wanted and did
        /// not get is reported exactly when there is any; the bounds hold after every push.
        #[test]
        fn the_ring_does_what_a_brute_force_model_does(
            steps in prop::collection::vec(step(), 0..120), span_nanos in 0_i64..40, limit in 0_usize..2000,
        ) {
            let bounds = RingBounds { span_nanos, bytes: limit };
            let mut ring = Ring::new(bounds);
            let mut model = Model { bounds, samples: Vec::new(), windows: Vec::new(), now: 0 };
            let (mut clock, mut out) = (0, Vec::new());
            for (id, (dt, step)) in steps.into_iter().enumerate() {
                clock += dt;
                match step {
                    Step::Push { bytes } => {
                        let sample = Sample { id, bytes };
                        model.now = model.now.max(clock);
                        model.samples.push((model.now, sample, Fate::Held));
                        model.settle();
                        model.evict();
                        ring.push(sample, clock, &mut out);
                        let oldest = model.now - span_nanos;
                        prop_assert!(ring.bytes() <= limit);
                        prop_assert!(ring.held.iter().all(|h| h.monotonic >= oldest));
                    }
                    Step::Fire { late, pre, post } => {
                        let at = clock - late;
                        model.now = model.now.max(at);
                        model.windows.push((at - pre, at + post));
                        model.settle();
                        let wanted = model.samples.iter().any(|(t, _, fate)| {
                            *fate == Fate::Outside && at - pre <= *t && *t <= at + post
                        });
                        let shortfall = ring.fire(at, pre, post, &mut out);
                        prop_assert!(!wanted || shortfall.is_some());
                        prop_assert!(shortfall.is_none_or(|s| s.nanos >= 0));
                    }
                }
            }
            let mut got = ids(&out);
            got.sort_unstable();
            let expected: Vec<_> =
                model.samples.iter().filter(|(_, _, fate)| *fate == Fate::Written).map(|(_, s, _)| s.id).collect();
            prop_assert_eq!(got, expected);
            let before = ring.counts();
            prop_assert_eq!(before.pushed, before.written + before.outside + ring.len() as u64);
            let after = ring.drain();
            prop_assert_eq!(after.pushed, after.written + after.outside);
        }
    }
}
