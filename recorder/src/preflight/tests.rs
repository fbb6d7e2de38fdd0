//! One problem at a time, for required and optional streams.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn profile(required: bool) -> Profile {
    serde_json::from_value(serde_json::json!({
        "version": 1, "platform": "p", "kind": "humanoid",
        "stream": [
            { "name": "imu", "modality": "imu", "rate_hz": 100, "required": required, "sync_group": "g" },
            { "name": "unrecorded", "modality": "imu", "required": true, "record": false },
        ],
    }))
    .unwrap()
}

fn seen() -> SeenStream {
    SeenStream {
        stream: Some("imu".to_owned()),
        topic: "/imu".to_owned(),
        samples: 300,
        rate_hz: Some(99.0),
        has_schema: true,
        decode_error: None,
        numbered: true,
    }
}

fn group(skew: i64) -> SyncReport {
    SyncReport {
        name: "g".to_owned(),
        tolerance_nanos: 10,
        skew_p50_nanos: Some(skew),
        skew_max_nanos: Some(skew),
        pairs: 10,
        exceeded: if skew > 10 { 10 } else { 0 },
        unpaired: 0,
        complete: true,
        total_pairs: 10,
        total_exceeded: 0,
    }
}

fn disk() -> DiskSeen {
    DiskSeen { free: 3000, reserve: 1000, bytes_per_second: 10.0, needed_seconds: Some(200.0) }
}

fn found(preflight: &Preflight) -> Vec<(&str, Status, Level)> {
    let wrong = preflight.items.iter().filter(|item| item.level > Level::Ok);
    wrong.map(|item| (item.subject.as_str(), item.status, item.level)).collect()
}

#[test]
fn problems_of_required_streams_forbid_and_those_of_others_warn() {
    type Change = fn(&mut SeenStream);
    let cases: [(Change, Option<Status>); 6] = [
        (|_| (), None),
        (|s| s.samples = 0, Some(Status::Missing)),
        (|s| s.rate_hz = Some(50.0), Some(Status::Slow)),
        (|s| s.rate_hz = Some(150.0), Some(Status::Fast)),
        (|s| s.has_schema = false, Some(Status::NoSchema)),
        (|s| s.decode_error = Some("bad tag".to_owned()), Some(Status::Undecodable)),
    ];
    for (change, status) in cases {
        for (required, level) in [(true, Level::Blocker), (false, Level::Warning)] {
            let mut stream = seen();
            change(&mut stream);
            let preflight = evaluate(Some(&profile(required)), &[stream], &[group(1)], &disk());
            let expected: Vec<_> = status.map(|status| ("imu", status, level)).into_iter().collect();
            assert_eq!(found(&preflight), expected);
            let forbidden = required && status.is_some();
            assert_eq!(preflight.verdict == Verdict::NoGo, forbidden, "{status:?}");
        }
    }
}

#[test]
fn a_stream_that_was_not_seen_at_all_is_missing() {
    let preflight = evaluate(Some(&profile(true)), &[], &[], &disk());
    assert_eq!(found(&preflight), [("imu", Status::Missing, Level::Blocker)]);
}

#[test]
fn groups_weigh_what_their_members_weigh() {
    for (required, level) in [(true, Level::Blocker), (false, Level::Warning)] {
        let preflight = evaluate(Some(&profile(required)), &[seen()], &[group(11)], &disk());
        assert_eq!(found(&preflight), [("g", Status::Unsynchronised, level)]);
    }
}

#[test]
fn what_is_not_numbered_or_not_listed_is_worth_knowing_only() {
    let strange = SeenStream { stream: None, topic: "/x".to_owned(), ..seen() };
    let bare = SeenStream { numbered: false, ..seen() };
    let preflight = evaluate(Some(&profile(true)), &[bare, strange.clone()], &[], &disk());
    let expected = [("imu", Status::Unnumbered, Level::Info), ("/x", Status::Unlisted, Level::Info)];
    assert_eq!((found(&preflight), preflight.verdict), (expected.to_vec(), Verdict::Go));
    assert_eq!(found(&evaluate(None, &[strange], &[], &disk())), [], "without a profile nothing is unlisted");
}

#[test]
fn the_disk_must_last() {
    // (free, bytes per second, needed) → (seconds left, go)
    for (free, rate, needed, left, go) in [
        (3000, 10.0, Some(200.0), Some(200.0), true),
        (2990, 10.0, Some(200.0), Some(199.0), false),
        (3000, 0.0, Some(200.0), None, true),
        (1000, 0.0, None, None, false),
        (0, f64::NAN, None, None, false),
        (3000, 10.0, None, Some(200.0), true),
    ] {
        let disk = DiskSeen { free, bytes_per_second: rate, needed_seconds: needed, ..disk() };
        let preflight = evaluate(None, &[], &[], &disk);
        assert_eq!((preflight.disk_seconds_left, preflight.verdict == Verdict::Go), (left, go), "{disk:?}");
    }
}

#[test]
fn the_text_puts_blockers_first_and_says_what_to_do() {
    let slow = SeenStream { rate_hz: Some(50.0), numbered: false, ..seen() };
    let preflight = evaluate(Some(&profile(true)), &[slow], &[group(1)], &disk());
    let english = preflight.render(Language::En);
    let lines: Vec<&str> = english.lines().collect();
    assert!(lines[0].starts_with("STOP  imu   50.0 samples/s"), "{english}");
    assert!(lines[1].contains("-> check the device"), "{english}");
    assert!(lines.last().unwrap().starts_with("NO-GO"), "{english}");
    assert!(preflight.render(Language::Ko).contains("기록 불가"));
}

#[test]
fn the_result_survives_json() {
    let preflight = evaluate(Some(&profile(true)), &[], &[group(11)], &disk());
    let text = serde_json::to_string(&preflight).unwrap();
    assert!(text.contains(r#""verdict":"no_go""#) && text.contains(r#""status":"missing""#), "{text}");
    assert_eq!(serde_json::from_str::<Preflight>(&text).unwrap(), preflight);
}
