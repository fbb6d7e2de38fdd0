//! One recording from start to stop: wires subscriptions, queue, resolver and the writer thread.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use sagwan_bridges::native;
use sagwan_schemas::{
    profile::LoadedProfile,
    recording::{
        layout::{RecordingDir, recording_id},
        manifest::{FORMAT_VERSION, Host, Manifest, ManifestError, ProfileReference, State},
        part_writer::{Attachment, LIBRARY},
        storage::Storage,
    },
    time::Clock,
};
use zenoh::{Session, query::Queryable};

use crate::{
    capture::{Capture, CaptureError, Inlet, Selection},
    control::Command,
    engine::{Engine, EngineParts},
    episode::EpisodeError,
    leftover,
    output::Preamble,
    parts::PartsError,
    queue::CaptureQueue,
    resolve::{Question, Resolver},
    status::Status,
};

/// How long the writer thread waits for a full batch before it takes what there is.
const BATCH_PATIENCE: Duration = Duration::from_millis(10);
/// Time between two looks at the disk.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Requests that may wait for the writer thread.
const REQUESTS_MAX: usize = 64;
/// Time between two looks whether the writer thread still answers.
const REPLY_LOOK: Duration = Duration::from_millis(100);
/// Answers the resolver may still owe when a recording stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Largest file that is put into every part, bytes.
const ATTACHMENT_MAX: u64 = 256 << 20;

/// What a recording is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of recordings.
    pub root: PathBuf,
    /// The contract.
    pub profile: LoadedProfile,
    /// What to record.
    pub selection: Selection,
    /// Pseudonym of the operator.
    pub operator: String,
    /// Site.
    pub site: String,
    /// Reference to the consent or notice record.
    pub consent: String,
    /// Notes.
    pub notes: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Disk.
    pub storage: Arc<dyn Storage>,
}

