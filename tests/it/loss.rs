//! Loss truth: what publishers sent is recorded or in the ledger, exactly, with its cause.

use std::time::Duration;

use sagwan_bridges::native::{Flushed, Publisher, flush};
use sagwan_schemas::{
    profile::{Bytes, LoadedProfile},
    proto,
    recording::{
        layout::topic,
        manifest::{LossCounts, State},
    },
};
use zenoh::{Wait, qos::Priority};

use crate::rig::{PATIENCE, Rig, now, payload, publisher, short_attachment};

fn transport(count: u64) -> LossCounts {
    LossCounts { transport: count, ..LossCounts::default() }
}

/// Sends `count` messages of `size` bytes; their payloads are numbered from `first`.
fn send(publisher: &Publisher, stream: &str, first: u64, count: u64, size: usize) -> Vec<Vec<u8>> {
    let payloads: Vec<_> = (first..first + count).map(|number| payload(stream, number, size)).collect();
    for payload in &payloads {
        publisher.put(payload.clone(), now()).unwrap();
    }
    payloads
}

#[test]
fn numbers_that_never_arrive_are_transport_losses() {
    let rig = Rig::start(|_| {});
    let imu = rig.publisher("imu");
    let arm = rig.publisher("arm");
    let mut truth = Vec::new();
    // Two before the first: it started after the recording did, so they belong to it.
    let mut skipped = 2;
    for _ in 0..2 {
        imu.skip();
    }
    for round in 0..20 {
        truth.extend(send(&imu, "imu", round * 10, 10, 40));
        let more = round % 4;
        for _ in 0..more {
            imu.skip();
        }
        skipped += more;
    }
    truth.extend(send(&imu, "imu", 900, 1, 40));
    let whole = send(&arm, "arm", 0, 50, 3_000);
    rig.until_received(truth.len() as u64 + 50);
    let done = rig.stop();
    assert_eq!(done.payloads("/imu"), truth);
    assert_eq!(done.payloads("/arm"), whole);
    let source = done.source("/imu");
    assert_eq!((source.recorded, source.lost, source.instances), (truth.len() as u64, transport(skipped), 1));
    assert_eq!(source.sent, truth.len() as u64 + skipped);
    assert_eq!(done.source("/arm").lost, LossCounts::default());
    assert!(!done.ended.is_complete());
    let gaps = done.own::<proto::Loss>(topic::LOSS);
    assert!(gaps.iter().all(|gap| gap.cause() == proto::LossCause::Transport && gap.topic == "/imu"));
    assert_eq!((gaps[0].first_sequence, gaps[0].last_sequence), (Some(0), Some(1)));
}

#[test]
fn a_publisher_that_starts_anew_is_no_gap() {
    let rig = Rig::start(|_| {});
    let imu = rig.publisher("imu");
    let mut truth = send(&imu, "imu", 0, 30, 40);
    imu.skip();
    truth.extend(send(&imu, "imu", 31, 5, 40));
    for instance in 1..4 {
        imu.restart().unwrap();
        truth.extend(send(&imu, "imu", instance * 100, 20, 40));
        imu.skip();
        imu.skip();
        truth.extend(send(&imu, "imu", instance * 100 + 50, 1, 40));
    }
    rig.until_received(truth.len() as u64);
    let done = rig.stop();
    assert_eq!(done.payloads("/imu"), truth);
    let source = done.source("/imu");
    assert_eq!((source.lost, source.instances), (transport(1 + 3 * 2), 4));
    assert_eq!(source.sent, truth.len() as u64 + 7);
}

#[test]
fn two_publishers_of_one_key_have_accounts_of_their_own() {
    let rig = Rig::start(|_| {});
    let other_session = rig.another_sender();
    let one = rig.publisher("imu");
    let two = publisher(&other_session, "imu", false);
    let (mut from_one, mut from_two) = (Vec::new(), Vec::new());
    for round in 0..10 {
        from_one.extend(send(&one, "one", round * 5, 5, 40));
        from_two.extend(send(&two, "two", round * 7, 7, 40));
        one.skip();
    }
    from_one.extend(send(&one, "one", 99, 1, 40));
    rig.until_received((from_one.len() + from_two.len()) as u64);
    let done = rig.stop();
    let (found_one, found_two): (Vec<_>, Vec<_>) =
        done.payloads("/imu").into_iter().partition(|payload| payload.starts_with(b"one"));
    assert_eq!((found_one, found_two), (from_one, from_two));
    let source = done.source("/imu");
    assert_eq!((source.lost, source.instances), (transport(10), 2));
}

