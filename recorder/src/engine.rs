//! The writer thread's state: takes batches from the queue, keeps the books, writes the parts.
//!
//! Knows no wire and no thread: batches, answers and times come as arguments, so that a test drives it with a
//! [`ManualClock`](sagwan_schemas::time::ManualClock) and a disk of its own.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sagwan_schemas::{
    channel::ChannelDescriptor,
    profile::{Bytes, Profile, RecordingMode},
    proto,
    recording::{
        layout::{RecordingDir, topic},
        manifest::{EpisodeEntry, LossCounts, LossSummary, Manifest, SourceLoss, State},
        storage::Storage,
    },
    stream::Compression,
    time::{Clock, Timestamp},
};

use crate::{
    clock::Reading,
    control::Command,
    episode::{Episodes, mark},
    ledger::{Ledger, Numbering, Observed, Run, SourceId},
    output::{Disk, OWN, Outgoing, Output, Preamble, Slot},
    parts::Closed,
    queue::{Batch, CaptureQueue, Discovery, SampleHead, Taken},
    recorder::{Reply, RequestError, StartError},
    resolve::{Answer, Question, describe_by_encoding},
    retention::preserve,
    ring::{Ring, RingBounds, RingItem},
    stamp::SEC,
    status::{self, Status},
};

mod pending;
pub(crate) mod watch;

use pending::Pending;
pub(crate) use watch::Watch;

/// Bytes of samples that may wait for their schemas, all sources together.
const PENDING_BYTES_MAX: usize = 64 << 20;
/// Time between two books: gaps, chunks, parts.
const TICK_NANOS: i64 = SEC / 10;

/// What a recording is made with.
#[derive(Debug)]
pub(crate) struct EngineParts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) queue: Arc<CaptureQueue>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) dir: RecordingDir,
    pub(crate) manifest: Manifest,
    pub(crate) preamble: Preamble,
}

/// A sample that the ring holds.
#[derive(Debug)]
struct RingSample {
    slot: Slot,
    head: SampleHead,
    payload: Box<[u8]>,
}

impl RingItem for RingSample {
    fn bytes(&self) -> usize {
        self.payload.len()
    }

    fn log_time(&self) -> Timestamp {
        self.head.log_time
    }
}

#[derive(Debug)]
enum Phase {
    /// Its samples wait for the answer to what it is.
    Pending(Pending),
    /// They go into this channel.
    Ready(Slot),
}

#[derive(Debug)]
struct Source {
    discovery: Discovery,
    phase: Phase,
    /// Capture times that the message records cannot carry, of the last tick.
    capture_times: proto::CaptureTimes,
    /// Number of the last sample; tells values that came again by a history query.
    last: Option<Numbering>,
    last_was_history: bool,
    /// Samples handed to the disk, duplicates not counted.
    kept: u64,
}

/// Channels of what the recorder writes itself.
#[derive(Debug)]
struct OwnChannels {
    episode: Slot,
    loss: Slot,
    capture_time: Slot,
}

/// The state of a recording.
#[derive(Debug)]
pub(crate) struct Engine {
    clock: Arc<dyn Clock>,
    storage: Arc<dyn Storage>,
    queue: Arc<CaptureQueue>,
    profile: Arc<Profile>,
    manifest: Manifest,
    manifest_path: PathBuf,
    manifest_is_stale: bool,
    reserve: PathBuf,
    output: Output,
    own: OwnChannels,
    ledger: Ledger,
    watch: Watch,
    episodes: Episodes,
    ring: Option<Ring<RingSample>>,
    sources: Vec<Source>,
    pending_bytes: usize,
    questions: Vec<Question>,
    next_tick_nanos: i64,
    now_nanos: i64,
    started_nanos: i64,
    low_disk: Option<String>,
}

