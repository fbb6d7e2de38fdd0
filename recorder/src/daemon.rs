//! A recorder that others can control: starts and stops recordings, answers the [`control`](crate::control) protocol.
//!
//! Keys in a terminal and queries from the wire go through [`Daemon::handle`] alike. Knows no terminal.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;
use sagwan_schemas::profile::Span;
use serde::Serialize;
use serde_json::{Value, json};
use zenoh::{
    Session, Wait,
    liveliness::LivelinessToken,
    query::{Query, Queryable},
};

use crate::{
    capture::CaptureError,
    control::{self, Command, ControlError, ControlKey, Reply, Start, host_chunk, queryable_key},
    observe::{Observation, observe},
    recorder::{Ended, Options, Recorder, RequestError, StartError},
    status::{FORMAT_VERSION, Status},
};

/// Queries that may wait; further ones are refused.
const QUERIES_MAX: usize = 64;
/// How long a preflight looks when nobody says.
const PREFLIGHT_DEFAULT: Span = Span::from_secs(5);

/// A request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// Nothing is being recorded.
    #[error("nothing is being recorded; start a recording first")]
    NotRecording,
    /// A recording runs.
    #[error("the recording {id} runs already; stop it first")]
    AlreadyRecording {
        /// Its identifier.
        id: String,
    },
    /// The last recording is still being written.
    #[error("the recording is being finished; try again when that is done")]
    Finishing,
    /// This recorder ends with its recording.
    #[error("this recorder is ending; it starts no further recording")]
    Ending,
    /// The recording could not begin.
    #[error("the recording cannot begin")]
    Start(#[source] StartError),
    /// The recording refused it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The preflight could not look.
    #[error("the preflight cannot look at the streams")]
    Preflight(#[source] CaptureError),
    /// One looks already.
    #[error("a preflight is under way; wait for it")]
    PreflightRuns,
}

impl DaemonError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotRecording => "not_recording",
            Self::AlreadyRecording { .. } => "already_recording",
            Self::Finishing => "finishing",
            Self::Ending => "ending",
            Self::Start(_) => "start_failed",
            Self::Request(RequestError::Episode(_)) => "episode",
            Self::Request(RequestError::Busy) | Self::PreflightRuns => "busy",
            Self::Request(_) => "refused",
            Self::Preflight(_) => "preflight_failed",
        }
    }
}

/// What the recorder does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for a start.
    Idle,
    /// It records.
    Recording,
    /// It writes what was received and closes the files.
    Finishing,
}

/// What never changes of a daemon.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name in control keys.
    pub host: String,
    /// What tells it apart from others of the same host.
    pub recorder: String,
    /// How recordings are started; a start may replace operator, site, notes and consent.
    pub options: Options,
    /// Whether the profile is one that somebody wrote.
    pub has_profile: bool,
    /// How long a recording is meant to last, seconds.
    pub needed_seconds: Option<f64>,
    /// Whether it waits for the next start after a stop.
    pub stays: bool,
}

#[derive(Debug)]
struct State {
    current: Option<Recorder>,
    finishing: bool,
    /// As it stood last.
    status: Option<Arc<Status>>,
    path: Option<PathBuf>,
    last: Option<Arc<Ended>>,
    /// Some recording was not complete.
    lossy: bool,
    /// No further recording starts.
    over: bool,
}

/// A recorder that others can control.
#[derive(Debug)]
pub struct Daemon {
    session: Session,
    setup: Setup,
    state: Mutex<State>,
    preflight_runs: AtomicBool,
    /// Preflights end when this is set.
    closing: AtomicBool,
}

/// The open door; nobody can control the daemon any more when it is dropped.
#[derive(Debug)]
pub struct Door {
    _queryable: Queryable<()>,
    _token: Option<LivelinessToken>,
}

impl Daemon {
    /// An idle recorder.
    #[must_use]
    pub fn new(session: &Session, setup: Setup) -> Arc<Self> {
        let state =
            State { current: None, finishing: false, status: None, path: None, last: None, lossy: false, over: false };
        Arc::new(Self {
            session: session.clone(),
            setup,
            state: Mutex::new(state),
            preflight_runs: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        })
    }

    /// Begins a recording; gives its identifier.
    ///
    /// # Errors
    /// One runs already, or it could not begin.
    pub fn start(&self, start: &Start) -> Result<String, DaemonError> {
        let mut state = self.state.lock();
        if let Some(current) = &state.current {
            return Err(DaemonError::AlreadyRecording { id: current.id().to_owned() });
        }
        if state.finishing {
            return Err(DaemonError::Finishing);
        }
        if state.over {
            return Err(DaemonError::Ending);
        }
        let mut options = self.setup.options.clone();
        for (field, given) in [
            (&mut options.operator, &start.operator),
            (&mut options.site, &start.site),
            (&mut options.notes, &start.notes),
            (&mut options.consent, &start.consent),
        ] {
            if !given.is_empty() {
                field.clone_from(given);
            }
        }
        let recorder = Recorder::start(&self.session, &options).map_err(DaemonError::Start)?;
        let id = recorder.id().to_owned();
        state.path = Some(recorder.path().to_owned());
        state.status = Some(recorder.status());
        state.current = Some(recorder);
        Ok(id)
    }

