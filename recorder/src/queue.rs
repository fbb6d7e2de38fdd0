//! What waits to be written: bounded by bytes, shed by class, swapped out in batches.
//!
//! The receive callback copies a sample in and returns; the writer thread takes whole batches. Nothing here allocates
//! per small sample: payloads lie one behind the other in a batch's arena, and batches are used again.
//!
//! Each class may fill the queue only to its own mark ([`Class`] lowest first: 50, 75, 90, 100 % of the budget), so that
//! a lower class is always shed before a higher one, and control has a tenth of the budget that nobody else can take.
//! What is shed leaves a [`Run`] behind, in order among the samples of its source, so that the ledger can be exact.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use sagwan_schemas::{stream::Class, time::Timestamp};

use crate::ledger::{Numbering, Run, SourceId};

/// A payload of this size or more is kept apart instead of in the batch's arena.
pub const LARGE_PAYLOAD: usize = 64 << 10;
/// What a waiting sample costs beside its payload, bytes.
const ITEM_COST: usize = size_of::<Item>();
/// A batch is handed over when it holds this much, bytes.
const BATCH_BYTES: usize = 512 << 10;
/// Batches kept for use again.
const SPARE_BATCHES: usize = 4;
/// Most runs of shed samples that wait for the writer; beyond it hostile numbering is no longer told apart.
const RUNS_MAX: usize = 65_536;

/// Where a payload lies.
#[derive(Debug)]
enum Place {
    Arena { start: usize, len: usize },
    Large(Box<[u8]>),
}

/// What is known of a sample besides its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleHead {
    /// Its source.
    pub source: SourceId,
    /// Its number, where the publisher gives one.
    pub numbering: Option<Numbering>,
    /// The sensor's time, where the publisher gives one.
    pub capture_time: Option<Timestamp>,
    /// The sender's time: HLC where there is one, else capture time, else log time.
    pub publish_time: Timestamp,
    /// Whether `publish_time` is a hybrid logical clock's.
    pub has_hlc: bool,
    /// Published earlier; came as the answer to a query.
    pub history: bool,
    /// When the receive callback began.
    pub log_time: Timestamp,
}

#[derive(Debug)]
enum Item {
    Sample { head: SampleHead, place: Place },
    Shed { source: SourceId, run: Run },
    Discovered(Arc<Discovery>),
}

/// A key met for the first time; comes before the first sample of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The number it got; numbers are given without gaps, in the order in which discoveries leave the queue.
    pub source: SourceId,
    /// The key.
    pub key: String,
    /// Its zenoh encoding.
    pub encoding: String,
    /// Its class.
    pub class: Class,
}

/// One thing taken from the queue, in order of arrival.
#[derive(Debug)]
pub enum Taken<'a> {
    /// A sample.
    Sample(&'a SampleHead, &'a [u8]),
    /// Samples that were shed at this point.
    Shed(SourceId, &'a Run),
    /// A new source.
    Discovered(&'a Discovery),
}

/// Samples in order of arrival.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    items: Vec<Item>,
    cost: usize,
}

impl Batch {
    /// What it holds, in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = Taken<'_>> {
        self.items.iter().map(|item| match item {
            Item::Sample { head, place: Place::Arena { start, len } } => {
                Taken::Sample(head, &self.arena[*start..*start + *len])
            }
            Item::Sample { head, place: Place::Large(payload) } => Taken::Sample(head, payload),
            Item::Shed { source, run } => Taken::Shed(*source, run),
            Item::Discovered(discovery) => Taken::Discovered(discovery),
        })
    }

    fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.cost = 0;
    }
}

/// What the queue has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Samples shed, by class, lowest first.
    pub shed: [u64; 4],
    /// Bytes waiting now.
    pub bytes: usize,
    /// Most bytes that ever waited.
    pub bytes_max: usize,
    /// Times a sample had to wait for room.
    pub waits: u64,
}

