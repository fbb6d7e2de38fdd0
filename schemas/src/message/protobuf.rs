//! Protobuf payloads → typed views, through the compiled messages.

use bytes::Bytes;
use foxglove::messages as fx;
use prost::encoding::{self, DecodeContext};

use super::{
    Audio, CameraCalibration, CompressedImage, GnssFix, JointStates, LaserScan, Log, Message, Odometry, PointCloud,
    PoseInFrame, RawImage, Transform, VideoPacket, check, error::Problem,
};
use crate::{proto, time::Timestamp};

/// The time of a Foxglove message alone, in full.
///
/// The compiled Foxglove messages hold seconds in 32 bits without sign: a clock set before 1970 would read as 2106.
/// So the time is read a second time from the payload, which skips everything else and copies nothing.
#[derive(Clone, PartialEq, prost::Message)]
struct Stamp {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<prost_types::Timestamp>,
}

/// The same for messages that have it at field 6.
#[derive(Clone, PartialEq, prost::Message)]
struct StampAt6 {
    #[prost(message, optional, tag = "6")]
    timestamp: Option<prost_types::Timestamp>,
}

/// The same for a list of messages.
#[derive(Clone, PartialEq, prost::Message)]
struct Stamps {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Stamp>,
}

/// A view of one schema: from the payload to the message.
type Decode = fn(Bytes) -> Result<Message, Problem>;

/// Whether [`decode`] knows the schema.
pub(super) fn has_view(schema: &str) -> bool {
    decoder(schema).is_some()
}

/// The view of a payload; absent if no view belongs to the schema.
pub(super) fn decode(schema: &str, payload: Bytes) -> Option<Result<Message, Problem>> {
    let decode = decoder(schema)?;
    Some(limit_fields(&payload).and_then(|()| decode(payload)))
}

fn decoder(schema: &str) -> Option<Decode> {
    match schema.split_once('.')? {
        ("foxglove", name) => foxglove_decoder(name),
        ("sagwan", name) => sagwan_decoder(name),
        _ => None,
    }
}

fn foxglove_decoder(name: &str) -> Option<Decode> {
    Some(match name {
        "CompressedImage" => |b| plain(b, CompressedImage::from_foxglove).map(Message::CompressedImage),
        "RawImage" => |b| checked(b, RawImage::from_foxglove).map(Message::of_image),
        "CompressedVideo" => |b| plain(b, VideoPacket::from_foxglove).map(Message::Video),
        "CameraCalibration" => |b| checked(b, CameraCalibration::from_foxglove).map(Message::CameraCalibration),
        "PointCloud" => |b| checked(b, PointCloud::from_foxglove).map(Message::PointCloud),
        "LaserScan" => |b| checked(b, LaserScan::from_foxglove).map(Message::LaserScan),
        "LocationFix" => location_fix,
        "FrameTransform" => |b| plain(b, Transform::from_foxglove).map(|t| Message::Transforms(vec![t])),
        "FrameTransforms" => frame_transforms,
        "PoseInFrame" => |b| plain(b, PoseInFrame::from_foxglove).map(Message::Pose),
        "Odometry" => |b| checked(b, Odometry::from_foxglove).map(Message::Odometry),
        "JointStates" => |b| plain(b, JointStates::from_foxglove).map(Message::JointStates),
        "RawAudio" => |b| checked(b, Audio::from_raw).map(Message::Audio),
        "CompressedAudio" => |b| plain(b, Audio::from_compressed).map(Message::Audio),
        "Log" => |b| plain(b, Log::from_foxglove).map(Message::Log),
        _ => return None,
    })
}

