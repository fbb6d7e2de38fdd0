//! What is captured, and that each part tells it alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sagwan_recorder::{
    control::Command,
    episode::{EpisodeInfo, Outcome},
};
use sagwan_schemas::{
    profile::{Bytes, LoadedProfile, LocalText, Span},
    proto,
    recording::{
        layout::{RECORDING_METADATA, topic},
        manifest::{LossCounts, Manifest, State},
    },
    time::{Clock, ManualClock, Timestamp},
};
use zenoh::{Wait, key_expr::OwnedKeyExpr};

use crate::rig::{Rig, SEC, Wires, declare, declare_as, head, matched, now, payload, publisher};

const TICK: Duration = Duration::from_millis(150);

fn keys<const N: usize>(keys: [&str; N]) -> Vec<OwnedKeyExpr> {
    keys.map(|key| key.try_into().unwrap()).into()
}

/// A clock that moves only by hand, and stands at a known time.
fn manual() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_nanos(1_790_000_000 * SEC)))
}

/// Lets time pass in steps so small that a look between the two clocks of one step sees no jump.
fn pass(clock: &ManualClock, by: Duration) {
    let step = Duration::from_millis(10);
    (0..by.as_millis() / step.as_millis()).for_each(|_| clock.advance(step));
}

#[test]
fn parts_split_without_losing_a_message_and_each_is_whole_alone() {
    let clock = manual();
    let wires = Wires::new();
    let calibration = declare(&wires.sender, "calibration", true);
    let value = payload("calibration", 0, 300);
    calibration.put(value.clone(), now()).unwrap();
    let rig = wires.record(|options| {
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let policy = &mut options.profile.profile.recording;
        (policy.part_size, policy.chunk_size) = (Bytes(20_000), Bytes(4_000));
    });
    rig.until("the latched value came", |status| status.received == 1);
    let imu = rig.publisher("imu");
    let mut truth = Vec::new();
    let rounds = 6;
    for round in 0..rounds {
        for n in 0..30 {
            let payload = payload("imu", round * 30 + n, 1_000);
            imu.put(payload.clone(), now()).unwrap();
            truth.push(payload);
        }
        rig.until_received(1 + truth.len() as u64);
        clock.advance(TICK);
        rig.until("the next part", |status| u64::from(status.part) > round);
    }
    imu.put(payload("imu", 999, 10), now()).unwrap();
    truth.push(payload("imu", 999, 10));
    rig.until_received(1 + truth.len() as u64);
    let text = rig.profile_text.clone();
    let done = rig.stop();
    assert_eq!(done.parts.len() as u64, rounds + 1);
    assert!(done.payloads("/imu") == truth);
    assert_eq!((done.source("/imu").lost, done.source("/calibration").recorded), (LossCounts::default(), 1));
    for (index, part) in done.parts.iter().enumerate() {
        let latched: Vec<_> = part.on("/calibration").map(|message| message.data.clone()).collect();
        assert!(latched == [value.clone()], "part {index}: {} latched values", latched.len());
        assert!(part.attachments.contains(&("profile.toml".to_owned(), text.clone().into_bytes())));
        let (_, metadata) = part.metadata.iter().find(|(name, _)| name == RECORDING_METADATA).unwrap();
        assert_eq!(metadata["part"], index.to_string());
        assert_eq!(metadata["recording_id"], done.ended.manifest.recording_id);
        for imu in part.on("/imu") {
            assert_eq!(imu.channel.metadata["stream"], "imu");
        }
    }
}

