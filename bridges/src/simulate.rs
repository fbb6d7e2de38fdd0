//! Simulated platforms that publish at real rates: a humanoid, a vehicle and a vessel.
//!
//! Their streams, rates, keys and frames are those of the example profiles. What sample `n` of a stream holds is a
//! function of the seed and `n`, apart from its timestamps; faults are part of that. The [`Report`] is the truth about
//! what was sent. Knows no recorder.

pub mod drive;
pub mod fault;
pub mod geo;
pub mod humanoid;
pub mod noise;
pub mod pace;
pub mod platform;
pub mod report;
pub mod scene;
pub mod vehicle;
pub mod vessel;

use std::{fmt, path::PathBuf, str::FromStr, sync::atomic::AtomicBool, time::Duration};

use sagwan_schemas::{
    channel::ChannelDescriptor,
    message::bundled,
    profile::{PlatformKind, Profile, ProfileErrors, Stream, example},
    time::{Clock as _, SystemClock, Timestamp},
};
use zenoh::Session;

use self::{
    drive::{RealTimer, Sink, drive},
    humanoid::Humanoid,
    pace::Rhythm,
    platform::{Source, World},
    scene::jpeg::JpegError,
    vehicle::Vehicle,
    vessel::Vessel,
};
pub use self::{
    fault::{Fault, FaultError},
    report::{Report, ReportError},
};
use crate::native::{NativeError, Publisher, PublisherOptions, StreamDescriptor};

/// Which platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A humanoid at a table.
    Humanoid,
    /// A car on a road.
    Vehicle,
    /// A ship near a harbour.
    Vessel,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Humanoid, Self::Vehicle, Self::Vessel];

    /// Its name, also that of its example profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Humanoid => "humanoid",
            Self::Vehicle => "vehicle",
            Self::Vessel => "vessel",
        }
    }

    /// Name of the platform on the wire when none is given.
    #[must_use]
    pub fn default_platform(self) -> String {
        format!("{}-sim", self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no simulated platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no simulated platform {name:?}; use humanoid, vehicle or vessel")]
pub struct KindError {
    /// The text.
    pub name: String,
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, KindError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| KindError { name: name.to_owned() })
    }
}

/// What to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which platform.
    pub kind: Kind,
    /// Its name on the wire.
    pub platform: String,
    /// Decides noise, colours, traffic and faults.
    pub seed: u64,
    /// Ends after so long; `None` goes on until told to stop.
    pub duration: Option<Duration>,
    /// What is to go wrong.
    pub faults: Vec<Fault>,
    /// Multiplies all rates; the world's own pace stays. Default 1.
    pub rate_scale: f64,
    /// Ends each stream after so many samples.
    pub max_messages: Option<u64>,
    /// Only these streams; empty means all.
    pub streams: Vec<String>,
    /// Where to write the truth as it happens, see [`report`].
    pub report: Option<PathBuf>,
}

impl Options {
    /// The platform as its profile says, seed 1, without faults and without end.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            platform: kind.default_platform(),
            seed: 1,
            duration: None,
            faults: Vec::new(),
            rate_scale: 1.0,
            max_messages: None,
            streams: Vec::new(),
            report: None,
        }
    }
}

/// Why a platform cannot be simulated, or not any longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// The profile is damaged.
    #[error("the profile of the simulated {kind} is not valid")]
    Profile {
        /// The platform.
        kind: Kind,
        /// What is wrong.
        #[source]
        source: ProfileErrors,
    },
    /// The platform has nothing to say on a stream of its profile.
    #[error("the simulated {kind} cannot play stream {stream:?}")]
    Unplayable {
        /// The platform.
        kind: Kind,
        /// The stream.
        stream: String,
    },
    /// An option is out of range.
    #[error("rate scale {scale} is not a positive number")]
    RateScale {
        /// The value.
        scale: f64,
    },
    /// A fault or a choice of streams names a stream that does not exist.
    #[error("the simulated {kind} cannot do that")]
    Stream {
        /// The platform.
        kind: Kind,
        /// Which name.
        #[source]
        source: FaultError,
    },
    /// The wire does not take it.
    #[error("stream {stream:?} cannot be published")]
    Publish {
        /// The stream.
        stream: String,
        /// Why.
        #[source]
        source: NativeError,
    },
    /// An image cannot be made.
    #[error("no image for stream {stream:?}")]
    Image {
        /// The stream.
        stream: String,
        /// Why.
        #[source]
        source: JpegError,
    },
    /// The report cannot be written.
    #[error("the truth about this run cannot be kept")]
    Report(#[source] ReportError),
    /// A thread cannot be started or ended by a panic.
    #[error("the thread of stream {stream:?} failed")]
    Thread {
        /// Its first stream.
        stream: String,
    },
}

