//! Schemas that come with the program: every `foxglove.*` and `sagwan.*` message. Knows no channel.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use bytes::Bytes;
use foxglove::{Encode as _, messages as fx};
use prost::Message as _;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use prost_types::FileDescriptorSet;

use crate::{channel::SchemaDescriptor, proto, stream::Modality};

/// The schema of this full name, e.g. `foxglove.CompressedImage`, `sagwan.VehicleState`; absent if it is not bundled.
///
/// Encoding `protobuf`; the data is a `FileDescriptorSet` of the message's file and what it imports, nothing else.
#[must_use]
pub fn schema(name: &str) -> Option<SchemaDescriptor> {
    SCHEMAS.get(name).cloned()
}

/// Full names of all bundled schemas, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCHEMAS.keys().map(String::as_str)
}

/// The reflection descriptor of a bundled message.
#[must_use]
pub fn message_descriptor(name: &str) -> Option<MessageDescriptor> {
    let pool = if name.starts_with("sagwan.") { &*SAGWAN } else { &*FOXGLOVE };
    pool.get_message_by_name(name)
}

/// What samples of a schema sense or command, as far as the name tells; ROS names (`sensor_msgs/msg/Imu`, also without
/// `/msg/`) are known too. [`Modality::Other`] for any other name.
///
/// A raw image may be one of distances: its encoding tells, its name does not.
#[must_use]
pub fn modality(name: &str) -> Modality {
    let ros = name.replacen("/msg/", "/", 1);
    let name = match ros.strip_prefix("foxglove_msgs/") {
        Some(message) => format!("foxglove.{message}"),
        None => ros,
    };
    match name.as_str() {
        "foxglove.CompressedImage" | "sensor_msgs/CompressedImage" => Modality::CompressedImage,
        "foxglove.RawImage" | "sensor_msgs/Image" => Modality::RawImage,
        "foxglove.CompressedVideo" => Modality::CompressedVideo,
        "foxglove.CameraCalibration" | "sensor_msgs/CameraInfo" => Modality::CameraCalibration,
        "foxglove.PointCloud" | "foxglove.CompressedPointCloud" | "sensor_msgs/PointCloud2" => Modality::PointCloud,
        "foxglove.LaserScan" | "sensor_msgs/LaserScan" => Modality::LaserScan,
        "sagwan.Imu" | "sensor_msgs/Imu" => Modality::Imu,
        "foxglove.LocationFix" | "foxglove.LocationFixes" | "sensor_msgs/NavSatFix" => Modality::Gnss,
        "foxglove.FrameTransform"
        | "foxglove.FrameTransforms"
        | "geometry_msgs/TransformStamped"
        | "tf2_msgs/TFMessage" => Modality::Transform,
        "foxglove.PoseInFrame"
        | "foxglove.PosesInFrame"
        | "geometry_msgs/PoseStamped"
        | "geometry_msgs/PoseWithCovarianceStamped" => Modality::Pose,
        "foxglove.Odometry" | "sagwan.Twist" | "geometry_msgs/TwistStamped" | "nav_msgs/Odometry" => Modality::Odometry,
        "foxglove.JointStates" | "sensor_msgs/JointState" => Modality::JointStates,
        "sagwan.GripperState" => Modality::GripperState,
        "sagwan.HandState" => Modality::HandState,
        "sagwan.JointCommand" => Modality::JointCommand,
        "sagwan.GripperCommand" => Modality::GripperCommand,
        "sagwan.HandCommand" => Modality::HandCommand,
        "sagwan.Wrench" | "geometry_msgs/WrenchStamped" => Modality::Wrench,
        "sagwan.TactileArray" => Modality::Tactile,
        "sagwan.BatteryState" | "sensor_msgs/BatteryState" => Modality::Battery,
        "foxglove.RawAudio" | "foxglove.CompressedAudio" => Modality::Audio,
        "sagwan.VehicleState" => Modality::VehicleState,
        "sagwan.VehicleCommand" => Modality::VehicleCommand,
        "sagwan.VesselState" => Modality::VesselState,
        "sagwan.AisTarget" => Modality::AisTarget,
        "sagwan.TrackedObjects" => Modality::Objects,
        "foxglove.Log" | "rcl_interfaces/Log" | "std_msgs/String" => Modality::Log,
        "sagwan.TeleoperationInput" | "sensor_msgs/Joy" => Modality::TeleoperationInput,
        "sagwan.TaskInstruction" => Modality::TaskInstruction,
        _ => Modality::Other,
    }
}

static SCHEMAS: LazyLock<BTreeMap<String, SchemaDescriptor>> = LazyLock::new(|| {
    let foxglove = foxglove_schemas().into_iter().flatten().map(|schema| SchemaDescriptor {
        name: schema.name,
        encoding: schema.encoding,
        data: Bytes::from(schema.data.into_owned()),
    });
    let sagwan = SAGWAN.all_messages().filter(is_top_level).map(|message| SchemaDescriptor {
        name: message.full_name().to_owned(),
        encoding: "protobuf".to_owned(),
        data: file_with_imports(&message.parent_file()),
    });
    foxglove.chain(sagwan).map(|schema| (schema.name.clone(), schema)).collect()
});