    /// Ends the running recording; returns when its files are closed.
    ///
    /// # Errors
    /// None runs, or its writer broke down.
    pub fn stop(&self, remark: Option<String>) -> Result<Arc<Ended>, DaemonError> {
        let recorder = {
            let mut state = self.state.lock();
            if state.finishing {
                return Err(DaemonError::Finishing);
            }
            let recorder = state.current.take().ok_or(DaemonError::NotRecording)?;
            state.finishing = true;
            state.over |= !self.setup.stays;
            state.status = Some(recorder.status());
            recorder
        };
        let ended = recorder.stop(remark);
        let mut state = self.state.lock();
        state.finishing = false;
        state.lossy |= ended.is_err();
        let ended = Arc::new(ended?);
        state.lossy |= !ended.is_complete();
        state.last = Some(Arc::clone(&ended));
        Ok(ended)
    }

    /// What it does now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let state = self.state.lock();
        match (&state.current, state.finishing) {
            (_, true) => Phase::Finishing,
            (Some(_), false) => Phase::Recording,
            (None, false) => Phase::Idle,
        }
    }

    /// Whether it will record no more: it was stopped and does not stay.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.over && !state.finishing && state.current.is_none()
    }

    /// How the running recording stands, or stood when it was stopped last.
    #[must_use]
    pub fn status(&self) -> Option<Arc<Status>> {
        let mut state = self.state.lock();
        if let Some(current) = &state.current {
            state.status = Some(current.status());
        }
        state.status.clone()
    }

    /// Directory of the running or last recording.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.state.lock().path.clone()
    }

    /// Whether the running recording has ended by itself, and waits for [`stop`](Self::stop).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.lock().current.as_ref().is_some_and(Recorder::has_ended)
    }

    /// How the last recording ended.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Ended>> {
        self.state.lock().last.clone()
    }

    /// Whether some recording so far lost samples or did not finish as it should.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.state.lock().lossy
    }

    /// Preflights under way end early.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.state.lock().over = true;
    }

    /// Does what is asked, and waits until it is done.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn handle(&self, command: Command) -> Result<Value, DaemonError> {
        match command {
            Command::Start(start) => {
                let id = self.start(&start)?;
                Ok(json!({ "recording_id": id, "path": self.path() }))
            }
            Command::Stop => self.stop(None).map(|ended| summary(&ended)),
            Command::Status => Ok(self.status_json()),
            Command::Preflight { duration } => self.preflight(duration),
            other => {
                let state = self.state.lock();
                if state.finishing {
                    return Err(DaemonError::Finishing);
                }
                Ok(state.current.as_ref().ok_or(DaemonError::NotRecording)?.request(other)?)
            }
        }
    }

    /// How recordings are started.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.setup.options
    }

    /// How it stands, as `status` answers it.
    #[must_use]
    pub fn status_json(&self) -> Value {
        let phase = self.phase();
        let status = self.status();
        let mut value = match (phase, status) {
            (Phase::Idle, _) | (_, None) => json!({
                "format_version": FORMAT_VERSION,
                "recording": false,
                "platform": self.setup.options.profile.profile.platform,
            }),
            (_, Some(status)) => serde_json::to_value(&*status).unwrap_or_default(),
        };
        if let Value::Object(fields) = &mut value {
            fields.insert("phase".to_owned(), json!(phase));
            fields.insert("last".to_owned(), self.last().map_or(Value::Null, |ended| summary(&ended)));
        }
        value
    }

    fn preflight(&self, duration: Option<Span>) -> Result<Value, DaemonError> {
        if self.preflight_runs.swap(true, Ordering::SeqCst) {
            return Err(DaemonError::PreflightRuns);
        }
        let options = &self.setup.options;
        let what = Observation {
            selection: options.selection.clone(),
            profile: Arc::new(options.profile.profile.clone()),
            has_profile: self.setup.has_profile,
            duration: duration.unwrap_or(PREFLIGHT_DEFAULT).0,
            root: options.root.clone(),
            needed_seconds: self.setup.needed_seconds,
        };
        let stop = || self.closing.load(Ordering::SeqCst);
        let result = observe(&self.session, &what, &options.clock, &*options.storage, &stop);
        self.preflight_runs.store(false, Ordering::SeqCst);
        let preflight = result.map_err(DaemonError::Preflight)?;
        Ok(serde_json::to_value(preflight).unwrap_or_default())
    }

    /// Answers queries until the door is dropped. Its liveliness token lets others find it.
    ///
    /// # Errors
    /// zenoh's.
    pub fn open(self: &Arc<Self>) -> zenoh::Result<Door> {
        let (queries, asked) = bounded::<Query>(QUERIES_MAX);
        let daemon = Arc::clone(self);
        thread::Builder::new().name("sagwan-control".to_owned()).spawn(move || {
            for query in asked {
                daemon.take(query);
            }
        })?;
        let key = queryable_key(&self.setup.host);
        let daemon = Arc::clone(self);
        // zenoh's own thread must not wait for a disk.
        let take = move |query: Query| refuse_when_busy(&daemon, &queries, query);
        let queryable = self.session.declare_queryable(key).complete(false).callback(take).wait()?;
        let token = format!("@sagwan/{}/live/{}", host_chunk(&self.setup.host), host_chunk(&self.setup.recorder));
        let token = self.session.liveliness().declare_token(token).wait();
        if let Err(error) = &token {
            tracing::warn!(%error, "cannot announce this recorder");
        }
        Ok(Door { _queryable: queryable, _token: token.ok() })
    }

    fn take(self: &Arc<Self>, query: Query) {
        let payload = query.payload().map(|payload| payload.to_bytes().into_owned()).unwrap_or_default();
        let key = query.key_expr().as_str().to_owned();
        let command = match ControlKey::parse(&key) {
            Ok(key) => control::parse(key.command, query.parameters().as_str(), &payload),
            Err(_not_ours) => Err(ControlError::UnknownCommand { command: key.chars().take(64).collect() }),
        };
        match command {
            Err(error) => self.refuse(&query, error.code(), &error),
            // These take long; others are answered meanwhile.
            Ok(command @ (Command::Preflight { .. } | Command::Stop)) => {
                let daemon = Arc::clone(self);
                let spawned = thread::Builder::new()
                    .name("sagwan-request".to_owned())
                    .spawn(move || daemon.answer(&query, command));
                if let Err(error) = spawned {
                    tracing::error!(%error, "cannot start a thread for a request");
                }
            }
            Ok(command) => self.answer(&query, command),
        }
    }

    fn answer(&self, query: &Query, command: Command) {
        let name = command.name();
        match self.handle(command) {
            Ok(result) => {
                tracing::debug!(name, "control");
                self.reply(query, &Reply::done(&self.setup.host, &self.setup.recorder, result));
            }
            Err(error) => self.refuse(query, error.code(), &error),
        }
    }

    fn refuse(&self, query: &Query, code: &str, error: &dyn std::error::Error) {
        tracing::warn!("control request refused: {error}");
        self.reply(query, &Reply::refused(&self.setup.host, &self.setup.recorder, code, error));
    }

    fn reply(&self, query: &Query, reply: &Reply) {
        // With a wildcard in the query's key each recorder answers with its own.
        let key = match ControlKey::parse(query.key_expr().as_str()) {
            Ok(key) => control::command_key(Some(&self.setup.host), key.command),
            Err(_not_ours) => format!("@sagwan/{}/recorder", host_chunk(&self.setup.host)),
        };
        let reply = query.reply(key, reply.to_bytes()).encoding(zenoh::bytes::Encoding::APPLICATION_JSON).wait();
        if let Err(error) = reply {
            tracing::warn!(%error, "a control request could not be answered");
        }
    }
}