#[test]
fn publishers_without_instances_are_accounted_by_their_numbers() {
    let rig = Rig::start(|_| {});
    let plain = rig.plain("plain/imu", "application/x-test");
    let mut truth = Vec::new();
    // Two restarts, three gaps.
    for sequence in (5..20).chain(22..30).chain(0..10).chain(13..20).chain(0..4).chain(6..90) {
        let payload = payload("plain", truth.len() as u64, 50);
        plain.put(payload.clone()).attachment(short_attachment(sequence)).wait().unwrap();
        truth.push(payload);
    }
    let unnumbered = rig.plain("plain/text", "text/plain");
    (0..10).for_each(|n| unnumbered.put(payload("text", n, 30)).wait().unwrap());
    rig.until_received(truth.len() as u64 + 10);
    let done = rig.stop();
    assert_eq!(done.payloads("/plain/imu"), truth);
    let source = done.source("/plain/imu");
    assert_eq!((source.lost, source.instances, source.joined_at), (transport(2 + 3 + 2), 3, Some(5)));
    let text = done.source("/plain/text");
    assert_eq!((text.numbered, text.sent, text.recorded, text.lost), (false, 10, 10, LossCounts::default()));
    let channel = &done.on("/plain/text").next().unwrap().channel;
    assert_eq!(channel.message_encoding, "text/plain");
    assert_eq!(channel.metadata.get("zenoh_encoding").map(String::as_str), Some("text/plain"));
}

#[test]
fn a_publisher_that_is_killed_and_comes_back_leaves_no_false_gap() {
    let rig = Rig::start(|_| {});
    let first_session = rig.another_sender();
    let first = publisher(&first_session, "imu", false);
    let mut truth = send(&first, "imu", 0, 40, 200);
    first.skip();
    truth.extend(send(&first, "imu", 41, 10, 200));
    rig.until_received(50);
    // What it sends now may or may not arrive: nobody can tell afterwards.
    truth.extend(send(&first, "imu", 60, 500, 20_000));
    first_session.close().wait().unwrap();
    drop(first);
    let arrived_of_first = rig.status().received;
    let second = publisher(&rig.sender, "imu", false);
    let after = send(&second, "imu", 10_000, 25, 200);
    let last = after.last().cloned().unwrap();
    rig.until("the second has come", |status| {
        status.received >= arrived_of_first && status.streams.iter().any(|stream| stream.received >= 75)
    });
    assert!(matches!(flush(&rig.sender, Priority::Data, PATIENCE), Flushed::Confirmed(_)));
    let done = rig.stop();
    let found = done.payloads("/imu");
    assert_eq!(found.last(), Some(&last));
    let of_first = found.len() - 25;
    assert_eq!(found[..of_first], truth[..of_first], "what came of the first is a beginning of what it sent");
    assert_eq!(found[of_first..], after);
    let source = done.source("/imu");
    assert_eq!((source.lost, source.instances, source.sent), (transport(1), 2, found.len() as u64 + 1));
}

const CLASSES: &str = r#"
version = 1
platform = "bench"
kind = "other"
[recording]
queue = "4 MiB"
block_wait = "0 ms"
[[stream]]
name = "video"
modality = "compressed_image"
class = "preview"
[[stream]]
name = "lidar"
modality = "point_cloud"
class = "sensor"
[[stream]]
name = "joints"
modality = "joint_states"
class = "state"
[[stream]]
name = "command"
modality = "joint_command"
class = "control"
"#;

