//! Views of value trees: JSON and ROS.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::{
    filled::{filled, flat},
    viewed,
};
use crate::{
    message::{Message, Problem, bundled, gnss::FixStatus, log::LogLevel},
    time::Timestamp,
    value::Value,
};

fn tree(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(on) => Value::Bool(*on),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), ..) => Value::Int(n),
            (None, Some(n), _) => Value::Uint(n),
            (.., n) => Value::Float(n.unwrap()),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(tree).collect()),
        serde_json::Value::Object(fields) => {
            Value::Struct(fields.iter().map(|(name, value)| (Arc::from(name.as_str()), tree(value))).collect())
        }
    }
}

fn view(schema: &str, json: &serde_json::Value) -> Result<Message, Problem> {
    Message::from_value(schema, &tree(json)).unwrap().map_err(|error| error.problem)
}

fn header() -> serde_json::Value {
    json!({"stamp": {"sec": 5, "nanosec": 6}, "frame_id": "base"})
}

fn vector(x: f64) -> serde_json::Value {
    json!({"x": x, "y": x + 1.0, "z": x + 2.0})
}

fn rotation() -> serde_json::Value {
    json!({"x": 0.0, "y": 0.0, "z": 1.0, "w": 0.0})
}

/// One sample of each ROS type that has a view.
fn ros_samples() -> Vec<(&'static str, serde_json::Value)> {
    let pose = json!({"position": vector(1.0), "orientation": rotation()});
    let twist = json!({"linear": vector(4.0), "angular": vector(7.0)});
    let transform = json!({
        "header": header(), "child_frame_id": "hand",
        "transform": {"translation": vector(1.0), "rotation": rotation()},
    });
    let matrix = |n: usize, x: f64| vec![x; n];
    vec![
        (
            "sensor_msgs/msg/Image",
            json!({"header": header(), "height": 2, "width": 2, "encoding": "rgb8",
            "is_bigendian": 0, "step": 6, "data": vec![1; 12]}),
        ),
        ("sensor_msgs/msg/CompressedImage", json!({"header": header(), "format": "jpeg", "data": "/9j/"})),
        (
            "sensor_msgs/msg/CameraInfo",
            json!({"header": header(), "height": 480, "width": 640,
            "distortion_model": "plumb_bob", "d": [0.1], "k": matrix(9, 1.0), "r": matrix(9, 0.0), "p": matrix(12, 2.0)}),
        ),
        (
            "sensor_msgs/msg/PointCloud2",
            json!({"header": header(), "height": 2, "width": 1, "point_step": 2,
            "row_step": 3, "is_bigendian": false, "is_dense": true, "data": [1, 2, 99, 3, 4, 99],
            "fields": [{"name": "x", "offset": 0, "datatype": 2, "count": 1},
                       {"name": "y", "offset": 1, "datatype": 2, "count": 1},
                       {"name": "odd", "offset": 900, "datatype": 77, "count": 1}]}),
        ),
        (
            "sensor_msgs/msg/LaserScan",
            json!({"header": header(), "angle_min": -1.0, "angle_max": 9.0,
            "angle_increment": 0.5, "ranges": [1.0, 2, "Infinity"], "intensities": []}),
        ),
        (
            "sensor_msgs/msg/Imu",
            json!({"header": header(), "orientation": rotation(),
            "orientation_covariance": matrix(9, -1.0), "angular_velocity": vector(1.0),
            "angular_velocity_covariance": matrix(9, 0.0), "linear_acceleration": vector(2.0),
            "linear_acceleration_covariance": matrix(9, 0.5)}),
        ),
        (
            "sensor_msgs/msg/NavSatFix",
            json!({"header": header(), "status": {"status": 2, "service": 1},
            "latitude": 37.5, "longitude": 127, "altitude": 40.0, "position_covariance": matrix(9, 1.0),
            "position_covariance_type": 3}),
        ),
        (
            "sensor_msgs/msg/JointState",
            json!({"header": header(), "name": ["a", "b"], "position": [1.0, 2.0],
            "velocity": [], "effort": [3.0, 4.0]}),
        ),
        (
            "sensor_msgs/msg/BatteryState",
            json!({"header": header(), "voltage": 48.0, "current": "NaN",
            "charge": "NaN", "capacity": 20.0, "percentage": 0.5, "power_supply_status": 2, "power_supply_health": 2,
            "location": "torso", "cell_voltage": [4.0, 4.1]}),
        ),
        ("sensor_msgs/msg/Joy", json!({"header": header(), "axes": [0.5, -1.0], "buttons": [0, 1]})),
        ("geometry_msgs/msg/PoseStamped", json!({"header": header(), "pose": pose})),
        (
            "geometry_msgs/msg/PoseWithCovarianceStamped",
            json!({"header": header(),
            "pose": {"pose": pose, "covariance": matrix(36, 1.0)}}),
        ),
        ("geometry_msgs/msg/TransformStamped", transform.clone()),
        (
            "geometry_msgs/msg/WrenchStamped",
            json!({"header": header(),
            "wrench": {"force": vector(1.0), "torque": vector(4.0)}}),
        ),
        ("geometry_msgs/msg/TwistStamped", json!({"header": header(), "twist": twist})),
        ("tf2_msgs/msg/TFMessage", json!({"transforms": [transform]})),
        (
            "nav_msgs/msg/Odometry",
            json!({"header": header(), "child_frame_id": "body",
            "pose": {"pose": pose, "covariance": matrix(36, 1.0)},
            "twist": {"twist": twist, "covariance": matrix(36, 0.0)}}),
        ),
        (
            "rcl_interfaces/msg/Log",
            json!({"stamp": {"sec": 5, "nanosec": 6}, "level": 30, "name": "node",
            "msg": "hot", "file": "a.cpp", "function": "f", "line": 7}),
        ),
        (
            "foxglove_msgs/msg/CompressedVideo",
            json!({"timestamp": {"sec": 5, "nanosec": 6}, "frame_id": "base",
            "data": [0, 0, 1, 101], "format": "h264"}),
        ),
    ]
}

