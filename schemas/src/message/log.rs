//! Lines of text that a program writes about itself.

use foxglove::messages as fx;

use crate::time::Timestamp;

/// How grave a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each name is the level's own word")]
pub enum LogLevel {
    #[default]
    Unknown,
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// When it was written, UTC.
    pub timestamp: Timestamp,
    /// How grave it is.
    pub level: LogLevel,
    /// Program or node; empty where not known.
    pub name: String,
    /// The text.
    pub message: String,
    /// Source file; empty where not known.
    pub file: String,
    /// Line in the source file, from 1; 0 where not known.
    pub line: u32,
}

impl Log {
    pub(super) fn from_foxglove(m: fx::Log, timestamp: Timestamp) -> Self {
        let level = match m.level() {
            fx::log::Level::Unknown => LogLevel::Unknown,
            fx::log::Level::Debug => LogLevel::Debug,
            fx::log::Level::Info => LogLevel::Info,
            fx::log::Level::Warning => LogLevel::Warning,
            fx::log::Level::Error => LogLevel::Error,
            fx::log::Level::Fatal => LogLevel::Fatal,
        };
        Self { timestamp, level, name: m.name, message: m.message, file: m.file, line: m.line }
    }
}
