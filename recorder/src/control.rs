//! The control protocol, without the wire: what a query asks, and what is answered.
//!
//! A recorder answers queries on `@sagwan/<host>/recorder/<command>`; with `*` for the host one query addresses all of
//! them. The arguments are a JSON object in the query's payload, or the selector's parameters (`?name=near_miss;detail=…`)
//! for callers without a payload, or both. Queries come from outside: their size is bounded, unknown fields are errors,
//! and an error says what to do.

use sagwan_schemas::{profile::LocalText, quantity::Span};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    episode::{EpisodeInfo, Outcome},
    text::{self, LONG_TEXT_BYTES, SHORT_TEXT_BYTES, TextError},
};

mod key;

pub use key::{ControlKey, ControlKeyError, command_key, host_chunk, queryable_key};

/// Version of the requests and replies described here.
pub const FORMAT_VERSION: u32 = 1;
/// Largest payload of a query, bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// Longest parameters of a query, bytes.
pub const PARAMETERS_BYTES_MAX: usize = 16 << 10;
/// Longest reason in a reply, characters.
const REASON_CHARS_MAX: usize = 1000;
/// Longest time that a preflight may look at the streams, seconds.
pub const PREFLIGHT_SECS_MAX: u64 = 600;

/// What a recorder is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a recording.
    Start(Start),
    /// Stop the running one.
    Stop,
    /// Tell how things stand.
    Status,
    /// Begin an episode.
    EpisodeBegin(EpisodeInfo),
    /// End the running episode.
    EpisodeEnd {
        /// How it went.
        outcome: Outcome,
        /// Notes, added to those of its beginning.
        notes: String,
    },
    /// Take back the running or the last episode.
    EpisodeDiscard {
        /// Why, added to its notes.
        notes: String,
    },
    /// Discard the last episode and begin it again.
    EpisodeRerecord,
    /// Mark this instant.
    Mark {
        /// What it is called.
        name: String,
        /// More about it.
        detail: String,
    },
    /// Keep the running recording from being deleted by retention.
    Preserve {
        /// Why.
        detail: String,
    },
    /// Look whether everything that has to be recorded is there.
    Preflight {
        /// How long to look; absent: as long as the recorder thinks it needs.
        duration: Option<Span>,
    },
}

/// How a recording is to start. Empty fields keep what the recorder was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// Pseudonym of the operator.
    pub operator: String,
    /// Site.
    pub site: String,
    /// Notes.
    pub notes: String,
    /// Reference to the consent or notice record.
    pub consent: String,
}

/// Every command's path below `recorder/`, with its arguments.
pub const COMMANDS: [(&str, &[&str]); 10] = [
    ("start", &["operator", "site", "notes", "consent"]),
    ("stop", &[]),
    ("status", &[]),
    ("episode/begin", &["instruction_ko", "instruction_en", "operator", "site", "notes", "consent"]),
    ("episode/end", &["outcome", "notes"]),
    ("episode/discard", &["notes"]),
    ("episode/rerecord", &[]),
    ("mark", &["name", "detail"]),
    ("preserve", &["detail"]),
    ("preflight", &["duration"]),
];

/// A query that is no command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No such command.
    #[error("no command is called {command:?}; there are: {}", COMMANDS.map(|(name, _)| name).join(", "))]
    UnknownCommand {
        /// What was asked, shortened.
        command: String,
    },
    /// A payload larger than [`PAYLOAD_BYTES_MAX`].
    #[error("the payload has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are allowed")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Parameters longer than [`PARAMETERS_BYTES_MAX`].
    #[error("the parameters have {bytes} bytes; at most {PARAMETERS_BYTES_MAX} are allowed")]
    ParametersTooLong {
        /// Their length.
        bytes: usize,
    },
    /// A payload that is no JSON object.
    #[error("the payload is not a JSON object")]
    Json(#[source] serde_json::Error),
    /// An argument both in the parameters and in the payload, or twice in the parameters.
    #[error("{name:?} is given twice; give it once")]
    Twice {
        /// The argument.
        name: String,
    },
    /// Arguments that do not fit the command.
    #[error("{command} does not accept these arguments; it takes: {arguments}")]
    Arguments {
        /// The command.
        command: &'static str,
        /// What it takes.
        arguments: String,
        /// Which argument, and why.
        #[source]
        source: serde_json::Error,
    },
    /// A request of a later version.
    #[error("format_version {found} is not known, this recorder speaks {FORMAT_VERSION}; update it")]
    Version {
        /// The version asked for.
        found: u32,
    },
    /// A text that is not accepted.
    #[error("a text is not accepted")]
    Text(#[source] TextError),
    /// A preflight longer than [`PREFLIGHT_SECS_MAX`].
    #[error("a preflight takes at most {PREFLIGHT_SECS_MAX} s; ask for less")]
    PreflightTooLong,
}

impl ControlError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownCommand { .. } => "unknown_command",
            Self::PayloadTooLarge { .. } | Self::ParametersTooLong { .. } => "too_large",
            Self::Json(_) => "not_json",
            Self::Twice { .. } | Self::Arguments { .. } | Self::PreflightTooLong => "bad_arguments",
            Self::Version { .. } => "version",
            Self::Text(_) => "bad_text",
        }
    }
}