#[test]
fn every_ros_type_has_its_view() {
    for (schema, json) in ros_samples() {
        let message = view(schema, &json).unwrap_or_else(|problem| panic!("{schema}: {problem}"));
        assert_eq!(message.timestamp(), Some(Timestamp::from_nanos(5_000_000_006)), "{schema}");
        assert_eq!(message.modality(), bundled::modality(schema), "{schema}");
        let short = schema.replace("/msg/", "/");
        assert_eq!(view(&short, &json), Ok(message), "{short}");
    }
    assert!(
        matches!(view("std_msgs/msg/String", &json!({"data": "hi"})), Ok(Message::Log(log)) if log.message == "hi")
    );
}

fn sample(name: &str) -> Message {
    let samples = ros_samples();
    let (schema, json) = samples.iter().find(|(schema, _)| schema.ends_with(name)).unwrap();
    view(schema, json).unwrap()
}

#[test]
fn ros_conventions_are_understood() {
    let Message::Imu(imu) = sample("/Imu") else { panic!("no imu") };
    assert_eq!((imu.orientation, imu.orientation_covariance, imu.angular_velocity_covariance), (None, None, None));
    assert_eq!(imu.linear_acceleration.map(|v| (v.x, v.y, v.z)), Some((2.0, 3.0, 4.0)));

    let Message::PointCloud(cloud) = sample("/PointCloud2") else { panic!("no cloud") };
    assert_eq!(cloud.points().unwrap().map(|p| (p.x, p.y)).collect::<Vec<_>>(), [(1.0, 2.0), (3.0, 4.0)]);

    let Message::LaserScan(scan) = sample("/LaserScan") else { panic!("no scan") };
    assert_eq!((scan.start_angle, scan.end_angle, scan.angle_step()), (-1.0, 0.0, 0.5));

    let Message::JointStates(joints) = sample("/JointState") else { panic!("no joints") };
    let b = joints.get("b").unwrap();
    assert_eq!((b.position, b.velocity, b.effort), (Some(2.0), None, Some(4.0)));

    let nameless = json!({"header": header(), "name": [], "position": [1.0, 2.0], "velocity": [], "effort": []});
    let Ok(Message::JointStates(joints)) = view("sensor_msgs/JointState", &nameless) else { panic!("no joints") };
    assert_eq!(joints.get("1").unwrap().position, Some(2.0));

    let Message::Battery(battery) = sample("/BatteryState") else { panic!("no battery") };
    assert_eq!((battery.voltage, battery.current, battery.faulty), (Some(48.0), None, true));

    let Message::Gnss(fix) = sample("/NavSatFix") else { panic!("no fix") };
    assert_eq!((fix.status, fix.covariance), (FixStatus::Ground, Some([1.0; 9])));

    let Message::Log(log) = sample("/Log") else { panic!("no log") };
    assert_eq!((log.level, log.message.as_str(), log.line), (LogLevel::Warning, "hot", 7));

    let Message::CameraCalibration(camera) = sample("/CameraInfo") else { panic!("no calibration") };
    assert_eq!((camera.k, camera.r), (Some([1.0; 9]), None));

    let Message::TeleoperationInput(joy) = sample("/Joy") else { panic!("no joy") };
    assert_eq!((joy.axes[1].value, joy.buttons[1].pressed, joy.buttons[1].name.as_str()), (-1.0, true, "1"));

    assert_eq!(sample("/TFMessage").frame_id(), "base");
}

