//! Views of protobuf messages.

use bytes::Bytes;
use foxglove::messages as fx;
use proptest::prelude::*;
use prost::Message as _;

use super::{
    filled::{filled, flat},
    viewed,
};
use crate::{
    message::{Expected, Message, Problem, bundled, geometry::Quaternion, gnss::FixStatus},
    proto,
    stream::Modality,
    time::Timestamp,
};

fn view<P: prost::Message + prost::Name>(message: &P) -> Result<Message, Problem> {
    view_of(&P::full_name(), &message.encode_to_vec())
}

fn view_of(schema: &str, payload: &[u8]) -> Result<Message, Problem> {
    Message::from_protobuf(schema, payload).unwrap().map_err(|error| error.problem)
}

fn fx_view<P: prost::Message>(name: &str, message: &P) -> Result<Message, Problem> {
    view_of(&format!("foxglove.{name}"), &message.encode_to_vec())
}

#[test]
fn every_field_of_our_messages_reaches_its_view_in_its_place() {
    let mut seen = 0;
    for name in viewed().filter(|name| name.starts_with("sagwan.")) {
        let filled = filled(&bundled::message_descriptor(name).unwrap());
        let view = view_of(name, &filled.message.encode_to_vec()).unwrap();
        let debug = flat(&format!("{view:?}"));
        let mut rest = debug.as_str();
        for expected in &filled.expected {
            let at = rest.find(expected.as_str()).unwrap_or_else(|| panic!("{name}: no {expected} in {rest}"));
            rest = &rest[at + expected.len()..];
        }
        assert_eq!(view.modality(), bundled::modality(name), "{name}");
        assert!(view.timestamp().is_some(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 17);
}

#[test]
fn foxglove_messages_reach_their_views() {
    for name in ["CompressedImage", "CompressedVideo", "CameraCalibration", "JointStates", "Log", "Odometry"] {
        let name = format!("foxglove.{name}");
        let filled = filled(&bundled::message_descriptor(&name).unwrap());
        let view = view_of(&name, &filled.message.encode_to_vec()).unwrap();
        let debug = flat(&format!("{view:?}")).to_lowercase();
        for expected in filled.expected.iter().filter(|e| !e.starts_with("key:") && !e.starts_with("value:")) {
            assert!(debug.contains(&expected.to_lowercase()), "{name}: no {expected} in {debug}");
        }
        assert_eq!(view.modality(), bundled::modality(&name), "{name}");
    }
}

#[test]
fn times_before_1970_survive_in_foxglove_messages() {
    for name in viewed() {
        let filled = filled(&bundled::message_descriptor(name).unwrap());
        match Message::from_protobuf(name, &filled.message.encode_to_vec()).unwrap() {
            Ok(view) => assert!(view.timestamp().unwrap() < Timestamp::EPOCH, "{name}"),
            // Their arbitrary numbers are no sizes.
            Err(_) => assert!(
                ["foxglove.RawImage", "foxglove.PointCloud", "foxglove.RawAudio"].contains(&name),
                "{name} should have a view"
            ),
        }
    }
}

#[test]
fn an_unset_time_is_absent() {
    assert_eq!(view(&proto::Imu::default()).unwrap().timestamp(), None);
    assert_eq!(fx_view("FrameTransforms", &fx::FrameTransforms::default()).unwrap().timestamp(), None);
}

#[test]
fn a_time_that_nanoseconds_cannot_hold_is_an_error() {
    let timestamp = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 5 });
    let expected = Problem::Time { secs: i64::MAX, nanos: 5 };
    assert_eq!(view(&proto::Imu { timestamp, ..Default::default() }), Err(expected.clone()));
    // The same bytes at field 1 of a Foxglove message.
    let payload = proto::Imu { timestamp, ..Default::default() }.encode_to_vec();
    assert_eq!(view_of("foxglove.CompressedImage", &payload), Err(expected));
}

#[test]
fn unknown_names_have_no_view() {
    for name in ["", "foxglove.", "foxglove.SceneUpdate", "sagwan.Loss", "Imu", "sensor_msgs/msg/Imu", "sagwan.imu"] {
        assert!(Message::from_protobuf(name, &[]).is_none(), "{name}");
    }
}

fn raw_image(width: u32, height: u32, encoding: &str, step: u32, data: usize) -> fx::RawImage {
    let (encoding, data) = (encoding.to_owned(), Bytes::from(vec![1; data]));
    fx::RawImage { width, height, encoding, step, data, ..Default::default() }
}

