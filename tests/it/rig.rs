//! A recorder on a simulated disk, and sessions of its own that publish to it over the loopback.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sagwan_bridges::{
    native::{Attachment, Congestion, Publisher, PublisherOptions, StreamDescriptor},
    wire::{self, WireOptions},
};
use sagwan_recorder::{
    capture::Selection,
    control::Command,
    recorder::{Ended, Options, Recorder},
    status::Status,
};
use sagwan_schemas::{
    channel::ChannelDescriptor,
    profile::{LoadedProfile, Span},
    proto,
    recording::{
        layout::{OWN_TOPICS, topic},
        manifest::{LossCounts, SourceLoss},
        recover::recover_in_place,
    },
    time::{Clock, SystemClock, Timestamp},
};
use sagwan_tests::{
    contents::{Contents, Message, read_finished, read_unfinished},
    disk::{Files, SimulatedDisk},
};
use tempfile::TempDir;
use zenoh::{Session, Wait, qos::CongestionControl};

/// Far longer than anything here takes; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The platform of all these tests.
pub(crate) const PLATFORM: &str = "bench";
pub(crate) const SEC: i64 = 1_000_000_000;

/// A recorder that runs.
pub(crate) struct Rig {
    pub(crate) disk: SimulatedDisk,
    pub(crate) sender: Session,
    pub(crate) recorder: Recorder,
    pub(crate) profile_text: String,
    _receiver: Session,
    socket: TempDir,
}

/// A recording that has ended.
pub(crate) struct Done {
    pub(crate) ended: Ended,
    /// Finished parts, in order.
    pub(crate) parts: Vec<Contents>,
    /// Parts that were left unfinished, as a recovery got them out.
    pub(crate) recovered: Vec<Contents>,
}

/// The wire alone, before a recorder is started.
pub(crate) struct Wires {
    pub(crate) sender: Session,
    receiver: Session,
    socket: TempDir,
}

fn endpoint(socket: &TempDir) -> Vec<String> {
    vec![format!("unixsock-stream/{}", socket.path().join("wire.sock").display())]
}

impl Wires {
    pub(crate) fn new() -> Self {
        let socket = tempfile::tempdir().unwrap();
        let receiver = wire::open(&WireOptions { listen: endpoint(&socket), ..WireOptions::default() }).unwrap();
        let sender = wire::open(&WireOptions { connect: endpoint(&socket), ..WireOptions::default() }).unwrap();
        Self { sender, receiver, socket }
    }

    /// Starts recording everything; `configure` changes that.
    pub(crate) fn record(self, configure: impl FnOnce(&mut Options)) -> Rig {
        let disk = SimulatedDisk::new();
        let mut options = Options {
            root: PathBuf::from("/out"),
            profile: LoadedProfile::schemaless(PLATFORM),
            selection: Selection {
                include: ["sagwan/v1/**", "plain/**"].map(|key| key.try_into().unwrap()).into(),
                exclude: Vec::new(),
            },
            operator: "op-1".to_owned(),
            site: "yard".to_owned(),
            consent: String::new(),
            notes: String::new(),
            clock: Arc::new(SystemClock::new()),
            storage: Arc::new(disk.clone()),
        };
        // Publishers of these tests block, and must not be held up by a disk that stands.
        options.profile.profile.recording.block_wait = Span(Duration::ZERO);
        options.profile.profile.recording.chunk_duration = Span(Duration::from_millis(200));
        configure(&mut options);
        let profile_text = options.profile.text.clone();
        let recorder = Recorder::start(&self.receiver, &options).unwrap();
        Rig { disk, sender: self.sender, recorder, profile_text, _receiver: self.receiver, socket: self.socket }
    }
}

impl Rig {
    pub(crate) fn start(configure: impl FnOnce(&mut Options)) -> Self {
        Wires::new().record(configure)
    }

    /// Another session that publishes.
    pub(crate) fn another_sender(&self) -> Session {
        wire::open(&WireOptions { connect: endpoint(&self.socket), ..WireOptions::default() }).unwrap()
    }

    /// A native stream whose subscriber is known.
    pub(crate) fn publisher(&self, stream: &str) -> Publisher {
        publisher(&self.sender, stream, false)
    }

