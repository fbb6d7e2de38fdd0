//! What the recorder wrote about its own recording: episodes, events, losses.

use std::collections::BTreeMap;

use prost::Message as _;
use serde::Serialize;

use crate::{
    proto::{self, episode},
    recording::{
        layout::topic,
        overview::{LISTED, Overview, with_causes},
        part_reader::{Filter, Message, PartReader},
    },
    time::Timestamp,
};

/// An episode as last told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EpisodeOverview {
    /// Counted from 0.
    pub index: u32,
    /// `begun`, `ended`, `discarded` or empty.
    pub state: String,
    /// `success`, `failure` or empty.
    pub outcome: String,
    /// Start of `[start, end)`.
    pub start: Option<Timestamp>,
    /// End; absent while it runs.
    pub end: Option<Timestamp>,
    /// What to do, in Korean.
    pub instruction_ko: String,
    /// What to do, in English.
    pub instruction_en: String,
    /// Pseudonym of the operator.
    pub operator: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EventOverview {
    /// When.
    pub time: Timestamp,
    /// `mark`, `trigger`, `preserve`, `clock`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// For a person.
    pub detail: String,
}

/// Losses of one publisher on one topic from one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LossOverview {
    /// Topic.
    pub topic: String,
    /// Publisher; empty where it is not known.
    pub publisher: String,
    /// `transport`, `queue`, `disk`, `source` or `unknown`.
    pub cause: &'static str,
    /// Samples missing.
    pub count: u64,
    /// Payload bytes missing, where known.
    pub bytes: u64,
    /// Entries of the ledger.
    pub entries: u64,
}

/// Adds what one part tells. The clock channel is not read: it is in almost every chunk; steps are events too.
pub(super) fn take(overview: &mut Overview, reader: &PartReader, file: &str) {
    let mut episodes: BTreeMap<u32, EpisodeOverview> =
        std::mem::take(&mut overview.episodes).into_iter().map(|e| (e.index, e)).collect();
    let filter = Filter::all().topics([topic::EPISODE, topic::EVENT, topic::LOSS]);
    let known = |t: &str| reader.summary().channels().any(|c| c.descriptor.topic == t);
    if !(known(topic::EPISODE) || known(topic::EVENT) || known(topic::LOSS)) {
        overview.episodes = episodes.into_values().collect();
        return;
    }
    let mut unreadable = 0_u64;
    for message in reader.messages(filter) {
        match message {
            Ok(message) => unreadable += u64::from(take_one(overview, &mut episodes, &message).is_err()),
            Err(error) => overview.warnings.push(format!("{file}: {}", with_causes(&error))),
        }
        overview.warnings.truncate(LISTED);
    }
    if unreadable > 0 {
        overview.warnings.push(format!("{file}: {unreadable} messages of /sagwan/* do not decode"));
    }
    overview.events.sort();
    overview.events.dedup();
    overview.episodes = episodes.into_values().collect();
}

fn take_one(
    overview: &mut Overview,
    episodes: &mut BTreeMap<u32, EpisodeOverview>,
    message: &Message,
) -> Result<(), prost::DecodeError> {
    match message.channel.descriptor.topic.as_str() {
        topic::EPISODE => {
            let episode = proto::Episode::decode(message.data.clone())?;
            if episodes.len() < LISTED || episodes.contains_key(&episode.index) {
                episodes.insert(episode.index, overview_of(episode));
            }
        }
        topic::EVENT => {
            let event = proto::Event::decode(message.data.clone())?;
            let time = event.timestamp.map_or(message.log_time, time_of);
            let event = EventOverview { time, kind: event.kind, name: event.name, detail: event.detail };
            if event.kind == "clock" && overview.recording.is_none() {
                overview.clock_jumps += 1;
            }
            if overview.events.len() < LISTED {
                overview.events.push(event);
            }
        }
        topic::LOSS => add_loss(&mut overview.losses, proto::Loss::decode(message.data.clone())?),
        _ => {}
    }
    Ok(())
}

fn overview_of(episode: proto::Episode) -> EpisodeOverview {
    let state = match episode.state() {
        episode::State::Unspecified => "",
        episode::State::Begun => "begun",
        episode::State::Ended => "ended",
        episode::State::Discarded => "discarded",
    };
    let outcome = match episode.outcome() {
        episode::Outcome::Unspecified => "",
        episode::Outcome::Success => "success",
        episode::Outcome::Failure => "failure",
    };
    EpisodeOverview {
        index: episode.index,
        state: state.to_owned(),
        outcome: outcome.to_owned(),
        start: episode.start.map(time_of),
        end: episode.end.map(time_of),
        instruction_ko: episode.instruction_ko,
        instruction_en: episode.instruction_en,
        operator: episode.operator,
    }
}

fn add_loss(losses: &mut Vec<LossOverview>, loss: proto::Loss) {
    let cause = match loss.cause() {
        proto::LossCause::Unspecified => "unknown",
        proto::LossCause::Transport => "transport",
        proto::LossCause::Queue => "queue",
        proto::LossCause::Disk => "disk",
        proto::LossCause::Source => "source",
    };
    let same = |l: &&mut LossOverview| l.topic == loss.topic && l.publisher == loss.publisher && l.cause == cause;
    if let Some(sum) = losses.iter_mut().find(same) {
        sum.count = sum.count.saturating_add(loss.count);
        sum.bytes = sum.bytes.saturating_add(loss.bytes);
        sum.entries += 1;
    } else if losses.len() < LISTED {
        let (topic, publisher) = (loss.topic, loss.publisher);
        losses.push(LossOverview { topic, publisher, cause, count: loss.count, bytes: loss.bytes, entries: 1 });
    }
}

fn time_of(time: prost_types::Timestamp) -> Timestamp {
    Timestamp::from_nanos(time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()))
}
