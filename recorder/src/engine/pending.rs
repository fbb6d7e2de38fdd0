//! Samples that wait until it is known what their source is.

use crate::{output::Slot, queue::SampleHead};

/// The samples of one source that wait.
#[derive(Debug)]
pub(super) struct Pending {
    /// Monotonic time at which they began to wait.
    pub(super) since_nanos: i64,
    /// The channel the source had before it restarted.
    pub(super) before: Option<Slot>,
    samples: Vec<(SampleHead, Box<[u8]>, bool)>,
    bytes: usize,
}

impl Pending {
    pub(super) fn new(since_nanos: i64) -> Self {
        Self { since_nanos, before: None, samples: Vec::new(), bytes: 0 }
    }

    pub(super) fn after(slot: Slot, since_nanos: i64) -> Self {
        Self { before: Some(slot), ..Self::new(since_nanos) }
    }

    /// Keeps a copy; returns what it costs, bytes.
    pub(super) fn push(&mut self, head: &SampleHead, payload: &[u8], is_duplicate: bool) -> usize {
        let cost = payload.len() + size_of::<SampleHead>();
        self.samples.push((*head, payload.into(), is_duplicate));
        self.bytes += cost;
        cost
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The samples in order of arrival, each with whether it is a duplicate.
    pub(super) fn into_samples(self) -> impl Iterator<Item = (SampleHead, Box<[u8]>, bool)> {
        self.samples.into_iter()
    }
}