/// A recording could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No directory for it.
    #[error("cannot create the recording's directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that the profile attaches cannot be read.
    #[error("cannot read the attachment {name:?} of the profile: {}", path.display())]
    Attachment {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest cannot be written.
    #[error("cannot begin the recording")]
    Manifest(#[source] ManifestError),
    /// No thread or part.
    #[error("cannot begin the recording")]
    Parts(#[source] PartsError),
    /// No trigger expression that can be understood.
    #[error("cannot understand a trigger of the profile")]
    Trigger(#[source] crate::trigger::TriggerError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// Publishers could not be told that their last samples arrived.
    #[error("cannot answer publishers that close")]
    Flush(#[source] native::NativeError),
    /// No subscription.
    #[error("cannot subscribe")]
    Capture(#[source] CaptureError),
}

/// What a request to a recording gives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The episodes do not allow it now.
    #[error(transparent)]
    Episode(#[from] EpisodeError),
    /// Too many requests at once.
    #[error("the recorder is busy with other requests; try again")]
    Busy,
    /// It has stopped.
    #[error("the recording has stopped")]
    Stopped,
    /// Not a request to a recording.
    #[error("this request is not for a running recording")]
    NotForRecording,
}

/// Result of a request: the JSON that the control protocol answers.
pub type Reply = Result<serde_json::Value, RequestError>;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) reply: Sender<Reply>,
}

/// How a recording ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The manifest as it was written.
    pub manifest: Manifest,
    /// Its directory.
    pub path: PathBuf,
    /// Whether the disk ever refused something.
    pub disk_failed: bool,
}

impl Ended {
    /// Whether every sample that is known to have been sent is in the recording, and the disk never failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.manifest.loss.lost.total() == 0 && self.manifest.state == State::Finished && !self.disk_failed
    }
}

/// A recording that runs.
#[derive(Debug)]
pub struct Recorder {
    id: String,
    path: PathBuf,
    requests: Sender<Request>,
    status: Arc<Mutex<Arc<Status>>>,
    stop: Sender<Option<String>>,
    writer: Option<JoinHandle<Ended>>,
}

impl Recorder {
    /// Begins a recording on `session`.
    ///
    /// # Errors
    /// Why it could not begin; then nothing is recorded.
    pub fn start(session: &Session, options: &Options) -> Result<Self, StartError> {
        let Options { root, profile, selection, clock, storage, .. } = options;
        let started = clock.wall();
        let salt = (clock.monotonic_nanos() as u64 ^ started.as_nanos() as u64 ^ u64::from(std::process::id())) as u16;
        let id = recording_id(&profile.profile.platform, started, salt);
        let dir = RecordingDir::new(root, &id);
        create_directories(&**storage, root, &dir)?;
        // Without a file system behind the storage there is nothing to lock, and no other process either.
        let lock = leftover::lock(&dir.path).ok().flatten();
        let manifest = new_manifest(&id, options);
        manifest.write(&**storage, &dir.manifest()).map_err(StartError::Manifest)?;
        let preamble = preamble(&manifest, profile, &**clock)?;
        let policy = Arc::new(profile.profile.clone());
        let min_free = policy.recording.min_free.0;
        let queue = Arc::new(CaptureQueue::new(usize::try_from(policy.recording.queue.0).unwrap_or(usize::MAX)));
        let engine = Engine::new(EngineParts {
            clock: Arc::clone(clock),
            storage: Arc::clone(storage),
            queue: Arc::clone(&queue),
            profile: Arc::clone(&policy),
            dir: dir.clone(),
            manifest,
            preamble,
        })?;
        let inlet = Arc::new(Inlet::new(Arc::clone(&queue), Arc::clone(clock), selection.clone(), policy));
        // Before the subscriptions: a publisher that asks whether all has arrived must be answered by every recorder.
        let flush = native::answer_flush(session).map_err(StartError::Flush)?;
        let resolver = Resolver::start(session, Arc::clone(&inlet)).map_err(StartError::Thread)?;
        let status = Arc::new(Mutex::new(Arc::new(engine.status())));
        let (requests, requested) = bounded(REQUESTS_MAX);
        let (stop, stopped) = bounded(1);
        let capture = Capture::begin(session, &inlet).map_err(StartError::Capture)?;
        let writer = Writer {
            engine,
            queue,
            resolver,
            _flush: flush,
            capture: Some(capture),
            requested,
            stopped,
            surroundings: surroundings(Arc::clone(storage), dir.path.clone(), min_free)?,
            status: Arc::clone(&status),
            path: dir.path.clone(),
            _lock: lock,
        };
        let writer = thread::Builder::new()
            .name("sagwan-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(StartError::Thread)?;
        Ok(Self { id, path: dir.path, requests, status, stop, writer: Some(writer) })
    }

    /// Identifier of the recording.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it stands; a few times a second anew.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.lock())
    }

    /// Asks something of the recording and waits for the answer.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn request(&self, command: Command) -> Reply {
        let (reply, replied) = bounded(1);
        self.requests.try_send(Request { command, reply }).map_err(|_full_or_gone| RequestError::Busy)?;
        loop {
            match replied.recv_timeout(REPLY_LOOK) {
                Ok(reply) => return reply,
                Err(error) if error.is_disconnected() => return Err(RequestError::Stopped),
                // A writer that ended by itself leaves requests in the channel, whose senders keep it open.
                Err(_no_answer_yet) if self.has_ended() => {
                    return replied.try_recv().unwrap_or(Err(RequestError::Stopped));
                }
                Err(_no_answer_yet) => {}
            }
        }
    }

    /// Whether it has ended by itself: the disk is full.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it: everything received is written and the last part is closed when this returns.
    ///
    /// # Errors
    /// When the writer thread panicked; the parts are recovered at the next start.
    pub fn stop(mut self, remark: Option<String>) -> Result<Ended, RequestError> {
        // The writer may have ended by itself.
        self.stop.try_send(remark).ok();
        let writer = self.writer.take().ok_or(RequestError::Stopped)?;
        writer.join().map_err(|_panic| RequestError::Stopped)
    }
}