#[test]
fn steps_of_the_clock_lose_nothing_and_capture_times_are_kept() {
    let clock = manual();
    let rig = Rig::start(|options| options.clock = Arc::clone(&clock) as Arc<dyn Clock>);
    let imu = rig.publisher("imu");
    let start = clock.wall().as_nanos();
    let hour = 3_600 * SEC;
    // Forth, back, and far before 1970.
    let steps = [0, hour, -hour, -start - hour, start + hour];
    let mut truth = Vec::new();
    for (round, step) in (0..).zip(steps) {
        clock.step_wall(step);
        for n in 0..20_u64 {
            let number = round * 20 + n;
            let capture = Timestamp::from_nanos(clock.wall().as_nanos() - 1_000_000);
            let payload = payload("imu", number, 100);
            imu.put(payload.clone(), capture).unwrap();
            truth.push((number as u32, payload, capture, clock.wall()));
            rig.until_received(number + 1);
            pass(&clock, TICK);
        }
        // A tick of the recorder sees the clock, and the next clock message tells it.
        pass(&clock, Duration::from_secs(1));
        let elapsed = clock.monotonic_nanos();
        rig.until("a tick", |status| status.elapsed_seconds * 1e9 + 1.0 >= elapsed as f64);
    }
    let done = rig.stop();
    let found: Vec<_> = done.on("/imu").collect();
    assert_eq!(found.len(), truth.len());
    let mut kept = BTreeMap::new();
    for times in done.own::<proto::CaptureTimes>(topic::CAPTURE_TIME) {
        for ((sequence, log), capture) in times.sequence.iter().zip(&times.log_time).zip(&times.capture_time) {
            kept.insert((times.channel_id, *sequence, *log), *capture);
        }
    }
    for (message, (sequence, payload, capture, log)) in found.iter().zip(&truth) {
        assert_eq!((&message.data, message.sequence, message.log_time), (payload, *sequence, log.to_mcap()));
        match capture.as_nanos() {
            1.. => assert_eq!(message.publish_time, capture.to_mcap()),
            early => {
                let key = (u32::from(message.channel_id), message.sequence, message.log_time);
                assert_eq!(kept.get(&key), Some(&early), "{sequence}");
            }
        }
    }
    assert_eq!(done.source("/imu").lost, LossCounts::default());
    let jumps: Vec<_> =
        done.own::<proto::Clock>(topic::CLOCK).iter().map(|clock| clock.jump_nanos).filter(|jump| *jump != 0).collect();
    assert_eq!(jumps, steps[1..]);
    assert_eq!(done.ended.manifest.clock.jumps, 4);
}

#[test]
fn a_recording_may_begin_before_1970() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_nanos(-5 * SEC)));
    let rig = Rig::start(|options| options.clock = Arc::clone(&clock) as Arc<dyn Clock>);
    let imu = rig.publisher("imu");
    imu.put(payload("imu", 0, 10), Timestamp::from_nanos(-6 * SEC)).unwrap();
    rig.until_received(1);
    clock.advance(Duration::from_secs(1));
    let done = rig.stop();
    assert_eq!(done.payloads("/imu"), [payload("imu", 0, 10)]);
    let times = done.own::<proto::CaptureTimes>(topic::CAPTURE_TIME);
    assert_eq!(times[0].capture_time, [-6 * SEC]);
    assert_eq!(done.ended.manifest.state, State::Finished);
}

#[test]
fn what_comes_late_and_what_nobody_knows_is_recorded_as_it_came() {
    let rig = Rig::start(|_| {});
    let early = rig.publisher("early");
    early.put(payload("early", 0, 10), now()).unwrap();
    rig.until_received(1);
    let session = rig.another_sender();
    let late = publisher(&session, "late/deep/stream", false);
    late.put(payload("late", 0, 10), now()).unwrap();
    let odd = rig.plain("plain/odd/key", "x-vendor/thing;v=2");
    let raw = vec![0xff, 0, 0xfe, 1];
    odd.put(raw.clone()).wait().unwrap();
    let empty = rig.plain("plain/empty", "zenoh/bytes");
    empty.put(Vec::<u8>::new()).wait().unwrap();
    rig.until_received(4);
    let done = rig.stop();
    assert_eq!(done.payloads("/early"), [payload("early", 0, 10)]);
    assert_eq!(done.payloads("/late/deep/stream"), [payload("late", 0, 10)]);
    assert_eq!(done.payloads("/plain/odd/key"), [raw]);
    assert_eq!(done.payloads("/plain/empty"), [Vec::<u8>::new()]);
    let channel = &done.on("/plain/odd/key").next().unwrap().channel;
    assert_eq!(channel.metadata["zenoh_encoding"], "x-vendor/thing;v=2");
    assert_eq!((channel.message_encoding.as_str(), &channel.schema), ("x-vendor/thing;v=2", &None));
    assert!(done.ended.is_complete());
}