impl Engine {
    pub(crate) fn new(parts: EngineParts) -> Result<Self, StartError> {
        let EngineParts { clock, storage, queue, profile, dir, manifest, preamble } = parts;
        let policy = profile.recording.clone();
        let manifest_path = dir.manifest();
        let reserve = dir.reserve();
        if let Err(error) = set_aside(&*storage, &reserve) {
            tracing::warn!(%error, "no room can be set aside for the recording's end");
        }
        let mut output =
            Output::new(Arc::clone(&storage), dir.clone(), policy.clone(), preamble).map_err(StartError::Parts)?;
        let own = OwnChannels {
            episode: output.add_own_channel::<proto::Episode>(topic::EPISODE),
            loss: output.add_own_channel::<proto::Loss>(topic::LOSS),
            capture_time: output.add_own_channel::<proto::CaptureTimes>(topic::CAPTURE_TIME),
        };
        let now_nanos = clock.monotonic_nanos();
        let watch = Watch::new(&mut output, Arc::clone(&profile), Reading::of(&*clock)).map_err(StartError::Trigger)?;
        let ring = (policy.mode == RecordingMode::Ring).then(|| {
            let bytes = usize::try_from(policy.ring_size.0).unwrap_or(usize::MAX);
            Ring::new(RingBounds { span_nanos: policy.ring_duration.nanos(), bytes })
        });
        Ok(Self {
            ledger: Ledger::new(clock.wall()),
            clock,
            storage,
            queue,
            profile,
            manifest,
            manifest_path,
            manifest_is_stale: true,
            reserve,
            output,
            own,
            watch,
            episodes: Episodes::new(),
            ring,
            sources: Vec::new(),
            pending_bytes: 0,
            questions: Vec::new(),
            next_tick_nanos: now_nanos,
            now_nanos,
            started_nanos: now_nanos,
            low_disk: None,
        })
    }

    /// Takes in a batch and gives it back to the queue.
    pub(crate) fn take_in(&mut self, batch: Batch) {
        self.now_nanos = self.clock.monotonic_nanos();
        for taken in batch.iter() {
            match taken {
                Taken::Sample(head, payload) => self.sample(head, payload),
                Taken::Shed(source, run) => self.ledger.shed(source, *run),
                Taken::Discovered(discovery) => self.discover(discovery),
            }
        }
        self.queue.release(batch);
        self.book_disk_losses();
    }

    /// Questions to the resolver that came up.
    pub(crate) fn take_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    fn discover(&mut self, discovery: &Discovery) {
        let topic = describe_by_encoding(&discovery.key, &discovery.encoding).topic;
        let id = self.ledger.add_source(topic.clone(), "");
        debug_assert_eq!(id, discovery.source, "discoveries come in the order of their numbers");
        self.watch.add_source(id, &discovery.key, discovery.class, topic);
        self.sources.push(Source {
            discovery: discovery.clone(),
            phase: Phase::Pending(Pending::new(self.now_nanos)),
            capture_times: proto::CaptureTimes::default(),
            last: None,
            last_was_history: false,
            kept: 0,
        });
        self.ask(discovery, false);
    }

    fn ask(&mut self, discovery: &Discovery, again: bool) {
        self.questions.push(Question::Describe {
            source: discovery.source,
            key: discovery.key.clone(),
            encoding: discovery.encoding.clone(),
            again,
        });
    }