/// A simulated platform: streams, and a source of payloads for each.
pub struct Platform {
    kind: Kind,
    profile: Profile,
    world: Box<dyn World>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Platform {
    /// The platform of the example profile.
    ///
    /// # Errors
    /// When the profile is damaged.
    pub fn new(kind: Kind, seed: u64) -> Result<Self, SimulateError> {
        let text = example(kind.name()).unwrap_or_default();
        let profile = Profile::parse(text, &format!("{kind}.toml"));
        Ok(Self::with_profile(profile.map_err(|source| SimulateError::Profile { kind, source })?, kind, seed))
    }

    /// The platform with the streams of another profile.
    #[must_use]
    pub fn with_profile(profile: Profile, kind: Kind, seed: u64) -> Self {
        let world: Box<dyn World> = match kind {
            Kind::Humanoid => Box::new(Humanoid::new(&profile, seed)),
            Kind::Vehicle => Box::new(Vehicle::new(&profile, seed)),
            Kind::Vessel => Box::new(Vessel::new(&profile, seed)),
        };
        Self { kind, profile, world }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its contract.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Its streams in the profile's order.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.profile.streams
    }

    /// A new source for a stream.
    ///
    /// # Errors
    /// When there is no such stream or this platform cannot play it.
    pub fn source(&self, stream: usize) -> Result<Box<dyn Source>, SimulateError> {
        let spec = self.profile.streams.get(stream);
        let source = spec.and_then(|spec| self.world.source(spec));
        source.ok_or_else(|| SimulateError::Unplayable {
            kind: self.kind,
            stream: spec.map_or_else(|| format!("#{stream}"), |spec| spec.name.clone()),
        })
    }

    /// When a stream has samples.
    #[must_use]
    pub fn rhythm(&self, stream: &Stream) -> Rhythm {
        self.world.rhythm(stream)
    }
}

/// Which platform plays a profile of this kind.
#[must_use]
pub fn kind_of(kind: PlatformKind) -> Option<Kind> {
    match kind {
        PlatformKind::Humanoid => Some(Kind::Humanoid),
        PlatformKind::Vehicle => Some(Kind::Vehicle),
        PlatformKind::Vessel => Some(Kind::Vessel),
        PlatformKind::Other => None,
    }
}

impl Sink for Publisher {
    fn key(&self) -> String {
        Self::key(self).to_owned()
    }

    fn instance(&self) -> i64 {
        Self::instance(self)
    }

    fn put(&mut self, payload: Vec<u8>, capture_time: Timestamp) -> Result<(), NativeError> {
        Self::put(self, payload, capture_time).map(|_sequence| ())
    }

    fn skip(&mut self) {
        Self::skip(self);
    }

    fn restart(&mut self) -> Result<(), NativeError> {
        Self::restart(self)
    }
}

fn publish(session: &Session, platform: &str, stream: &Stream) -> Result<Publisher, NativeError> {
    let channel = ChannelDescriptor {
        topic: format!("/{}", stream.name),
        message_encoding: "protobuf".to_owned(),
        schema: bundled::schema(&stream.schema),
        metadata: [("frame_id".to_owned(), stream.frame.clone())].into(),
    };
    let descriptor = StreamDescriptor { stream: stream.name.clone(), channel, latched: stream.latched };
    let key = stream.key.as_ref().map(|key| key.replace("{platform}", platform).replace("{stream}", &stream.name));
    Publisher::declare(session, platform, descriptor, PublisherOptions { key, ..Default::default() })
}

/// Publishes a platform until it has run its time or `stop` is set, and tells what was sent.
///
/// One thread paces all small streams, each camera and lidar has its own. A thread that is late skips nothing: it
/// catches up, and the report counts it.
///
/// # Errors
/// When an option names what does not exist, or publishing fails; a report file then tells what was sent until then.
pub fn run(session: &Session, options: &Options, stop: &AtomicBool) -> Result<Report, SimulateError> {
    let platform = Platform::new(options.kind, options.seed)?;
    let open = |stream: &Stream| {
        let published = publish(session, &options.platform, stream);
        published.map_err(|source| SimulateError::Publish { stream: stream.name.clone(), source })
    };
    drive(&platform, options, open, &|| (RealTimer::new(stop), SystemClock::new().wall()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
