//! The truth about a run: what was sent and what was not, per stream and publisher instance.
//!
//! Written as JSON lines: one `start`, one line for each number that is used *before* its sample is put, at the end
//! one `end`. After a kill the lines tell what was sent, but for at most one sample of each thread.

use std::{
    fs::File,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use sagwan_schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What one run sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the platform on the wire.
    pub platform: String,
    /// Seed.
    pub seed: u64,
    /// Capture time of the first samples.
    pub start: Timestamp,
    /// One entry per stream, in the profile's order.
    pub streams: Vec<StreamReport>,
}

/// What one stream sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Name.
    pub stream: String,
    /// Key expression.
    pub key: String,
    /// Publisher instances, oldest first; more than one after restarts.
    pub instances: Vec<InstanceReport>,
    /// Samples that a stalled sensor did not produce; they have no number.
    pub stalled: u64,
    /// Samples whose making began more than 10 ms after they were due.
    pub late: u64,
    /// The longest such delay, nanoseconds.
    pub latest_nanos: i64,
}

/// What one publisher instance sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// Its identity on the wire: when it started, nanoseconds UTC.
    pub instance: i64,
    /// Samples put on the wire.
    pub sent: u64,
    /// Of those, samples with a broken payload.
    pub corrupted: u64,
    /// Numbers used without a sample on the wire.
    pub dropped: u64,
    /// First and last number used; absent when none was.
    pub first_sequence: Option<u64>,
    /// See `first_sequence`.
    pub last_sequence: Option<u64>,
    /// Payload bytes put on the wire.
    pub bytes: u64,
}

/// What became of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Put on the wire.
    Sent,
    /// Put on the wire, broken.
    Corrupted,
    /// Not put on the wire.
    Dropped,
}

/// One number that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Stream, by its place in the report.
    pub stream: usize,
    /// Publisher instance.
    pub instance: i64,
    /// The number.
    pub sequence: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Payload size.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Start(Report),
    Use(Use),
    End(Report),
}

/// A report file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file cannot be created.
    #[error("cannot create the report {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line cannot be written.
    #[error("cannot write the report")]
    Write(#[source] io::Error),
    /// A line cannot be read.
    #[error("cannot read the report")]
    Read(#[source] io::Error),
    /// A line is no report line.
    #[error("line {line} of the report is damaged")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The first line is no `start`, or a line names a stream that it does not list.
    #[error("line {line} of the report does not belong there")]
    Order {
        /// Counted from 1.
        line: usize,
    },
}

impl StreamReport {
    /// Samples put on the wire by all instances.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.instances.iter().map(|i| i.sent).sum()
    }

    /// Numbers used without a sample on the wire, by all instances.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.instances.iter().map(|i| i.dropped).sum()
    }

    /// Counts one number.
    pub fn count(&mut self, usage: &Use) {
        if self.instances.last().is_none_or(|last| last.instance != usage.instance) {
            self.instances.push(InstanceReport { instance: usage.instance, ..InstanceReport::default() });
        }
        let Some(instance) = self.instances.last_mut() else { return };
        instance.first_sequence.get_or_insert(usage.sequence);
        instance.last_sequence = Some(usage.sequence);
        match usage.outcome {
            Outcome::Dropped => instance.dropped += 1,
            Outcome::Sent | Outcome::Corrupted => {
                instance.sent += 1;
                instance.corrupted += u64::from(usage.outcome == Outcome::Corrupted);
                instance.bytes += usage.bytes;
            }
        }
    }
}