    fn sample(&mut self, head: &SampleHead, payload: &[u8]) {
        let Some(source) = self.sources.get_mut(head.source.index()) else { return };
        if head.history && source.has_met(head.numbering) {
            return;
        }
        let observed = self.ledger.observe(head.source, head.numbering, head.log_time, head.capture_time);
        if observed == Observed::Duplicate && (source.last_was_history || head.history) {
            return;
        }
        let is_another_instance = observed == Observed::Joined && source.last.is_some();
        source.last = head.numbering.or(source.last);
        source.last_was_history = head.history;
        let holes = self.watch.observe(head, payload, observed == Observed::InOrder, self.now_nanos);
        if holes > 0 {
            self.ledger.source_missing(head.source, holes, head.log_time);
        }
        if is_another_instance && let Phase::Ready(slot) = source.phase {
            // It may describe itself otherwise; what it sends waits until that is known.
            source.phase = Phase::Pending(Pending::after(slot, self.now_nanos));
            let discovery = source.discovery.clone();
            self.ask(&discovery, true);
        }
        let is_duplicate = observed == Observed::Duplicate;
        let Some(source) = self.sources.get_mut(head.source.index()) else { return };
        match &mut source.phase {
            Phase::Ready(slot) => {
                let slot = *slot;
                self.deliver(slot, head, payload, is_duplicate);
            }
            Phase::Pending(pending) => {
                self.pending_bytes += pending.push(head, payload, is_duplicate);
                if self.pending_bytes > PENDING_BYTES_MAX {
                    self.settle_pending(head.source, None);
                }
            }
        }
    }

    /// Hands a sample to the ring or to the open part.
    fn deliver(&mut self, slot: Slot, head: &SampleHead, payload: &[u8], is_duplicate: bool) {
        if let Some(ring) = &mut self.ring {
            let mut due = Vec::new();
            ring.push(RingSample { slot, head: *head, payload: payload.into() }, self.now_nanos, &mut due);
            for sample in due {
                self.write(sample.slot, &sample.head, &sample.payload, false);
            }
            return;
        }
        self.write(slot, head, payload, is_duplicate);
    }

    fn write(&mut self, slot: Slot, head: &SampleHead, payload: &[u8], is_duplicate: bool) {
        let outgoing = Outgoing {
            slot,
            // The ledger counts a number once; a copy of it that is lost is no gap.
            source: if is_duplicate { OWN } else { head.source.0 },
            sequence: head.numbering.map(|numbering| numbering.sequence),
            log_time: head.log_time,
            publish_time: head.publish_time,
            payload,
        };
        self.output.write(&outgoing, self.now_nanos);
        let Some(source) = self.sources.get_mut(head.source.index()) else { return };
        source.kept += u64::from(!is_duplicate);
        if let Some(capture) = head.capture_time
            && (head.has_hlc || capture < Timestamp::EPOCH)
        {
            source.note_capture_time(head, capture);
        }
    }

    /// Takes in what the resolver found out.
    pub(crate) fn answer(&mut self, answer: Answer) {
        self.now_nanos = self.clock.monotonic_nanos();
        let source = answer.source;
        self.settle_pending(source, Some((answer.channel, answer.latched)));
    }

    /// Gives a source its channel and writes what waited; without an answer, by what its encoding says.
    fn settle_pending(&mut self, id: SourceId, answer: Option<(ChannelDescriptor, bool)>) {
        let Some(source) = self.sources.get_mut(id.index()) else { return };
        let before = match &source.phase {
            Phase::Ready(slot) => Some(*slot),
            Phase::Pending(pending) => pending.before,
        };
        let slot = match (answer, before) {
            (None, Some(slot)) => slot,
            (Some((channel, _)), Some(slot)) if *self.output.descriptor(slot) == channel => slot,
            (answer, _) => {
                let Discovery { key, encoding, .. } = &source.discovery;
                let (channel, latched) = answer.unwrap_or_else(|| (describe_by_encoding(key, encoding), false));
                let stream = self.profile.stream_for_key(key);
                let compression = stream.map_or_else(|| default_compression(&channel), |stream| stream.compression);
                let latched = latched || stream.is_some_and(|stream| stream.latched);
                self.ledger.set_topic(id, &channel.topic);
                self.watch.describe(id, &channel);
                self.output.add_channel(channel, compression, latched)
            }
        };
        let phase = std::mem::replace(&mut source.phase, Phase::Ready(slot));
        if let Phase::Pending(pending) = phase {
            self.pending_bytes = self.pending_bytes.saturating_sub(pending.bytes());
            for (head, payload, is_duplicate) in pending.into_samples() {
                self.deliver(slot, &head, &payload, is_duplicate);
            }
        }
    }

