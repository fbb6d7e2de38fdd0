//! Whole platforms, played without a wire and without waiting.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use foxglove::messages as fx;
use nalgebra::{Point3, Translation3};
use prost::Message as _;
use sagwan_schemas::{message::bundled, proto, stream::Modality};

use super::{
    drive::Timer,
    platform::{Moment, mount},
    scene::counter,
    *,
};

/// Lets no time pass but that which is waited for.
#[derive(Default)]
struct VirtualTimer(AtomicI64);

impl Timer for VirtualTimer {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn wait_until(&self, nanos: i64) -> bool {
        self.0.fetch_max(nanos, Ordering::SeqCst);
        true
    }
}

type Taken = Arc<Mutex<BTreeMap<(String, i64, u64), (Vec<u8>, Timestamp)>>>;

struct MemorySink {
    stream: String,
    instance: i64,
    next: u64,
    taken: Taken,
}

impl Sink for MemorySink {
    fn key(&self) -> String {
        self.stream.clone()
    }
    fn instance(&self) -> i64 {
        self.instance
    }
    fn put(&mut self, payload: Vec<u8>, capture_time: Timestamp) -> Result<(), NativeError> {
        let key = (self.stream.clone(), self.instance, self.next);
        self.next += 1;
        assert!(self.taken.lock().unwrap().insert(key, (payload, capture_time)).is_none());
        Ok(())
    }
    fn skip(&mut self) {
        self.next += 1;
    }
    fn restart(&mut self) -> Result<(), NativeError> {
        self.instance += 1;
        self.next = 0;
        Ok(())
    }
}

const START: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

fn play(options: &Options) -> Result<(Report, Taken), SimulateError> {
    let platform = Platform::new(options.kind, options.seed)?;
    let taken = Taken::default();
    let open = |stream: &Stream| {
        Ok(MemorySink { stream: stream.name.clone(), instance: 1, next: 0, taken: Arc::clone(&taken) })
    };
    let report = drive(&platform, options, open, &|| (VirtualTimer::default(), START))?;
    Ok((report, taken))
}

fn small(kind: Kind) -> Options {
    let platform = Platform::new(kind, 1).unwrap();
    let light = platform.streams().iter().filter(|stream| !platform::is_heavy(stream));
    let streams = light.map(|stream| stream.name.clone()).collect();
    Options { streams, duration: Some(Duration::from_secs(2)), ..Options::new(kind) }
}

fn sample(platform: &Platform, stream: &str, index: u64, seconds: f64) -> Vec<u8> {
    let place = platform.streams().iter().position(|s| s.name == stream).unwrap();
    let capture_time = START.offset((seconds * 1e9) as i64);
    platform.source(place).unwrap().sample(&Moment { index, seconds, capture_time }).unwrap()
}

#[test]
fn every_stream_of_every_profile_is_played_in_its_schema() {
    for kind in Kind::ALL {
        let platform = Platform::new(kind, 1).unwrap();
        for stream in platform.streams() {
            let payload = sample(&platform, &stream.name, 3, 0.3);
            let descriptor = bundled::message_descriptor(&stream.schema).unwrap();
            let message = prost_reflect::DynamicMessage::decode(descriptor, &payload[..]).unwrap();
            assert_eq!(message.unknown_fields().count(), 0, "{kind} {}", stream.name);
            assert!(message.fields().count() > 0, "{kind} {}", stream.name);
        }
    }
}

#[test]
fn runs_with_one_seed_are_alike_and_with_another_are_not() {
    for kind in Kind::ALL {
        let runs = [1, 1, 2].map(|seed| {
            let options = Options { seed, max_messages: Some(40), ..small(kind) };
            play(&options).unwrap().1.lock().unwrap().clone()
        });
        assert!(runs[0] == runs[1], "{kind}: the same seed");
        assert!(runs[0] != runs[2], "{kind}: another seed");
    }
}

#[test]
fn each_stream_has_its_contracted_rate() {
    for kind in Kind::ALL {
        let platform = Platform::new(kind, 1).unwrap();
        let (report, _) = play(&small(kind)).unwrap();
        for sent in &report.streams {
            let stream = platform.streams().iter().find(|s| s.name == sent.stream).unwrap();
            if let Some(rate) = stream.rate_hz {
                assert_eq!(sent.sent(), (2.0 * rate) as u64, "{kind} {}", sent.stream);
            }
            assert_eq!((sent.late, sent.dropped(), sent.instances.len()), (0, 0, 1));
        }
    }
}