static SAGWAN: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // Made by our own build script; the tests find every message, so it decodes.
    DescriptorPool::decode(proto::DESCRIPTORS).unwrap_or_default()
});

static FOXGLOVE: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    for schema in foxglove_schemas().into_iter().flatten() {
        // The sets repeat each other's files, which the pool skips; the tests find every message.
        let _same_file_again = pool.decode_file_descriptor_set(schema.data.as_ref());
    }
    pool
});

fn is_top_level(message: &MessageDescriptor) -> bool {
    message.package_name() == "sagwan" && message.parent_message().is_none()
}

/// A serialized set of a file and everything it imports, imports first, as readers of MCAP expect.
fn file_with_imports(file: &FileDescriptor) -> Bytes {
    let mut set = FileDescriptorSet::default();
    add_with_imports(file, &mut set, &mut BTreeSet::new());
    Bytes::from(set.encode_to_vec())
}

// Recurses no deeper than our own files import each other.
fn add_with_imports(file: &FileDescriptor, set: &mut FileDescriptorSet, seen: &mut BTreeSet<String>) {
    if !seen.insert(file.name().to_owned()) {
        return;
    }
    for import in file.dependencies() {
        add_with_imports(&import, set, seen);
    }
    set.file.push(file.file_descriptor_proto().clone());
}

macro_rules! schemas_of {
    ($($message:ident),* $(,)?) => {
        [$(fx::$message::get_schema()),*]
    };
}

fn foxglove_schemas() -> [Option<foxglove::Schema>; 48] {
    schemas_of![
        ArrowPrimitive,
        CameraCalibration,
        CircleAnnotation,
        Color,
        CompressedAudio,
        CompressedImage,
        CompressedPointCloud,
        CompressedVideo,
        CubePrimitive,
        CylinderPrimitive,
        Event,
        FrameTransform,
        FrameTransforms,
        GeoJson,
        Grid,
        ImageAnnotations,
        JointState,
        JointStates,
        KeyValuePair,
        LaserScan,
        LinePrimitive,
        LocationFix,
        LocationFixes,
        Log,
        ModelPrimitive,
        Odometry,
        PackedElementField,
        Point2,
        Point3,
        Point3InFrame,
        PointCloud,
        PointsAnnotation,
        Pose,
        PoseInFrame,
        PosesInFrame,
        Quaternion,
        RawAudio,
        RawImage,
        SceneEntity,
        SceneEntityDeletion,
        SceneUpdate,
        SpherePrimitive,
        TextAnnotation,
        TextPrimitive,
        TriangleListPrimitive,
        Vector2,
        Vector3,
        VoxelGrid,
    ]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_schema_alone_describes_its_message() {
        for name in names() {
            let schema = schema(name).unwrap();
            assert_eq!((schema.name.as_str(), schema.encoding.as_str()), (name, "protobuf"));
            let pool = DescriptorPool::decode(schema.data.as_ref()).unwrap();
            assert!(pool.get_message_by_name(name).is_some(), "{name}");
            assert!(message_descriptor(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_message_of_both_families_is_bundled() {
        let count = |prefix: &str| names().filter(|name| name.starts_with(prefix)).count();
        assert_eq!(count("foxglove."), foxglove_schemas().len());
        assert_eq!(count("sagwan."), SAGWAN.all_messages().filter(is_top_level).count());
        for name in ["foxglove.GeoJSON", "foxglove.RawImage", "sagwan.Imu", "sagwan.Episode", "sagwan.AisTarget"] {
            assert!(schema(name).is_some(), "{name}");
        }
        assert!(schema("foxglove.Nothing").is_none());
    }

    #[test]
    fn a_schema_holds_no_file_that_it_does_not_need() {
        let files = |name: &str| {
            let set = FileDescriptorSet::decode(schema(name).unwrap().data).unwrap();
            set.file.into_iter().map(|file| file.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(files("sagwan.BatteryState"), ["google/protobuf/timestamp.proto", "sagwan/battery.proto"]);
        assert_eq!(
            files("sagwan.Wrench"),
            ["google/protobuf/timestamp.proto", "sagwan/geometry.proto", "sagwan/contact.proto"]
        );
    }

    #[test]
    fn names_tell_the_modality() {
        for (name, expected) in [
            ("foxglove.PointCloud", Modality::PointCloud),
            ("sensor_msgs/msg/PointCloud2", Modality::PointCloud),
            ("sensor_msgs/PointCloud2", Modality::PointCloud),
            ("foxglove_msgs/msg/CompressedVideo", Modality::CompressedVideo),
            ("sagwan.JointCommand", Modality::JointCommand),
            ("sagwan.Loss", Modality::Other),
            ("", Modality::Other),
        ] {
            assert_eq!(modality(name), expected, "{name}");
        }
    }

    #[test]
    fn prost_types_know_their_names() {
        assert_eq!(<proto::VesselState as prost::Name>::full_name(), "sagwan.VesselState");
    }
}
