//! Names of the schemas that come with sagwan, to tell a typing error from a schema of somebody else.

use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::suggest;

/// Messages of Foxglove's well-known schemas that can be a stream's own message.
const FOXGLOVE: [&str; 28] = [
    "foxglove.CameraCalibration",
    "foxglove.CompressedAudio",
    "foxglove.CompressedImage",
    "foxglove.CompressedPointCloud",
    "foxglove.CompressedVideo",
    "foxglove.Event",
    "foxglove.FrameTransform",
    "foxglove.FrameTransforms",
    "foxglove.GeoJSON",
    "foxglove.Grid",
    "foxglove.ImageAnnotations",
    "foxglove.JointState",
    "foxglove.JointStates",
    "foxglove.KeyValuePair",
    "foxglove.LaserScan",
    "foxglove.LocationFix",
    "foxglove.LocationFixes",
    "foxglove.Log",
    "foxglove.Odometry",
    "foxglove.PointCloud",
    "foxglove.Point3InFrame",
    "foxglove.PoseInFrame",
    "foxglove.PosesInFrame",
    "foxglove.RawAudio",
    "foxglove.RawImage",
    "foxglove.SceneEntity",
    "foxglove.SceneUpdate",
    "foxglove.VoxelGrid",
];

/// `sagwan.*`, from the descriptors that are compiled in.
static SAGWAN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(crate::proto::DESCRIPTORS).unwrap_or_default().file;
    let ours = files.into_iter().filter(|file| file.package() == "sagwan");
    ours.flat_map(|file| file.message_type).map(|message| format!("sagwan.{}", message.name())).collect()
});

/// Whether a schema of this name comes with sagwan.
pub(super) fn is_known(name: &str) -> bool {
    known().any(|known| known == name)
}

/// Whether a name claims to be one of ours, so that an unknown one must be an error.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("sagwan.") || name.starts_with("foxglove.")
}

/// The known name that was probably meant; a name without a package is looked for in each.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let short = |full: &'static str| full.split_once('.').map_or(full, |(_, short)| short);
    known().find(|full| short(full) == name).or_else(|| suggest::nearest(name, known()))
}

fn known() -> impl Iterator<Item = &'static str> {
    FOXGLOVE.into_iter().chain(SAGWAN.iter().map(String::as_str))
}
