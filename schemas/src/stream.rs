//! What a stream is: its modality, its class and how it is kept.

use serde::{Deserialize, Serialize};

/// What a stream senses or commands; decides the typed view, the checks and the export mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each name is the field's own word for it")]
pub enum Modality {
    CompressedImage,
    RawImage,
    DepthImage,
    CompressedVideo,
    CameraCalibration,
    PointCloud,
    LaserScan,
    Imu,
    Gnss,
    Transform,
    Pose,
    Odometry,
    JointStates,
    JointCommand,
    GripperState,
    GripperCommand,
    HandState,
    HandCommand,
    Wrench,
    Tactile,
    Battery,
    Audio,
    VehicleState,
    VehicleCommand,
    VesselState,
    AisTarget,
    Objects,
    Log,
    TeleoperationInput,
    TaskInstruction,
    Other,
}

/// How much a stream's loss would hurt. Under overload the lowest class is shed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Pictures for people; the first to go.
    Preview,
    /// Cameras, lidars and all that has no other class.
    #[default]
    Sensor,
    /// What the platform did: joint states, odometry, vehicle state.
    State,
    /// What the platform was told: commands, teleoperation input, episode marks. The last to go.
    Control,
}

impl Class {
    /// All classes, lowest first.
    pub const ALL: [Self; 4] = [Self::Preview, Self::Sensor, Self::State, Self::Control];
}

/// How the chunks that hold a stream are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Stored as it came: right for payloads that are compressed already.
    #[default]
    None,
    /// Fast, light.
    Lz4,
    /// Smaller, slower; level 1.
    Zstd,
}

impl Compression {
    /// The name in an MCAP chunk.
    #[must_use]
    pub const fn mcap_name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Whose privacy or secret a stream touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privacy {
    /// Nothing to protect.
    #[default]
    None,
    /// May show or let hear persons: faces, voices, plates.
    Personal,
    /// Position of a platform or of others.
    Location,
    /// A process, drawing or parameter that a company keeps secret.
    TradeSecret,
}