#[test]
fn every_field_of_a_ros_sample_is_needed_or_left_out_on_purpose() {
    for (schema, json) in ros_samples() {
        for field in json.as_object().unwrap().keys() {
            let mut damaged = json.clone();
            damaged.as_object_mut().unwrap().insert(field.clone(), json!({"neither": "number nor list"}));
            let optional = ["angle_max", "is_dense", "function"].contains(&field.as_str());
            assert_eq!(view(schema, &damaged).is_ok(), optional, "{schema} {field}");
        }
    }
}

#[test]
fn errors_name_the_field() {
    let (_, mut odometry) = ros_samples().into_iter().find(|(name, _)| name.ends_with("Odometry")).unwrap();
    odometry["pose"]["pose"]["position"]["y"] = json!("east");
    let expected = Problem::Type { field: "pose.pose.position.y".to_owned(), expected: "a number" };
    assert_eq!(view("nav_msgs/msg/Odometry", &odometry), Err(expected));
    odometry["pose"]["pose"] = json!({});
    assert_eq!(
        view("nav_msgs/msg/Odometry", &odometry),
        Err(Problem::Missing { field: "pose.pose.position".to_owned() })
    );
    let video = json!({"timestamp": {"sec": 1}, "data": "*"});
    let expected = Problem::Type { field: "data".to_owned(), expected: "base64" };
    assert_eq!(view("foxglove.CompressedVideo", &video), Err(expected));
}

#[test]
fn hostile_ros_sizes_are_errors() {
    let cloud = |width: u32, height: u32, point: u32, row: u32, data: usize| {
        let fields = json!([{"name": "x", "offset": 0, "datatype": 2, "count": 1}]);
        view(
            "sensor_msgs/PointCloud2",
            &json!({"header": header(), "height": height, "width": width,
            "point_step": point, "row_step": row, "is_bigendian": false, "data": vec![0; data], "fields": fields}),
        )
    };
    for (width, height, point, row, data, good) in [
        (2, 3, 1, 2, 6, true),
        (2, 3, 1, 3, 8, true),
        (2, 1, 1, 0, 2, true),
        (0, u32::MAX, 1, 0, 0, true),
        (u32::MAX, 0, 1, 0, 0, true),
        (2, 3, 1, 3, 7, false),
        (2, 3, 1, 1, 6, false),
        (u32::MAX, u32::MAX, u32::MAX, u32::MAX, 6, false),
        (1, u32::MAX, 1, u32::MAX, 6, false),
    ] {
        assert_eq!(cloud(width, height, point, row, data).is_ok(), good, "{width}x{height} {point} {row} {data}");
    }
    let image = json!({"header": header(), "height": u32::MAX, "width": u32::MAX, "encoding": "rgb8",
        "is_bigendian": 0, "step": u32::MAX, "data": [1]});
    assert!(view("sensor_msgs/Image", &image).is_err());
    let joints = json!({"header": header(), "name": ["a"], "position": [1.0, 2.0], "velocity": [], "effort": []});
    assert!(view("sensor_msgs/JointState", &joints).is_err());
}

