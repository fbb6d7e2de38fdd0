//! Triggers against values built by hand.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use proptest::prelude::*;
use sagwan_schemas::quantity::Span;

use super::*;

const STREAMS: [&str; 7] = ["vehicle_state", "left/camera", "joint_states", "objects", "3d", "in", "a/b"];

fn trigger(when: &str) -> profile::Trigger {
    profile::Trigger {
        name: "t".to_owned(),
        title: profile::LocalText::default(),
        when: when.to_owned(),
        pre: Span::from_secs(2),
        post: Span::from_secs(3),
        preserve: true,
    }
}

fn set(when: &str) -> TriggerSet {
    TriggerSet::compile(&[trigger(when)], &STREAMS).unwrap()
}

fn message(fields: Vec<(&str, Value)>) -> Value {
    Value::Struct(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// Seconds after the start, on both clocks.
fn at(secs: i64) -> Now {
    Now { wall: Timestamp::from_nanos(secs * 1_000_000_000), monotonic: secs * 1_000_000_000 }
}

fn vehicle(speed: f64) -> Value {
    message(vec![
        ("speed", Value::Float(speed)),
        ("gear", Value::Enum(2, Some("GEAR_REVERSE".into()))),
        ("mode", Value::Text("auto".to_owned())),
        ("door", Value::Null),
        ("age", Value::Duration(1_500_000_000)),
        ("wheels", Value::Floats(vec![1.0, 2.0, 3.0, 4.0])),
        ("image", Value::Bytes(Bytes::from(vec![7; 10_000_000]))),
        ("count", Value::Uint(3)),
    ])
}

fn objects(distances: &[f64]) -> Value {
    let list = distances.iter().map(|d| {
        message(vec![("distance", Value::Float(*d)), ("tags", Value::List(vec![Value::Text("car".to_owned())]))])
    });
    message(vec![("list", Value::List(list.collect()))])
}

/// Whether the condition fires on one message of each stream.
fn fires(when: &str) -> Result<bool, String> {
    let mut set = set(when);
    let mut fired = set.update("vehicle_state", &vehicle(21.5), at(0));
    fired.extend(set.update("objects", &objects(&[3.0, 30.0]), at(1)));
    match set.take_problems().pop() {
        Some(problem) => Err(problem.reason),
        None => Ok(!fired.is_empty()),
    }
}

#[test]
fn conditions_read_fields_elements_enumerations_and_lists() {
    for (when, expected) in [
        ("vehicle_state.speed > 20", true),
        ("vehicle_state.speed > 22.0", false),
        ("vehicle_state.speed * 3.6 > 77.0 && vehicle_state.mode == 'auto'", true),
        ("vehicle_state.gear == 2", true),
        ("vehicle_state.gear == 'GEAR_REVERSE'", true),
        ("'GEAR_PARK' != vehicle_state.gear", true),
        ("vehicle_state.gear in ['GEAR_REVERSE', 'GEAR_PARK']", true),
        ("vehicle_state.wheels[3] == 4.0", true),
        ("vehicle_state['wheels'][3] == 4.0", true),
        ("vehicle_state.wheels[int(vehicle_state.wheels[0])] == 2.0", true),
        ("size(vehicle_state.wheels) == 4", true),
        ("vehicle_state.wheels.size() == 4 && vehicle_state.wheels[1] == 2.0", true),
        ("size(vehicle_state.mode) == 4", true),
        ("vehicle_state.mode.matches('^a.t')", true),
        ("vehicle_state.mode.startsWith('b')", false),
        ("vehicle_state.age > 1.4", true),
        ("has(vehicle_state.door)", false),
        ("has(vehicle_state.image)", true),
        ("has(vehicle_state.wheels) && has(vehicle_state.mode)", true),
        ("vehicle_state.image[3] == 7u", true),
        ("vehicle_state.count == 3", true),
        ("math.abs(vehicle_state.speed - 30.0) < 9.0", true),
        ("math.greatest(vehicle_state.speed, 1.0) > 20.0", true),
        ("objects.list.exists(o, o.distance < 5.0)", true),
        ("objects.list.all(o, o.distance < 5.0)", false),
        ("objects.list[1].distance == 30.0", true),
        ("objects.list.filter(o, o.distance > 5.0).size() == 1", true),
        ("objects.list.map(o, o.distance * 2.0) == [6.0, 60.0]", true),
        ("objects.list.exists(o, o.tags.exists(t, t == 'car'))", true),
        ("objects.list.exists(speed, speed.distance > vehicle_state.speed)", true),
        ("vehicle_state.speed > 20.0 ? vehicle_state.gear == 2 : false", true),
        ("vehicle_state.wheels == [1.0, 2.0, 3.0, 4.0]", true),
    ] {
        assert_eq!(fires(when), Ok(expected), "{when}");
    }
}

#[test]
fn evaluation_errors_name_the_reason_and_what_to_do() {
    for (when, part) in [
        ("vehicle_state.sped > 20.0", "sped"),
        ("vehicle_state.door == true", "has("),
        ("vehicle_state.mode > 3", "mode"),
        ("vehicle_state.count * 2.0 > 3.0", "double(x)"),
        ("vehicle_state.speed", "instead of true or false"),
        ("vehicle_state.wheels[9] > 1.0", "9"),
        ("size(vehicle_state.image) > 3", "read less"),
        ("vehicle_state == vehicle_state", "read less"),
    ] {
        let error = fires(when).unwrap_err();
        assert!(part == "mode" || error.contains(part), "{when}: {error}");
        assert!(error.len() < 1000, "{error}");
    }
}

#[test]
fn a_trigger_fires_when_it_becomes_true_and_rearms_when_false() {
    let mut set = set("vehicle_state.speed > 20.0");
    let speeds = [10.0, 21.0, 22.0, 5.0, 30.0];
    let fired: Vec<_> =
        speeds.iter().zip(0..).map(|(v, t)| set.update("vehicle_state", &vehicle(*v), at(t)).len()).collect();
    assert_eq!(fired, [0, 1, 0, 0, 1]);
    let status = set.status().next().unwrap();
    assert_eq!((status.fired, status.evaluations, status.errors, status.active), (2, 5, 0, true));
}

#[test]
fn a_fired_trigger_tells_its_window_and_what_it_read() {
    let mut set = set("vehicle_state.speed > 20.0 && vehicle_state.wheels[1] > 0.0 && vehicle_state.mode == 'auto'");
    let fired = set.update("vehicle_state", &vehicle(25.0), at(100)).pop().unwrap();
    let event = fired.to_message();
    assert_eq!((event.kind.as_str(), event.name.as_str()), ("trigger", "t"));
    assert_eq!(event.start, Some(to_proto(at(98).wall)));
    assert_eq!(event.end, Some(to_proto(at(103).wall)));
    assert_eq!(
        event.detail,
        r#"{"vehicle_state.mode":"auto","vehicle_state.speed":25.0,"vehicle_state.wheels[1]":2.0}"#
    );
    assert!(fired.preserve);
}

#[test]
fn only_triggers_that_read_the_changed_stream_are_evaluated() {
    let triggers = [
        trigger("vehicle_state.speed > 1.0"),
        profile::Trigger { name: "o".to_owned(), ..trigger("left_camera.x > 1") },
    ];
    let mut set = TriggerSet::compile(&triggers, &STREAMS).unwrap();
    assert!(set.reads("left/camera") && !set.reads("left_camera") && !set.reads("joint_states"));
    set.update("vehicle_state", &vehicle(0.0), at(0));
    set.update("joint_states", &vehicle(0.0), at(1));
    assert_eq!(set.status().map(|s| s.evaluations).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_stream_that_has_not_come_is_waited_for_but_an_or_does_not_need_it() {
    let mut both = set("vehicle_state.speed > 20.0 && objects.list.exists(o, o.distance < 5.0)");
    assert!(both.update("vehicle_state", &vehicle(21.0), at(0)).is_empty());
    assert_eq!(both.take_problems(), []);
    assert_eq!(both.update("objects", &objects(&[1.0]), at(1)).len(), 1);
    let mut either = set("objects.list.exists(o, o.distance < 5.0) || vehicle_state.speed > 20.0");
    assert_eq!(either.update("vehicle_state", &vehicle(21.0), at(0)).len(), 1);
}

#[test]
fn errors_are_told_once_and_counted_and_do_not_disarm() {
    let mut set = set("vehicle_state.speed > 20.0");
    assert_eq!(set.update("vehicle_state", &vehicle(21.0), at(0)).len(), 1);
    for t in 1..5 {
        assert!(set.update("vehicle_state", &message(vec![]), at(t)).is_empty());
    }
    assert_eq!(set.take_problems().len(), 1);
    assert_eq!(set.take_problems(), []);
    assert_eq!(set.status().next().unwrap().errors, 4);
    assert!(set.update("vehicle_state", &vehicle(21.0), at(6)).is_empty(), "it was never false");
}

#[test]
fn the_rate_is_limited_and_the_last_value_is_evaluated_later() {
    let mut set = set("vehicle_state.speed > 20.0");
    let micros = |n: i64| Now { wall: Timestamp::EPOCH, monotonic: n * 1000 };
    for n in 0..1000 {
        assert!(set.update("vehicle_state", &vehicle(0.0), micros(n * 100)).is_empty());
    }
    assert_eq!(set.status().next().unwrap().evaluations, 10);
    assert!(set.update("vehicle_state", &vehicle(30.0), micros(99_950)).is_empty());
    assert!(set.tick(micros(99_990)).is_empty());
    assert_eq!(set.tick(micros(100_000)).len(), 1);
    assert!(set.tick(micros(200_000)).is_empty());
}

#[test]
fn not_a_number_fires_nothing() {
    assert!(set("vehicle_state.speed > 20.0").update("vehicle_state", &vehicle(f64::NAN), at(0)).is_empty());
}

#[test]
fn stream_names_map_to_identifiers() {
    for (stream, expected) in
        [("left/camera", "left_camera"), ("3d", "_3d"), ("in", "in_"), ("a-b.c", "a_b_c"), ("", "_"), ("머리", "__")]
    {
        assert_eq!(identifier(stream), expected);
    }
    for when in ["left_camera.x > 1", "_3d.x > 1", "in_.x > 1", "a_b.x > 1"] {
        assert!(TriggerSet::compile(&[trigger(when)], &STREAMS).is_ok(), "{when}");
    }
}

#[test]
fn expressions_that_cannot_work_are_refused_with_their_place() {
    let long = format!("vehicle_state.speed > {}", "1".repeat(EXPRESSION_BYTES_MAX));
    let deep = format!("vehicle_state.speed > {}1.0", "1.0 + ".repeat(100));
    for (when, part) in [
        ("vehicle_state.speed >", "line 1, column 22"),
        ("vehicle_state.speed > 1.0 &&\n  sped.x > 1", "line 2, column 3: no stream is called \"sped\""),
        ("'가나다' == 'x' || sped.x > 1", "line 1, column 17: no stream"),
        ("'가나다' == == 'x'", "line 1, column 10"),
        ("left.camera.x > 1", "left_camera"),
        ("vehicle_state.speed.cosine() > 1.0", "no function is called \"cosine\""),
        ("foo(vehicle_state.speed)", "no function is called \"foo\""),
        ("vehicle_state.mode.matches(vehicle_state.mode)", "literal"),
        ("1 < 2", "reads no stream"),
        ("objects.a.all(x, x.all(y, y.all(z, z > 1)))", "nested too deeply"),
        ("[1].all(x, y > 1)", "no stream is called \"y\""),
        ("", "line 1"),
        (&long, "at most 1024"),
        (&deep, "nested too deeply"),
    ] {
        let error = TriggerSet::compile(&[trigger(when)], &STREAMS).unwrap_err().to_string();
        assert!(error.contains(part), "{when}: {error}");
        assert!(error.starts_with("trigger \"t\""), "{error}");
    }
}

#[test]
fn clashing_names_are_an_error_only_where_they_are_used() {
    let streams = ["a/b", "a_b", "c"];
    assert!(TriggerSet::compile(&[trigger("c.x > 1")], &streams).is_ok());
    let error = TriggerSet::compile(&[trigger("a_b.x > 1")], &streams).unwrap_err();
    assert!(error.to_string().contains("a/b or a_b"), "{error}");
    let twice = [trigger("c.x > 1"), trigger("c.x > 2")];
    assert_eq!(TriggerSet::compile(&twice, &streams).err(), Some(TriggerError::Duplicate { trigger: "t".to_owned() }));
}

#[test]
fn long_lists_are_refused_before_they_cost_time() {
    let mut set = set("objects.list.exists(o, objects.list.exists(p, o.distance > p.distance + 100.0))");
    assert!(set.update("objects", &objects(&vec![1.0; 100_000]), at(0)).is_empty());
    assert!(set.take_problems().pop().unwrap().reason.contains("read less"));
    assert!(set.update("objects", &objects(&[1.0, 200.0]), at(1)).len() == 1);
}

#[test]
fn hostile_nesting_is_an_error_and_not_a_stack_overflow() {
    for piece in [
        "(",
        "[",
        "!",
        "-",
        "a.",
        "a[",
        "{1:",
        "a?a:",
        "a.b(",
        "a+",
        "a&&",
        "a.all(x,",
        "\"",
        "'''",
        "`",
        "\\",
        "b'",
        "1+1*1<1&&1||a?a:(",
        "a in ",
    ] {
        let source = piece.repeat(EXPRESSION_BYTES_MAX / piece.len());
        assert!(TriggerSet::compile(&[trigger(&source)], &["a"]).is_err(), "{piece}");
        let closed = format!("{source}a");
        drop(TriggerSet::compile(&[trigger(&closed)], &["a"]));
    }
    let most = format!("{}{}a{}", "a?a:".repeat(80), "a?a:(1<2&&[".repeat(4), "])".repeat(4));
    drop(TriggerSet::compile(&[trigger(&most)], &["a"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_text_compiles_or_is_refused(when in "[a-z0-9_.()\\[\\]{}<>=!&|?:,'\"+*/% 가\\\\`-]{0,40}") {
        drop(TriggerSet::compile(&[trigger(&when)], &STREAMS));
    }

    /// Edges alone fire, whatever the values and times.
    #[test]
    fn firings_are_the_rising_edges(speeds in prop::collection::vec(0_u8..40, 0..40)) {
        let mut set = set("vehicle_state.speed > 20.0");
        let mut before = false;
        for (speed, t) in speeds.iter().zip(0..) {
            let holds = *speed > 20;
            let value = message(vec![("speed", Value::Float(f64::from(*speed)))]);
            let fired = set.update("vehicle_state", &value, at(t));
            prop_assert_eq!(fired.len(), usize::from(holds && !before));
            before = holds;
        }
    }
}
