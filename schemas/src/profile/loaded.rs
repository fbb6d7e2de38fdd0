//! A profile together with the text it came from, so that the very bytes can be hashed and kept in every part.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    Profile,
    check::check,
    problem::{Problem, Problems, ProfileErrors},
    read::Document,
};

/// A profile file larger than this is not read: it is some other file.
pub const MAX_PROFILE_BYTES: u64 = 4 << 20;

/// A profile with its text.
#[derive(Clone, Debug)]
pub struct LoadedProfile {
    /// The contract.
    pub profile: Profile,
    /// The text, byte for byte.
    pub text: String,
    /// SHA-256 of the text, 64 hexadecimal digits.
    pub sha256: String,
    /// Folder that the paths of attachments are relative to; empty for a profile that is not a file.
    pub base_dir: PathBuf,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Why a profile file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProfileError {
    /// The file cannot be read.
    #[error("cannot read the profile {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is too large to be a profile.
    #[error("{} is larger than {MAX_PROFILE_BYTES} bytes: this is not a profile", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{}:{line}:{column}: this is not UTF-8 text; save the profile as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line of the first wrong byte, from 1.
        line: usize,
        /// Its column, from 1, in characters.
        column: usize,
    },
    /// The text breaks the rules of profiles.
    #[error(transparent)]
    Invalid(#[from] ProfileErrors),
}

impl LoadedProfile {
    /// Reads and checks a profile file.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds is not a profile.
    pub fn load(path: &Path) -> Result<Self, LoadProfileError> {
        let text = read_text(path)?;
        let mut loaded = Self::parse(&text, &path.display().to_string())?;
        loaded.base_dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(loaded)
    }

    /// Reads and checks a text; `source_name` stands for it in problems.
    ///
    /// # Errors
    /// Every problem found. Syntax is looked at first, then keys and types, then what the values mean; a stage with
    /// errors ends it, since what follows would only repeat them.
    pub fn parse(text: &str, source_name: &str) -> Result<Self, ProfileErrors> {
        let mut problems = Problems::new(source_name, text);
        let mut profile = None;
        if text.len() as u64 > MAX_PROFILE_BYTES {
            let message = format!("the text is larger than {MAX_PROFILE_BYTES} bytes");
            problems.error(&(0..0), message, "this is not a profile");
        } else if let Some(document) = Document::parse(text, &mut problems) {
            profile = document.profile(&mut problems);
            if let Some(profile) = &profile {
                check(profile, &document, &mut problems);
            }
        }
        match (profile, problems.finish()?) {
            (Some(profile), warnings) => Ok(Self::new(profile, text.to_owned(), warnings)),
            // Unreachable: without a profile there is an error. Should that ever break, it is still not a panic.
            (None, problems) => Err(ProfileErrors { problems, more: 1 }),
        }
    }

    /// The implicit profile of a recording by key expressions alone; its text is made from it.
    #[must_use]
    pub fn schemaless(platform: &str) -> Self {
        let profile = Profile::schemaless(platform);
        let text = toml::to_string(&profile).unwrap_or_default();
        Self::new(profile, text, Vec::new())
    }

    fn new(profile: Profile, text: String, warnings: Vec<Problem>) -> Self {
        let sha256 = format!("{:x}", Sha256::digest(text.as_bytes()));
        Self { profile, text, sha256, base_dir: PathBuf::new(), warnings }
    }
}

fn read_text(path: &Path) -> Result<String, LoadProfileError> {
    let failed = |source| LoadProfileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_PROFILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_PROFILE_BYTES {
        return Err(LoadProfileError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let last_line = good.rsplit('\n').next().unwrap_or_default();
        LoadProfileError::NotText {
            path: path.to_owned(),
            line: good.matches('\n').count() + 1,
            column: last_line.chars().count() + 1,
        }
    })
}
