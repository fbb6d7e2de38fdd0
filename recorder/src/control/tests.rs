//! Queries and replies.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn queries_are_read_from_payload_and_parameters() {
    let end = |outcome, notes: &str| Command::EpisodeEnd { outcome, notes: notes.to_owned() };
    for (key, parameters, payload, expected) in [
        ("status", "", "", Command::Status),
        ("status", "_time=[now()];_anyke", "  ", Command::Status),
        ("stop", "", "{}", Command::Stop),
        ("stop", "format_version=1", "", Command::Stop),
        (
            "start",
            "",
            r#"{"operator":"op-1","format_version":1}"#,
            Command::Start(Start { operator: "op-1".to_owned(), ..Start::default() }),
        ),
        (
            "episode/begin",
            "instruction_ko=컵을 집는다",
            r#"{"operator":"op-1"}"#,
            Command::EpisodeBegin(EpisodeInfo {
                instruction: LocalText { ko: "컵을 집는다".to_owned(), en: String::new() },
                operator: "op-1".to_owned(),
                ..EpisodeInfo::default()
            }),
        ),
        ("episode/end", "outcome=success", "", end(Outcome::Success, "")),
        (
            "episode/end",
            "",
            r#"{"outcome":"failure","notes":"slipped\nagain"}"#,
            end(Outcome::Failure, "slipped\nagain"),
        ),
        ("episode/end", "", "", end(Outcome::Unspecified, "")),
        ("episode/discard", "notes=x=y", "", Command::EpisodeDiscard { notes: "x=y".to_owned() }),
        ("episode/rerecord", "", "", Command::EpisodeRerecord),
        ("mark", "name=near miss", "", Command::Mark { name: "near miss".to_owned(), detail: String::new() }),
        ("preserve", "", "", Command::Preserve { detail: String::new() }),
        ("preflight", "duration=5 s", "", Command::Preflight { duration: Some(Span::from_secs(5)) }),
        ("preflight", "", "", Command::Preflight { duration: None }),
    ] {
        assert_eq!(parse(key, parameters, payload.as_bytes()).unwrap(), expected, "{key}?{parameters} {payload}");
    }
}