    /// A plain publisher whose subscriber is known.
    pub(crate) fn plain(&self, key: &'static str, encoding: &str) -> zenoh::pubsub::Publisher<'static> {
        let declared = self.sender.declare_publisher(key).encoding(encoding);
        let publisher = declared.congestion_control(CongestionControl::Block).wait().unwrap();
        let (sender, changes) = crossbeam_channel::unbounded();
        let told = move |status: zenoh::matching::MatchingStatus| sender.send(status.matching()).unwrap_or_default();
        publisher.matching_listener().callback(told).background().wait().unwrap();
        if !publisher.matching_status().wait().unwrap().matching() {
            assert!(changes.recv_timeout(PATIENCE).unwrap());
        }
        publisher
    }

    pub(crate) fn status(&self) -> Status {
        let reply = self.recorder.request(Command::Status).unwrap();
        serde_json::from_value(reply).unwrap()
    }

    /// Asks the recorder again and again, which answers between its batches.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if holds(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}; {status:?}");
        }
    }

    /// Waits until so many samples have been received, shed ones included.
    pub(crate) fn until_received(&self, count: u64) {
        self.until(&format!("{count} samples received"), |status| status.received >= count);
    }

    /// Waits until whole chunks hold messages of a topic: its part and channel are there.
    pub(crate) fn until_written(&self, topic: &str) {
        self.until(&format!("{topic} is written"), |_| {
            self.disk.files().values().any(|content| read_unfinished(content).on(topic).next().is_some())
        });
    }

    /// Ends the recording and reads it.
    pub(crate) fn stop(self) -> Done {
        let ended = self.recorder.stop(None).unwrap();
        let files = self.disk.files();
        let done = Done { parts: finished(&files), recovered: recovered(&files), ended };
        for part in &done.ended.manifest.parts {
            let path = done.ended.path.join("parts").join(&part.file);
            let content = &files[&path];
            assert_eq!(part.bytes, content.len() as u64);
            assert_eq!(part.messages, read_finished(content).unwrap().messages.len() as u64);
            assert_eq!(part.sha256, format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(content)));
        }
        assert_eq!(done.ended.manifest.parts.len(), done.parts.len());
        done.check_books();
        done
    }
}

fn finished(files: &Files) -> Vec<Contents> {
    let is_part = |path: &Path| path.extension().is_some_and(|extension| extension == "mcap");
    let parts = files.iter().filter(|(path, _)| is_part(path));
    parts
        .map(|(path, content)| read_finished(content).unwrap_or_else(|e| panic!("{}: {e:?}", path.display())))
        .collect()
}

/// What the next start makes of unfinished parts, on a disk that works again.
fn recovered(files: &Files) -> Vec<Contents> {
    let left: Files = files
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "active"))
        .map(|(path, content)| (path.clone(), content.clone()))
        .collect();
    let disk = SimulatedDisk::with(&left);
    for path in left.keys() {
        recover_in_place(&disk, path).unwrap();
    }
    finished(&disk.files())
}

impl Done {
    /// All messages on a topic, in the order of parts and files.
    pub(crate) fn on<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Message> {
        self.parts.iter().flat_map(move |part| part.on(topic))
    }

    /// The recorder's own messages on a topic.
    pub(crate) fn own<M: prost::Message + Default>(&self, topic: &str) -> Vec<M> {
        self.on(topic).map(|message| M::decode(&message.data[..]).unwrap()).collect()
    }

    /// Beginnings of the payloads on a topic, for messages of failed tests.
    pub(crate) fn heads(&self, topic: &str) -> Vec<String> {
        self.on(topic).map(|message| head(&message.data)).collect()
    }

    pub(crate) fn payloads(&self, topic: &str) -> Vec<Vec<u8>> {
        self.on(topic).map(|message| message.data.clone()).collect()
    }

    pub(crate) fn source(&self, topic: &str) -> &SourceLoss {
        let mut sources = self.ended.manifest.loss.sources.iter().filter(|source| source.topic == topic);
        let source = sources.next().unwrap_or_else(|| panic!("no source of {topic}"));
        assert!(sources.next().is_none(), "two sources of {topic}");
        source
    }

