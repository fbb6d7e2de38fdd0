//! What a recording tells about its own health: rates, clocks, alarms.

use std::{path::PathBuf, sync::Arc};

use sagwan_schemas::{channel::ChannelDescriptor, profile::Profile, time::Timestamp};

use crate::{
    ledger::{Gap, Ledger, SourceId},
    output::Output,
    queue::{QueueCounts, SampleHead},
};

/// Placeholder.
#[derive(Debug)]
pub(crate) struct Watch {}

/// Placeholder.
#[derive(Debug)]
pub(crate) struct StreamStatus {}

impl Watch {
    pub(crate) fn new(_: &mut Output, _: Arc<Profile>, _: PathBuf, _: i64) -> Self {
        Self {}
    }
    pub(crate) fn add_source(&mut self, _: SourceId, _: &str, _: String) {}
    pub(crate) fn describe(&mut self, _: SourceId, _: &ChannelDescriptor) {}
    pub(crate) fn observe(&mut self, _: &SampleHead, _: &[u8]) {}
    pub(crate) fn tick(&mut self, _: &mut Output, _: &mut Ledger, _: QueueCounts, _: Timestamp, _: i64) {}
    pub(crate) fn note_gap(&mut self, _: &Gap, _: i64) {}
    pub(crate) fn finish(&mut self, _: &mut Output, _: &Ledger, _: Timestamp, _: i64) {}
    pub(crate) fn clock_jumps(&self) -> u32 {
        0
    }
}
