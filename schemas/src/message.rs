//! Typed views of samples: what a robot, car or ship senses and does, whatever wire format it came in.
//!
//! A view is plain, owned data that holds what its documentation promises: sizes fit the data, lists that run in
//! parallel are of one length. Units are SI, angles radians, positions on Earth WGS 84 degrees. Knows no channel and
//! no file. Start at [`Message`].

use bytes::Bytes;

use crate::{stream::Modality, time::Timestamp, value::Value};

pub mod audio;
pub mod battery;
pub mod bundled;
pub mod camera;
mod check;
pub mod contact;
mod error;
mod fields;
pub mod geometry;
pub mod gnss;
pub mod hand;
pub mod image;
pub mod joint;
pub mod laser_scan;
pub mod log;
pub mod motion;
pub mod objects;
pub mod point_cloud;
mod protobuf;
mod ros;
pub mod task;
pub mod teleoperation;
mod transcode;
pub mod vehicle;
pub mod vessel;
pub mod video;

pub use audio::Audio;
pub use battery::BatteryState;
pub use camera::CameraCalibration;
pub use contact::{TactileArray, Wrench};
pub use error::{Expected, MessageError, Problem};
pub use gnss::GnssFix;
pub use hand::{GripperCommand, GripperState, HandCommand, HandState};
pub use image::{CompressedImage, DepthImage, RawImage};
pub use joint::{JointCommand, JointStates};
pub use laser_scan::LaserScan;
pub use log::Log;
pub use motion::{Imu, Odometry, PoseInFrame, Transform, Twist};
pub use objects::TrackedObjects;
pub use point_cloud::PointCloud;
pub use task::TaskInstruction;
pub use teleoperation::TeleoperationInput;
pub use vehicle::{VehicleCommand, VehicleState};
pub use vessel::{AisTarget, VesselState};
pub use video::VideoPacket;

/// One sample, typed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each name is that of the view, which is documented")]
pub enum Message {
    CompressedImage(CompressedImage),
    RawImage(RawImage),
    /// A raw image whose encoding says that its pixels are distances.
    DepthImage(DepthImage),
    Video(VideoPacket),
    CameraCalibration(CameraCalibration),
    PointCloud(PointCloud),
    LaserScan(LaserScan),
    Imu(Imu),
    Gnss(GnssFix),
    /// One transform or several of one sample.
    Transforms(Vec<Transform>),
    Pose(PoseInFrame),
    Odometry(Odometry),
    Twist(Twist),
    JointStates(JointStates),
    JointCommand(JointCommand),
    GripperState(GripperState),
    GripperCommand(GripperCommand),
    HandState(HandState),
    HandCommand(HandCommand),
    Wrench(Wrench),
    Tactile(TactileArray),
    Battery(BatteryState),
    Audio(Audio),
    VehicleState(Box<VehicleState>),
    VehicleCommand(VehicleCommand),
    VesselState(Box<VesselState>),
    AisTarget(Box<AisTarget>),
    Objects(TrackedObjects),
    Log(Log),
    TeleoperationInput(TeleoperationInput),
    TaskInstruction(TaskInstruction),
    /// A sample of a schema that has no view.
    Other(Value),
}

impl Message {
    /// The typed view of a protobuf payload; absent if no view belongs to the schema.
    ///
    /// `schema` is the full name, e.g. `foxglove.CompressedImage` or `sagwan.VehicleState`. The payload is copied
    /// once; [`Self::from_protobuf_bytes`] does not copy.
    ///
    /// # Errors
    /// The payload is not that message, or its sizes contradict each other.
    #[must_use]
    pub fn from_protobuf(schema: &str, payload: &[u8]) -> Option<Result<Self, MessageError>> {
        protobuf::has_view(schema).then(|| Bytes::copy_from_slice(payload)).and_then(|payload| {
            let decoded = protobuf::decode(schema, payload)?;
            Some(decoded.map_err(|problem| MessageError { schema: schema.to_owned(), problem }))
        })
    }

    /// Like [`Self::from_protobuf`]; images, clouds and other buffers share the payload's memory.
    ///
    /// # Errors
    /// The payload is not that message, or its sizes contradict each other.
    #[must_use]
    pub fn from_protobuf_bytes(schema: &str, payload: Bytes) -> Option<Result<Self, MessageError>> {
        let decoded = protobuf::decode(schema, payload)?;
        Some(decoded.map_err(|problem| MessageError { schema: schema.to_owned(), problem }))
    }

    /// The typed view of a decoded value tree; absent if no view belongs to the schema.
    ///
    /// Knows ROS types (`sensor_msgs/msg/Image`, also without `/msg/`, and `foxglove_msgs`) and, for JSON, the names
    /// of [`Self::from_protobuf`]: fields are named as in the protobuf message, bytes are base64, times are
    /// `{sec, nsec}`.
    ///
    /// # Errors
    /// A field is missing, of another type, or its size contradicts another.
    #[must_use]
    pub fn from_value(schema: &str, value: &Value) -> Option<Result<Self, MessageError>> {
        let converted = ros::convert(schema, value).or_else(|| transcode::convert(schema, value))?;
        Some(converted.map_err(|problem| MessageError { schema: schema.to_owned(), problem }))
    }

