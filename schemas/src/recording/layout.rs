//! Names of directories and files of a recording, and of what the recorder writes into each part.

use std::path::{Path, PathBuf};

use crate::time::Timestamp;

/// The manifest, beside `parts/`.
pub const MANIFEST: &str = "recording.json";
/// Directory of the parts.
pub const PARTS: &str = "parts";
/// Directory of the labels.
pub const ANNOTATIONS: &str = "annotations";
/// Ending of a finished part.
pub const PART_ENDING: &str = ".mcap";
/// Ending of a part that is being written.
pub const ACTIVE_ENDING: &str = ".mcap.active";
/// Bytes set aside at the start, so that a full disk still has room for footer and manifest.
pub const RESERVE: &str = ".reserve";
/// Name of the metadata record that tells which recording a part belongs to.
pub const RECORDING_METADATA: &str = "sagwan.recording";
/// Prefix of the topics that the recorder itself writes.
pub const OWN_TOPICS: &str = "/sagwan/";

/// Topics that the recorder itself writes.
pub mod topic {
    /// Episodes.
    pub const EPISODE: &str = "/sagwan/episode";
    /// Marks and triggers.
    pub const EVENT: &str = "/sagwan/event";
    /// The loss ledger.
    pub const LOSS: &str = "/sagwan/loss";
    /// Clocks.
    pub const CLOCK: &str = "/sagwan/clock";
    /// Health.
    pub const HEALTH: &str = "/sagwan/health";
    /// Capture times that message records cannot carry.
    pub const CAPTURE_TIME: &str = "/sagwan/capture_time";
}

/// Identifier of a recording: `<platform>_<UTC to the second>_<four hex digits>`, fit for a file name.
///
/// `humanoid-sim_20260115T093000Z_1f3a`
#[must_use]
pub fn recording_id(platform: &str, start: Timestamp, salt: u16) -> String {
    let platform: String = platform
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .take(64)
        .collect();
    let time = jiff::Timestamp::from_nanosecond(i128::from(start.as_nanos()))
        .map_or_else(|_| format!("{}ns", start.as_nanos()), |t| t.strftime("%Y%m%dT%H%M%SZ").to_string());
    format!("{platform}_{time}_{salt:04x}")
}

/// Paths of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingDir {
    /// `<root>/<recording_id>`.
    pub path: PathBuf,
    /// The identifier.
    pub id: String,
}

impl RecordingDir {
    /// The recording `id` under `root`.
    #[must_use]
    pub fn new(root: &Path, id: &str) -> Self {
        Self { path: root.join(id), id: id.to_owned() }
    }

    /// A recording that exists: its last path component is its id.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let id = path.file_name()?.to_str()?.to_owned();
        Some(Self { path: path.to_owned(), id })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// The bytes set aside for the end.
    #[must_use]
    pub fn reserve(&self) -> PathBuf {
        self.path.join(RESERVE)
    }

    /// Directory of the parts.
    #[must_use]
    pub fn parts(&self) -> PathBuf {
        self.path.join(PARTS)
    }

    /// File name of part `index` when finished.
    #[must_use]
    pub fn part_name(&self, index: u32) -> String {
        format!("{}_{index:04}{PART_ENDING}", self.id)
    }

    /// Part `index` when finished.
    #[must_use]
    pub fn part(&self, index: u32) -> PathBuf {
        self.parts().join(self.part_name(index))
    }

    /// Part `index` while it is written.
    #[must_use]
    pub fn active_part(&self, index: u32) -> PathBuf {
        self.parts().join(format!("{}_{index:04}{ACTIVE_ENDING}", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_id_is_fit_for_a_file_name() {
        let start = Timestamp::from_nanos(1_768_469_400_000_000_000);
        assert_eq!(recording_id("humanoid-sim", start, 0x1f3a), "humanoid-sim_20260115T093000Z_1f3a");
        assert_eq!(recording_id("a/../b 한글", start, 0), "a____b____20260115T093000Z_0000");
    }
}
