//! Looks at the wire for some seconds without recording: what a [`preflight`](crate::preflight) judges.
//!
//! Counts in the callback and keeps one sample per key, so that memory is bounded by the number of keys.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use sagwan_bridges::native;
use sagwan_schemas::{
    channel::ChannelDescriptor,
    encoding::Decoder,
    profile::Profile,
    recording::storage::Storage,
    time::{Clock, Timestamp},
};
use zenoh::{Session, Wait, key_expr::KeyExpr, sample::Sample};

use crate::{
    capture::{CaptureError, Selection},
    clock::Reading,
    engine::error_chain,
    health::{Contract, Health, StreamId},
    preflight::{DiskSeen, Preflight, SeenStream, evaluate},
    resolve::describe_by_encoding,
};

/// Keys that are looked at; further ones are passed over.
const KEYS_MAX: usize = 4096;
/// Largest payload that is kept for the decoding probe, bytes.
const PROBE_MAX: usize = 16 << 20;
/// How long a publisher may take to describe itself, and all of them together.
const DESCRIBE_PATIENCE: Duration = Duration::from_secs(1);
const DESCRIBE_PATIENCE_ALL: Duration = Duration::from_secs(10);
/// How often the wait looks whether it should end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What to look at.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Keys.
    pub selection: Selection,
    /// The contract.
    pub profile: Arc<Profile>,
    /// Whether the profile is one that somebody wrote.
    pub has_profile: bool,
    /// How long to look.
    pub duration: Duration,
    /// Where the recording is to go; the nearest directory that exists tells the disk.
    pub root: PathBuf,
    /// How long the recording is meant to last, seconds.
    pub needed_seconds: Option<f64>,
}

#[derive(Debug)]
struct Seen {
    stream: Option<String>,
    id: StreamId,
    samples: u64,
    bytes: u64,
    encoding: String,
    last: Option<Bytes>,
    last_sequence: Option<u64>,
    numbered: bool,
}

#[derive(Debug)]
struct Watch {
    health: Health,
    seen: BTreeMap<String, Seen>,
    /// Streams of the profile that are being watched from the start.
    ids: BTreeMap<String, StreamId>,
    /// History of latched streams came.
    bytes: u64,
}