fn sagwan_decoder(name: &str) -> Option<Decode> {
    Some(match name {
        "Imu" => |b| ours::<proto::Imu, _>(b).map(Message::Imu),
        "Twist" => |b| ours::<proto::Twist, _>(b).map(Message::Twist),
        "JointCommand" => |b| ours::<proto::JointCommand, _>(b).map(Message::JointCommand),
        "GripperState" => |b| ours::<proto::GripperState, _>(b).map(Message::GripperState),
        "GripperCommand" => |b| ours::<proto::GripperCommand, _>(b).map(Message::GripperCommand),
        "HandState" => |b| ours::<proto::HandState, _>(b).map(Message::HandState),
        "HandCommand" => |b| ours::<proto::HandCommand, _>(b).map(Message::HandCommand),
        "Wrench" => |b| ours::<proto::Wrench, _>(b).map(Message::Wrench),
        "TactileArray" => |b| ours::<proto::TactileArray, _>(b).map(Message::Tactile),
        "BatteryState" => |b| ours::<proto::BatteryState, _>(b).map(Message::Battery),
        "VehicleState" => |b| ours::<proto::VehicleState, _>(b).map(|m| Message::VehicleState(Box::new(m))),
        "VehicleCommand" => |b| ours::<proto::VehicleCommand, _>(b).map(Message::VehicleCommand),
        "VesselState" => |b| ours::<proto::VesselState, _>(b).map(|m| Message::VesselState(Box::new(m))),
        "AisTarget" => |b| ours::<proto::AisTarget, _>(b).map(|m| Message::AisTarget(Box::new(m))),
        "TrackedObjects" => |b| ours::<proto::TrackedObjects, _>(b).map(Message::Objects),
        "TeleoperationInput" => |b| ours::<proto::TeleoperationInput, _>(b).map(Message::TeleoperationInput),
        "TaskInstruction" => |b| ours::<proto::TaskInstruction, _>(b).map(Message::TaskInstruction),
        _ => return None,
    })
}

/// Fields that a payload may have, each element of a list counted.
///
/// An empty element takes two bytes on the wire and up to a hundred in memory: without a limit, a payload would become
/// fifty times its size.
const MAX_FIELDS: usize = 1 << 16;

/// Bytes that a message of ours may have: none carries pictures or clouds, and some have lists within lists, which
/// [`MAX_FIELDS`] does not count.
const MAX_OWN_PAYLOAD: usize = 16 << 20;

/// Refuses a payload of more than [`MAX_FIELDS`] before any of it is kept.
fn limit_fields(mut payload: &[u8]) -> Result<(), Problem> {
    let mut count = 0;
    while !payload.is_empty() {
        count += 1;
        if count > MAX_FIELDS {
            return Err(Problem::TooMuch { what: "fields and list elements", limit: MAX_FIELDS });
        }
        encoding::decode_key(&mut payload)
            .and_then(|(tag, wire)| encoding::skip_field(wire, tag, &mut payload, DecodeContext::default()))
            .map_err(|source| Problem::Protobuf { source })?;
    }
    Ok(())
}

/// Decodes; buffers of the result share the payload's memory.
fn parse<P: prost::Message + Default>(payload: Bytes) -> Result<P, Problem> {
    P::decode(payload).map_err(|source| Problem::Protobuf { source })
}

/// A Foxglove message with its time at field 1.
fn stamped<P: prost::Message + Default>(payload: Bytes) -> Result<(P, Timestamp), Problem> {
    let time = check::time(parse::<Stamp>(payload.clone())?.timestamp)?;
    Ok((parse(payload)?, time))
}

/// A view that holds whatever the message holds.
fn plain<P: prost::Message + Default, V>(payload: Bytes, view: fn(P, Timestamp) -> V) -> Result<V, Problem> {
    let (message, time) = stamped(payload)?;
    Ok(view(message, time))
}

/// A view that checks what the message holds.
fn checked<P, V>(payload: Bytes, view: fn(P, Timestamp) -> Result<V, Problem>) -> Result<V, Problem>
where
    P: prost::Message + Default,
{
    let (message, time) = stamped(payload)?;
    view(message, time)
}

/// One of our own messages.
fn ours<P, V>(payload: Bytes) -> Result<V, Problem>
where
    P: prost::Message + Default,
    V: TryFrom<P, Error = Problem>,
{
    if payload.len() > MAX_OWN_PAYLOAD {
        return Err(Problem::TooMuch { what: "bytes of payload", limit: MAX_OWN_PAYLOAD });
    }
    parse::<P>(payload)?.try_into()
}

fn location_fix(payload: Bytes) -> Result<Message, Problem> {
    let time = check::time(parse::<StampAt6>(payload.clone())?.timestamp)?;
    GnssFix::from_foxglove(parse::<fx::LocationFix>(payload)?, time).map(Message::Gnss)
}

fn frame_transforms(payload: Bytes) -> Result<Message, Problem> {
    let times = parse::<Stamps>(payload.clone())?.items;
    let transforms = parse::<fx::FrameTransforms>(payload)?.transforms;
    let pairs = transforms.into_iter().zip(times);
    let views = pairs.map(|(t, stamp)| Ok(Transform::from_foxglove(t, check::time(stamp.timestamp)?)));
    views.collect::<Result<_, Problem>>().map(Message::Transforms)
}