#[test]
fn the_report_agrees_with_what_arrived_whatever_goes_wrong() {
    let texts = [
        "drop:joint_states:0.05",
        "corrupt:imu:0.1",
        "stall:left_wrench:at=500ms,for=1s",
        "jitter:right_wrench:30ms",
        "restart:joint_command:at=1s",
        "clock-step:+1h:at=1500ms",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.jsonl");
    let faults = texts.iter().map(|text| text.parse().unwrap()).collect();
    let options = Options { faults, report: Some(path.clone()), ..small(Kind::Humanoid) };
    let (report, taken) = play(&options).unwrap();
    let taken = taken.lock().unwrap();
    assert_eq!(report.sent(), taken.len() as u64);
    for stream in &report.streams {
        for instance in &stream.instances {
            let range =
                (stream.stream.clone(), instance.instance, 0)..=(stream.stream.clone(), instance.instance, u64::MAX);
            let arrived: Vec<u64> = taken.range(range).map(|(key, _)| key.2).collect();
            assert_eq!(arrived.len() as u64, instance.sent);
            let used = instance.last_sequence.unwrap() - instance.first_sequence.unwrap() + 1;
            assert_eq!((used, instance.first_sequence), (instance.sent + instance.dropped, Some(0)));
            assert!(arrived.last() <= instance.last_sequence.as_ref());
        }
    }
    let of = |name: &str| report.streams.iter().find(|s| s.stream == name).unwrap();
    assert!((20..90).contains(&of("joint_states").dropped()));
    assert!((60..150).contains(&of("imu").instances[0].corrupted));
    assert_eq!((of("left_wrench").stalled, of("left_wrench").sent()), (200, 200));
    assert_eq!(of("joint_command").instances.iter().map(|i| i.sent).collect::<Vec<_>>(), [500, 500]);
    let last = &taken[&("right_wrench".to_owned(), 1, 399)];
    assert_eq!(last.1.nanos_since(START), 3_601_995_000_000);
    let file = std::fs::read(&path).unwrap();
    assert_eq!(Report::read(&file[..]).unwrap(), report);
    // Without its last line, as after a kill, it tells the same numbers.
    let cut = file[..file.len() - 1].iter().rposition(|&b| b == b'\n').unwrap();
    let killed = Report::read(&file[..cut]).unwrap();
    assert_eq!(
        killed.streams.iter().map(|s| &s.instances).collect::<Vec<_>>(),
        report.streams.iter().map(|s| &s.instances).collect::<Vec<_>>()
    );
}

#[test]
fn options_that_name_nothing_are_refused() {
    let faults = vec!["drop:tail:0.5".parse().unwrap()];
    let error = play(&Options { faults, ..Options::new(Kind::Humanoid) }).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("tail") && source.contains("head_color"), "{source}");
    let error = play(&Options { rate_scale: f64::NAN, ..Options::new(Kind::Vessel) }).unwrap_err();
    assert!(matches!(error, SimulateError::RateScale { .. }));
}

fn picture(payload: &[u8]) -> image::RgbImage {
    let message = fx::CompressedImage::decode(payload).unwrap();
    image::load_from_memory(&message.data).unwrap().to_rgb8()
}

#[test]
fn images_have_their_size_differ_and_tell_their_number() {
    for (kind, size) in [(Kind::Humanoid, (640, 480)), (Kind::Vehicle, (1280, 720)), (Kind::Vessel, (1280, 720))] {
        let platform = Platform::new(kind, 1).unwrap();
        let images = platform.streams().iter().filter(|s| s.modality == Modality::CompressedImage);
        // Three of the vehicle's six: decoding is slow without optimisation.
        for stream in images.take(3) {
            let pictures =
                [0_u64, 77].map(|index| picture(&sample(&platform, &stream.name, index, index as f64 / 30.0)));
            for (picture, index) in pictures.iter().zip([0, 77]) {
                assert_eq!(picture.dimensions(), size);
                let luma = |x: usize, y: usize| picture.get_pixel(x as u32, y as u32).0[1];
                assert_eq!(counter::read(size.1 as usize, luma), index, "{}", stream.name);
            }
            let above = |p: &image::RgbImage| p.rows().take(size.1 as usize - 8).flatten().copied().collect::<Vec<_>>();
            assert!(above(&pictures[0]) != above(&pictures[1]), "{}", stream.name);
        }
    }
}

#[test]
fn what_was_drawn_before_changes_no_image() {
    let platform = Platform::new(Kind::Humanoid, 1).unwrap();
    let place = platform.streams().iter().position(|s| s.name == "head_color").unwrap();
    let mut used = platform.source(place).unwrap();
    let at = |index: u64| Moment { index, seconds: index as f64 / 30.0, capture_time: START };
    let _earlier = (used.sample(&at(5)).unwrap(), used.sample(&at(140)).unwrap());
    assert!(used.sample(&at(77)).unwrap() == platform.source(place).unwrap().sample(&at(77)).unwrap());
}