/// Looks for `what.duration`, or until `stop` says so, and judges.
///
/// # Errors
/// When a subscription is refused.
pub fn observe(
    session: &Session,
    what: &Observation,
    clock: &Arc<dyn Clock>,
    storage: &dyn Storage,
    stop: &dyn Fn() -> bool,
) -> Result<Preflight, CaptureError> {
    let watch = Arc::new(Mutex::new(Watch::new(&what.profile, Reading::of(&**clock))));
    let mut subscribers = Vec::new();
    for (index, key) in what.selection.include.iter().enumerate() {
        let (watch, clock, what) = (Arc::clone(&watch), Arc::clone(clock), what.clone());
        let take = move |sample: Sample| {
            let log_time = clock.wall();
            if what.selection.owner(sample.key_expr()) == Some(index) {
                watch.lock().take(&what.profile, &sample, log_time, false);
            }
        };
        let declared = session.declare_subscriber(key.clone()).callback(take).wait();
        subscribers.push(declared.map_err(|source| CaptureError::Subscribe { key: key.clone(), source })?);
    }
    let began = Instant::now();
    take_latched(session, what, &watch, &**clock);
    while began.elapsed() < what.duration && !stop() {
        std::thread::sleep(LOOK_INTERVAL.min(what.duration));
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(subscribers);
    let now = clock.wall();
    let watch = &mut *watch.lock();
    let (seen, sync) = (watch.describe(session, now), watch.health.sync_reports(now));
    let disk = disk(storage, what, watch.bytes as f64 / seconds.max(0.001));
    Ok(evaluate(what.has_profile.then_some(&*what.profile), &seen, &sync, &disk))
}

/// Values that were published before: a latched stream counts as seen.
fn take_latched(session: &Session, what: &Observation, watch: &Mutex<Watch>, clock: &dyn Clock) {
    for key in &what.selection.include {
        match native::fetch_latched(session, key, DESCRIBE_PATIENCE) {
            Ok(samples) => {
                for sample in samples {
                    watch.lock().take(&what.profile, &sample, clock.wall(), true);
                }
            }
            Err(error) => tracing::warn!(%key, %error, "cannot ask for latched values"),
        }
    }
}

impl Watch {
    fn new(profile: &Profile, now: Reading) -> Self {
        let mut health = Health::new(now);
        let mut ids = BTreeMap::new();
        for stream in &profile.streams {
            ids.insert(stream.name.clone(), health.add_stream(Contract::of(stream, format!("/{}", stream.name))));
        }
        for group in &profile.sync_groups {
            let members = profile.streams.iter().filter(|stream| stream.sync_group.as_ref() == Some(&group.name));
            let members: Vec<StreamId> = members.filter_map(|stream| ids.get(&stream.name).copied()).collect();
            health.add_group(group.name.clone(), group.tolerance.nanos(), &members);
        }
        Self { health, seen: BTreeMap::new(), ids, bytes: 0 }
    }

    fn take(&mut self, profile: &Profile, sample: &Sample, log_time: Timestamp, is_history: bool) {
        let received = native::classify(sample);
        if received.is_delete {
            return;
        }
        if !self.seen.contains_key(received.key) {
            if self.seen.len() >= KEYS_MAX {
                return;
            }
            let stream = profile.stream_for_key(received.key).map(|stream| stream.name.clone());
            let id = stream.as_ref().and_then(|name| self.ids.get(name).copied());
            let id = id.unwrap_or_else(|| self.health.add_stream(Contract::none(received.key)));
            let seen = Seen {
                stream,
                id,
                samples: 0,
                bytes: 0,
                encoding: received.encoding.to_string(),
                last: None,
                last_sequence: None,
                numbered: false,
            };
            self.seen.insert(received.key.to_owned(), seen);
        }
        let Some(seen) = self.seen.get_mut(received.key) else { return };
        if is_history && seen.samples > 0 {
            return;
        }
        let sequence = received.native.map(|native| native.sequence);
        let contiguous = sequence.zip(seen.last_sequence).is_some_and(|(now, last)| last.checked_add(1) == Some(now));
        seen.samples += 1;
        seen.numbered = sequence.is_some() || received.source.is_some();
        seen.last_sequence = sequence;
        if !is_history {
            seen.bytes += received.payload.len() as u64;
            self.bytes += received.payload.len() as u64;
            self.health.observe(seen.id, log_time, received.native.map(|native| native.capture_time), contiguous);
        }
        // One copy a second is enough for the probe; the first few tell as much as the last.
        if received.payload.len() <= PROBE_MAX && (seen.last.is_none() || seen.samples.is_power_of_two()) {
            seen.last = native::copy_payload(received.payload).ok();
        }
    }

    fn describe(&mut self, session: &Session, now: Timestamp) -> Vec<SeenStream> {
        let reports = self.health.reports(now);
        let began = Instant::now();
        let mut out = Vec::new();
        for (key, seen) in &self.seen {
            let asked = KeyExpr::try_from(key.as_str()).is_ok() && began.elapsed() < DESCRIBE_PATIENCE_ALL;
            let fetched = asked.then(|| native::fetch_descriptor(session, key, DESCRIBE_PATIENCE)).flatten();
            let channel = fetched.map_or_else(|| describe_by_encoding(key, &seen.encoding), |fetched| fetched.channel);
            let report = reports.get(seen.id.index());
            out.push(SeenStream {
                stream: seen.stream.clone(),
                topic: channel.topic.clone(),
                samples: seen.samples,
                rate_hz: report.map(|report| report.rate_hz).filter(|rate| *rate > 0.0),
                has_schema: channel.schema.is_some() || channel.message_encoding == "json",
                decode_error: probe(&channel, seen.last.as_ref()),
                numbered: seen.numbered,
            });
        }
        out
    }
}

fn probe(channel: &ChannelDescriptor, payload: Option<&Bytes>) -> Option<String> {
    let payload = payload?;
    match Decoder::new(channel) {
        Ok(decoder) if decoder.opaque_reason().is_some() => None,
        Ok(decoder) => decoder.decode(payload).err().map(|error| error_chain(&error)),
        Err(error) => Some(error_chain(&error)),
    }
}

fn disk(storage: &dyn Storage, what: &Observation, bytes_per_second: f64) -> DiskSeen {
    let path = what.root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let min_free = what.profile.recording.min_free.0;
    DiskSeen {
        free: storage.free_bytes(path).unwrap_or(0),
        reserve: if min_free == 0 { storage.automatic_reserve(path) } else { min_free },
        bytes_per_second,
        needed_seconds: what.needed_seconds,
    }
}