#[test]
fn overlapping_selections_record_once_and_excluded_keys_never() {
    let rig = Rig::start(|options| {
        options.selection.include = keys(["plain/**", "plain/a/*", "plain/*/x", "plain/a/x"]);
        options.selection.exclude = keys(["plain/secret/**", "plain/a/hidden"]);
    });
    let published = ["plain/a/x", "plain/b/x", "plain/a/y", "plain/a/hidden", "plain/secret/x"];
    let publishers = published.map(|key| rig.plain(key, "text/plain"));
    for n in 0..20 {
        for (publisher, key) in publishers.iter().zip(published).rev() {
            publisher.put(payload(key, n, 30)).wait().unwrap();
        }
    }
    rig.until_received(60);
    let done = rig.stop();
    for key in published {
        let expected: Vec<_> = match key.contains("hidden") || key.contains("secret") {
            true => Vec::new(),
            false => (0..20).map(|n| payload(key, n, 30)).collect(),
        };
        assert_eq!(done.payloads(&format!("/{key}")), expected, "{key}");
    }
    assert_eq!(done.ended.manifest.loss.sent, 60);
}

const RING: &str = r#"
version = 1
platform = "bench"
kind = "other"
[recording]
mode = "ring"
ring_duration = "30 s"
[[stream]]
name = "flag"
modality = "other"
[[trigger]]
name = "go"
when = "flag.on == true"
pre = "3 s"
post = "2 s"
preserve = true
"#;