    /// The regular work: books, chunks, parts, health. Cheap to call often; returns whether anything was done.
    pub(crate) fn tick(&mut self) -> bool {
        self.now_nanos = self.clock.monotonic_nanos();
        if self.now_nanos < self.next_tick_nanos {
            return false;
        }
        self.next_tick_nanos = self.now_nanos + TICK_NANOS;
        self.settle_overdue();
        self.write_capture_times();
        self.write_gaps();
        let wall = self.clock.wall();
        let counts = self.queue.counts();
        // Both anew: what came before may have waited for the disk, which is no step of the clock.
        self.watch.read_clock(Reading::of(&*self.clock));
        self.watch.tick(&mut self.output, &self.ledger, counts);
        self.act_on_triggers();
        if self.output.tick(self.profile.recording.chunk_duration.nanos(), self.now_nanos) {
            self.begin_part(wall);
        }
        self.book_disk_losses();
        let closed = self.output.poll_closed();
        self.book_closed(closed);
        if self.manifest_is_stale {
            self.write_manifest();
        }
        true
    }

    fn act_on_triggers(&mut self) {
        for fired in self.watch.take_fired() {
            tracing::info!(trigger = &*fired.trigger, "fired");
            self.output.write_own(self.watch.event_channel(), &fired.to_message(), fired.at.wall, self.now_nanos);
            self.open_window(fired.at.monotonic, fired.pre_nanos, fired.post_nanos);
            if fired.preserve {
                self.preserve(&format!("trigger {}", fired.trigger));
            }
        }
    }

    /// A part tells by itself in which episode it begins.
    fn begin_part(&mut self, wall: Timestamp) {
        if let Some(running) = self.episodes.running() {
            let message = running.to_message(wall);
            self.output.write_own(self.own.episode, &message, wall, self.now_nanos);
        }
    }

    fn settle_overdue(&mut self) {
        let deadline = self.now_nanos - 3 * SEC;
        let overdue: Vec<_> = self
            .sources
            .iter()
            .filter(|source| matches!(&source.phase, Phase::Pending(pending) if pending.since_nanos < deadline))
            .map(|source| source.discovery.source)
            .collect();
        for source in overdue {
            self.settle_pending(source, None);
        }
    }

    fn write_capture_times(&mut self) {
        let wall = self.clock.wall();
        for index in 0..self.sources.len() {
            let source = &mut self.sources[index];
            let Phase::Ready(slot) = source.phase else { continue };
            if source.capture_times.sequence.is_empty() {
                continue;
            }
            let mut message = std::mem::take(&mut source.capture_times);
            message.channel_id = self.output.id_in_open_part(slot).map_or(u32::MAX, u32::from);
            self.output.write_own(self.own.capture_time, &message, wall, self.now_nanos);
        }
    }

    fn write_gaps(&mut self) {
        let wall = self.clock.wall();
        let gaps: Vec<_> = self.ledger.drain_final(wall).collect();
        for gap in gaps {
            self.watch.note_gap(&gap);
            let time = gap.log_time;
            self.output.write_own(self.own.loss, &proto::Loss::from(gap), time, self.now_nanos);
        }
    }

    fn book_disk_losses(&mut self) {
        let lost = self.output.take_lost();
        if lost.is_empty() {
            return;
        }
        let wall = self.clock.wall();
        let mut runs: BTreeMap<u32, Run> = BTreeMap::new();
        for held in lost {
            let source = SourceId(held.source);
            let numbering = held.sequence.map(|sequence| Numbering { sequence, instance: None });
            let bytes = u64::from(held.bytes);
            if runs.get_mut(&held.source).is_some_and(|run| run.extend(numbering, bytes, wall)) {
                continue;
            }
            if let Some(run) = runs.insert(held.source, Run::one(numbering, bytes, wall)) {
                self.ledger.disk_lost(source, run);
            }
        }
        for (source, run) in runs {
            self.ledger.disk_lost(SourceId(source), run);
        }
    }

