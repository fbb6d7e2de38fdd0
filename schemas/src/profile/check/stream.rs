//! Rules of streams: names, keys, rates, roles, schemas, and what must not be combined.

use std::collections::BTreeMap;

use super::Names;
use crate::{
    message::bundled,
    profile::key::check_key,
    profile::{
        Profile, Stream,
        problem::{Problems, shortened},
        read::Document,
        role,
        role::Role,
        schema, suggest,
    },
    stream::{Compression, Modality},
};

pub(super) fn check(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    let mut names = Names::new("stream");
    let mut shared = Shared::new(profile);
    for (index, stream) in profile.streams.iter().enumerate() {
        let mut one = One { index, stream, document, problems };
        names.check(&stream.name, "_/", document.item("stream", index, "name"), one.problems);
        one.reserved_name();
        one.key(&profile.platform, &mut shared);
        one.rate();
        one.role(&mut shared);
        one.schema();
        one.references(&shared);
        one.combinations();
    }
}

/// What streams share: the names they refer to, and what only one of them may have.
struct Shared<'p> {
    groups: Vec<&'p str>,
    frames: Vec<&'p str>,
    /// Expanded keys and image roles, each with the name of its stream.
    keys: BTreeMap<String, &'p str>,
    images: BTreeMap<&'p str, &'p str>,
}

impl<'p> Shared<'p> {
    fn new(profile: &'p Profile) -> Self {
        let mut groups: Vec<&str> = profile.sync_groups.iter().map(|group| group.name.as_str()).collect();
        let mut frames: Vec<&str> = profile.frames.iter().map(|frame| frame.name.as_str()).collect();
        groups.sort_unstable();
        frames.sort_unstable();
        Self { groups, frames, keys: BTreeMap::new(), images: BTreeMap::new() }
    }
}

/// One stream under examination.
struct One<'a, 'p, 't, 'o> {
    index: usize,
    stream: &'p Stream,
    document: &'a Document<'t>,
    problems: &'a mut Problems<'o>,
}