#[test]
fn video_is_shed_before_control_loses_anything_and_every_shed_sample_is_told() {
    let rig = Rig::start(|options| {
        options.profile = LoadedProfile::parse(CLASSES, "classes").unwrap();
    });
    let streams = [("video", 60_000, 4), ("lidar", 30_000, 2), ("joints", 300, 5), ("command", 200, 5)];
    let publishers: Vec<_> = streams.iter().map(|(name, ..)| rig.publisher(name)).collect();
    let mut truth: Vec<Vec<Vec<u8>>> = vec![Vec::new(); streams.len()];
    let mut round = |round: u64| {
        for ((publisher, (name, size, count)), truth) in publishers.iter().zip(&streams).zip(&mut truth) {
            truth.extend(send(publisher, name, round * 100, *count, *size));
        }
    };
    round(0);
    rig.until_received(16);
    rig.disk.stall();
    (1..10).for_each(&mut round);
    assert!(rig.disk.wait_until_blocked());
    (10..60).for_each(&mut round);
    assert!(matches!(flush(&rig.sender, Priority::Data, PATIENCE), Flushed::Confirmed(1..)));
    rig.disk.release();
    rig.until_received(60 * 16);
    (60..62).for_each(&mut round);
    rig.until_received(truth.iter().map(Vec::len).sum::<usize>() as u64);
    let done = rig.stop();
    let lost: Vec<_> = streams
        .iter()
        .zip(&truth)
        .map(|((name, ..), truth)| {
            let topic = format!("/{name}");
            let found = done.payloads(&topic);
            let source = done.source(&topic);
            let gaps: Vec<_> =
                done.own::<proto::Loss>(topic::LOSS).into_iter().filter(|gap| gap.topic == topic).collect();
            let is_lost =
                |number: u64| gaps.iter().any(|gap| (gap.first_sequence()..=gap.last_sequence()).contains(&number));
            let expected: Vec<_> = (0..).zip(truth).filter(|(n, _)| !is_lost(*n)).map(|(_, p)| p.clone()).collect();
            assert_eq!(found.len(), expected.len(), "{topic}");
            assert!(found == expected, "{topic}: all but what was told as shed, in order");
            let shed = (truth.len() - found.len()) as u64;
            assert_eq!(source.lost, LossCounts { queue: shed, ..LossCounts::default() }, "{topic}");
            assert_eq!((source.sent, source.recorded), (truth.len() as u64, found.len() as u64));
            shed
        })
        .collect();
    assert!(lost[0] > 0 && lost[3] == 0, "video is shed, control is not: {lost:?}");
    assert_eq!(lost[2], 0, "{lost:?}");
    let messages = done.own::<proto::Health>(topic::HEALTH);
    assert!(messages.iter().any(|health| health.alarms.iter().any(|alarm| alarm.id.starts_with("queue."))));
}

#[test]
fn chunks_that_the_disk_refuses_are_disk_losses_and_nothing_else_is_missing() {
    let rig = Rig::start(|options| {
        options.profile.profile.recording.chunk_size = Bytes(4_000);
        options.profile.profile.recording.chunk_duration.0 = Duration::from_secs(60);
    });
    let imu = rig.publisher("imu");
    let mut truth = send(&imu, "imu", 0, 100, 500);
    rig.until_received(100);
    rig.until_written("/imu");
    rig.disk.set_append_max(700);
    rig.disk.fail_append(1);
    rig.disk.fail_append(30);
    for round in 1..6 {
        truth.extend(send(&imu, "imu", round * 100, 100, 500));
        rig.until_received((round + 1) * 100);
    }
    // Loss messages wait for a tick and the next chunk.
    rig.until("the loss is told", |status| status.lost.disk > 0);
    let done = rig.stop();
    assert!(done.ended.disk_failed);
    assert_eq!(done.ended.manifest.state, State::Finished);
    let source = done.source("/imu");
    assert_eq!((source.sent, source.lost.transport, source.lost.queue), (600, 0, 0));
    assert!(source.lost.disk >= 2, "{source:?}");
    let found = done.payloads("/imu");
    assert_eq!(found.len() as u64, 600 - source.lost.disk);
    let gaps = done.own::<proto::Loss>(topic::LOSS);
    let is_lost = |n: u64| gaps.iter().any(|gap| (gap.first_sequence()..=gap.last_sequence()).contains(&n));
    let expected: Vec<_> = (0..).zip(&truth).filter(|(n, _)| !is_lost(*n)).map(|(_, p)| p.clone()).collect();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "all but what was told as lost, in order");
}