#[test]
fn refusals_say_what_would_be_right() {
    let large = "x".repeat(PAYLOAD_BYTES_MAX + 1);
    let note = format!(r#"{{"notes":"{}"}}"#, "x".repeat(LONG_TEXT_BYTES + 1));
    let deep = format!("{{\"a\":{}", "[".repeat(1000));
    let outcome = format!(r#"{{"outcome":"{}\u001b"}}"#, "x".repeat(10_000));
    for (key, parameters, payload, code, part) in [
        ("strat", "", "", "unknown_command", "start, stop, status, episode/begin"),
        ("episode/*", "", "", "unknown_command", "episode/begin"),
        ("", "", "", "unknown_command", "status"),
        ("stop", "", "[1]", "not_json", "JSON object"),
        ("stop", "", "{", "not_json", "JSON object"),
        ("stop", "", &deep, "not_json", "recursion"),
        ("stop", "now=1", "", "bad_arguments", "it takes: nothing"),
        ("episode/end", "", r#"{"outcome":"great"}"#, "bad_arguments", "success"),
        ("episode/end", "", r#"{"result":"success"}"#, "bad_arguments", "it takes: outcome, notes"),
        ("episode/end", "", &outcome, "bad_arguments", "xxx…"),
        ("mark", "", "", "bad_arguments", "name"),
        ("mark", "name= ", "", "bad_text", "name is empty"),
        ("mark", "name=a;name=b", "", "bad_arguments", "twice"),
        ("mark", "name=a", r#"{"name":"a"}"#, "bad_arguments", "twice"),
        ("mark", "name=\u{1b}[2J", "", "bad_text", "U+001B"),
        ("episode/discard", "", &note, "bad_text", "at most 4096"),
        ("preflight", "duration=1 h", "", "bad_arguments", "at most 600 s"),
        ("preflight", "duration=soon", "", "bad_arguments", "number"),
        ("stop", "", r#"{"format_version":2}"#, "version", "speaks 1"),
        ("stop", "", r#"{"format_version":"one"}"#, "bad_arguments", "format_version"),
        ("stop", "", &large, "too_large", "65536"),
        ("stop", &large, "", "too_large", "16384"),
    ] {
        let error = parse(key, parameters, payload.as_bytes()).unwrap_err();
        let reply = Reply::refused("edge-1", "r", error.code(), &error);
        let shown = reply.error.unwrap();
        assert_eq!(shown.code, code, "{key}: {}", shown.message);
        assert!(shown.message.contains(part), "{key}: {}", shown.message);
        assert!(shown.message.len() < 1500, "{key}: {}", shown.message);
    }
}

#[test]
fn the_table_of_commands_is_what_parse_accepts() {
    for (name, arguments) in COMMANDS {
        let value = |argument: &&str| match *argument {
            "outcome" => "success",
            "duration" => "1 s",
            _ => "x",
        };
        let parameters: Vec<_> = arguments.iter().map(|a| format!("{a}={}", value(a))).collect();
        assert_eq!(parse(name, &parameters.join(";"), b"").unwrap().name(), name);
        assert!(parse(name, "no_such_argument=1", b"").is_err());
    }
}

#[test]
fn replies_are_stable_json() {
    let done = Reply::done("edge-1", "humanoid", serde_json::json!({"index": 3}));
    assert_eq!(
        String::from_utf8(done.to_bytes()).unwrap(),
        r#"{"format_version":1,"ok":true,"host":"edge-1","recorder":"humanoid","result":{"index":3}}"#
    );
    let grown = r#"{"format_version":1,"ok":true,"host":"h","recorder":"r","result":null,"new":1}"#;
    assert!(serde_json::from_str::<Reply>(grown).unwrap().ok);
}

fn command() -> impl Strategy<Value = Command> {
    let text = "[a-z가-힣 ;=\"\\\\]{1,20}";
    prop_oneof![
        (text, text).prop_map(|(operator, notes)| Command::Start(Start { operator, notes, ..Start::default() })),
        prop::sample::select(vec![Command::Stop, Command::Status, Command::EpisodeRerecord]),
        (text, text, text).prop_map(|(ko, en, consent)| {
            Command::EpisodeBegin(EpisodeInfo { instruction: LocalText { ko, en }, consent, ..EpisodeInfo::default() })
        }),
        (prop::sample::select(vec![Outcome::Unspecified, Outcome::Success, Outcome::Failure]), text)
            .prop_map(|(outcome, notes)| Command::EpisodeEnd { outcome, notes }),
        text.prop_map(|notes| Command::EpisodeDiscard { notes }),
        text.prop_map(|detail| Command::Mark { name: "m".to_owned(), detail }),
        text.prop_map(|detail| Command::Preserve { detail }),
        prop::option::of(0_u64..600).prop_map(|secs| Command::Preflight { duration: secs.map(Span::from_secs) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn commands_read_back_as_they_were_written(command in command()) {
        prop_assert_eq!(parse(command.name(), "", &command.to_payload()).unwrap(), command);
    }

    #[test]
    fn any_bytes_are_a_command_or_an_error(
        key in prop_oneof![prop::sample::select(COMMANDS.map(|(name, _)| name.to_owned()).to_vec()), ".{0,20}"],
        parameters in prop_oneof![".{0,60}", "([a-z_]{0,8}=.{0,8};?){0,4}"],
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "\\{(\"(name|notes|outcome|duration|format_version)\":(\"[^\"]{0,5}\"|-?[0-9]{1,20}|null|\\[\\]),?){0,3}\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let outcome = parse(&key, &parameters, &payload);
        if let Err(error) = outcome {
            prop_assert!(!Reply::refused("h", "r", error.code(), &error).to_bytes().is_empty());
        }
    }

    #[test]
    fn any_key_is_taken_apart_or_refused(key in "(@sagwan|[@a-z*/]{0,6}|/|recorder){0,6}") {
        if let Ok(parts) = ControlKey::parse(&key) {
            prop_assert_eq!(format!("@sagwan/{}/recorder/{}", parts.host, parts.command), key);
        }
    }
}
