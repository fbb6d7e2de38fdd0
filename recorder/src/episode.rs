//! Episodes and marks within one recording: commands in, messages for `/sagwan/episode` and `/sagwan/event` out.
//!
//! Holds no clock, no file and no wire: the caller gives the time and writes what comes back.

use sagwan_schemas::{profile::LocalText, proto, recording::manifest, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::text::{self, LONG_TEXT_BYTES, SHORT_TEXT_BYTES, TextError};

/// Most episodes that one recording holds.
pub const MAX_EPISODES: usize = 10_000;

/// Most bytes of text that all episodes of a recording hold together: a sender of commands cannot fill the memory.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// How an attempt went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nobody said.
    #[default]
    Unspecified,
    /// The task was done.
    Success,
    /// It was not.
    Failure,
}

impl From<Outcome> for proto::episode::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Unspecified => Self::Unspecified,
            Outcome::Success => Self::Success,
            Outcome::Failure => Self::Failure,
        }
    }
}

/// Where an episode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpisodeState {
    /// Begun, not yet ended.
    Running,
    /// Ended; its range is final.
    Ended,
    /// Taken back: not to be used.
    Discarded,
}

impl From<EpisodeState> for proto::episode::State {
    fn from(state: EpisodeState) -> Self {
        match state {
            EpisodeState::Running => Self::Begun,
            EpisodeState::Ended => Self::Ended,
            EpisodeState::Discarded => Self::Discarded,
        }
    }
}

/// What a person says of an episode when it begins. Every field may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EpisodeInfo {
    /// What to do; one line each, at most 4096 bytes.
    pub instruction: LocalText,
    /// Pseudonym of the operator, never a name; at most 256 bytes.
    pub operator: String,
    /// Where; at most 256 bytes.
    pub site: String,
    /// Anything worth keeping; paragraphs, at most 4096 bytes.
    pub notes: String,
    /// Reference to the consent or notice record that covers it; at most 4096 bytes.
    pub consent: String,
}

impl EpisodeInfo {
    /// Whether every text may be kept.
    ///
    /// # Errors
    /// The first field that is too long or has control characters.
    pub fn check(&self) -> Result<(), TextError> {
        text::check_line("instruction_ko", &self.instruction.ko, LONG_TEXT_BYTES)?;
        text::check_line("instruction_en", &self.instruction.en, LONG_TEXT_BYTES)?;
        text::check_line("operator", &self.operator, SHORT_TEXT_BYTES)?;
        text::check_line("site", &self.site, SHORT_TEXT_BYTES)?;
        text::check_paragraphs("notes", &self.notes, LONG_TEXT_BYTES)?;
        text::check_line("consent", &self.consent, LONG_TEXT_BYTES)
    }

    fn bytes(&self) -> usize {
        let Self { instruction, operator, site, notes, consent } = self;
        [&instruction.ko, &instruction.en, operator, site, notes, consent].iter().map(|t| t.len()).sum()
    }
}

/// One episode as it stands now, for the manifest and for status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeSummary {
    /// Counted from 0 within the recording; discarded ones count too.
    pub index: u32,
    /// Where it stands.
    pub state: EpisodeState,
    /// How it went; unspecified while it runs.
    pub outcome: Outcome,
    /// What was said of it; the notes of its end follow those of its beginning on a new line.
    #[serde(flatten)]
    pub info: EpisodeInfo,
    /// First instant of the range `[start, end)`, UTC.
    pub start: Timestamp,
    /// First instant after it, never before `start`; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// The discarded episode that this one records again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerecords: Option<u32>,
}

impl EpisodeSummary {
    /// The message that tells this state, as of `now`.
    #[must_use]
    pub fn to_message(&self, now: Timestamp) -> proto::Episode {
        proto::Episode {
            timestamp: Some(to_proto(now)),
            index: self.index,
            state: proto::episode::State::from(self.state).into(),
            outcome: proto::episode::Outcome::from(self.outcome).into(),
            instruction_ko: self.info.instruction.ko.clone(),
            instruction_en: self.info.instruction.en.clone(),
            operator: self.info.operator.clone(),
            site: self.info.site.clone(),
            notes: self.info.notes.clone(),
            consent: self.info.consent.clone(),
            start: Some(to_proto(self.start)),
            end: self.end.map(to_proto),
            rerecords: self.rerecords,
        }
    }
}