fn refuse_when_busy(daemon: &Daemon, queries: &Sender<Query>, query: Query) {
    if let Err(error) = queries.try_send(query) {
        daemon.refuse(&error.into_inner(), "busy", &DaemonError::Request(RequestError::Busy));
    }
}

/// How a recording ended, for programs.
#[must_use]
pub fn summary(ended: &Ended) -> Value {
    let manifest = &ended.manifest;
    json!({
        "format_version": FORMAT_VERSION,
        "recording": false,
        "recording_id": manifest.recording_id,
        "path": ended.path,
        "state": manifest.state,
        "complete": ended.is_complete(),
        "disk_failed": ended.disk_failed,
        "started": manifest.started,
        "ended": manifest.ended,
        "parts": manifest.parts,
        "bytes": manifest.bytes(),
        "loss": manifest.loss,
        "episodes": manifest.episodes,
        "remarks": manifest.remarks,
    })
}

/// How long callers should wait for answers to a command.
#[must_use]
pub fn patience(command: &Command, asked: Duration) -> Duration {
    match command {
        Command::Preflight { duration } => asked + duration.unwrap_or(PREFLIGHT_DEFAULT).0 + Duration::from_secs(15),
        // A queue that is full takes its time on a slow disk.
        Command::Stop => asked + Duration::from_secs(60),
        _ => asked,
    }
}
