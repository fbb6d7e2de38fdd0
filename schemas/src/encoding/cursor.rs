//! Bounded reading: a position in a payload and a budget of values.

use bytes::Bytes;

use super::{
    Limits,
    error::{Fault, Problem},
};

/// A position in a payload.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    /// What `data` is a part of, if octets may share its memory.
    shared: Option<&'a Bytes>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, shared: None }
    }

    /// A cursor whose octets share the payload's memory.
    pub(super) fn sharing(payload: &'a Bytes) -> Self {
        Self { data: payload, at: 0, shared: Some(payload) }
    }

    /// A cursor over a part that this one gave.
    pub(super) fn over(&self, data: &'a [u8]) -> Self {
        Self { data, at: 0, shared: self.shared }
    }

    /// A part that this cursor gave, as octets of their own.
    pub(super) fn octets(&self, part: &'a [u8]) -> Bytes {
        // Every part lies inside the payload, or is empty: the two cases that `slice_ref` takes.
        self.shared.map_or_else(|| Bytes::copy_from_slice(part), |payload| payload.slice_ref(part))
    }

    /// Bytes read or skipped so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that follow.
    pub(super) fn left(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    /// Passes over bytes that may lie beyond the end: whatever is read there fails.
    pub(super) fn skip_padding(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| self.data.get(self.at..end)) {
            Some(bytes) => {
                self.at += count;
                Ok(bytes)
            }
            None => Err(self.truncated(count as u64)),
        }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        match self.data.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// That `needs` bytes do not follow here.
    pub(super) fn truncated(&self, needs: u64) -> Fault {
        self.fault(Problem::Truncated { needs, left: self.left() })
    }

    /// A problem here.
    pub(super) fn fault(&self, problem: Problem) -> Fault {
        Fault::new(self.at, problem)
    }
}

/// How many more values a payload may become.
///
/// Every value of the tree costs one, numbers in [`crate::value::Value::Floats`] a quarter; a value takes at most 56
/// bytes with its name, so the memory of a decoded payload is a small multiple of its length plus a constant.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    limit: usize,
    max_depth: usize,
}

impl Budget {
    /// The budget of a payload of this length.
    pub(super) fn new(limits: &Limits, payload: usize) -> Self {
        let limit = payload
            .saturating_mul(Limits::ELEMENTS_PER_BYTE)
            .saturating_add(Limits::ELEMENTS_FREE)
            .min(limits.max_elements);
        Self { left: limit, limit, max_depth: limits.max_depth }
    }

    /// Pays for `count` values.
    pub(super) fn spend(&mut self, count: usize, cursor: &Cursor<'_>) -> Result<(), Fault> {
        self.pay(count).map_err(|problem| cursor.fault(problem))
    }

    /// Pays for `count` packed floats.
    pub(super) fn spend_floats(&mut self, count: usize, cursor: &Cursor<'_>) -> Result<(), Fault> {
        self.spend(count.div_ceil(4), cursor)
    }

    /// Pays for `count` values.
    pub(super) fn pay(&mut self, count: usize) -> Result<(), Problem> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Problem::TooManyElements(self.limit)),
        }
    }

    /// How many values can still be paid; allocations ask for no more.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// That a level exists.
    pub(super) fn depth(&self, depth: usize) -> Result<(), Problem> {
        if depth < self.max_depth { Ok(()) } else { Err(Problem::TooDeep(self.max_depth)) }
    }
}