impl From<&EpisodeSummary> for manifest::EpisodeEntry {
    fn from(episode: &EpisodeSummary) -> Self {
        let EpisodeInfo { instruction, operator, site, notes, consent } = episode.info.clone();
        let outcome = match episode.outcome {
            Outcome::Unspecified => "",
            Outcome::Success => "success",
            Outcome::Failure => "failure",
        };
        Self {
            index: episode.index,
            start: Some(episode.start.into()),
            end: episode.end.map(manifest::Moment::from),
            outcome: outcome.to_owned(),
            discarded: episode.state == EpisodeState::Discarded,
            rerecords: episode.rerecords,
            instruction_ko: instruction.ko,
            instruction_en: instruction.en,
            operator,
            site,
            notes,
            consent,
        }
    }
}

/// A command that cannot be done now. The episodes stay as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpisodeError {
    /// Begin while one runs.
    #[error("episode {index} is still running; end or discard it first, or re-record it")]
    Running {
        /// The running one.
        index: u32,
    },
    /// End while none runs.
    #[error("no episode is running; begin one first")]
    NotRunning,
    /// Discard or re-record before the first one.
    #[error("this recording has no episode yet; begin one first")]
    NoEpisode,
    /// Discard twice.
    #[error("episode {index} is discarded already; begin or re-record one")]
    AlreadyDiscarded {
        /// The discarded one.
        index: u32,
    },
    /// The recording holds as many as it may.
    #[error(
        "this recording has {MAX_EPISODES} episodes or {MAX_TEXT_BYTES} bytes of episode texts; start a new recording"
    )]
    Full,
    /// A text is not accepted.
    #[error("the episode's text is not accepted")]
    Text(#[source] TextError),
    /// A mark's text is not accepted.
    #[error("the mark's text is not accepted")]
    Mark(#[source] TextError),
}

/// The episodes of one recording. At most one runs, and it is the last.
#[derive(Clone, Debug, Default)]
pub struct Episodes {
    list: Vec<EpisodeSummary>,
    text_bytes: usize,
}

impl Episodes {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them, by index.
    #[must_use]
    pub fn summaries(&self) -> &[EpisodeSummary] {
        &self.list
    }

    /// The running one.
    #[must_use]
    pub fn running(&self) -> Option<&EpisodeSummary> {
        self.list.last().filter(|e| e.state == EpisodeState::Running)
    }

    /// Begins the next episode at `now`.
    ///
    /// # Errors
    /// [`EpisodeError::Running`], [`EpisodeError::Text`], [`EpisodeError::Full`].
    pub fn begin(&mut self, info: EpisodeInfo, now: Timestamp) -> Result<proto::Episode, EpisodeError> {
        if let Some(running) = self.running() {
            return Err(EpisodeError::Running { index: running.index });
        }
        info.check().map_err(EpisodeError::Text)?;
        self.append(info, None, now)
    }

    /// Ends the running episode at `now`. If the wall clock was set back since it began, its range is empty, and the
    /// message's own timestamp tells the step.
    ///
    /// # Errors
    /// [`EpisodeError::NotRunning`], [`EpisodeError::Text`], [`EpisodeError::Full`].
    pub fn end(&mut self, outcome: Outcome, notes: &str, now: Timestamp) -> Result<proto::Episode, EpisodeError> {
        let running = self.running().ok_or(EpisodeError::NotRunning)?;
        let index = running.index;
        self.close(index, EpisodeState::Ended, outcome, notes, now)
    }

    /// Takes back the running episode, or else the one that ended last.
    ///
    /// # Errors
    /// [`EpisodeError::NoEpisode`], [`EpisodeError::AlreadyDiscarded`], [`EpisodeError::Text`], [`EpisodeError::Full`].
    pub fn discard(&mut self, notes: &str, now: Timestamp) -> Result<proto::Episode, EpisodeError> {
        let last = self.list.last().ok_or(EpisodeError::NoEpisode)?;
        if last.state == EpisodeState::Discarded {
            return Err(EpisodeError::AlreadyDiscarded { index: last.index });
        }
        let (index, outcome) = (last.index, last.outcome);
        self.close(index, EpisodeState::Discarded, outcome, notes, now)
    }

    /// Discards the last episode, unless it is discarded already, and begins another one with the same instruction,
    /// operator, site and consent; its notes start empty.
    ///
    /// The messages are in the order in which they are to be written: one or two.
    ///
    /// # Errors
    /// [`EpisodeError::NoEpisode`], [`EpisodeError::Full`].
    pub fn rerecord(&mut self, now: Timestamp) -> Result<Vec<proto::Episode>, EpisodeError> {
        let last = self.list.last().ok_or(EpisodeError::NoEpisode)?;
        let (index, discarded) = (last.index, last.state == EpisodeState::Discarded);
        let info = EpisodeInfo { notes: String::new(), ..last.info.clone() };
        // Checked before the discard, so that a refusal leaves the old episode as it was.
        self.check_room(info.bytes())?;
        let mut messages = Vec::with_capacity(2);
        if !discarded {
            messages.push(self.discard("", now)?);
        }
        messages.push(self.append(info, Some(index), now)?);
        Ok(messages)
    }

    /// The recording stops: a running episode ends with its outcome unspecified.
    pub fn stop(&mut self, now: Timestamp) -> Option<proto::Episode> {
        self.end(Outcome::Unspecified, "", now).ok()
    }

    fn append(
        &mut self,
        info: EpisodeInfo,
        rerecords: Option<u32>,
        now: Timestamp,
    ) -> Result<proto::Episode, EpisodeError> {
        self.check_room(info.bytes())?;
        let index = u32::try_from(self.list.len()).map_err(|_more_than_u32| EpisodeError::Full)?;
        self.text_bytes += info.bytes();
        let episode = EpisodeSummary {
            index,
            state: EpisodeState::Running,
            outcome: Outcome::Unspecified,
            info,
            start: now,
            end: None,
            rerecords,
        };
        let message = episode.to_message(now);
        self.list.push(episode);
        Ok(message)
    }

    fn check_room(&self, text_bytes: usize) -> Result<(), EpisodeError> {
        if self.list.len() >= MAX_EPISODES || self.text_bytes.saturating_add(text_bytes) > MAX_TEXT_BYTES {
            return Err(EpisodeError::Full);
        }
        Ok(())
    }

    /// Gives episode `index` its final state; an end that it has already stays.
    fn close(
        &mut self,
        index: u32,
        state: EpisodeState,
        outcome: Outcome,
        notes: &str,
        now: Timestamp,
    ) -> Result<proto::Episode, EpisodeError> {
        text::check_paragraphs("notes", notes, LONG_TEXT_BYTES).map_err(EpisodeError::Text)?;
        let text_bytes = self.text_bytes + notes.len();
        // Without notes it always goes through, so that a stop can end what runs.
        if !notes.is_empty() && text_bytes > MAX_TEXT_BYTES {
            return Err(EpisodeError::Full);
        }
        let episode = self.list.get_mut(index as usize).ok_or(EpisodeError::NoEpisode)?;
        episode.state = state;
        episode.outcome = outcome;
        if !notes.is_empty() {
            if !episode.info.notes.is_empty() {
                episode.info.notes.push('\n');
            }
            episode.info.notes.push_str(notes);
        }
        episode.end = episode.end.or(Some(now.max(episode.start)));
        self.text_bytes = text_bytes;
        Ok(episode.to_message(now))
    }
}

/// A mark by a person: a message for `/sagwan/event`.
///
/// # Errors
/// [`EpisodeError::Mark`] if the name is empty or a text is too long or has control characters.
pub fn mark(name: &str, detail: &str, now: Timestamp) -> Result<proto::Event, EpisodeError> {
    text::check_name("name", name, SHORT_TEXT_BYTES).map_err(EpisodeError::Mark)?;
    text::check_paragraphs("detail", detail, LONG_TEXT_BYTES).map_err(EpisodeError::Mark)?;
    Ok(proto::Event {
        timestamp: Some(to_proto(now)),
        kind: "mark".to_owned(),
        name: name.to_owned(),
        detail: detail.to_owned(),
        start: None,
        end: None,
    })
}

/// Seconds and non-negative nanoseconds, as protobuf wants them also before 1970.
pub(crate) fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.as_nanos();
    prost_types::Timestamp {
        seconds: nanos.div_euclid(1_000_000_000),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn pick() -> EpisodeInfo {
        EpisodeInfo {
            instruction: LocalText { ko: "컵을 집는다".to_owned(), en: "pick the cup".to_owned() },
            operator: "op-7".to_owned(),
            notes: "left hand".to_owned(),
            ..EpisodeInfo::default()
        }
    }

    #[test]
    fn an_episode_has_a_range_an_outcome_and_both_notes() {
        let mut episodes = Episodes::new();
        let begun = episodes.begin(pick(), at(10)).unwrap();
        assert_eq!((begun.index, begun.state(), begun.end), (0, proto::episode::State::Begun, None));
        let ended = episodes.end(Outcome::Success, "a bit slow", at(20)).unwrap();
        assert_eq!(ended.state(), proto::episode::State::Ended);
        assert_eq!(ended.outcome(), proto::episode::Outcome::Success);
        assert_eq!((ended.start, ended.end), (Some(to_proto(at(10))), Some(to_proto(at(20)))));
        assert_eq!(ended.notes, "left hand\na bit slow");
        assert_eq!(episodes.begin(pick(), at(30)).unwrap().index, 1);
    }

    #[test]
    fn a_second_begin_is_refused_and_says_what_to_do() {
        let mut episodes = Episodes::new();
        episodes.begin(pick(), at(1)).unwrap();
        let error = episodes.begin(pick(), at(2)).unwrap_err();
        assert_eq!(error, EpisodeError::Running { index: 0 });
        assert!(error.to_string().contains("end or discard it first"), "{error}");
        assert_eq!(episodes.summaries().len(), 1);
    }

    #[test]
    fn a_discard_takes_back_the_running_or_the_last_ended_episode_once() {
        let mut episodes = Episodes::new();
        assert_eq!(episodes.discard("", at(0)), Err(EpisodeError::NoEpisode));
        episodes.begin(pick(), at(1)).unwrap();
        assert_eq!(episodes.discard("dropped it", at(2)).unwrap().end, Some(to_proto(at(2))));
        assert_eq!(episodes.discard("", at(3)), Err(EpisodeError::AlreadyDiscarded { index: 0 }));
        episodes.begin(pick(), at(4)).unwrap();
        episodes.end(Outcome::Failure, "", at(5)).unwrap();
        let discarded = episodes.discard("", at(9)).unwrap();
        assert_eq!((discarded.index, discarded.end), (1, Some(to_proto(at(5)))));
        assert_eq!(discarded.timestamp, Some(to_proto(at(9))));
    }

    #[test]
    fn a_rerecord_discards_and_begins_again_with_the_same_instruction() {
        let mut episodes = Episodes::new();
        assert_eq!(episodes.rerecord(at(0)), Err(EpisodeError::NoEpisode));
        episodes.begin(pick(), at(1)).unwrap();
        let messages = episodes.rerecord(at(2)).unwrap();
        let [discarded, begun] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!((discarded.index, discarded.state()), (0, proto::episode::State::Discarded));
        assert_eq!((begun.index, begun.rerecords, begun.notes.as_str()), (1, Some(0), ""));
        assert_eq!(begun.instruction_ko, pick().instruction.ko);
        episodes.discard("", at(3)).unwrap();
        let messages = episodes.rerecord(at(4)).unwrap();
        assert_eq!(messages.iter().map(|m| (m.index, m.rerecords)).collect::<Vec<_>>(), [(2, Some(1))]);
    }

    #[test]
    fn a_stop_ends_what_runs_with_outcome_unspecified() {
        let mut episodes = Episodes::new();
        assert_eq!(episodes.stop(at(0)), None);
        episodes.begin(pick(), at(1)).unwrap();
        assert_eq!(episodes.stop(at(2)).unwrap().outcome(), proto::episode::Outcome::Unspecified);
        assert_eq!(episodes.stop(at(3)), None);
    }

    #[test]
    fn a_clock_set_back_gives_an_empty_range_not_a_negative_one() {
        let mut episodes = Episodes::new();
        episodes.begin(pick(), at(100)).unwrap();
        let ended = episodes.end(Outcome::Success, "", at(-5)).unwrap();
        assert_eq!(ended.end, Some(to_proto(at(100))));
        assert_eq!(ended.timestamp, Some(prost_types::Timestamp { seconds: -1, nanos: 999_999_995 }));
    }

    #[test]
    fn hostile_texts_are_refused_and_change_nothing() {
        let mut episodes = Episodes::new();
        let info = EpisodeInfo { site: "\u{1b}]0;x".to_owned(), ..pick() };
        assert!(matches!(
            episodes.begin(info, at(0)),
            Err(EpisodeError::Text(TextError::Control { field: "site", .. }))
        ));
        episodes.begin(pick(), at(1)).unwrap();
        let long = "x".repeat(LONG_TEXT_BYTES + 1);
        assert!(matches!(episodes.end(Outcome::Success, &long, at(2)), Err(EpisodeError::Text(_))));
        assert_eq!(episodes.running().unwrap().info.notes, "left hand");
        assert!(mark("", "", at(0)).is_err());
        assert_eq!(mark("near miss", "line 1\nline 2", at(5)).unwrap().kind, "mark");
    }

    #[test]
    fn texts_of_all_episodes_are_bounded_but_a_stop_always_works() {
        let mut episodes = Episodes::new();
        let info = EpisodeInfo { notes: "x".repeat(LONG_TEXT_BYTES), ..EpisodeInfo::default() };
        let refused = (0..MAX_EPISODES as i64).find_map(|i| {
            let error = episodes.begin(info.clone(), at(i)).err();
            error.or_else(|| episodes.end(Outcome::Success, &info.notes, at(i)).err())
        });
        assert_eq!(refused, Some(EpisodeError::Full));
        assert!(episodes.text_bytes <= MAX_TEXT_BYTES);
        episodes.stop(at(0));
        assert_eq!(episodes.running(), None);
    }

    #[test]
    fn summaries_read_back_as_they_were_written() {
        let mut episodes = Episodes::new();
        episodes.begin(pick(), at(1)).unwrap();
        episodes.rerecord(at(2)).unwrap();
        let json = serde_json::to_string(episodes.summaries()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<EpisodeSummary>>(&json).unwrap(), episodes.summaries());
        let entry = manifest::EpisodeEntry::from(&episodes.summaries()[0]);
        assert_eq!(
            (entry.discarded, entry.outcome.as_str(), entry.instruction_en.as_str()),
            (true, "", "pick the cup")
        );
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin,
        End,
        Discard,
        Rerecord,
        Stop,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever is commanded at whatever times: at most one runs, indexes count on, ranges are whole, and the
        /// messages alone give the same states as the summaries.
        #[test]
        fn any_command_sequence_keeps_the_invariants(
            steps in prop::collection::vec(
                (prop::sample::select(vec![Step::Begin, Step::End, Step::Discard, Step::Rerecord, Step::Stop]), any::<i32>()),
                0..40,
            )
        ) {
            let mut episodes = Episodes::new();
            let mut told = std::collections::BTreeMap::new();
            for (step, time) in steps {
                let now = at(i64::from(time));
                let messages = match step {
                    Step::Begin => episodes.begin(pick(), now).into_iter().collect(),
                    Step::End => episodes.end(Outcome::Failure, "", now).into_iter().collect(),
                    Step::Discard => episodes.discard("", now).into_iter().collect(),
                    Step::Rerecord => episodes.rerecord(now).unwrap_or_default(),
                    Step::Stop => episodes.stop(now).into_iter().collect::<Vec<_>>(),
                };
                for message in messages {
                    told.insert(message.index, message);
                }
                let list = episodes.summaries();
                for (i, episode) in list.iter().enumerate() {
                    prop_assert_eq!(episode.index as usize, i);
                    prop_assert_eq!(episode.state == EpisodeState::Running, episode.end.is_none());
                    prop_assert!(episode.state != EpisodeState::Running || i + 1 == list.len());
                    prop_assert!(episode.end.is_none_or(|end| end >= episode.start));
                    if let Some(old) = episode.rerecords {
                        prop_assert_eq!(list[old as usize].state, EpisodeState::Discarded);
                    }
                }
            }
            let from_messages: Vec<_> = told.values().map(|m| (m.state, m.start, m.end, m.rerecords)).collect();
            let from_summaries: Vec<_> = episodes.summaries().iter().map(|e| {
                let m = e.to_message(at(0));
                (m.state, m.start, m.end, m.rerecords)
            }).collect();
            prop_assert_eq!(from_messages, from_summaries);
        }
    }
}
