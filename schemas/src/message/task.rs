//! What the platform is to do.

use std::collections::BTreeMap;

use super::{check::time, error::Problem};
use crate::{proto, time::Timestamp};

/// An instruction that holds from its timestamp until the next one. Latched: its last value stays valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskInstruction {
    /// From when it holds, UTC.
    pub timestamp: Timestamp,
    /// Stable identifier of the task, e.g. "pick_cup".
    pub task_id: String,
    /// The instruction in Korean.
    pub text_ko: String,
    /// The instruction in English.
    pub text_en: String,
    /// Name and version of the vocabulary that `task_id` comes from; empty: free text.
    pub vocabulary: String,
    /// Step within the task, counted from 0. Absent: the whole task.
    pub step: Option<u32>,
    /// Values that fill the instruction's slots, e.g. "object" → "red cup".
    pub slots: BTreeMap<String, String>,
}

impl TryFrom<proto::TaskInstruction> for TaskInstruction {
    type Error = Problem;

    fn try_from(m: proto::TaskInstruction) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            task_id: m.task_id,
            text_ko: m.text_ko,
            text_en: m.text_en,
            vocabulary: m.vocabulary,
            step: m.step,
            slots: m.slots,
        })
    }
}