impl From<PartsError> for StartError {
    fn from(error: PartsError) -> Self {
        Self::Parts(error)
    }
}

/// The writer thread.
#[derive(Debug)]
struct Writer {
    engine: Engine,
    queue: Arc<CaptureQueue>,
    resolver: Resolver,
    /// Answers publishers that want to know whether their last samples have arrived.
    _flush: Queryable<()>,
    capture: Option<Capture>,
    requested: Receiver<Request>,
    stopped: Receiver<Option<String>>,
    surroundings: Receiver<Surroundings>,
    status: Arc<Mutex<Arc<Status>>>,
    path: PathBuf,
    /// Nobody takes the recording for a leftover as long as this is open.
    _lock: Option<File>,
}

/// What the writer wants to know of its host and must not wait for.
#[derive(Debug)]
struct Surroundings {
    free: Option<u64>,
    reserve: u64,
    /// Asked less often than the disk.
    clock: Option<Option<sagwan_schemas::proto::HostClock>>,
}

/// Looks at the disk every second and at the host's clock every half minute, until nobody listens.
fn surroundings(storage: Arc<dyn Storage>, path: PathBuf, min_free: u64) -> Result<Receiver<Surroundings>, StartError> {
    let (tell, told) = bounded(1);
    let look = move || {
        for round in 0_u64.. {
            let clock = round.is_multiple_of(30).then(crate::engine::watch::probe_host_clock);
            let free = storage.free_bytes(&path).ok();
            let reserve = if min_free == 0 { storage.automatic_reserve(&path) } else { min_free };
            if tell.send(Surroundings { free, reserve, clock }).is_err() {
                return;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    };
    thread::Builder::new().name("sagwan-look".to_owned()).spawn(look).map_err(StartError::Thread)?;
    Ok(told)
}

impl Writer {
    fn run(mut self) -> Ended {
        let remark = loop {
            self.step(BATCH_PATIENCE);
            match self.stopped.try_recv() {
                Ok(remark) => break remark,
                Err(error) if error.is_disconnected() => break None,
                Err(_still_running) => {}
            }
            if let Some(reason) = self.engine.must_end() {
                break Some(reason);
            }
        };
        self.resolver.stop();
        self.end_capture();
        while let Some(batch) = self.queue.take(Duration::ZERO) {
            self.engine.take_in(batch);
        }
        self.last_answers();
        let manifest = self.engine.finish(remark).clone();
        *self.status.lock() = Arc::new(self.engine.status());
        Ended { manifest, path: self.path, disk_failed: self.engine.disk_failed() }
    }

    /// Ends the subscriptions while the queue is still emptied: callbacks that wait for room must get it.
    fn end_capture(&mut self) {
        let Some(capture) = self.capture.take() else { return };
        let ending = thread::Builder::new().name("sagwan-unsubscribe".to_owned()).spawn(move || capture.end());
        match ending {
            Ok(ending) => {
                while !ending.is_finished() {
                    self.step(BATCH_PATIENCE);
                }
            }
            // The subscriptions went with the closure.
            Err(error) => tracing::warn!(%error, "cannot start a thread"),
        }
    }

    fn step(&mut self, patience: Duration) {
        if let Some(batch) = self.queue.take(patience) {
            self.engine.take_in(batch);
        }
        self.put_questions();
        for answer in self.resolver.answers() {
            self.engine.answer(answer);
        }
        while let Ok(Surroundings { free, reserve, clock }) = self.surroundings.try_recv() {
            if let Some(free) = free {
                self.engine.note_disk(free, reserve);
            }
            if let Some(clock) = clock {
                self.engine.note_host_clock(clock);
            }
        }
        while let Ok(Request { command, reply }) = self.requested.try_recv() {
            // Who asked may have gone.
            reply.send(self.engine.request(command)).ok();
        }
        if self.engine.tick() {
            *self.status.lock() = Arc::new(self.engine.status());
        }
    }

    fn put_questions(&mut self) {
        for question in self.engine.take_questions() {
            let Question::Describe { source, .. } = &question else { continue };
            let source = *source;
            if !self.resolver.ask(question) {
                self.engine.settle_without_answer(source);
            }
        }
    }

    /// Sources met in the last moments get their schemas too.
    fn last_answers(&mut self) {
        self.put_questions();
        while self.engine.has_pending() {
            match self.resolver.wait(LAST_ANSWERS) {
                Some(answer) => self.engine.answer(answer),
                None => return,
            }
        }
    }
}

fn create_directories(storage: &dyn Storage, root: &Path, dir: &RecordingDir) -> Result<(), StartError> {
    let created = storage
        .create_dir_all(&dir.parts())
        .and_then(|()| storage.sync_dir(&dir.path))
        .and_then(|()| storage.sync_dir(root));
    created.map_err(|source| StartError::Directory { path: dir.path.clone(), source })
}

fn new_manifest(id: &str, options: &Options) -> Manifest {
    let profile = &options.profile;
    Manifest {
        format_version: FORMAT_VERSION,
        recording_id: id.to_owned(),
        state: State::Recording,
        started: options.clock.wall().into(),
        ended: None,
        platform: profile.profile.platform.clone(),
        profile: Some(ProfileReference {
            name: format!("{}.toml", profile.profile.platform),
            sha256: profile.sha256.clone(),
        }),
        operator: options.operator.clone(),
        site: options.site.clone(),
        consent: options.consent.clone(),
        notes: options.notes.clone(),
        host: host(),
        clock: Default::default(),
        preserved: false,
        parts: Vec::new(),
        loss: Default::default(),
        episodes: Vec::new(),
        remarks: Vec::new(),
    }
}

fn host() -> Host {
    let uname = rustix::system::uname();
    Host {
        name: uname.nodename().to_string_lossy().into_owned(),
        os: format!(
            "{} {} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy(),
            uname.machine().to_string_lossy()
        ),
        software: LIBRARY.to_owned(),
    }
}

/// What every part begins with: who made it under which contract, and the files that belong to it.
fn preamble(manifest: &Manifest, profile: &LoadedProfile, clock: &dyn Clock) -> Result<Preamble, StartError> {
    let sha256 = manifest.profile.as_ref().map(|profile| profile.sha256.clone()).unwrap_or_default();
    let metadata: BTreeMap<String, String> = [
        ("recording_id", manifest.recording_id.clone()),
        ("platform", manifest.platform.clone()),
        ("started", manifest.started.utc.clone()),
        ("profile_sha256", sha256),
        ("operator", manifest.operator.clone()),
        ("site", manifest.site.clone()),
        ("consent", manifest.consent.clone()),
        ("host", manifest.host.name.clone()),
        ("software", manifest.host.software.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let log_time = clock.wall().to_mcap();
    let mut attachments = vec![Attachment {
        log_time,
        create_time: 0,
        name: "profile.toml".to_owned(),
        media_type: "application/toml".to_owned(),
        data: profile.text.clone().into_bytes(),
    }];
    for spec in &profile.profile.attachments {
        let path = profile.base_dir.join(&spec.path);
        let failed = |source| StartError::Attachment { name: spec.name.clone(), path: path.clone(), source };
        if fs::metadata(&path).map_err(failed)?.len() > ATTACHMENT_MAX {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        let data = fs::read(&path).map_err(failed)?;
        attachments.push(Attachment {
            log_time,
            create_time: 0,
            name: spec.name.clone(),
            media_type: spec.media_type.clone(),
            data,
        });
    }
    Ok(Preamble { metadata, attachments })
}
