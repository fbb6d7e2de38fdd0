//! What is wrong with a profile and where, shown the way compilers show it. Knows no rule of profiles.

use std::{fmt, ops::Range};

/// Errors, and warnings, beyond this many are not kept: a hostile file must not cost more memory than its own size.
const KEPT: usize = 100;

/// Longest message, in characters; serde's repeat the value, which may be the whole file.
const MESSAGE: usize = 400;

/// Longest excerpt of a source line that is shown, in characters.
const EXCERPT: usize = 160;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Allowed, but probably not what was meant.
    Warning,
    /// The profile cannot be used.
    Error,
}

/// One problem of a profile.
///
/// Displayed over several lines, without a line feed at the end:
/// ```text
/// my.toml:12:11: error: the rate is -5 Hz
///   12 | rate_hz = -5
///      |           ^^
///      = help: …
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file or text, as the caller gave it.
    pub source_name: String,
    /// Line of the offending value, from 1.
    pub line: usize,
    /// Its first character in that line, from 1; counted in characters, not bytes.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
    /// Part of the line around the value, and where in it the value stands, in characters.
    excerpt: String,
    marked: Range<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let Self { source_name, line, column, message, .. } = self;
        writeln!(f, "{source_name}:{line}:{column}: {severity}: {message}")?;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "  {number} | {}", self.excerpt)?;
        let before: usize = self.excerpt.chars().take(self.marked.start).map(columns).sum();
        let under: usize = self.excerpt.chars().skip(self.marked.start).take(self.marked.len()).map(columns).sum();
        write!(f, "  {margin} | {}{}", " ".repeat(before), "^".repeat(under.max(1)))?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "\n  {margin} = help: {}", self.help) }
    }
}

/// How many columns of a terminal a character takes: Korean, Chinese and Japanese ones take two.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        _ => 1,
    }
}

/// Collects the problems of one text.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    source_name: &'t str,
    text: &'t str,
    /// Byte offsets at which lines begin.
    lines: Vec<usize>,
    /// With the byte offset, by which they are sorted in the end.
    found: Vec<(usize, Problem)>,
    errors: usize,
}

impl<'t> Problems<'t> {
    pub(super) fn new(source_name: &'t str, text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source_name, text, lines, found: Vec::new(), errors: 0 }
    }

    /// An error about the bytes in `span`.
    pub(super) fn error(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.errors += 1;
        self.push(Severity::Error, span, &message.into(), help.into());
    }

    /// A warning about the bytes in `span`.
    pub(super) fn warn(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, span, &message.into(), help.into());
    }

    /// Number of errors so far, kept or not.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Line of a byte offset, from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).max(1)
    }

    /// The problems in the order of the text: the warnings if there is no error, else everything.
    pub(super) fn finish(mut self) -> Result<Vec<Problem>, ProfileErrors> {
        self.found.sort_by_key(|(offset, _)| *offset);
        let problems: Vec<Problem> = self.found.into_iter().map(|(_, problem)| problem).collect();
        if self.errors == 0 {
            return Ok(problems);
        }
        let kept = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        Err(ProfileErrors { problems, more: self.errors - kept })
    }

    fn push(&mut self, severity: Severity, span: &Range<usize>, message: &str, help: String) {
        if self.found.iter().filter(|(_, kept)| kept.severity == severity).count() >= KEPT {
            return;
        }
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let line = self.line_of(start);
        let line_start = self.lines.get(line - 1).copied().unwrap_or(0);
        let line_text = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = self.text.get(line_start..start).unwrap_or_default().chars().count();
        let end = self.text.floor_char_boundary(span.end.clamp(start, self.text.len()));
        let length = self.text.get(start..end).unwrap_or_default().chars().take_while(|c| *c != '\n').count();
        let (excerpt, marked) = excerpt(line_text, column..column.saturating_add(length));
        let source_name = self.source_name.to_owned();
        let message = cut(message, MESSAGE);
        let problem = Problem { severity, source_name, line, column: column + 1, message, help, excerpt, marked };
        self.found.push((start, problem));
    }
}

/// The beginning of a text from the file, fit for a message.
pub(super) fn shortened(text: &str) -> String {
    cut(text, 64)
}

fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The part of a line that is shown, and where `marked` lies in it. Control characters, which could play tricks on a
/// terminal, become spaces or replacement characters.
fn excerpt(line: &str, marked: Range<usize>) -> (String, Range<usize>) {
    let skipped = marked.start.saturating_sub(EXCERPT / 2);
    let harmless = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let shown: String = line.chars().skip(skipped).take(EXCERPT).map(harmless).collect();
    let length = shown.chars().count();
    let start = (marked.start - skipped).min(length);
    let end = marked.end.saturating_sub(skipped).clamp(start, length);
    (shown, start..end)
}

/// Why a text is not a profile: all its problems, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProfileErrors {
    /// At least one error, and the warnings found beside it.
    pub problems: Vec<Problem>,
    /// Errors that were counted but not kept.
    pub more: usize,
}

impl ProfileErrors {
    /// The errors without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error)
    }
}

impl fmt::Display for ProfileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\n\nand {} more errors", self.more)?;
        }
        Ok(())
    }
}
