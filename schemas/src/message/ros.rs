//! ROS messages as value trees → typed views: `sensor_msgs`, `geometry_msgs`, `tf2_msgs`, `nav_msgs` and logs.

mod motion;
mod sensor;

use super::{Message, error::Problem, fields::Fields};
use crate::{time::Timestamp, value::Value};

type Convert = fn(Fields<'_>) -> Result<Message, Problem>;

/// The view of a ROS message; absent if the type has none. `package/msg/Type` and `package/Type` are the same.
pub(super) fn convert(schema: &str, value: &Value) -> Option<Result<Message, Problem>> {
    let (package, rest) = schema.split_once('/')?;
    let kind = rest.strip_prefix("msg/").unwrap_or(rest);
    Some(converter(package, kind)?(Fields(value)))
}

fn converter(package: &str, kind: &str) -> Option<Convert> {
    Some(match (package, kind) {
        ("sensor_msgs", "Image") => sensor::image,
        ("sensor_msgs", "CompressedImage") => sensor::compressed_image,
        ("sensor_msgs", "CameraInfo") => sensor::camera_info,
        ("sensor_msgs", "PointCloud2") => sensor::point_cloud,
        ("sensor_msgs", "LaserScan") => sensor::laser_scan,
        ("sensor_msgs", "NavSatFix") => sensor::nav_sat_fix,
        ("sensor_msgs", "JointState") => sensor::joint_state,
        ("sensor_msgs", "BatteryState") => sensor::battery_state,
        ("sensor_msgs", "Joy") => sensor::joy,
        ("sensor_msgs", "Imu") => motion::imu,
        ("geometry_msgs", "PoseStamped") => motion::pose,
        ("geometry_msgs", "PoseWithCovarianceStamped") => motion::pose_with_covariance,
        ("geometry_msgs", "TransformStamped") => |m| motion::transform(m).map(|t| Message::Transforms(vec![t])),
        ("geometry_msgs", "TwistStamped") => motion::twist,
        ("geometry_msgs", "WrenchStamped") => motion::wrench,
        ("tf2_msgs", "TFMessage") => motion::transforms,
        ("nav_msgs", "Odometry") => motion::odometry,
        ("rcl_interfaces", "Log") => sensor::log,
        ("std_msgs", "String") => sensor::string,
        _ => return None,
    })
}

/// Time and frame of `std_msgs/Header`.
fn header(m: Fields<'_>) -> Result<(Timestamp, String), Problem> {
    Ok((m.time("header.stamp")?, m.text("header.frame_id")?))
}