impl Report {
    /// Samples put on the wire by all streams.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.streams.iter().map(StreamReport::sent).sum()
    }

    /// Reads a report file; one that ends early tells what was sent until then.
    ///
    /// # Errors
    /// When it cannot be read, or a line other than the last is damaged.
    pub fn read(lines: impl BufRead) -> Result<Self, ReportError> {
        let mut report: Option<Self> = None;
        let mut torn: Option<ReportError> = None;
        for (index, line) in lines.lines().enumerate() {
            let number = index + 1;
            let text = line.map_err(ReportError::Read)?;
            if let Some(error) = torn {
                return Err(error);
            }
            match (serde_json::from_str(&text), &mut report) {
                (Ok(Line::Start(start)), None) => report = Some(start),
                (Ok(Line::End(end)), Some(_)) => report = Some(end),
                (Ok(Line::Use(usage)), Some(report)) => {
                    let stream = report.streams.get_mut(usage.stream);
                    stream.ok_or(ReportError::Order { line: number })?.count(&usage);
                }
                (Err(source), _) => torn = Some(ReportError::Line { line: number, source }),
                (Ok(_), _) => return Err(ReportError::Order { line: number }),
            }
        }
        report.ok_or(ReportError::Order { line: 1 })
    }
}

/// Writes a report file line by line.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// A new file that begins with what is known at the start.
    ///
    /// # Errors
    /// When it cannot be created or written.
    pub fn create(path: &Path, start: &Report) -> Result<Self, ReportError> {
        let create = |source| ReportError::Create { path: path.to_owned(), source };
        let mut journal = Self { file: File::create(path).map_err(create)? };
        journal.write(&Line::Start(start.clone()))?;
        Ok(journal)
    }

    /// Notes one number; in the operating system's hands when it returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&mut self, usage: &Use) -> Result<(), ReportError> {
        self.write(&Line::Use(*usage))
    }

    /// Ends with the sum of it all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, report: &Report) -> Result<(), ReportError> {
        self.write(&Line::End(report.clone()))
    }

    fn write(&mut self, line: &Line) -> Result<(), ReportError> {
        let mut text = serde_json::to_vec(line).map_err(|error| ReportError::Write(error.into()))?;
        text.push(b'\n');
        // One unbuffered write a line: a killed process leaves whole lines.
        self.file.write_all(&text).map_err(ReportError::Write)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn uses() -> Vec<Use> {
        let outcomes = [Outcome::Sent, Outcome::Dropped, Outcome::Corrupted, Outcome::Sent];
        let numbers = [(7, 0), (7, 1), (7, 2), (9, 0)];
        let pairs = outcomes.into_iter().zip(numbers);
        pairs.map(|(outcome, (instance, sequence))| Use { stream: 0, instance, sequence, outcome, bytes: 10 }).collect()
    }

    fn start() -> Report {
        Report { streams: vec![StreamReport { stream: "imu".into(), ..Default::default() }], ..Default::default() }
    }

    #[test]
    fn sums_agree_with_the_single_numbers() {
        let mut stream = StreamReport::default();
        uses().iter().for_each(|usage| stream.count(usage));
        assert_eq!((stream.sent(), stream.dropped(), stream.instances.len()), (3, 1, 2));
        let first = &stream.instances[0];
        assert_eq!(
            (first.corrupted, first.first_sequence, first.last_sequence, first.bytes),
            (1, Some(0), Some(2), 20)
        );
    }

    #[test]
    fn a_journal_cut_at_any_byte_tells_what_was_sent_before() {
        let mut text = Vec::new();
        for line in std::iter::once(Line::Start(start())).chain(uses().into_iter().map(Line::Use)) {
            text.extend(serde_json::to_vec(&line).unwrap());
            text.push(b'\n');
        }
        let first_line = text.iter().position(|&b| b == b'\n').unwrap();
        for cut in first_line..=text.len() {
            let whole_lines = text[..cut].iter().filter(|&&b| b == b'\n').count();
            let report = Report::read(&text[..cut]).unwrap();
            let used: u64 = report.streams[0].sent() + report.streams[0].dropped();
            assert!(used as usize + 1 >= whole_lines && used as usize <= whole_lines, "cut {cut}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error() {
        let start = serde_json::to_string(&Line::Start(start())).unwrap();
        let text = format!("{start}\nnonsense\n{start}\n");
        assert!(matches!(Report::read(text.as_bytes()), Err(ReportError::Line { line: 2, .. })));
    }
}