    /// The books balance, and agree with the loss messages in the parts.
    fn check_books(&self) {
        let loss = &self.ended.manifest.loss;
        let mut sums = (0, 0, LossCounts::default());
        for source in &loss.sources {
            let lost = source.lost;
            let accounted = source.recorded + source.outside + lost.total();
            assert_eq!(source.sent, accounted, "{source:?}");
            sums.0 += source.sent;
            sums.1 += source.recorded;
            sums.2.transport += lost.transport;
            sums.2.queue += lost.queue;
            sums.2.disk += lost.disk;
        }
        assert_eq!((loss.sent, loss.recorded), (sums.0, sums.1));
        assert_eq!(
            (loss.lost.transport, loss.lost.queue, loss.lost.disk),
            (sums.2.transport, sums.2.queue, sums.2.disk)
        );
        let mut told: BTreeMap<(String, i32), u64> = BTreeMap::new();
        for gap in self.own::<proto::Loss>(topic::LOSS) {
            *told.entry((gap.topic, gap.cause)).or_default() += gap.count;
        }
        // What the disk refused while the last part was closed can be told in the manifest alone.
        let is_told = self.recovered.is_empty() && !self.ended.disk_failed;
        for source in loss.sources.iter().filter(|_| is_told) {
            for (cause, count) in [
                (proto::LossCause::Transport, source.lost.transport),
                (proto::LossCause::Queue, source.lost.queue),
                (proto::LossCause::Disk, source.lost.disk),
            ] {
                let told = told.get(&(source.topic.clone(), cause.into())).copied().unwrap_or(0);
                assert_eq!(told, count, "{} {cause:?} in the part and in the manifest", source.topic);
            }
        }
        for source in &loss.sources {
            let is_own = source.topic.starts_with(OWN_TOPICS);
            assert!(!is_own, "the recorder's own messages are nobody's samples");
        }
    }
}

/// A native stream of `sender` whose subscriber is known.
pub(crate) fn publisher(sender: &Session, stream: &str, latched: bool) -> Publisher {
    let publisher = declare(sender, stream, latched);
    matched(&publisher);
    publisher
}

pub(crate) fn declare(sender: &Session, stream: &str, latched: bool) -> Publisher {
    declare_as(sender, stream, &format!("/{stream}"), "application/x-test", latched)
}

pub(crate) fn declare_as(sender: &Session, stream: &str, topic: &str, encoding: &str, latched: bool) -> Publisher {
    let channel = ChannelDescriptor {
        topic: topic.to_owned(),
        message_encoding: encoding.to_owned(),
        schema: None,
        metadata: BTreeMap::from([("stream".to_owned(), stream.to_owned())]),
    };
    let descriptor = StreamDescriptor { stream: stream.to_owned(), channel, latched };
    let options = PublisherOptions { congestion: Congestion::Block, ..PublisherOptions::default() };
    Publisher::declare(sender, PLATFORM, descriptor, options).unwrap()
}

/// Waits until the publisher knows its subscriber.
pub(crate) fn matched(publisher: &Publisher) {
    let (sender, changes) = crossbeam_channel::unbounded();
    publisher.on_subscribers(move |has| sender.send(has).unwrap_or_default()).unwrap();
    if !publisher.has_subscriber().unwrap() {
        assert!(changes.recv_timeout(PATIENCE).unwrap());
    }
}

/// A payload that no other message has.
pub(crate) fn payload(stream: &str, number: u64, size: usize) -> Vec<u8> {
    let head = format!("{stream}#{number}#").into_bytes();
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Nothing that compresses.
    let filling = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    head.into_iter().chain(filling).take(size.max(24)).collect()
}

/// What tells a payload from the others, for people.
pub(crate) fn head(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).splitn(3, '#').take(2).collect::<Vec<_>>().join("#")
}

pub(crate) fn now() -> Timestamp {
    SystemClock::new().wall()
}

/// The attachment of publishers that tell no instance.
pub(crate) fn short_attachment(sequence: u64) -> Vec<u8> {
    Attachment { sequence, capture_time: now(), instance: None }.encode()
}