#[test]
fn images_whose_sizes_contradict_each_other_are_errors() {
    for (width, height, encoding, step, data, good) in [
        (4, 2, "rgb8", 12, 24, true),
        (4, 2, "rgb8", 16, 32, true),
        (0, 0, "", 0, 0, true),
        (4, 2, "nv12", 4, 12, true),
        (4, 2, "nv12", 4, 11, false),
        (4, 2, "rgb8", 12, 23, false),
        (4, 2, "rgb8", 11, 24, false),
        (u32::MAX, u32::MAX, "rgb8", u32::MAX, 24, false),
        (u32::MAX, u32::MAX, "64FC64", u32::MAX, 24, false),
        (u32::MAX, 1, "unheard of", 1, 24, false),
        (1, u32::MAX, "nv12", u32::MAX, 24, false),
        (4, 2, "32FC1", 15, 32, false),
    ] {
        let view = fx_view("RawImage", &raw_image(width, height, encoding, step, data));
        assert_eq!(view.is_ok(), good, "{width}x{height} {encoding} step {step}, {data} bytes: {view:?}");
    }
}

#[test]
fn the_encoding_tells_distances_from_brightness() {
    let mut image = raw_image(2, 2, "16UC1", 4, 8);
    image.data = Bytes::from_static(&[0xe8, 0x03, 0, 0, 1, 0, 2, 0]);
    let Ok(Message::DepthImage(depth)) = fx_view("RawImage", &image) else { panic!("no depth image") };
    assert_eq!([depth.metres(0, 0), depth.metres(1, 0), depth.metres(1, 1)], [Some(1.0), None, Some(0.002)]);
    assert_eq!([depth.metres(2, 0), depth.metres(0, 2), depth.metres(u32::MAX, u32::MAX)], [None; 3]);
    image.encoding = "mono16".to_owned();
    assert_eq!(fx_view("RawImage", &image).unwrap().modality(), Modality::RawImage);
}