/// Reads a query: `key_suffix` is what follows `recorder/` in its key, `parameters` its selector's (`a=1;b=2`).
///
/// Parameters whose names begin with `_` are zenoh's own and passed over.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn parse(key_suffix: &str, parameters: &str, payload: &[u8]) -> Result<Command, ControlError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(ControlError::PayloadTooLarge { bytes: payload.len() });
    }
    if parameters.len() > PARAMETERS_BYTES_MAX {
        return Err(ControlError::ParametersTooLong { bytes: parameters.len() });
    }
    let Some(&(command, arguments)) = COMMANDS.iter().find(|(name, _)| *name == key_suffix) else {
        return Err(ControlError::UnknownCommand { command: key_suffix.chars().take(64).collect() });
    };
    let mut object = payload_object(payload)?;
    add_parameters(&mut object, parameters)?;
    check_version(&mut object, command)?;
    build(command, arguments, object)
}

fn payload_object(payload: &[u8]) -> Result<Map<String, Value>, ControlError> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(payload).map_err(ControlError::Json)
}

fn add_parameters(object: &mut Map<String, Value>, parameters: &str) -> Result<(), ControlError> {
    for pair in parameters.split(';').filter(|pair| !pair.is_empty() && !pair.starts_with('_')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if object.contains_key(name) {
            return Err(ControlError::Twice { name: name.chars().take(64).collect() });
        }
        object.insert(name.to_owned(), Value::String(value.to_owned()));
    }
    Ok(())
}

fn check_version(object: &mut Map<String, Value>, command: &'static str) -> Result<(), ControlError> {
    let found = match object.remove("format_version") {
        None => return Ok(()),
        // Parameters are always text.
        Some(Value::String(text)) if text == FORMAT_VERSION.to_string() => FORMAT_VERSION,
        Some(value) => u32::deserialize(value).map_err(|source| ControlError::Arguments {
            command,
            arguments: format!("format_version {FORMAT_VERSION}"),
            source,
        })?,
    };
    if found != FORMAT_VERSION {
        return Err(ControlError::Version { found });
    }
    Ok(())
}

fn build(command: &'static str, takes: &[&str], object: Map<String, Value>) -> Result<Command, ControlError> {
    let arguments = Arguments { command, takes, object };
    Ok(match command {
        "start" => {
            let start: Start = arguments.read()?;
            let info = EpisodeInfo {
                instruction: LocalText::default(),
                operator: start.operator.clone(),
                site: start.site.clone(),
                notes: start.notes.clone(),
                consent: start.consent.clone(),
            };
            info.check().map_err(ControlError::Text)?;
            Command::Start(start)
        }
        "stop" => arguments.read::<Nothing>().map(|Nothing {}| Command::Stop)?,
        "status" => arguments.read::<Nothing>().map(|Nothing {}| Command::Status)?,
        "episode/begin" => {
            let info = EpisodeInfo::from(arguments.read::<Begin>()?);
            info.check().map_err(ControlError::Text)?;
            Command::EpisodeBegin(info)
        }
        "episode/end" => {
            let End { outcome, notes } = arguments.read()?;
            Command::EpisodeEnd { outcome, notes: paragraphs("notes", notes)? }
        }
        "episode/discard" => {
            let Notes { notes } = arguments.read()?;
            Command::EpisodeDiscard { notes: paragraphs("notes", notes)? }
        }
        "episode/rerecord" => arguments.read::<Nothing>().map(|Nothing {}| Command::EpisodeRerecord)?,
        "mark" => {
            let Mark { name, detail } = arguments.read()?;
            text::check_name("name", &name, SHORT_TEXT_BYTES).map_err(ControlError::Text)?;
            Command::Mark { name, detail: paragraphs("detail", detail)? }
        }
        "preserve" => {
            let Detail { detail } = arguments.read()?;
            text::check_line("detail", &detail, LONG_TEXT_BYTES).map_err(ControlError::Text)?;
            Command::Preserve { detail }
        }
        "preflight" => {
            let Preflight { duration } = arguments.read()?;
            if duration.is_some_and(|span| span > Span::from_secs(PREFLIGHT_SECS_MAX)) {
                return Err(ControlError::PreflightTooLong);
            }
            Command::Preflight { duration }
        }
        other => return Err(ControlError::UnknownCommand { command: other.to_owned() }),
    })
}

