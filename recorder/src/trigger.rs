//! Triggers: conditions in CEL over the fields of the streams' last messages. Knows no wire, no clock and no encoding.
//!
//! In an expression a stream is a variable and its message's fields follow dots: `vehicle_state.speed > 20.0`. The
//! variable is the stream's name in which every character but ASCII letters, digits and `_` is written `_`, with a `_`
//! in front of a leading digit and behind a word that CEL reserves: `left/camera` is `left_camera`, `3d` is `_3d`, `in`
//! is `in_`. Enumerations are numbers, or names where they are compared with text; times and durations are seconds;
//! absent fields are absent, which `has(a.b)` tells. `math.abs`, `math.sqrt`, `math.greatest`… are there too.
//!
//! A trigger fires when its condition becomes true and again only after it was false. It is evaluated when a stream that
//! it reads changed, at most [`EVALUATIONS_PER_SECOND`] times a second; a value that came too early is evaluated by the
//! next [`TriggerSet::update`] or [`TriggerSet::tick`]. The size of expressions and of what they read is bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use cel::{Context, Env};
use sagwan_schemas::{profile, proto, time::Timestamp, value::Value};

use crate::episode::to_proto;

mod expression;
mod mask;
mod nesting;

pub use expression::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};
use expression::{Expression, Identifiers};
use mask::Step;

/// Most evaluations of one trigger in a second.
pub const EVALUATIONS_PER_SECOND: i64 = 100;

/// Most triggers of a profile.
pub const TRIGGERS_MAX: usize = 256;

/// A trigger that cannot work. Lines and columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages tell the fields")]
pub enum TriggerError {
    /// More triggers than [`TRIGGERS_MAX`].
    #[error("{count} triggers; at most {TRIGGERS_MAX} are allowed")]
    TooMany { count: usize },
    /// Two triggers of one name.
    #[error("trigger {trigger:?} is there twice; give each its own name")]
    Duplicate { trigger: String },
    /// Longer than [`EXPRESSION_BYTES_MAX`].
    #[error("trigger {trigger:?}: the expression has {bytes} bytes; at most {EXPRESSION_BYTES_MAX} are allowed")]
    TooLong { trigger: String, bytes: usize },
    /// Nested deeper than [`EXPRESSION_DEPTH_MAX`], or loops in loops in loops.
    #[error(
        "trigger {trigger:?}, line {line}, column {column}: nested too deeply (at most {EXPRESSION_DEPTH_MAX} levels, {} \
         brackets, and two loops such as all() or exists() within each other); split it into several triggers",
        nesting::BRACKETS_MAX
    )]
    TooDeep { trigger: String, line: usize, column: usize },
    /// Not CEL.
    #[error("trigger {trigger:?}, line {line}, column {column}: {message}\n  {snippet}")]
    Syntax { trigger: String, line: usize, column: usize, message: String, snippet: String },
    /// A name that is no stream of the profile.
    #[error(
        "trigger {trigger:?}, line {line}, column {column}: no stream is called {name:?} in expressions; there are: \
         {known} (characters such as / are written _)"
    )]
    UnknownStream { trigger: String, name: String, line: usize, column: usize, known: String },
    /// A name that two streams have in expressions.
    #[error("trigger {trigger:?}, line {line}, column {column}: {name:?} may mean {}; rename one", .streams.join(" or "))]
    AmbiguousStream { trigger: String, name: String, streams: Vec<String>, line: usize, column: usize },
    /// A function that is not there.
    #[error(
        "trigger {trigger:?}, line {line}, column {column}: no function is called {function:?}; use size, contains, \
         startsWith, endsWith, matches, has, all, exists, exists_one, map, filter, int, uint, double, string or math.*"
    )]
    UnknownFunction { trigger: String, function: String, line: usize, column: usize },
    /// A regular expression that is computed or long.
    #[error(
        "trigger {trigger:?}, line {line}, column {column}: matches() needs its regular expression as literal text of at \
         most 128 bytes"
    )]
    Regex { trigger: String, line: usize, column: usize },
    /// An expression that never changes.
    #[error("trigger {trigger:?}: the expression reads no stream; there are: {known}")]
    NoStream { trigger: String, known: String },
}

/// Now, on both clocks of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// UTC; may jump.
    pub wall: Timestamp,
    /// Nanoseconds of the clock that never jumps.
    pub monotonic: i64,
}

/// A trigger's condition became true.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// Name of the trigger.
    pub trigger: Arc<str>,
    /// When.
    pub at: Now,
    /// Pre-roll, nanoseconds.
    pub pre_nanos: i64,
    /// Post-roll, nanoseconds.
    pub post_nanos: i64,
    /// The recording survives retention.
    pub preserve: bool,
    /// The scalars that the expression reads, by path, as they were.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

