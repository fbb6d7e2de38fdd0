//! What the values of a profile must fulfil, beyond having the right type. Each rule names the place and the remedy.

mod frame;
mod stream;

use std::{collections::BTreeMap, ops::Range};

use super::{
    Bytes, Profile, RecordingMode, Span,
    problem::{Problems, shortened},
    read::Document,
};

/// The layout version that this build reads and writes.
const VERSION: u32 = 1;
/// A queue or part smaller than this cannot hold one camera image.
const LEAST_BYTES: Bytes = Bytes(1 << 20);

/// Looks for everything that breaks a rule.
pub(super) fn check(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    platform(profile, document, problems);
    recording(profile, document, problems);
    stream::check(profile, document, problems);
    sync_groups(profile, document, problems);
    frame::check(profile, document, problems);
    triggers(profile, document, problems);
    attachments(profile, document, problems);
}

fn platform(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    if profile.version != VERSION {
        let message = format!("profile version {} is not known", profile.version);
        problems.error(&document.top("version"), message, format!("write `version = {VERSION}`"));
    }
    if !is_word(&profile.platform, "_-") {
        let message = format!("{:?} is not a platform identifier", shortened(&profile.platform));
        problems.error(&document.top("platform"), message, "use 1 to 64 small letters, digits, `_` and `-`");
    }
}

fn recording(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    let policy = &profile.recording;
    for (key, size) in [("queue", policy.queue), ("part_size", policy.part_size)] {
        if size < LEAST_BYTES {
            let message = format!("{key} is {size}, less than {LEAST_BYTES}");
            problems.error(&document.recording(key), message, format!("give it {LEAST_BYTES} or more"));
        }
    }
    if policy.chunk_size == Bytes(0) {
        problems.error(&document.recording("chunk_size"), "chunk_size is 0", "\"1 MiB\" is a good size");
    }
    if policy.chunk_size > policy.part_size {
        let message = format!("a chunk of {} does not fit a part of {}", policy.chunk_size, policy.part_size);
        problems.error(&document.recording("chunk_size"), message, "make chunk_size smaller or part_size larger");
    }
    for (key, span) in [("part_duration", policy.part_duration), ("chunk_duration", policy.chunk_duration)] {
        if span == Span::default() {
            problems.error(&document.recording(key), format!("{key} is 0"), "write a time, like \"1 s\" or \"10 min\"");
        }
    }
    if policy.chunk_duration > policy.part_duration {
        let message = format!("a chunk of {} does not fit a part of {}", policy.chunk_duration, policy.part_duration);
        let help = "make chunk_duration shorter or part_duration longer";
        problems.error(&document.recording("chunk_duration"), message, help);
    }
    if policy.chunk_duration > Span::from_secs(1) {
        let message = format!("a power cut loses up to {} of slow streams", policy.chunk_duration);
        problems.warn(&document.recording("chunk_duration"), message, "keep chunk_duration at \"1 s\" or less");
    }
    if policy.quota > Bytes(0) && policy.quota < policy.part_size {
        let message = format!("a quota of {} is less than one part of {}", policy.quota, policy.part_size);
        problems.warn(&document.recording("quota"), message, "every recording would be deleted as soon as it is done");
    }
    if policy.mode == RecordingMode::Ring {
        ring(profile, document, problems);
    }
}

fn ring(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    let policy = &profile.recording;
    if policy.ring_duration == Span::default() {
        problems.error(&document.recording("ring_duration"), "the ring holds no time", "write a time, like \"30 s\"");
    }
    if policy.ring_size < LEAST_BYTES {
        let message = format!("ring_size is {}, less than {LEAST_BYTES}", policy.ring_size);
        problems.error(&document.recording("ring_size"), message, format!("give it {LEAST_BYTES} or more"));
    }
    if profile.triggers.is_empty() {
        let help = "add a `[[trigger]]`; without one, data reach the disk only when somebody marks them";
        problems.warn(&document.recording("mode"), "ring mode without a trigger", help);
    }
    for (index, trigger) in profile.triggers.iter().enumerate() {
        if trigger.pre > policy.ring_duration {
            let message = format!("the ring reaches {} back, not {}", policy.ring_duration, trigger.pre);
            problems.warn(&document.item("trigger", index, "pre"), message, "make `recording.ring_duration` longer");
        }
    }
}