    /// When it was captured, by its own account; absent where the schema or the sample has no time.
    ///
    /// A time of exactly 1970-01-01T00:00:00Z is what senders leave unset.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.header().0.filter(|time| *time != Timestamp::EPOCH)
    }

    /// The coordinate frame it is expressed in; empty where there is none. For transforms, the first one's parent.
    #[must_use]
    pub fn frame_id(&self) -> &str {
        self.header().1
    }

    fn header(&self) -> (Option<Timestamp>, &str) {
        macro_rules! framed {
            ($m:expr) => {
                (Some($m.timestamp), $m.frame_id.as_str())
            };
        }
        macro_rules! frameless {
            ($m:expr) => {
                (Some($m.timestamp), "")
            };
        }
        match self {
            Self::CompressedImage(m) => framed!(m),
            Self::RawImage(m) => framed!(m),
            Self::DepthImage(m) => framed!(m.image),
            Self::Video(m) => framed!(m),
            Self::CameraCalibration(m) => framed!(m),
            Self::PointCloud(m) => framed!(m),
            Self::LaserScan(m) => framed!(m),
            Self::Imu(m) => framed!(m),
            Self::Gnss(m) => framed!(m),
            Self::Transforms(m) => {
                m.first().map_or((None, ""), |first| (Some(first.timestamp), first.parent_frame_id.as_str()))
            }
            Self::Pose(m) => framed!(m),
            Self::Odometry(m) => framed!(m),
            Self::Twist(m) => framed!(m),
            Self::JointStates(m) => frameless!(m),
            Self::JointCommand(m) => frameless!(m),
            Self::GripperState(m) => framed!(m),
            Self::GripperCommand(m) => framed!(m),
            Self::HandState(m) => framed!(m),
            Self::HandCommand(m) => framed!(m),
            Self::Wrench(m) => framed!(m),
            Self::Tactile(m) => framed!(m),
            Self::Battery(m) => frameless!(m),
            Self::Audio(m) => frameless!(m),
            Self::VehicleState(m) => framed!(m),
            Self::VehicleCommand(m) => framed!(m),
            Self::VesselState(m) => framed!(m),
            Self::AisTarget(m) => frameless!(m),
            Self::Objects(m) => framed!(m),
            Self::Log(m) => frameless!(m),
            Self::TeleoperationInput(m) => framed!(m),
            Self::TaskInstruction(m) => frameless!(m),
            Self::Other(_) => (None, ""),
        }
    }

    /// What it senses or commands.
    #[must_use]
    pub fn modality(&self) -> Modality {
        match self {
            Self::CompressedImage(_) => Modality::CompressedImage,
            Self::RawImage(_) => Modality::RawImage,
            Self::DepthImage(_) => Modality::DepthImage,
            Self::Video(_) => Modality::CompressedVideo,
            Self::CameraCalibration(_) => Modality::CameraCalibration,
            Self::PointCloud(_) => Modality::PointCloud,
            Self::LaserScan(_) => Modality::LaserScan,
            Self::Imu(_) => Modality::Imu,
            Self::Gnss(_) => Modality::Gnss,
            Self::Transforms(_) => Modality::Transform,
            Self::Pose(_) => Modality::Pose,
            Self::Odometry(_) | Self::Twist(_) => Modality::Odometry,
            Self::JointStates(_) => Modality::JointStates,
            Self::GripperState(_) => Modality::GripperState,
            Self::HandState(_) => Modality::HandState,
            Self::JointCommand(_) => Modality::JointCommand,
            Self::GripperCommand(_) => Modality::GripperCommand,
            Self::HandCommand(_) => Modality::HandCommand,
            Self::Wrench(_) => Modality::Wrench,
            Self::Tactile(_) => Modality::Tactile,
            Self::Battery(_) => Modality::Battery,
            Self::Audio(_) => Modality::Audio,
            Self::VehicleState(_) => Modality::VehicleState,
            Self::VehicleCommand(_) => Modality::VehicleCommand,
            Self::VesselState(_) => Modality::VesselState,
            Self::AisTarget(_) => Modality::AisTarget,
            Self::Objects(_) => Modality::Objects,
            Self::Log(_) => Modality::Log,
            Self::TeleoperationInput(_) => Modality::TeleoperationInput,
            Self::TaskInstruction(_) => Modality::TaskInstruction,
            Self::Other(_) => Modality::Other,
        }
    }

    /// A raw image, or a depth image if its encoding says so.
    fn of_image(image: RawImage) -> Self {
        match DepthImage::of(image) {
            Ok(depth) => Self::DepthImage(depth),
            Err(raw) => Self::RawImage(*raw),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