#[test]
fn reported_objects_are_where_lidar_and_cameras_see_them() {
    let platform = Platform::new(Kind::Vehicle, 1).unwrap();
    let vehicle = Vehicle::new(platform.profile(), 1);
    let (mut lidar_hits, mut seen) = (0, 0);
    for step in 0..4_u64 {
        let seconds = 7.0 * step as f64;
        let objects = proto::TrackedObjects::decode(&sample(&platform, "objects", step, seconds)[..]).unwrap();
        let cloud = fx::PointCloud::decode(&sample(&platform, "lidar_top", step, seconds)[..]).unwrap();
        let count = cloud.data.len() / cloud.point_stride as usize;
        assert!((45_000..=65_536).contains(&count), "{count} points");
        let lidar = mount(platform.profile(), "lidar_top");
        let points: Vec<Point3<f64>> = cloud
            .data
            .chunks_exact(16)
            .map(|point| {
                let value =
                    |i: usize| f64::from(f32::from_le_bytes([point[i], point[i + 1], point[i + 2], point[i + 3]]));
                lidar * Point3::new(value(0), value(4), value(8))
            })
            .collect();
        let base = vehicle.traffic().ego(seconds).pose;
        for object in objects.objects.iter().filter(|o| o.class == "car") {
            let position = object.pose.as_ref().and_then(|pose| pose.position).unwrap();
            let center = Point3::new(position.x, position.y, position.z);
            if center.coords.norm() < 25.0 {
                lidar_hits += points.iter().filter(|p| p.z > 0.2 && (*p - center).norm() < 2.6).count();
            }
            let frames = platform.streams().iter().filter(|s| s.modality == Modality::CompressedImage);
            seen += frames
                .filter(|s| {
                    let camera = vehicle.camera_at(&s.frame, seconds);
                    let projected = camera.project(&(base * center));
                    projected.is_some_and(|(pixel, _)| camera.sees(pixel))
                })
                .count();
        }
    }
    assert!(lidar_hits > 300, "{lidar_hits} points on cars");
    assert!(seen > 8, "{seen} cars in images");
}

#[test]
fn a_carried_object_is_drawn_where_it_projects() {
    let platform = Platform::new(Kind::Humanoid, 1).unwrap();
    // At 4.6 s of the first task the right hand holds an object over the table.
    let scene = humanoid::task::Plan::new(1).scene(4.6 - 0.02);
    let held = scene.held[1].unwrap();
    let camera = humanoid::view::Mount::Torso(mount(platform.profile(), "head_camera"));
    let camera = camera.camera(humanoid::view::lens(), &scene);
    let front = scene.objects[held] * Translation3::new(-0.02, 0.0, 0.04) * Point3::origin();
    let ([x, y], _) = camera.project(&front).unwrap();
    assert!(camera.sees([x, y]));
    let picture = picture(&sample(&platform, "head_color", 138, 4.6));
    let [r, g, b] = humanoid::task::OBJECTS[held].color.map(f64::from);
    let matches = |got: [u8; 3]| {
        let got = got.map(f64::from);
        // The hue, whatever the light.
        let dot = r * got[0] + g * got[1] + b * got[2];
        dot / ((r * r + g * g + b * b) * (got[0].powi(2) + got[1].powi(2) + got[2].powi(2))).sqrt() > 0.97
    };
    let around = (-12..=12).flat_map(|dx| (-12..=12).map(move |dy| (x + f64::from(dx), y + f64::from(dy))));
    let hits = around
        .filter(|&(x, y)| matches(picture.get_pixel(x.clamp(0.0, 639.0) as u32, y.clamp(0.0, 479.0) as u32).0))
        .count();
    assert!(hits > 100, "{hits} pixels of the object's colour near {x} {y}");
}

#[test]
fn a_subscriber_gets_what_the_report_says() {
    use crate::native::Attachment;
    use zenoh::Wait as _;
    let mut config = zenoh::Config::default();
    for (key, value) in [("scouting/multicast/enabled", "false"), ("listen/endpoints", "[]")] {
        config.insert_json5(key, value).unwrap();
    }
    let session = zenoh::open(config).wait().unwrap();
    let (sender, receiver) = crossbeam_channel::unbounded();
    let subscriber = session
        .declare_subscriber("sagwan/v1/test-bot/imu")
        .callback(move |sample| sender.send(sample).unwrap_or_default())
        .wait()
        .unwrap();
    let options = Options {
        platform: "test-bot".to_owned(),
        streams: vec!["imu".to_owned()],
        max_messages: Some(100),
        rate_scale: 20.0,
        ..Options::new(Kind::Humanoid)
    };
    let report = run(&session, &options, &AtomicBool::new(false)).unwrap();
    subscriber.undeclare().wait().unwrap();
    let samples: Vec<_> = receiver.iter().collect();
    assert_eq!((samples.len(), report.sent()), (100, 100));
    let platform = Platform::new(Kind::Humanoid, 1).unwrap();
    for (index, got) in samples.iter().enumerate() {
        let attachment = Attachment::from_zbytes(got.attachment().unwrap()).unwrap();
        assert_eq!(attachment.sequence, index as u64);
        assert_eq!(attachment.instance, Some(report.streams[0].instances[0].instance));
        let since = attachment.capture_time.nanos_since(report.start);
        assert_eq!(since, index as i64 * 100_000);
        let moment =
            Moment { index: index as u64, seconds: since as f64 * 1e-9, capture_time: attachment.capture_time };
        let place = platform.streams().iter().position(|s| s.name == "imu").unwrap();
        let expected = platform.source(place).unwrap().sample(&moment).unwrap();
        assert_eq!(got.payload().to_bytes(), expected);
    }
}