#[test]
fn a_ring_keeps_exactly_the_windows_of_its_events() {
    let clock = manual();
    let rig = Rig::start(|options| {
        options.profile = LoadedProfile::parse(RING, "ring").unwrap();
        options.profile.profile.recording.block_wait = Span(Duration::ZERO);
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    });
    let imu = declare_as(&rig.sender, "imu", "/described/imu", "application/x-test", false);
    let flag = declare_as(&rig.sender, "flag", "/described/flag", "json", false);
    [&imu, &flag].into_iter().for_each(matched);
    imu.put(payload("imu", 1_000, 40), now()).unwrap();
    flag.put(r#"{"on":false}"#, now()).unwrap();
    // Until it is known what they are, samples wait outside the ring.
    rig.until("both are described", |status| {
        status.streams.iter().filter(|stream| stream.topic.starts_with("/described/")).count() == 2
    });
    clock.advance(Duration::from_secs(60));
    let begin = 2;
    let mut sent = begin;
    for second in 0..40_u64 {
        imu.put(payload("imu", second, 40), now()).unwrap();
        sent += 1;
        rig.until_received(sent);
        // The second event begins in the first one's window.
        if [10, 13, 30].contains(&second) {
            for on in [true, false] {
                flag.put(format!("{{\"on\":{on}}}"), now()).unwrap();
                sent += 1;
                rig.until_received(sent);
                clock.advance(Duration::from_millis(20));
            }
            clock.advance(Duration::from_millis(960));
        } else {
            clock.advance(Duration::from_secs(1));
        }
    }
    let done = rig.stop();
    let expected: Vec<_> = (7..=15).chain(27..=32).map(|second| payload("imu", second, 40)).collect();
    let heads: Vec<_> = expected.iter().map(|payload| head(payload)).collect();
    assert_eq!(done.heads("/described/imu"), heads);
    let source = done.source("/described/imu");
    assert_eq!((source.sent, source.recorded, source.outside), (41, expected.len() as u64, 41 - expected.len() as u64));
    assert_eq!(source.lost, LossCounts::default());
    let fired: Vec<_> = done.own::<proto::Event>(topic::EVENT);
    assert_eq!(fired.iter().filter(|event| event.kind == "trigger" && event.name == "go").count(), 3);
    assert!(done.ended.manifest.preserved);
}

#[test]
fn episodes_and_marks_are_in_the_parts_and_in_the_manifest() {
    let clock = manual();
    let rig = Rig::start(|options| {
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        options.profile.profile.recording.part_duration = Span::from_secs(5);
    });
    let imu = rig.publisher("imu");
    let info = |n: u32| EpisodeInfo {
        instruction: LocalText { ko: format!("컵을 집어라 {n}"), en: format!("pick up the cup {n}") },
        ..EpisodeInfo::default()
    };
    let ask = |command| rig.recorder.request(command).unwrap();
    let start = clock.wall();
    ask(Command::EpisodeBegin(info(0)));
    imu.put(payload("imu", 0, 10), now()).unwrap();
    rig.until_received(1);
    ask(Command::Mark { name: "near_miss".to_owned(), detail: "left hand".to_owned() });
    // A part ends within the episode; the next one tells it again.
    clock.advance(Duration::from_secs(6));
    rig.until("the next part", |status| status.part == 1);
    imu.put(payload("imu", 1, 10), now()).unwrap();
    rig.until_received(2);
    ask(Command::EpisodeEnd { outcome: Outcome::Success, notes: "first try".to_owned() });
    ask(Command::EpisodeBegin(info(1)));
    clock.advance(Duration::from_secs(1));
    ask(Command::EpisodeRerecord);
    clock.advance(Duration::from_secs(1));
    ask(Command::EpisodeEnd { outcome: Outcome::Failure, notes: String::new() });
    assert!(rig.recorder.request(Command::EpisodeEnd { outcome: Outcome::Success, notes: String::new() }).is_err());
    let disk = rig.disk.clone();
    let done = rig.stop();
    let episodes = &done.ended.manifest.episodes;
    let told: Vec<_> = episodes.iter().map(|e| (e.index, e.outcome.as_str(), e.discarded, e.rerecords)).collect();
    assert_eq!(told, [(0, "success", false, None), (1, "", true, None), (2, "failure", false, Some(1))]);
    assert_eq!(episodes[0].instruction_ko, "컵을 집어라 0");
    assert_eq!(episodes[0].start.as_ref().unwrap().ns, start);
    assert_eq!(episodes[0].end.as_ref().unwrap().ns, start.offset(6 * SEC));
    let written: Manifest = serde_json::from_slice(&disk.files()[&done.ended.path.join("recording.json")]).unwrap();
    assert_eq!(written, done.ended.manifest);
    for (index, part) in done.parts.iter().enumerate() {
        assert!(part.on(topic::EPISODE).next().is_some(), "part {index} tells the episode it belongs to");
    }
    let messages = done.own::<proto::Episode>(topic::EPISODE);
    let last_of_first = messages.iter().rfind(|message| message.index == 0).unwrap();
    assert_eq!(
        (last_of_first.outcome(), last_of_first.state()),
        (proto::episode::Outcome::Success, proto::episode::State::Ended)
    );
    let events = done.own::<proto::Event>(topic::EVENT);
    assert!(events.iter().any(|event| event.name == "near_miss" && event.detail == "left hand"));
}

#[test]
fn latched_values_of_silent_publishers_are_recorded_once_and_kept_up_to_date() {
    let wires = Wires::new();
    let urdf = declare(&wires.sender, "urdf", true);
    urdf.put(payload("urdf", 0, 2_000), now()).unwrap();
    let rig = wires.record(|_| {});
    rig.until("the latched value came", |status| status.received == 1);
    matched(&urdf);
    urdf.put(payload("urdf", 1, 2_000), now()).unwrap();
    rig.until_received(2);
    let done = rig.stop();
    assert!(
        done.payloads("/urdf") == [payload("urdf", 0, 2_000), payload("urdf", 1, 2_000)],
        "{:?}",
        done.heads("/urdf")
    );
    let source = done.source("/urdf");
    assert_eq!((source.sent, source.recorded, source.lost), (2, 2, LossCounts::default()));
}