    fn book_closed(&mut self, closed: Vec<Closed>) {
        for part in closed {
            self.manifest_is_stale = true;
            self.output.lose_held(part.lost);
            if let Some(error) = &part.refused {
                self.output.note_refused(error);
            }
            match part.entry {
                Ok(entry) => {
                    self.watch.bytes_closed += entry.bytes;
                    self.manifest.parts.push(entry);
                }
                Err(error) => {
                    let chain = error_chain(&error);
                    tracing::error!("{chain}");
                    self.manifest.remarks.push(chain);
                    self.manifest.state = State::Failed;
                }
            }
        }
        self.book_disk_losses();
    }

    fn write_manifest(&mut self) {
        let mut loss = loss_summary(&self.ledger);
        if self.ring.is_some() {
            self.set_outside(&mut loss);
        }
        self.manifest.loss = loss;
        self.manifest.episodes = self.episodes.summaries().iter().map(EpisodeEntry::from).collect();
        self.manifest.clock.jumps = self.watch.clock_jumps();
        match self.manifest.write(&*self.storage, &self.manifest_path) {
            Ok(()) => self.manifest_is_stale = false,
            Err(error) => tracing::error!("{}", error_chain(&error)),
        }
    }

    /// Ring mode: what was observed and never handed to the disk lay outside every window.
    fn set_outside(&self, loss: &mut LossSummary) {
        for (source, entry) in self.sources.iter().zip(&mut loss.sources) {
            entry.outside = (entry.recorded + entry.lost.disk).saturating_sub(source.kept);
            entry.recorded = entry.recorded.saturating_sub(entry.outside);
            loss.outside += entry.outside;
            loss.recorded = loss.recorded.saturating_sub(entry.outside);
        }
    }

    // What people ask for.

    /// Does what the control protocol asks of a running recording.
    pub(crate) fn request(&mut self, command: Command) -> Reply {
        self.now_nanos = self.clock.monotonic_nanos();
        let wall = self.clock.wall();
        let messages = match command {
            Command::EpisodeBegin(info) => vec![self.episodes.begin(info, wall)?],
            Command::EpisodeEnd { outcome, notes } => vec![self.episodes.end(outcome, &notes, wall)?],
            Command::EpisodeDiscard { notes } => vec![self.episodes.discard(&notes, wall)?],
            Command::EpisodeRerecord => self.episodes.rerecord(wall)?,
            Command::Mark { name, detail } => {
                let event = mark(&name, &detail, wall)?;
                self.output.write_own(self.watch.event_channel(), &event, wall, self.now_nanos);
                let roll = self.profile.recording.ring_duration.nanos();
                self.open_window(self.now_nanos, roll, roll);
                return Ok(serde_json::json!({ "name": name }));
            }
            Command::Preserve { detail } => {
                self.preserve(&detail);
                return Ok(serde_json::json!({ "preserved": true }));
            }
            Command::Status => return Ok(serde_json::to_value(self.status()).unwrap_or_default()),
            Command::Start(_) | Command::Stop | Command::Preflight { .. } => return Err(RequestError::NotForRecording),
        };
        let index = messages.last().map_or(0, |message| message.index);
        self.write_episodes(messages, wall);
        let entry = self.episodes.summaries().iter().find(|episode| episode.index == index).map(EpisodeEntry::from);
        Ok(serde_json::to_value(entry).unwrap_or_default())
    }

    fn write_episodes(&mut self, messages: impl IntoIterator<Item = proto::Episode>, wall: Timestamp) {
        self.now_nanos = self.clock.monotonic_nanos();
        for message in messages {
            self.output.write_own(self.own.episode, &message, wall, self.now_nanos);
        }
        self.manifest_is_stale = true;
    }

