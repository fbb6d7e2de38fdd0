//! Go or no-go: whether a recording started now would hold what its profile promises.
//!
//! Pure: judges what was seen on the wire for some seconds. Knows neither the wire nor the disk.

mod text;

use std::fmt;

use sagwan_schemas::profile::{LocalText, Profile, Stream};
use serde::{Deserialize, Serialize};

use crate::health::{Contract, sync::SyncReport};

/// What was seen of one channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenStream {
    /// Name of the profile's stream; [`None`] for a channel that the profile does not name.
    pub stream: Option<String>,
    /// Its topic.
    pub topic: String,
    /// Samples seen.
    pub samples: u64,
    /// Samples per second, where there were enough.
    pub rate_hz: Option<f64>,
    /// Whether a schema is known.
    pub has_schema: bool,
    /// Why its last sample could not be decoded; [`None`] if it could, or was not tried.
    pub decode_error: Option<String>,
    /// Whether its publisher numbers its samples.
    pub numbered: bool,
}

/// The disk and how fast it fills.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskSeen {
    /// Free bytes.
    pub free: u64,
    /// Free bytes at which recording stops.
    pub reserve: u64,
    /// Payload bytes per second of everything seen.
    pub bytes_per_second: f64,
    /// How long the recording is meant to last, seconds.
    pub needed_seconds: Option<f64>,
}

/// What is the matter with a stream, a sync group or the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// As the profile promises.
    Ok,
    /// Nothing came.
    Missing,
    /// Fewer samples per second than contracted.
    Slow,
    /// More samples per second than contracted.
    Fast,
    /// Capture times of a sync group differ too much.
    Unsynchronised,
    /// Samples do not decode by their schema.
    Undecodable,
    /// No schema is known.
    NoSchema,
    /// Samples are not numbered: losses on the way cannot be noticed.
    Unnumbered,
    /// Seen, but not in the profile.
    Unlisted,
    /// The disk is full before the recording is meant to end.
    DiskShort,
}

/// How much an item weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// Worth knowing.
    Info,
    /// Wrong, but the recording can do without.
    Warning,
    /// The recording would be no good.
    Blocker,
}

/// One line of a preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Stream, topic or sync group; `disk` for the disk.
    pub subject: String,
    /// What is the matter.
    pub status: Status,
    /// How much it weighs.
    pub level: Level,
    /// What was seen, for people.
    pub detail: LocalText,
    /// What to do; empty where there is nothing.
    pub remedy: LocalText,
}

/// Go or no-go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Record.
    #[serde(rename = "go")]
    Go,
    /// Do not record before the blockers are gone.
    #[serde(rename = "no_go")]
    NoGo,
}

/// The language of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Korean.
    Ko,
    /// English.
    En,
}

/// The result of a preflight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// Go, or not.
    pub verdict: Verdict,
    /// Streams in the order of the profile, then sync groups, channels that no profile names, and the disk.
    pub items: Vec<Item>,
    /// Seconds until the disk is full at the present rate; [`None`] when nothing flows.
    pub disk_seconds_left: Option<f64>,
}

/// Judges what was seen against `profile`. Without one, only the disk can forbid.
#[must_use]
pub fn evaluate(profile: Option<&Profile>, seen: &[SeenStream], sync: &[SyncReport], disk: &DiskSeen) -> Preflight {
    let streams: Vec<&Stream> = profile.iter().flat_map(|p| &p.streams).filter(|stream| stream.record).collect();
    let mut items = Vec::new();
    for stream in &streams {
        let found = seen.iter().find(|s| s.stream.as_deref() == Some(stream.name.as_str()));
        judge_stream(stream, found, &mut items);
    }
    for group in sync {
        let required = streams.iter().any(|s| s.required && s.sync_group.as_deref() == Some(group.name.as_str()));
        items.push(judge_group(group, required));
    }
    let listed = |s: &SeenStream| s.stream.as_deref().is_some_and(|name| streams.iter().any(|t| t.name == name));
    for stranger in seen.iter().filter(|s| !listed(s)) {
        judge_stranger(stranger, profile.is_some(), &mut items);
    }
    let disk_seconds_left = seconds_left(disk);
    items.push(judge_disk(disk, disk_seconds_left));
    let blocked = items.iter().any(|item| item.level == Level::Blocker);
    Preflight { verdict: if blocked { Verdict::NoGo } else { Verdict::Go }, items, disk_seconds_left }
}