impl<'p> One<'_, 'p, '_, '_> {
    fn error(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.error(&self.document.item("stream", self.index, key), message, help);
    }

    fn warn(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.warn(&self.document.item("stream", self.index, key), message, help);
    }

    /// The topics `/sagwan/…` are the recorder's.
    fn reserved_name(&mut self) {
        if self.stream.name.split('/').next() == Some("sagwan") {
            self.error("name", "the name `sagwan` belongs to the recorder's own channels", "choose another name");
        }
    }

    fn key(&mut self, platform: &str, shared: &mut Shared<'p>) {
        let key = self.stream.key(platform);
        if let Some(open) = key.find(['{', '}']) {
            let at = key.get(open..).unwrap_or_default();
            let message = format!("unknown placeholder at {:?}", shortened(at));
            self.error("key", message, "only {platform} and {stream} are filled in");
        } else if self.stream.key.is_none() && check_key(&key).is_err() {
            // The default key is wrong only because the platform or the name is, and that is said already.
        } else if let Err(error) = check_key(&key) {
            let message = format!("the key expression {:?} {error}", shortened(&key));
            self.error("key", message, "write parts divided by `/`, like \"sagwan/v1/{platform}/{stream}\"");
        } else if let Some(other) = shared.keys.get(&key) {
            // Two streams of the same name: that is said already.
            if *other != self.stream.name {
                let message = format!("stream {other:?} has the key {:?} too", shortened(&key));
                let place = if self.stream.key.is_some() { "key" } else { "name" };
                self.error(place, message, "a sample belongs to one stream only; give each its own key");
            }
        } else {
            shared.keys.insert(key, &self.stream.name);
        }
    }

    fn rate(&mut self) {
        let Stream { rate_hz, rate_tolerance, stall_after, .. } = *self.stream;
        let rate = rate_hz.filter(|rate| rate.is_finite() && *rate > 0.0);
        if let (Some(wrong), None) = (rate_hz, rate) {
            let help = "write samples per second, above 0; leave it out for streams without a rhythm";
            self.error("rate_hz", format!("the rate is {wrong} Hz"), help);
        }
        if !(rate_tolerance > 0.0 && rate_tolerance <= 1.0) {
            let help = "write a share above 0 and up to 1; 0.1 allows 10 % more or less";
            self.error("rate_tolerance", format!("the rate tolerance is {rate_tolerance}"), help);
        }
        let Some(stall) = stall_after.map(|span| span.0.as_secs_f64()) else { return };
        if stall == 0.0 {
            self.error("stall_after", "stall_after is 0", "write a time, like \"500 ms\"");
        } else if let Some(rate) = rate.filter(|rate| stall * rate < 1.0) {
            let message = format!("stall_after is shorter than a period at {rate} Hz");
            self.warn("stall_after", message, "it would alarm between any two samples");
        }
    }

    fn role(&mut self, shared: &mut Shared<'p>) {
        let Some(role) = Role::parse(&self.stream.role) else {
            let message = format!("{:?} is not a role", shortened(&self.stream.role));
            self.error("role", message, format!("use {}", role::FORMS));
            return;
        };
        let Role::Image(camera) = role else { return };
        if let Some(other) = shared.images.insert(camera, &self.stream.name) {
            let message = format!("stream {other:?} is the camera {camera:?} already");
            self.error("role", message, "give each camera its own name after `observation.images.`");
        }
        use Modality::{CompressedImage, CompressedVideo, DepthImage, RawImage};
        if !matches!(self.stream.modality, CompressedImage | CompressedVideo | DepthImage | RawImage) {
            self.warn("role", "an image role for a stream whose modality is no image", "change `role` or `modality`");
        }
    }

    fn schema(&mut self) {
        let name = &self.stream.schema;
        if name.is_empty() {
            return;
        }
        self.modality_of_schema();
        if schema::is_known(name) {
            return;
        }
        let suggestion = schema::nearest(name).map(|known| format!("did you mean {known:?}?"));
        let message = format!("schema {:?} is not known", shortened(name));
        let help = suggestion.unwrap_or_else(|| "write the full name, like \"foxglove.CompressedImage\"".to_owned());
        if schema::is_ours(name) {
            self.error("schema", message, help);
        } else if !name.contains(['.', '/']) || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.error("schema", format!("{message}, nor the full name of another"), help);
        }
    }

    /// Whether the schema is one for what the stream senses, as far as the schema's name tells.
    fn modality_of_schema(&mut self) {
        let Stream { modality, ref schema, .. } = *self.stream;
        let told = bundled::modality(schema);
        let depth = modality == Modality::DepthImage && matches!(told, Modality::RawImage | Modality::CompressedImage);
        if modality != told && ![modality, told].contains(&Modality::Other) && !depth {
            let message = format!("schema {:?} is not one of the stream's modality", shortened(schema));
            self.warn("schema", message, "change `modality` or `schema`; checks and export go by the modality");
        }
    }

    fn references(&mut self, shared: &Shared<'_>) {
        if let Some(group) = &self.stream.sync_group
            && shared.groups.binary_search(&group.as_str()).is_err()
        {
            let help = suggest::nearest(group, shared.groups.iter().copied()).map_or_else(
                || "declare it in a `[[sync_group]]`".to_owned(),
                |name| format!("did you mean {name:?}?"),
            );
            self.error("sync_group", format!("sync group {:?} does not exist", shortened(group)), help);
        }
        let frame = &self.stream.frame;
        // A profile without frames leaves them to the messages.
        let declared =
            shared.frames.is_empty() || frame.is_empty() || shared.frames.binary_search(&frame.as_str()).is_ok();
        if !declared {
            let help = suggest::nearest(frame, shared.frames.iter().copied())
                .map_or_else(|| "declare it in a `[[frame]]`".to_owned(), |name| format!("did you mean {name:?}?"));
            self.error("frame", format!("frame {:?} does not exist", shortened(frame)), help);
        }
    }

    fn combinations(&mut self) {
        let Stream { required, record, latched, rate_hz, modality, compression, .. } = *self.stream;
        if required && !record {
            self.error(
                "record",
                "the stream is required, but not recorded",
                "set `record = true` or `required = false`",
            );
        }
        if latched && rate_hz.is_some() {
            let help = "leave rate_hz out if the value is published once; else drop `latched`";
            self.warn("rate_hz", "a latched stream with a rate", help);
        }
        let compressed = matches!(modality, Modality::CompressedImage | Modality::CompressedVideo);
        if compressed && compression != Compression::None {
            self.warn(
                "compression",
                "the payload is compressed already",
                "set `compression = \"none\"`; it saves time",
            );
        }
    }
}