fn sync_groups(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    // Per group: members with a rate, and the fastest of their rates.
    let mut members: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for stream in &profile.streams {
        if let (Some(group), Some(rate)) = (&stream.sync_group, stream.rate_hz) {
            let entry = members.entry(group).or_default();
            *entry = (entry.0 + 1, entry.1.max(rate));
        }
    }
    let mut names = Names::new("sync group");
    for (index, group) in profile.sync_groups.iter().enumerate() {
        let place = document.item("sync_group", index, "name");
        names.check(&group.name, "_", place.clone(), problems);
        let (count, fastest) = members.get(group.name.as_str()).copied().unwrap_or_default();
        if count < 2 {
            let message = format!("sync group {:?} has {count} streams with a rate", shortened(&group.name));
            let help = format!("write `sync_group = {:?}` in two or more streams that have `rate_hz`", group.name);
            problems.error(&place, message, help);
        }
        let place = document.item("sync_group", index, "tolerance");
        let seconds = group.tolerance.0.as_secs_f64();
        if group.tolerance == Span::default() {
            problems.error(
                &place,
                "the tolerance is 0",
                "write the largest difference that is still fine, like \"10 ms\"",
            );
        } else if fastest > 0.0 && seconds > 0.5 / fastest {
            let message = format!("{} is more than half a period at {fastest} Hz", group.tolerance);
            problems.warn(&place, message, "samples of different periods would pass as captured together");
        }
    }
}

fn triggers(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    let mut names = Names::new("trigger");
    for (index, trigger) in profile.triggers.iter().enumerate() {
        names.check(&trigger.name, "_", document.item("trigger", index, "name"), problems);
        if trigger.when.trim().is_empty() {
            let help = "write a condition over streams' fields, like \"vehicle_state.speed > 20.0\"";
            problems.error(&document.item("trigger", index, "when"), "the trigger has no condition", help);
        }
    }
}

fn attachments(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    let mut seen = BTreeMap::new();
    for (index, attachment) in profile.attachments.iter().enumerate() {
        let place = document.item("attachment", index, "name");
        let name = attachment.name.as_str();
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            problems.error(&place, "the attachment has no proper name", "write a file name, like \"robot.urdf\"");
        } else if let Some(line) = seen.insert(name, problems.line_of(place.start)) {
            let message = format!("attachment {:?} exists already, in line {line}", shortened(name));
            problems.error(&place, message, "give each attachment its own name");
        }
        let path = attachment.path.to_str().unwrap_or_default();
        if !is_inner_path(path) {
            let message = format!("{:?} does not lie beside the profile or below it", shortened(path));
            let help = "write a path relative to the profile, with `/`, without `..`, like \"calibration/head.yaml\"";
            problems.error(&document.item("attachment", index, "path"), message, help);
        }
        let media_type = &attachment.media_type;
        if !media_type.is_empty() && !media_type.contains('/') {
            let message = format!("{:?} is not a media type", shortened(media_type));
            problems.warn(&document.item("attachment", index, "media_type"), message, "like \"application/xml\"");
        }
    }
}

/// Whether a path stays inside its folder on every operating system; so no backslash and no drive letter either.
fn is_inner_path(path: &str) -> bool {
    let clean = !path.is_empty() && !path.contains(['\\', ':']) && !path.chars().any(char::is_control);
    clean && path.split('/').all(|part| !part.is_empty() && part != "..")
}

/// 1 to 64 small letters, digits and characters of `others`.
fn is_word(text: &str, others: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || others.contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// Names of one kind: each well-formed, none twice.
struct Names<'p> {
    kind: &'static str,
    /// Each name with the line where it stands.
    seen: BTreeMap<&'p str, usize>,
}

impl<'p> Names<'p> {
    fn new(kind: &'static str) -> Self {
        Self { kind, seen: BTreeMap::new() }
    }

    /// Checks a name made of words, divided by `/` if `others` holds it.
    fn check(&mut self, name: &'p str, others: &str, place: Range<usize>, problems: &mut Problems<'_>) {
        let kind = self.kind;
        if !is_word(name, others) || name.split('/').any(str::is_empty) {
            let listed: Vec<String> = others.chars().map(|c| format!("`{c}`")).collect();
            let help = format!("use 1 to 64 small letters, digits and {}", listed.join(" and "));
            problems.error(&place, format!("{:?} is not a {kind} name", shortened(name)), help);
        } else {
            self.unique(name, place, problems);
        }
    }

    /// Checks only that a name was not there before.
    fn unique(&mut self, name: &'p str, place: Range<usize>, problems: &mut Problems<'_>) {
        let kind = self.kind;
        if let Some(line) = self.seen.get(name) {
            let message = format!("{kind} {:?} exists already, in line {line}", shortened(name));
            problems.error(&place, message, format!("give each {kind} its own name"));
        } else {
            self.seen.insert(name, problems.line_of(place.start));
        }
    }
}