impl Fired {
    /// The message for `/sagwan/event`.
    #[must_use]
    pub fn to_message(&self) -> proto::Event {
        proto::Event {
            timestamp: Some(to_proto(self.at.wall)),
            kind: "trigger".to_owned(),
            name: (*self.trigger).to_owned(),
            detail: serde_json::Value::Object(self.detail.clone()).to_string(),
            start: Some(to_proto(self.at.wall.offset(self.pre_nanos.saturating_neg()))),
            end: Some(to_proto(self.at.wall.offset(self.post_nanos))),
        }
    }
}

/// How a trigger has fared.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TriggerStatus {
    /// Its name.
    pub name: String,
    /// Whether its condition was true at the last evaluation.
    pub active: bool,
    /// Times it fired.
    pub fired: u64,
    /// Times it was evaluated.
    pub evaluations: u64,
    /// Times it could not be evaluated: a field that is missing, a type that does not fit.
    pub errors: u64,
    /// The latest reason.
    pub last_error: String,
}

/// A trigger could not be evaluated; told once per trigger, then only counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerProblem {
    /// Name of the trigger.
    pub trigger: Arc<str>,
    /// Why.
    pub reason: String,
}

/// The triggers of a profile and the last values that they read.
#[derive(Debug, Default)]
pub struct TriggerSet {
    triggers: Vec<Armed>,
    /// Stream name → triggers that read it, with the identifier.
    readers: BTreeMap<String, (String, Vec<usize>)>,
    problems: Vec<TriggerProblem>,
}

struct Armed {
    name: Arc<str>,
    pre_nanos: i64,
    post_nanos: i64,
    preserve: bool,
    expression: Expression,
    context: Context<'static, 'static>,
    /// What the context has, kept for the detail.
    values: BTreeMap<String, cel::Value>,
    /// Streams whose needed part was too large to convert.
    too_large: BTreeSet<String>,
    status: TriggerStatus,
    next_evaluation: i64,
    /// A value came and has not been evaluated.
    pending: bool,
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed")
            .field("status", &self.status)
            .field("inputs", &self.expression.inputs)
            .finish_non_exhaustive()
    }
}

impl TriggerSet {
    /// Compiles the triggers of a profile that has these streams.
    ///
    /// # Errors
    /// The first trigger that cannot work, with the place in its expression.
    pub fn compile<S: AsRef<str>>(triggers: &[profile::Trigger], streams: &[S]) -> Result<Self, TriggerError> {
        if triggers.len() > TRIGGERS_MAX {
            return Err(TriggerError::TooMany { count: triggers.len() });
        }
        let identifiers = identifiers(streams);
        let mut env = Env::stdlib();
        // Fails only for names that are declared twice, which these are not.
        drop(env.add_extension(cel::extensions::math));
        let env = Arc::new(env);
        let mut set = Self::default();
        let mut names = BTreeSet::new();
        for trigger in triggers {
            if !names.insert(trigger.name.as_str()) {
                return Err(TriggerError::Duplicate { trigger: trigger.name.clone() });
            }
            let expression = Expression::compile(&env, &trigger.name, &trigger.when, &identifiers)?;
            for identifier in expression.inputs.keys() {
                for stream in identifiers.get(identifier).into_iter().flatten() {
                    let entry = set.readers.entry(stream.clone()).or_insert_with(|| (identifier.clone(), Vec::new()));
                    entry.1.push(set.triggers.len());
                }
            }
            set.triggers.push(Armed::new(trigger, expression, Context::with_env(Arc::clone(&env))));
        }
        Ok(set)
    }

    /// Whether any trigger reads this stream; other streams need not be decoded for triggers.
    #[must_use]
    pub fn reads(&self, stream: &str) -> bool {
        self.readers.contains_key(stream)
    }

    /// A message of `stream` came: which triggers it fires.
    pub fn update(&mut self, stream: &str, value: &Value, now: Now) -> Vec<Fired> {
        let Some((identifier, readers)) = self.readers.get(stream) else { return Vec::new() };
        let mut fired = Vec::new();
        for &reader in readers {
            if let Some(trigger) = self.triggers.get_mut(reader) {
                trigger.set(identifier, value);
                fired.extend(trigger.evaluate(now, &mut self.problems));
            }
        }
        fired
    }

    /// Evaluates what came too early for the rate limit; to be called some times a second, also without messages.
    pub fn tick(&mut self, now: Now) -> Vec<Fired> {
        self.triggers.iter_mut().filter_map(|trigger| trigger.evaluate(now, &mut self.problems)).collect()
    }

    /// Problems met since the last call, each trigger's first only.
    pub fn take_problems(&mut self) -> Vec<TriggerProblem> {
        std::mem::take(&mut self.problems)
    }

    /// How the triggers have fared, in the profile's order.
    pub fn status(&self) -> impl Iterator<Item = &TriggerStatus> {
        self.triggers.iter().map(|t| &t.status)
    }
}