#[test]
fn json_of_a_foxglove_schema_is_its_protobuf() {
    let image = view(
        "foxglove.CompressedImage",
        &json!({"timestamp": {"sec": 5, "nsec": 6}, "frame_id": "cam", "data": "Zm9v", "format": "png", "extra": 1}),
    );
    let Ok(Message::CompressedImage(image)) = image else { panic!("{image:?}") };
    assert_eq!((image.timestamp.as_nanos(), image.frame_id.as_str()), (5_000_000_006, "cam"));
    assert_eq!((image.format.as_str(), &image.data[..]), ("png", &b"foo"[..]));

    let log = view("foxglove.Log", &json!({"timestamp": "2026-01-01T00:00:00.5Z", "level": "WARNING", "message": "m"}));
    let Ok(Message::Log(log)) = log else { panic!("{log:?}") };
    assert_eq!((log.level, log.timestamp.as_nanos()), (LogLevel::Warning, 1_767_225_600_500_000_000));

    let camera = json!({"timestamp": {"sec": 1, "nsec": 0}, "width": 4, "height": 2, "K": [1, 0, 0, 0, 1, 0, 0, 0, 1]});
    let camera = view("foxglove.CameraCalibration", &camera);
    assert!(matches!(camera, Ok(Message::CameraCalibration(c)) if c.k == Some([1., 0., 0., 0., 1., 0., 0., 0., 1.])));
    assert!(Message::from_value("foxglove.SceneUpdate", &Value::Struct(vec![])).is_none());
    assert!(Message::from_value("std_msgs/msg/Bool", &Value::Null).is_none());
}

/// What a generic decoder makes of a protobuf message.
fn reflected(value: &prost_reflect::Value) -> Value {
    use prost_reflect::Value as R;
    match value {
        R::Bool(x) => Value::Bool(*x),
        R::I32(x) => Value::Int(i64::from(*x)),
        R::I64(x) => Value::Int(*x),
        R::U32(x) => Value::Uint(u64::from(*x)),
        R::U64(x) => Value::Uint(*x),
        R::F32(x) => Value::Float(f64::from(*x)),
        R::F64(x) => Value::Float(*x),
        R::String(x) => Value::Text(x.clone()),
        R::Bytes(x) => Value::Bytes(Bytes::clone(x)),
        R::EnumNumber(x) => Value::Enum(*x, None),
        R::List(items) => Value::List(items.iter().map(reflected).collect()),
        R::Message(m) => Value::Struct(m.fields().map(|(f, v)| (Arc::from(f.name()), reflected(v))).collect()),
        R::Map(items) => {
            let field = |(key, v): (&prost_reflect::MapKey, &R)| (Arc::from(key.as_str().unwrap()), reflected(v));
            Value::Struct(items.iter().map(field).collect())
        }
    }
}

#[test]
fn a_tree_and_its_protobuf_give_the_same_view() {
    for name in viewed() {
        let message = filled(&bundled::message_descriptor(name).unwrap()).message;
        let payload = prost::Message::encode_to_vec(&message);
        let from_protobuf = Message::from_protobuf(name, &payload).unwrap().map_err(|e| e.problem);
        let tree = reflected(&prost_reflect::Value::Message(message));
        let from_tree = Message::from_value(name, &tree).unwrap().map_err(|e| e.problem);
        assert_eq!(flat(&format!("{from_tree:?}")), flat(&format!("{from_protobuf:?}")), "{name}");
    }
}

/// Trees of the field names that the views ask for, with any values.
fn any_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        any::<f64>().prop_map(Value::Float),
        "[a-zA-Z0-9+/=]{0,8}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(|b| Value::Bytes(b.into())),
        proptest::collection::vec(any::<f64>(), 0..10).prop_map(Value::Floats),
        any::<i64>().prop_map(|n| Value::Time(Timestamp::from_nanos(n))),
        any::<i32>().prop_map(|n| Value::Enum(n, None)),
    ];
    let name = prop::sample::select(vec![
        "header",
        "stamp",
        "timestamp",
        "sec",
        "nanosec",
        "frame_id",
        "data",
        "width",
        "height",
        "step",
        "fields",
        "ranges",
        "name",
        "position",
        "pose",
        "x",
    ]);
    leaf.prop_recursive(3, 32, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec((name.clone().prop_map(Arc::from), inner), 0..8).prop_map(Value::Struct),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_trees_never_panic(tree in any_tree(), replaced in any::<prop::sample::Index>()) {
        for name in viewed() {
            let _ = Message::from_value(name, &tree);
        }
        for (schema, json) in ros_samples() {
            let Value::Struct(mut fields) = self::tree(&json) else { continue };
            let index = replaced.index(fields.len());
            fields[index].1 = tree.clone();
            let _ = Message::from_value(schema, &Value::Struct(fields));
        }
    }
}