/// The queue without its lock.
#[derive(Debug)]
struct Queue {
    marks: [usize; 4],
    open: Batch,
    full: VecDeque<Batch>,
    spare: Vec<Batch>,
    /// The run of shed samples of each source that is not in a batch yet.
    pending: Vec<Option<Run>>,
    /// Sources that may have a pending run.
    pending_sources: Vec<SourceId>,
    /// Runs in batches that the writer has not given back.
    runs_waiting: usize,
    counts: QueueCounts,
}

impl Queue {
    fn fits(&self, class: Class, len: usize) -> bool {
        self.counts.bytes + len + ITEM_COST <= self.marks[class as usize]
    }

    fn push(&mut self, head: SampleHead, payload: Incoming<'_>) {
        self.settle(head.source);
        let len = payload.len();
        let place = match payload {
            Incoming::Owned(payload) => Place::Large(payload),
            Incoming::Slices(slices, len) => {
                let start = self.open.arena.len();
                slices.iter().for_each(|slice| self.open.arena.extend_from_slice(slice));
                Place::Arena { start, len }
            }
        };
        let cost = len + ITEM_COST;
        self.open.items.push(Item::Sample { head, place });
        self.open.cost += cost;
        self.counts.bytes += cost;
        self.counts.bytes_max = self.counts.bytes_max.max(self.counts.bytes);
        if self.open.cost >= BATCH_BYTES {
            self.close_batch();
        }
    }

    fn shed(&mut self, head: &SampleHead, class: Class, len: usize) {
        self.counts.shed[class as usize] += 1;
        let index = head.source.0 as usize;
        if self.pending.len() <= index {
            self.pending.resize_with(index + 1, || None);
        }
        if let Some(run) = &mut self.pending[index] {
            if run.extend(head.numbering, len as u64, head.log_time) {
                return;
            }
            if self.runs_waiting >= RUNS_MAX {
                // Counted only: hostile numbering must not cost memory.
                run.numbers = None;
                run.count += 1;
                run.bytes += len as u64;
                return;
            }
            self.settle(head.source);
        }
        self.pending_sources.push(head.source);
        self.pending[index] = Some(Run::one(head.numbering, len as u64, head.log_time));
    }

    /// Puts the pending run of a source where it belongs: before the source's next sample.
    fn settle(&mut self, source: SourceId) {
        if let Some(run) = self.pending.get_mut(source.0 as usize).and_then(Option::take) {
            self.open.items.push(Item::Shed { source, run });
            self.runs_waiting += 1;
        }
    }

    fn settle_all(&mut self) {
        for source in std::mem::take(&mut self.pending_sources) {
            self.settle(source);
        }
    }

    fn close_batch(&mut self) {
        let next = self.spare.pop().unwrap_or_default();
        self.full.push_back(std::mem::replace(&mut self.open, next));
    }

    fn take(&mut self) -> Option<Batch> {
        if self.full.is_empty() {
            self.settle_all();
            if self.open.items.is_empty() {
                return None;
            }
            self.close_batch();
        }
        self.full.pop_front()
    }

    fn release(&mut self, mut batch: Batch) {
        self.counts.bytes -= batch.cost;
        let runs = batch.items.iter().filter(|item| matches!(item, Item::Shed { .. })).count();
        self.runs_waiting = self.runs_waiting.saturating_sub(runs);
        if self.spare.len() < SPARE_BATCHES {
            batch.clear();
            self.spare.push(batch);
        }
    }
}

/// A payload on its way in.
enum Incoming<'a> {
    Slices(&'a [&'a [u8]], usize),
    Owned(Box<[u8]>),
}

impl Incoming<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Slices(_, len) => *len,
            Self::Owned(payload) => payload.len(),
        }
    }
}

/// What happened to a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It waits to be written.
    Queued,
    /// There was no room for its class; it is in the ledger.
    Shed,
}

/// The queue between the receive callbacks and the writer thread.
#[derive(Debug)]
pub struct CaptureQueue {
    queue: Mutex<Queue>,
    /// A batch is full.
    filled: Condvar,
    /// Room was made.
    room: Condvar,
    budget: usize,
}