impl Armed {
    fn new(trigger: &profile::Trigger, expression: Expression, context: Context<'static, 'static>) -> Self {
        Self {
            name: trigger.name.as_str().into(),
            pre_nanos: trigger.pre.nanos(),
            post_nanos: trigger.post.nanos(),
            preserve: trigger.preserve,
            expression,
            context,
            values: BTreeMap::new(),
            too_large: BTreeSet::new(),
            status: TriggerStatus { name: trigger.name.clone(), ..TriggerStatus::default() },
            next_evaluation: i64::MIN,
            pending: false,
        }
    }

    fn set(&mut self, identifier: &str, value: &Value) {
        let Some(mask) = self.expression.inputs.get(identifier) else { return };
        self.pending = true;
        if let Ok(value) = mask::convert(value, mask, self.expression.nodes_max) {
            self.too_large.remove(identifier);
            self.context.add_variable_from_value(identifier, value.clone());
            self.values.insert(identifier.to_owned(), value);
        } else {
            self.too_large.insert(identifier.to_owned());
        }
    }

    fn evaluate(&mut self, now: Now, problems: &mut Vec<TriggerProblem>) -> Option<Fired> {
        if !self.pending || now.monotonic < self.next_evaluation {
            return None;
        }
        self.pending = false;
        self.next_evaluation = now.monotonic.saturating_add(1_000_000_000 / EVALUATIONS_PER_SECOND);
        self.status.evaluations += 1;
        match self.condition() {
            Ok(Some(holds)) => {
                let rises = holds && !self.status.active;
                self.status.active = holds;
                rises.then(|| self.fire(now))
            }
            Ok(None) => None,
            Err(reason) => {
                self.fail(reason, problems);
                None
            }
        }
    }

    /// Whether the condition holds; `None` while a stream that it needs has not come yet.
    fn condition(&self) -> Result<Option<bool>, String> {
        if let Some(stream) = self.too_large.first() {
            let limit = self.expression.nodes_max;
            return Err(format!(
                "what it reads of {stream} is more than {limit} values or 64 KiB of text; read less of it"
            ));
        }
        match self.expression.program.execute(&self.context) {
            Ok(cel::Value::Bool(holds)) => Ok(Some(holds)),
            Ok(other) => Err(format!("the expression gives a {} instead of true or false", other.type_of())),
            Err(_) if self.values.len() < self.expression.inputs.len() => Ok(None),
            Err(error) => Err(explain(&error)),
        }
    }

    fn fail(&mut self, reason: String, problems: &mut Vec<TriggerProblem>) {
        self.status.errors += 1;
        if self.status.errors == 1 {
            problems.push(TriggerProblem { trigger: Arc::clone(&self.name), reason: reason.clone() });
        }
        self.status.last_error = reason;
    }

    fn fire(&mut self, now: Now) -> Fired {
        self.status.fired += 1;
        let detail = self.expression.reads.iter().filter_map(|read| {
            let scalar = mask::scalar_at(self.values.get(&read.stream)?, &read.steps)?;
            Some((path(&read.stream, &read.steps), scalar))
        });
        Fired {
            trigger: Arc::clone(&self.name),
            at: now,
            pre_nanos: self.pre_nanos,
            post_nanos: self.post_nanos,
            preserve: self.preserve,
            detail: detail.collect(),
        }
    }
}

/// An evaluation's error for a person; values in it are cut, for messages may be large.
fn explain(error: &cel::ExecutionError) -> String {
    let mut text: String = error.to_string().chars().take(300).collect();
    if matches!(error, cel::ExecutionError::UnsupportedBinaryOperator(..)) {
        text.push_str(" (CEL does not mix whole numbers and fractions in sums and products: write 2.0, or double(x))");
    }
    if matches!(error, cel::ExecutionError::NoSuchKey(_)) {
        text.push_str(" (where a field may be absent, ask has(stream.field) && first)");
    }
    text
}

fn path(stream: &str, steps: &[Step]) -> String {
    steps.iter().fold(stream.to_owned(), |path, step| match step {
        Step::Field(name) => format!("{path}.{name}"),
        Step::Element(index) => format!("{path}[{index}]"),
        Step::Each => format!("{path}[*]"),
    })
}

/// The streams by the identifier they have in expressions.
fn identifiers<S: AsRef<str>>(streams: &[S]) -> Identifiers {
    let mut identifiers = Identifiers::new();
    for stream in streams {
        let names = identifiers.entry(identifier(stream.as_ref())).or_default();
        if !names.iter().any(|name| name == stream.as_ref()) {
            names.push(stream.as_ref().to_owned());
        }
    }
    identifiers
}

/// What a stream is called in expressions; see the module's text.
#[must_use]
pub fn identifier(stream: &str) -> String {
    const RESERVED: [&str; 20] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
    ];
    let mut name: String = stream.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if RESERVED.contains(&name.as_str()) || name == "while" {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests;