fn judge_stream(stream: &Stream, seen: Option<&SeenStream>, items: &mut Vec<Item>) {
    let level = if stream.required { Level::Blocker } else { Level::Warning };
    let mut add = |status, level, (detail, remedy)| {
        items.push(Item { subject: stream.name.clone(), status, level, detail, remedy });
    };
    let Some(seen) = seen.filter(|seen| seen.samples > 0) else {
        add(Status::Missing, level, text::missing(stream));
        return;
    };
    let rate = seen.rate_hz.unwrap_or(0.0);
    let mut fine = true;
    if let Some((lowest, highest)) = Contract::of(stream, "").rates()
        && !(lowest..=highest).contains(&rate)
    {
        let status = if rate < lowest { Status::Slow } else { Status::Fast };
        add(status, level, text::rate(stream, rate));
        fine = false;
    }
    if !seen.has_schema {
        add(Status::NoSchema, level, text::no_schema());
        fine = false;
    }
    if let Some(error) = &seen.decode_error {
        add(Status::Undecodable, level, text::undecodable(error));
        fine = false;
    }
    if !seen.numbered {
        add(Status::Unnumbered, Level::Info, text::unnumbered());
    }
    if fine {
        add(Status::Ok, Level::Ok, text::fine(seen));
    }
}

fn judge_group(group: &SyncReport, required: bool) -> Item {
    let (status, level) = match (group.violated(), required) {
        (false, _) => (Status::Ok, Level::Ok),
        (true, true) => (Status::Unsynchronised, Level::Blocker),
        (true, false) => (Status::Unsynchronised, Level::Warning),
    };
    let remedy = if level == Level::Ok { LocalText::default() } else { text::synchronise() };
    Item { subject: group.name.clone(), status, level, detail: group.describe(), remedy }
}

fn judge_stranger(seen: &SeenStream, has_profile: bool, items: &mut Vec<Item>) {
    let mut add = |status, level, (detail, remedy)| {
        items.push(Item { subject: seen.topic.clone(), status, level, detail, remedy });
    };
    if has_profile {
        add(Status::Unlisted, Level::Info, text::unlisted(seen));
    }
    if !seen.has_schema {
        add(Status::NoSchema, Level::Info, text::no_schema());
    }
    if let Some(error) = &seen.decode_error {
        add(Status::Undecodable, Level::Warning, text::undecodable(error));
    }
    if !has_profile && seen.has_schema && seen.decode_error.is_none() {
        add(Status::Ok, Level::Ok, text::fine(seen));
    }
}

fn seconds_left(disk: &DiskSeen) -> Option<f64> {
    let usable = disk.free.saturating_sub(disk.reserve) as f64;
    (disk.bytes_per_second.is_finite() && disk.bytes_per_second > 0.0).then(|| usable / disk.bytes_per_second)
}

fn judge_disk(disk: &DiskSeen, left: Option<f64>) -> Item {
    let short = disk.free <= disk.reserve || left.zip(disk.needed_seconds).is_some_and(|(left, needed)| left < needed);
    let (status, level) = if short { (Status::DiskShort, Level::Blocker) } else { (Status::Ok, Level::Ok) };
    let remedy = if short { text::free_the_disk() } else { LocalText::default() };
    Item { subject: "disk".to_owned(), status, level, detail: text::disk(disk, left), remedy }
}

impl Preflight {
    /// A text for a terminal: one line per item, blockers first, then the verdict.
    #[must_use]
    pub fn render(&self, language: Language) -> String {
        let mut items: Vec<&Item> = self.items.iter().collect();
        // Stable: within a level the order stays.
        items.sort_by_key(|item| std::cmp::Reverse(item.level));
        let width = items.iter().map(|item| item.subject.chars().count()).max().unwrap_or(0).min(40);
        let mut out = String::new();
        for item in items {
            let mark = match item.level {
                Level::Ok => "ok  ",
                Level::Info => "info",
                Level::Warning => "warn",
                Level::Blocker => "STOP",
            };
            let detail = text::pick(&item.detail, language);
            out.push_str(&format!("{mark}  {:width$}  {detail}\n", item.subject));
            let remedy = text::pick(&item.remedy, language);
            if !remedy.is_empty() {
                out.push_str(&format!("      {:width$}  -> {remedy}\n", ""));
            }
        }
        out.push_str(text::pick(&text::verdict(self.verdict), language));
        out.push('\n');
        out
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
        })
    }
}

#[cfg(test)]
mod tests;