impl CaptureQueue {
    /// A queue that never holds more than `budget` bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        let part = |percent: usize| budget / 100 * percent;
        Self {
            queue: Mutex::new(Queue {
                marks: [part(50), part(75), part(90), budget],
                open: Batch::default(),
                full: VecDeque::new(),
                spare: Vec::new(),
                pending: Vec::new(),
                pending_sources: Vec::new(),
                runs_waiting: 0,
                counts: QueueCounts::default(),
            }),
            filled: Condvar::new(),
            room: Condvar::new(),
            budget,
        }
    }

    /// The budget, bytes.
    #[must_use]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Takes a sample in, or sheds it. Waits at most `patience` for room; [`Duration::ZERO`] never waits.
    ///
    /// Called from receive callbacks: copies the payload and returns.
    pub fn push(&self, head: SampleHead, class: Class, payload: &[&[u8]], patience: Duration) -> Admission {
        let len = payload.iter().map(|slice| slice.len()).sum();
        // A large copy must not keep other callbacks out.
        let payload = match len {
            LARGE_PAYLOAD.. => {
                let mut owned = Vec::with_capacity(len);
                payload.iter().for_each(|slice| owned.extend_from_slice(slice));
                Incoming::Owned(owned.into_boxed_slice())
            }
            _ => Incoming::Slices(payload, len),
        };
        let mut queue = self.queue.lock();
        if !queue.fits(class, len) {
            let can_ever_fit = len + ITEM_COST <= queue.marks[class as usize];
            if !can_ever_fit || patience.is_zero() {
                queue.shed(&head, class, len);
                return Admission::Shed;
            }
            queue.counts.waits += 1;
            // What is open now must reach the writer, or no room is ever made.
            if !queue.open.items.is_empty() {
                queue.close_batch();
            }
            self.filled.notify_one();
            let timeout = self.room.wait_while_for(&mut queue, |queue| !queue.fits(class, len), patience);
            if timeout.timed_out() && !queue.fits(class, len) {
                queue.shed(&head, class, len);
                return Admission::Shed;
            }
        }
        let full_before = queue.full.len();
        queue.push(head, payload);
        let filled = queue.full.len() > full_before;
        drop(queue);
        if filled {
            self.filled.notify_one();
        }
        Admission::Queued
    }

    /// Announces a source. Its samples must be pushed after this returned.
    pub fn discover(&self, discovery: Discovery) {
        self.queue.lock().open.items.push(Item::Discovered(Arc::new(discovery)));
    }

    /// The next batch: at once when one is full, else what there is after `patience`.
    pub fn take(&self, patience: Duration) -> Option<Batch> {
        let mut queue = self.queue.lock();
        if queue.full.is_empty() && !patience.is_zero() {
            self.filled.wait_for(&mut queue, patience);
        }
        queue.take()
    }

    /// Gives a batch back when all of it was written.
    pub fn release(&self, batch: Batch) {
        let had_samples = batch.cost > 0;
        self.queue.lock().release(batch);
        if had_samples {
            self.room.notify_all();
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> QueueCounts {
        self.queue.lock().counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(source: u32, sequence: u64) -> SampleHead {
        SampleHead {
            source: SourceId(source),
            numbering: Some(Numbering { sequence, instance: None }),
            capture_time: None,
            publish_time: Timestamp::EPOCH,
            has_hlc: false,
            history: false,
            log_time: Timestamp::from_nanos(sequence.cast_signed()),
        }
    }

    /// Everything in the queue, as (source, first number, last number, shed).
    fn drained(queue: &CaptureQueue) -> Vec<(u32, u64, u64, bool)> {
        let mut found = Vec::new();
        while let Some(batch) = queue.take(Duration::ZERO) {
            for taken in batch.iter() {
                match taken {
                    Taken::Sample(head, _) => {
                        let number = head.numbering.map_or(0, |n| n.sequence);
                        found.push((head.source.0, number, number, false));
                    }
                    Taken::Shed(source, run) => {
                        let (first, last) = run.numbers.map_or((0, 0), |n| (n.first, n.last));
                        found.push((source.0, first, last, true));
                    }
                    Taken::Discovered(_) => {}
                }
            }
            queue.release(batch);
        }
        found
    }

    #[test]
    fn samples_come_out_as_they_went_in() {
        let queue = CaptureQueue::new(64 << 20);
        let small = [1_u8; 10];
        let large = vec![2_u8; LARGE_PAYLOAD];
        queue.push(head(0, 0), Class::State, &[&small, &small], Duration::ZERO);
        queue.push(head(0, 1), Class::State, &[&large, &small], Duration::ZERO);
        let batch = queue.take(Duration::ZERO).into_iter().next();
        let sizes: Vec<_> = batch
            .iter()
            .flat_map(Batch::iter)
            .map(|taken| if let Taken::Sample(_, payload) = taken { payload.len() } else { 0 })
            .collect();
        assert_eq!(sizes, [20, LARGE_PAYLOAD + 10]);
    }

    #[test]
    fn lower_classes_are_shed_first_and_control_keeps_its_tenth() {
        let queue = CaptureQueue::new(1 << 20);
        let payload = [0_u8; 1000];
        let mut admitted = [0_u32; 4];
        for class in Class::ALL {
            for sequence in 0..2_000 {
                let admission = queue.push(head(class as u32, sequence), class, &[&payload], Duration::ZERO);
                admitted[class as usize] += u32::from(admission == Admission::Queued);
            }
        }
        assert!(admitted.iter().all(|n| *n > 90), "each class has room of its own: {admitted:?}");
        let counts = queue.counts();
        assert!(counts.bytes <= 1 << 20);
        assert_eq!(counts.shed.iter().sum::<u64>() + u64::from(admitted.iter().sum::<u32>()), 8_000);
    }

    #[test]
    fn what_is_shed_stands_in_order_among_the_samples_of_its_source() {
        let queue = CaptureQueue::new(1 << 20);
        let payload = vec![0_u8; 60_000];
        for sequence in 0..40 {
            queue.push(head(0, sequence), Class::Preview, &[&payload], Duration::ZERO);
        }
        let first = drained(&queue);
        for sequence in 40..44 {
            queue.push(head(0, sequence), Class::Preview, &[&payload], Duration::ZERO);
        }
        let numbers: Vec<_> =
            first.into_iter().chain(drained(&queue)).flat_map(|(_, first, last, _)| first..=last).collect();
        assert_eq!(numbers, (0..44).collect::<Vec<_>>());
    }

    #[test]
    fn hostile_numbering_of_shed_samples_costs_bounded_memory() {
        let queue = CaptureQueue::new(1 << 20);
        let too_large = vec![0_u8; 2 << 20];
        for n in 0..RUNS_MAX as u64 + 1_000 {
            queue.push(head(0, n * 7 % 1_000_003), Class::Control, &[&too_large[..1_100_000]], Duration::ZERO);
        }
        let runs = drained(&queue);
        assert!(runs.len() <= RUNS_MAX + 1, "{}", runs.len());
    }

    #[test]
    fn a_sample_that_may_wait_is_queued_when_room_is_made() {
        let queue = CaptureQueue::new(1 << 20);
        let payload = vec![0_u8; 200_000];
        while queue.push(head(0, 0), Class::State, &[&payload], Duration::ZERO) == Admission::Queued {}
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push(head(1, 1), Class::State, &[&payload], Duration::from_secs(60)));
            let mut seen = 0;
            while !waiting.is_finished() || seen == 0 {
                if let Some(batch) = queue.take(Duration::from_millis(1)) {
                    seen += 1;
                    queue.release(batch);
                }
            }
            assert!(matches!(waiting.join(), Ok(Admission::Queued)));
        });
    }
}