    /// Opens an event's window in ring mode; in continuous mode everything is written anyway.
    fn open_window(&mut self, at_nanos: i64, pre_nanos: i64, post_nanos: i64) {
        let Some(ring) = &mut self.ring else { return };
        let mut due = Vec::new();
        let shortfall = ring.fire(at_nanos, pre_nanos, post_nanos, &mut due);
        if let Some(shortfall) = shortfall {
            tracing::warn!(?shortfall, "the ring did not reach back far enough; raise ring_duration or ring_size");
        }
        for sample in due {
            self.write(sample.slot, &sample.head, &sample.payload, false);
        }
    }

    fn preserve(&mut self, reason: &str) {
        self.manifest_is_stale |= preserve(&mut self.manifest, reason);
    }

    /// Ends the recording: everything received is in the queue already and has been taken in.
    pub(crate) fn finish(&mut self, remark: Option<String>) -> &Manifest {
        self.now_nanos = self.clock.monotonic_nanos();
        let wall = self.clock.wall();
        for index in 0..self.sources.len() {
            self.settle_pending(SourceId(index as u32), None);
        }
        if let Some(message) = self.episodes.stop(wall) {
            self.output.write_own(self.own.episode, &message, wall, self.now_nanos);
        }
        if let Some(ring) = &mut self.ring {
            ring.drain();
        }
        self.write_capture_times();
        self.ledger.finish(wall);
        self.book_disk_losses();
        self.write_gaps();
        self.watch.finish(&mut self.output, &self.ledger);
        if let Err(error) = self.storage.remove(&self.reserve) {
            tracing::debug!(%error, "no room was set aside");
        }
        let closed = self.output.close();
        self.book_closed(closed);
        self.manifest.remarks.extend(self.output.errors().iter().cloned());
        self.manifest.remarks.extend(remark);
        if self.manifest.state == State::Recording {
            self.manifest.state = if self.output.disk() == Disk::Full { State::Failed } else { State::Finished };
        }
        self.manifest.ended = Some(wall.into());
        self.write_manifest();
        &self.manifest
    }

    /// Why the recording has to end by itself now.
    pub(crate) fn must_end(&mut self) -> Option<String> {
        let reason = match self.output.disk() {
            Disk::Full => "stopped: the disk is full".to_owned(),
            _ => self.low_disk.take()?,
        };
        // Nobody asked for it: the team must learn of it.
        self.manifest.state = State::Failed;
        Some(reason)
    }

    /// Free bytes on the disk, looked up by another thread now and then.
    pub(crate) fn note_disk(&mut self, free: u64, reserve: u64) {
        self.watch.set_disk_free(free);
        if free < reserve && self.low_disk.is_none() {
            let (free, reserve) = (Bytes(free), Bytes(reserve));
            self.low_disk = Some(format!("stopped: only {free} are free on the disk, {reserve} are to stay free"));
        }
    }

    /// What the host says of its clock, looked up by another thread now and then.
    pub(crate) fn note_host_clock(&mut self, host: Option<proto::HostClock>) {
        if let Some(host) = &host {
            self.manifest.clock.source.clone_from(&host.source);
            self.manifest.clock.synchronized = host.synchronized;
            self.manifest.clock.offset_ns = host.offset_nanos;
        }
        self.watch.set_host_clock(host);
    }

