//! Streams that come, slow down, stop and drift, at explicit times.

use super::{alarm::AlarmChange, *};

const MS: i64 = 1_000_000;

fn at(ms: i64) -> Reading {
    Reading { wall: Timestamp::from_nanos(ms * MS), monotonic: ms * MS }
}

fn contract(rate_hz: f64) -> Contract {
    Contract {
        topic: "/imu".to_owned(),
        rate_hz: Some(rate_hz),
        rate_tolerance: 0.1,
        required: true,
        stall_after: Some(500 * MS),
    }
}

/// Plays samples every `period(ms)` milliseconds (none at 0) for 20 s, with `latency(ms)`; the alarms raised (+) and
/// cleared (-) with their seconds.
fn play(contract: Contract, period: impl Fn(i64) -> i64, latency: impl Fn(i64) -> i64) -> Vec<String> {
    let mut health = Health::new(at(0));
    let mut alarms = Alarms::new(at(0));
    let stream = health.add_stream(contract);
    let mut next = 0;
    let mut seen = Vec::new();
    for ms in 0..20_000 {
        if period(ms) == 0 {
            next = ms + 1;
        } else if ms >= next {
            health.observe(stream, at(ms).wall, Some(at(ms - latency(ms)).wall), true);
            next = ms + period(ms);
        }
        if ms % 100 == 0 {
            health.evaluate(at(ms), &mut alarms);
        }
        seen.extend(alarms.take_changes().iter().map(|change| match change {
            AlarmChange::Raised(alarm) => format!("+{}@{}", alarm.id, ms / 1000),
            AlarmChange::Cleared(alarm) => format!("-{}@{}", alarm.id, ms / 1000),
        }));
    }
    seen
}

#[test]
fn contracts_raise_alarms_when_they_break_and_only_then() {
    type Case = (&'static str, fn(i64) -> i64, fn(i64) -> i64, &'static [&'static str]);
    let cases: [Case; 9] = [
        ("as contracted", |_| 10, |_| 3, &[]),
        ("never comes", |_| 0, |_| 0, &["+stream.missing@3"]),
        ("comes late", |ms| if ms < 5000 { 0 } else { 10 }, |_| 0, &["+stream.missing@3", "-stream.missing@5"]),
        ("too slow", |_| 14, |_| 0, &["+stream.slow@4"]),
        ("too fast", |_| 8, |_| 0, &["+stream.fast@4"]),
        ("slow for a second only", |ms| if (8000..9000).contains(&ms) { 13 } else { 10 }, |_| 0, &[]),
        (
            "stops and comes back",
            |ms| if (10_000..13_000).contains(&ms) { 0 } else { 10 },
            |_| 0,
            &["+stream.stalled@10", "-stream.stalled@14"],
        ),
        ("its clock is an hour ahead", |_| 10, |_| -3_600_000, &[]),
        ("arrives ever later", |_| 10, |ms| (ms / 10).min(1500), &["+stream.latency@8"]),
    ];
    for (name, period, latency, changes) in cases {
        assert_eq!(play(contract(100.0), period, latency), changes, "{name}");
    }
}

#[test]
fn streams_without_contract_are_reported_but_never_alarm() {
    let silent = |ms: i64| if ms > 4000 { 0 } else { 10 };
    assert_eq!(play(Contract::none("/x"), silent, |_| 0), Vec::<String>::new());
}

#[test]
fn slow_rhythms_are_judged_over_longer_windows() {
    let contract = Contract { stall_after: Some(5000 * MS), ..contract(1.0) };
    assert_eq!(play(contract, |_| 1000, |_| 0), Vec::<String>::new());
}

#[test]
fn the_profile_gives_the_contract() {
    let stream = |text: &str| -> Result<Stream, serde_json::Error> { serde_json::from_str(text) };
    for (text, stall) in [
        (r#"{"name": "a", "modality": "imu", "rate_hz": 100}"#, Some(500 * MS)),
        (r#"{"name": "a", "modality": "imu", "rate_hz": 2}"#, Some(2500 * MS)),
        (r#"{"name": "a", "modality": "imu", "rate_hz": 2, "stall_after": "9 s"}"#, Some(9000 * MS)),
        (r#"{"name": "a", "modality": "imu"}"#, None),
    ] {
        assert!(stream(text).is_ok_and(|s| Contract::of(&s, "/a").stall_after == stall), "{text}");
    }
}

#[test]
fn holes_in_capture_times_of_contiguous_samples_are_left_out_by_the_source() {
    // (step of capture time, of log time, contiguous) → samples left out, at 100 Hz
    for (capture, log, contiguous, left_out) in [
        (10, 10, true, 0),
        (17, 17, true, 0),
        (20, 20, true, 1),
        (50, 48, true, 4),
        (50, 50, false, 0),
        (3_600_000, 10, true, 0),
        (-50, 10, true, 0),
    ] {
        let mut health = Health::new(at(0));
        let stream = health.add_stream(contract(100.0));
        assert_eq!(health.observe(stream, at(0).wall, Some(at(0).wall), true), 0);
        let found = health.observe(stream, at(log).wall, Some(at(capture).wall), contiguous);
        assert_eq!(found, left_out, "{capture} {log} {contiguous}");
    }
}

#[test]
fn a_group_out_of_tolerance_raises_an_alarm() {
    for (shift, alarm) in [(1, false), (8, true)] {
        let mut health = Health::new(at(0));
        let mut alarms = Alarms::new(at(0));
        let members =
            ["/a", "/b"].map(|topic| health.add_stream(Contract { topic: topic.to_owned(), ..contract(30.0) }));
        health.add_group("eyes", 4 * MS, &members);
        for ms in (0..8000).step_by(33) {
            health.observe(members[0], at(ms).wall, Some(at(ms).wall), true);
            health.observe(members[1], at(ms).wall, Some(at(ms + shift).wall), true);
            health.evaluate(at(ms), &mut alarms);
        }
        let raised: Vec<_> = alarms.active().map(|a| (a.id, a.subject.as_str())).collect();
        assert_eq!(raised, if alarm { vec![(AlarmId::SyncExceeded, "eyes")] } else { vec![] });
        assert_eq!(health.sync_reports(at(8000).wall)[0].skew_p50_nanos, Some(shift * MS));
    }
}

#[test]
fn a_stream_that_gets_another_topic_takes_its_alarms_along() {
    let mut health = Health::new(at(0));
    let mut alarms = Alarms::new(at(0));
    let stream = health.add_stream(contract(100.0));
    health.evaluate(at(4000), &mut alarms);
    assert_eq!(alarms.active().map(|alarm| alarm.subject.as_str()).collect::<Vec<_>>(), ["/imu"]);
    health.set_contract(stream, Contract { topic: "/imu0".to_owned(), ..contract(100.0) });
    health.evaluate(at(4100), &mut alarms);
    assert_eq!(alarms.active().map(|alarm| alarm.subject.as_str()).collect::<Vec<_>>(), ["/imu0"]);
}

#[test]
fn the_report_becomes_the_message() {
    let mut health = Health::new(at(0));
    let stream = health.add_stream(contract(100.0));
    (0..300).for_each(|i| _ = health.observe(stream, at(i * 10).wall, Some(at(i * 10 - 5).wall), true));
    let message = health.reports(at(3000).wall)[0].to_proto(7);
    assert!((message.rate_hz - 100.0).abs() < 0.1 && (message.latency_seconds - 0.005).abs() < 1e-6, "{message:?}");
    assert_eq!((message.received, message.missing, message.stalled), (300, 7, false));
}