fn paragraphs(field: &'static str, text: String) -> Result<String, ControlError> {
    text::check_paragraphs(field, &text, LONG_TEXT_BYTES).map_err(ControlError::Text)?;
    Ok(text)
}

struct Arguments<'a> {
    command: &'static str,
    takes: &'a [&'a str],
    object: Map<String, Value>,
}

impl Arguments<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T, ControlError> {
        let Self { command, takes, object } = self;
        serde_json::from_value(Value::Object(object)).map_err(|source| {
            let arguments = if takes.is_empty() { "nothing".to_owned() } else { takes.join(", ") };
            ControlError::Arguments { command, arguments, source }
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// An episode's beginning, flat, so that parameters can spell it too.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Begin {
    instruction_ko: String,
    instruction_en: String,
    operator: String,
    site: String,
    notes: String,
    consent: String,
}

impl From<Begin> for EpisodeInfo {
    fn from(begin: Begin) -> Self {
        Self {
            instruction: LocalText { ko: begin.instruction_ko, en: begin.instruction_en },
            operator: begin.operator,
            site: begin.site,
            notes: begin.notes,
            consent: begin.consent,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(default)]
    outcome: Outcome,
    #[serde(default)]
    notes: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    #[serde(default)]
    notes: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    name: String,
    #[serde(default)]
    detail: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(default)]
    detail: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preflight {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration: Option<Span>,
}

impl Command {
    /// The command's path below `recorder/`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop => "stop",
            Self::Status => "status",
            Self::EpisodeBegin(_) => "episode/begin",
            Self::EpisodeEnd { .. } => "episode/end",
            Self::EpisodeDiscard { .. } => "episode/discard",
            Self::EpisodeRerecord => "episode/rerecord",
            Self::Mark { .. } => "mark",
            Self::Preserve { .. } => "preserve",
            Self::Preflight { .. } => "preflight",
        }
    }

    /// The payload of a query that asks for it; [`parse`] reads it back.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let arguments = match self.clone() {
            Self::Start(start) => serde_json::to_value(start),
            Self::Stop | Self::Status | Self::EpisodeRerecord => Ok(Value::Object(Map::new())),
            Self::EpisodeBegin(EpisodeInfo { instruction, operator, site, notes, consent }) => {
                let LocalText { ko: instruction_ko, en: instruction_en } = instruction;
                serde_json::to_value(Begin { instruction_ko, instruction_en, operator, site, notes, consent })
            }
            Self::EpisodeEnd { outcome, notes } => serde_json::to_value(End { outcome, notes }),
            Self::EpisodeDiscard { notes } => serde_json::to_value(Notes { notes }),
            Self::Mark { name, detail } => serde_json::to_value(Mark { name, detail }),
            Self::Preserve { detail } => serde_json::to_value(Detail { detail }),
            Self::Preflight { duration } => serde_json::to_value(Preflight { duration }),
        };
        // Text, numbers and options only: nothing that JSON cannot hold.
        let mut object = arguments.unwrap_or_default();
        if let Value::Object(fields) = &mut object {
            fields.insert("format_version".to_owned(), FORMAT_VERSION.into());
        }
        object.to_string().into_bytes()
    }
}

/// What a recorder answers. Readers pass over fields that they do not know, so that recorders may grow some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReplyError>,
    /// The recorder's host.
    pub host: String,
    /// The recorder on it, so that several can be told apart.
    pub recorder: String,
    /// What the command gives; `null` without.
    #[serde(default)]
    pub result: Value,
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyError {
    /// A stable word for programs.
    pub code: String,
    /// For people: the whole chain of causes.
    pub message: String,
}

impl Reply {
    /// It was done.
    #[must_use]
    pub fn done(host: &str, recorder: &str, result: Value) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            ok: true,
            error: None,
            host: host.to_owned(),
            recorder: recorder.to_owned(),
            result,
        }
    }

    /// It was not.
    #[must_use]
    pub fn refused(host: &str, recorder: &str, code: &str, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        // Causes may repeat what the query sent.
        let error = ReplyError { code: code.to_owned(), message: text::shown(&message, REASON_CHARS_MAX) };
        Self { ok: false, error: Some(error), ..Self::done(host, recorder, Value::Null) }
    }

    /// As JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