#[test]
fn a_full_disk_ends_the_recording_and_every_sample_is_accounted_for() {
    for room in [9_000, 30_000, 47_000] {
        let rig = Rig::start(|options| options.profile.profile.recording.chunk_size = Bytes(4_000));
        let imu = rig.publisher("imu");
        let mut truth = send(&imu, "imu", 0, 20, 500);
        rig.until_received(20);
        rig.disk.set_room(room);
        let mut next = 20;
        while !rig.recorder.has_ended() {
            truth.extend(send(&imu, "imu", next, 5, 500));
            next += 5;
            let _answer = rig.recorder.request(sagwan_recorder::control::Command::Status);
        }
        let disk = rig.disk.clone();
        let done = rig.stop();
        disk.make_room();
        assert!(done.ended.disk_failed && !done.ended.is_complete());
        assert_eq!(done.ended.manifest.state, State::Failed, "{room}");
        let source = done.source("/imu");
        assert_eq!((source.lost.transport, source.lost.queue), (0, 0));
        let found: Vec<_> =
            done.parts.iter().chain(&done.recovered).flat_map(|part| part.on("/imu")).map(|m| m.data.clone()).collect();
        assert_eq!(source.recorded, found.len() as u64, "{room} bytes of room");
        assert!(found.iter().all(|payload| truth.contains(payload)));
        assert!(source.lost.disk > 0);
    }
}

#[test]
fn a_part_that_is_torn_is_left_to_recovery_and_the_next_one_goes_on() {
    let rig = Rig::start(|options| options.profile.profile.recording.chunk_size = Bytes(4_000));
    let imu = rig.publisher("imu");
    let mut truth = send(&imu, "imu", 0, 100, 500);
    rig.until_received(100);
    rig.until_written("/imu");
    rig.disk.set_append_max(1_000);
    rig.disk.set_truncate_fails(true);
    rig.disk.fail_append(2);
    truth.extend(send(&imu, "imu", 100, 100, 500));
    rig.until("a part was torn", |status| status.part > 0);
    rig.disk.set_truncate_fails(false);
    truth.extend(send(&imu, "imu", 200, 100, 500));
    rig.until_received(300);
    let done = rig.stop();
    assert_eq!((done.parts.len(), done.recovered.len()), (1, 1));
    let source = done.source("/imu");
    assert_eq!((source.sent, source.lost.transport, source.lost.queue), (300, 0, 0));
    assert!(source.lost.disk > 0);
    assert_eq!(source.recorded, 300 - source.lost.disk);
    let found: Vec<_> =
        done.recovered.iter().chain(&done.parts).flat_map(|part| part.on("/imu")).map(|m| m.data.clone()).collect();
    // Recovery may get out more than the ledger promises.
    assert!(found.len() as u64 >= source.recorded);
    assert!(found.iter().all(|payload| truth.contains(payload)));
    assert!(done.ended.disk_failed);
}

#[test]
fn a_sync_that_fails_is_told_and_the_parts_stay_sound() {
    // At the regular sync, and at the one that closes the part.
    for interval in [1, 3_600_000] {
        let rig = Rig::start(|options| {
            options.profile.profile.recording.sync_interval.0 = Duration::from_millis(interval);
        });
        let imu = rig.publisher("imu");
        rig.disk.fail_sync(0);
        let mut truth = send(&imu, "imu", 0, 50, 500);
        rig.until_received(50);
        if interval == 1 {
            rig.until("a part was given up", |status| status.part > 0 || status.disk.state != "good");
        }
        truth.extend(send(&imu, "imu", 50, 50, 500));
        rig.until_received(100);
        let done = rig.stop();
        assert!(done.ended.disk_failed, "interval {interval} ms");
        let found: Vec<_> =
            done.recovered.iter().chain(&done.parts).flat_map(|part| part.on("/imu")).map(|m| m.data.clone()).collect();
        assert_eq!(found, truth);
        assert!(
            done.ended.manifest.remarks.iter().any(|remark| remark.contains("sync") || remark.contains("confirm")),
            "{interval} ms"
        );
    }
}

#[test]
fn a_disk_that_turns_read_only_ends_nothing_in_a_panic() {
    let rig = Rig::start(|options| options.profile.profile.recording.chunk_size = Bytes(4_000));
    let imu = rig.publisher("imu");
    let truth = send(&imu, "imu", 0, 100, 500);
    rig.until_received(100);
    rig.disk.set_read_only();
    send(&imu, "imu", 100, 100, 500);
    rig.until_received(200);
    let done = rig.stop();
    assert!(done.ended.disk_failed && !done.ended.is_complete());
    let source = done.source("/imu");
    assert_eq!(source.sent, 200);
    assert!(source.lost.disk >= 100, "{source:?}");
    let found: Vec<_> = done.recovered.iter().flat_map(|part| part.on("/imu")).map(|m| m.data.clone()).collect();
    assert!(found.len() as u64 >= source.recorded && truth.starts_with(&found));
}