fn cloud(stride: u32, offsets: [u32; 3], data: Vec<u8>) -> fx::PointCloud {
    let field = |(name, offset): (&str, u32)| fx::PackedElementField { name: name.to_owned(), offset, r#type: 7 };
    fx::PointCloud {
        point_stride: stride,
        fields: ["x", "y", "intensity"].into_iter().zip(offsets).map(field).collect(),
        data: data.into(),
        ..Default::default()
    }
}

#[test]
fn points_are_read_at_their_offsets() {
    let floats: Vec<u8> = [1.0_f32, 2.0, 9.0, 3.0, 4.0, 8.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let Ok(Message::PointCloud(cloud)) = fx_view("PointCloud", &cloud(12, [0, 4, 8], floats)) else {
        panic!("no cloud")
    };
    let points: Vec<_> = cloud.points().unwrap().map(|p| (p.x, p.y, p.z, p.intensity)).collect();
    assert_eq!(points, [(1.0, 2.0, 0.0, Some(9.0)), (3.0, 4.0, 0.0, Some(8.0))]);
    assert_eq!(cloud.len(), 2);
    assert!(cloud.values("z").is_none());
}

#[test]
fn clouds_whose_points_do_not_fit_are_errors() {
    for (stride, offsets, data, good) in [
        (12, [0, 4, 8], 24, true),
        (0, [0, 4, 8], 0, true),
        (0, [0, 4, 8], 24, false),
        (12, [0, 4, 8], 23, false),
        (12, [0, 4, 9], 24, false),
        (12, [0, 4, u32::MAX], 24, false),
        (u32::MAX, [0, 4, 8], 24, false),
    ] {
        let view = fx_view("PointCloud", &cloud(stride, offsets, vec![0; data]));
        assert_eq!(view.is_ok(), good, "stride {stride}, {offsets:?}, {data} bytes");
    }
}

#[test]
fn lists_of_the_wrong_length_are_errors() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let command = proto::JointCommand { name: names.clone(), position: vec![1.0], ..Default::default() };
    let expected = Problem::Length { field: "position", expected: Expected::NoneOr(2), actual: 1 };
    assert_eq!(view(&command), Err(expected));

    let finger = proto::Finger { joint: names, temperature: vec![1.0; 3], ..Default::default() };
    assert!(view(&proto::HandState { fingers: vec![finger], ..Default::default() }).is_err());
    for (rows, columns, channels, data, good) in [
        (2, 3, 0, 6, true),
        (2, 3, 3, 18, true),
        (2, 3, 1, 5, false),
        (u32::MAX, u32::MAX, u32::MAX, 5, false),
        (u32::MAX, 0, 1, 0, true),
    ] {
        let array = proto::TactileArray { rows, columns, channels, data: vec![0.0; data], ..Default::default() };
        let view = view(&array);
        assert_eq!(view.is_ok(), good, "{rows}x{columns}x{channels}: {data}");
        if let Ok(Message::Tactile(array)) = view {
            assert_eq!(array.taxel(0, 0).is_some(), data > 0);
            assert!(array.taxel(u32::MAX, u32::MAX).is_none());
        }
    }
    assert!(view(&proto::VehicleState { wheel_speed: vec![1.0; 3], ..Default::default() }).is_err());
    assert!(
        fx_view("LaserScan", &fx::LaserScan { ranges: vec![1.0; 2], intensities: vec![1.0], ..Default::default() })
            .is_err()
    );
    assert!(fx_view("CameraCalibration", &fx::CameraCalibration { k: vec![1.0; 8], ..Default::default() }).is_err());
}

#[test]
fn a_flood_of_empty_elements_is_refused() {
    // Field 2, length 0: an empty joint.
    let flood = |joints: usize| view_of("foxglove.JointStates", &[0x12, 0].repeat(joints));
    assert!(flood(1 << 16).is_ok());
    assert!(matches!(flood((1 << 16) + 1), Err(Problem::TooMuch { .. })));
    // One field of 16 MiB and some: a hand with millions of keypoints.
    let mut hand = vec![0x3a, 0x80, 0x80, 0x80, 0x08];
    hand.resize(hand.len() + (16 << 20), 0);
    assert!(matches!(view_of("sagwan.TeleoperationInput", &hand), Err(Problem::TooMuch { .. })));
}

#[test]
fn sound_is_a_whole_number_of_samples() {
    for (format, rate, channels, data, good) in [
        ("pcm-s16", 48_000, 2, 8, true),
        ("pcm-s16", 48_000, 2, 6, false),
        ("pcm-s16", 48_000, u32::MAX, 6, false),
        ("pcm-s16", 0, 2, 8, false),
        ("pcm-s16", 48_000, 0, 8, false),
        ("g711-alaw", 8_000, 1, 3, true),
    ] {
        let audio = fx::RawAudio {
            format: format.to_owned(),
            sample_rate: rate,
            number_of_channels: channels,
            data: vec![0; data].into(),
            ..Default::default()
        };
        assert_eq!(fx_view("RawAudio", &audio).is_ok(), good, "{audio:?}");
    }
}

#[test]
fn a_fix_keeps_what_foxglove_says() {
    let fix = fx::LocationFix {
        latitude: 37.5,
        longitude: 127.0,
        altitude: 40.0,
        position_covariance: vec![1.0; 9],
        position_covariance_type: 0,
        heading: Some(1.5),
        ..Default::default()
    };
    let Ok(Message::Gnss(view)) = fx_view("LocationFix", &fix) else { panic!("no fix") };
    assert_eq!((view.latitude, view.longitude, view.heading), (37.5, 127.0, Some(1.5)));
    assert_eq!((view.status, view.covariance), (FixStatus::Unknown, None));
}

#[test]
fn a_pose_without_orientation_is_not_turned() {
    let Ok(Message::Pose(pose)) = fx_view("PoseInFrame", &fx::PoseInFrame::default()) else { panic!("no pose") };
    assert_eq!(pose.pose.orientation, Quaternion::IDENTITY);
    assert!(!Quaternion { w: 0.0, ..Quaternion::IDENTITY }.is_rotation());
}

#[test]
fn buffers_share_the_payloads_memory() {
    let payload = Bytes::from(fx::CompressedImage { data: vec![7; 1000].into(), ..Default::default() }.encode_to_vec());
    let range = payload.as_ptr_range();
    let view = Message::from_protobuf_bytes("foxglove.CompressedImage", payload).unwrap().unwrap();
    let Message::CompressedImage(image) = view else { panic!("no image") };
    assert!(range.contains(&image.data.as_ptr()));
}

/// Reads everything that a view computes.
fn use_all(message: &Message) {
    let _ = (message.timestamp(), message.frame_id(), message.modality(), format!("{message:?}"));
    match message {
        Message::PointCloud(cloud) => {
            let _ = cloud.points().map(Iterator::count);
        }
        Message::RawImage(image) => {
            let _ = (image.row(0), image.row(image.height.saturating_sub(1)), image.row(u32::MAX));
        }
        Message::DepthImage(depth) => {
            let _ = depth.metres(depth.image.width.saturating_sub(1), depth.image.height.saturating_sub(1));
        }
        Message::Video(packet) => {
            let _ = packet.is_key_frame();
        }
        Message::LaserScan(scan) => {
            let _ = scan.angle_step();
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in bundled::names() {
            if let Some(Ok(message)) = Message::from_protobuf(name, &payload) {
                use_all(&message);
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        for name in viewed() {
            let mut payload = filled(&bundled::message_descriptor(name).unwrap()).message.encode_to_vec();
            let index = at.index(payload.len());
            payload[index] = byte;
            for payload in [&payload[..], &payload[..cut.index(payload.len())]] {
                if let Some(Ok(message)) = Message::from_protobuf(name, payload) {
                    use_all(&message);
                }
            }
        }
    }
}