    /// Whether samples wait for an answer of the resolver.
    pub(crate) fn has_pending(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.phase, Phase::Pending(_)))
    }

    /// Nobody can be asked: the encoding has to do.
    pub(crate) fn settle_without_answer(&mut self, source: SourceId) {
        self.settle_pending(source, None);
    }

    /// Whether the disk ever refused something.
    pub(crate) fn disk_failed(&self) -> bool {
        self.output.disk() != Disk::Good || self.manifest.state == State::Failed
    }

    pub(crate) fn status(&self) -> Status {
        let loss = loss_summary(&self.ledger);
        let (bytes, bytes_per_second) = self.watch.bytes(&self.output);
        Status {
            format_version: status::FORMAT_VERSION,
            recording: self.manifest.ended.is_none(),
            recording_id: self.manifest.recording_id.clone(),
            platform: self.manifest.platform.clone(),
            started: self.manifest.started.utc.clone(),
            elapsed_seconds: (self.now_nanos - self.started_nanos) as f64 / 1e9,
            part: self.output.parts().index(),
            bytes,
            bytes_per_second,
            received: loss.sources.iter().map(|source| source.received).sum(),
            recorded: loss.recorded,
            lost: loss.lost,
            queue: self.watch.queue_status(),
            disk: self.watch.disk_status(&self.output),
            clock: self.watch.clock_state(),
            streams: self.watch.streams(&self.ledger),
            alarms: self.watch.alarms(),
            episode: self.episodes.running().map(EpisodeEntry::from),
            episodes: self.episodes.summaries().len(),
            preserved: self.manifest.preserved,
        }
    }
}

impl Source {
    /// Whether a value of this number, or any newer one of its instance, has come already.
    fn has_met(&self, numbering: Option<Numbering>) -> bool {
        match (self.last, numbering) {
            (Some(last), Some(number)) => last.instance == number.instance && number.sequence <= last.sequence,
            (None, _) => false,
            // Without numbers what came live is newer than any history.
            (_, None) => true,
        }
    }

    fn note_capture_time(&mut self, head: &SampleHead, capture: Timestamp) {
        let times = &mut self.capture_times;
        times.sequence.push(head.numbering.map_or(0, |numbering| numbering.sequence as u32));
        times.log_time.push(head.log_time.to_mcap());
        times.capture_time.push(capture.as_nanos());
    }
}

/// Bytes set aside: more than the summary of a part and the manifest need.
const RESERVE_BYTES: usize = 2 << 20;

/// Writes the reserve file; real bytes, since a hole takes no room.
fn set_aside(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    let file = storage.create(path)?;
    let block = vec![0xff; RESERVE_BYTES];
    let mut written = 0;
    while written < block.len() {
        written += file.append(&[io::IoSlice::new(&block[written..])])?;
    }
    file.sync_data()
}

/// For streams that no profile declares: text and structured messages are compressed lightly; pictures, video and bytes
/// that nobody can read are stored as they came.
fn default_compression(channel: &ChannelDescriptor) -> Compression {
    let schema = channel.schema.as_ref().map_or("", |schema| schema.name.as_str());
    let is_compressed =
        ["CompressedImage", "CompressedVideo", "CompressedPointCloud"].iter().any(|name| schema.ends_with(name));
    let is_structured =
        matches!(channel.message_encoding.as_str(), "protobuf" | "cdr" | "json" | "ros1" | "flatbuffer");
    if is_structured && !is_compressed { Compression::Lz4 } else { Compression::None }
}

fn loss_summary(ledger: &Ledger) -> LossSummary {
    let summary = ledger.summary();
    let counts = |lost: &crate::ledger::Lost| LossCounts {
        transport: lost.transport,
        queue: lost.queue,
        disk: lost.disk,
        source: lost.source,
    };
    LossSummary {
        sent: summary.totals.sent,
        recorded: summary.totals.recorded,
        outside: 0,
        lost: counts(&summary.totals.lost),
        sources: summary
            .sources
            .iter()
            .map(|source| SourceLoss {
                topic: source.topic.clone(),
                publisher: source.publisher.clone(),
                numbered: source.last_sequence.is_some(),
                sent: source.totals.sent,
                received: source.totals.received,
                recorded: source.totals.recorded,
                outside: 0,
                duplicates: source.totals.duplicates,
                instances: source.instances,
                joined_at: source.joined_at,
                last_sequence: source.last_sequence,
                lost: counts(&source.totals.lost),
            })
            .collect(),
    }
}

/// An error and its causes on one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
