//! Claims about profiles as a whole; what a single module claims is tested there.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, fs};

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::profile::examples::{ALL, HUMANOID, VEHICLE, VESSEL};

/// The humanoid example with its commented attachment switched on.
fn humanoid_with_attachment() -> String {
    let (text, attachment) = HUMANOID.split_once("# [[attachment]]").unwrap();
    format!("{text}[[attachment]]{}", attachment.replace("\n# ", "\n"))
}

fn collect_fields(table: &toml::Table, name: &str, fields: &mut BTreeSet<String>) {
    for (key, value) in table {
        fields.insert(format!("{name}.{key}"));
        match value {
            toml::Value::Table(inner) => collect_fields(inner, key, fields),
            toml::Value::Array(items) => {
                items.iter().filter_map(toml::Value::as_table).for_each(|item| collect_fields(item, key, fields));
            }
            _ => {}
        }
    }
}

#[test]
fn examples_are_profiles_without_warnings() {
    for (name, text) in ALL {
        let loaded = LoadedProfile::parse(text, name).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.warnings, [], "{name}");
        assert_eq!(loaded.profile.platform, format!("{name}-sim"));
        assert_eq!(toml::from_str::<Profile>(text).unwrap(), loaded.profile, "{name}: serde reads the same");
        assert_eq!(example(name), Some(text));
    }
    assert_eq!(example("vessel.toml"), Some(VESSEL));
    assert_eq!(example("spaceship"), None);
}

#[test]
fn every_name_in_the_examples_is_korean_and_english() {
    for (name, text) in ALL {
        let profile = Profile::parse(text, name).unwrap();
        let titles = profile.streams.iter().map(|stream| &stream.title);
        let titles = titles.chain(profile.triggers.iter().map(|trigger| &trigger.title)).chain([&profile.name]);
        for title in titles {
            assert!(!title.en.is_empty() && title.en.is_ascii(), "{title:?}");
            assert!(title.ko.chars().any(|c| ('가'..='힣').contains(&c)), "{title:?}");
        }
    }
}

#[test]
fn the_humanoid_example_shows_every_field() {
    let text = humanoid_with_attachment();
    let profile = Profile::parse(&text, "humanoid").unwrap_or_else(|errors| panic!("{errors}"));
    let mut shown = BTreeSet::new();
    collect_fields(&text.parse().unwrap(), "", &mut shown);
    // What is written out has every key that is not absent by default; those are all shown.
    let mut every = BTreeSet::new();
    collect_fields(&toml::to_string(&profile).unwrap().parse().unwrap(), "", &mut every);
    assert_eq!(shown, every);
}

/// A small right profile; the tables below break it.
const GOOD: &str = "\
version = 1
platform = 'p'
kind = 'other'
[recording]
queue = '8 MiB'
[[stream]]
name = 'a'
modality = 'imu'
rate_hz = 10
sync_group = 'g'
frame = 'base'
[[stream]]
name = 'b'
modality = 'compressed_image'
rate_hz = 10
sync_group = 'g'
role = 'observation.images.x'
[[sync_group]]
name = 'g'
tolerance = '10 ms'
[[frame]]
name = 'base'
[[frame]]
name = 'top'
parent = 'base'
[[trigger]]
name = 't'
when = 'a.x > 1'
[[attachment]]
name = 'u'
path = 'u.urdf'
";

/// Replaces `from` in the good profile by `to`; each problem found as `line:column: severity: message`.
fn problems_after(from: &str, to: &str) -> Vec<String> {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must stand once in the good profile");
    let problems = match LoadedProfile::parse(&GOOD.replacen(from, to, 1), "f") {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.problems,
    };
    let head = |problem: Problem| problem.to_string().lines().next().unwrap().trim_start_matches("f:").to_owned();
    problems.into_iter().map(head).collect()
}

#[test]
fn a_problem_is_found_where_it_stands() {
    assert_eq!(LoadedProfile::parse(GOOD, "good").map(|loaded| loaded.warnings), Ok(vec![]));
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        // syntax
        ("version = 1", "version = ", "1:11: error: string values must be quoted, expected literal string"),
        ("[recording]", "[recording", "4:11: error: unclosed table, expected `]`"),
        ("kind = 'other'", "platform = 'q'", "3:1: error: duplicate key"),
        // keys and types
        ("queue = '8 MiB'", "quue = '8 MiB'", "5:1: error: unknown key `quue`"),
        ("kind = 'other'", "", "1:1: error: missing key `kind`"),
        ("name = 'a'\n", "", "6:1: error: missing key `name`"),
        (
            "kind = 'other'",
            "kind = 'humanoi'",
            "3:8: error: unknown value `humanoi`, expected one of `humanoid`, `vehicle`, `vessel`, `other`",
        ),
        ("'imu'", "5", "8:12: error: this must be a word in quotes"),
        ("'8 MiB'", "'8 Mib'", "5:9: error: unknown unit \"Mib\"; use one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB"),
        ("'8 MiB'", "8", "5:9: error: invalid type: integer `8`, expected text in quotes"),
        ("version = 1", "version = '1'", "1:11: error: invalid type: string \"1\", expected a whole number, 0 or more"),
        ("[[attachment]]", "[attachment]", "29:1: error: expected a list of tables, found table"),
        ("[recording]\nqueue = '8 MiB'", "recording = 5", "4:13: error: expected a table, found integer"),
        ("platform = 'p'", "platform = 'p'\nname = { kr = '' }", "3:10: error: unknown key `kr`"),
        // the whole
        ("version = 1", "version = 2", "1:11: error: profile version 2 is not known"),
        ("platform = 'p'", "platform = 'P 1'", "2:12: error: \"P 1\" is not a platform identifier"),
        ("'8 MiB'", "'8 KiB'", "5:9: error: queue is 8 KiB, less than 1 MiB"),
        (
            "queue = '8 MiB'",
            "part_size = '1 MiB'\nchunk_size = '2 MiB'",
            "6:14: error: a chunk of 2 MiB does not fit a part of 1 MiB",
        ),
        ("queue = '8 MiB'", "chunk_duration = '0 s'", "5:18: error: chunk_duration is 0"),
        (
            "queue = '8 MiB'",
            "chunk_duration = '20 min'\n#",
            "5:18: error: a chunk of 20 min does not fit a part of 10 min",
        ),
        ("queue = '8 MiB'", "chunk_duration = '5 s'", "5:18: warning: a power cut loses up to 5 s of slow streams"),
        ("queue = '8 MiB'", "quota = '5 MiB'", "5:9: warning: a quota of 5 MiB is less than one part of 4 GiB"),
        (
            "queue = '8 MiB'",
            "mode = 'ring'\nring_duration = '5 s'",
            "27:1: warning: the ring reaches 5 s back, not 10 s",
        ),
        ("queue = '8 MiB'", "mode = 'ring'\nring_size = '5 B'", "6:13: error: ring_size is 5 B, less than 1 MiB"),
        // streams
        ("name = 'a'", "name = 'A'", "7:8: error: \"A\" is not a stream name"),
        ("name = 'a'", "name = 'a//b'", "7:8: error: \"a//b\" is not a stream name"),
        ("name = 'b'", "name = 'a'", "13:8: error: stream \"a\" exists already, in line 7"),
        ("name = 'a'", "name = 'sagwan/x'", "7:8: error: the name `sagwan` belongs to the recorder's own channels"),
        (
            "name = 'a'",
            "name = 'a'\nkey = '/x'",
            "8:7: error: the key expression \"/x\" has an empty part: it may not be empty, begin or end with `/`, or hold `//`",
        ),
        ("name = 'a'", "name = 'a'\nkey = 'x/{robot}'", "8:7: error: unknown placeholder at \"{robot}\""),
        (
            "name = 'a'",
            "name = 'a'\nkey = 'sagwan/v1/{platform}/b'",
            "14:8: error: stream \"a\" has the key \"sagwan/v1/p/b\" too",
        ),
        (
            "rate_hz = 10\nsync_group = 'g'\nframe",
            "rate_hz = -1\nsync_group = 'g'\nframe",
            "9:11: error: the rate is -1 Hz",
        ),
        (
            "rate_hz = 10\nsync_group = 'g'\nframe",
            "rate_hz = nan\nsync_group = 'g'\nframe",
            "9:11: error: the rate is NaN Hz",
        ),
        ("name = 'a'", "name = 'a'\nrate_tolerance = 0", "8:18: error: the rate tolerance is 0"),
        ("name = 'a'", "name = 'a'\nstall_after = '0 s'", "8:15: error: stall_after is 0"),
        (
            "name = 'a'",
            "name = 'a'\nstall_after = '10 ms'",
            "8:15: warning: stall_after is shorter than a period at 10 Hz",
        ),
        ("name = 'a'", "name = 'a'\nrole = 'image'", "8:8: error: \"image\" is not a role"),
        (
            "name = 'a'\nmodality = 'imu'",
            "name = 'a'\nmodality = 'raw_image'\nrole = 'observation.images.x'",
            "18:8: error: stream \"a\" is the camera \"x\" already",
        ),
        (
            "name = 'a'",
            "name = 'a'\nrole = 'observation.images.y'",
            "8:8: warning: an image role for a stream whose modality is no image",
        ),
        (
            "name = 'a'",
            "name = 'a'\nschema = 'Imu'",
            "8:10: error: schema \"Imu\" is not known, nor the full name of another",
        ),
        (
            "name = 'a'",
            "name = 'a'\nschema = 'foxglove.Log'",
            "8:10: warning: schema \"foxglove.Log\" is not one of the stream's modality",
        ),
        ("name = 'a'", "name = 'a'\nschema = 'sagwan.Clok'", "8:10: error: schema \"sagwan.Clok\" is not known"),
        ("frame = 'base'", "frame = 'bas'", "11:9: error: frame \"bas\" does not exist"),
        ("sync_group = 'g'\nrole", "sync_group = 'gg'\nrole", "16:14: error: sync group \"gg\" does not exist"),
        (
            "name = 'a'",
            "name = 'a'\nrequired = true\nrecord = false",
            "9:10: error: the stream is required, but not recorded",
        ),
        ("name = 'a'", "name = 'a'\nlatched = true", "10:11: warning: a latched stream with a rate"),
        ("name = 'b'", "name = 'b'\ncompression = 'lz4'", "14:15: warning: the payload is compressed already"),
        // groups, frames, triggers, attachments
        ("'10 ms'", "'0 s'", "20:13: error: the tolerance is 0"),
        ("'10 ms'", "'60 ms'", "20:13: warning: 60 ms is more than half a period at 10 Hz"),
        ("parent = 'base'", "parent = 'bse'", "25:10: error: frame \"bse\" does not exist"),
        ("name = 'base'", "name = 'base'\nparent = 'top'", "23:10: error: frame \"base\" is its own ancestor"),
        ("name = 'top'", "name = 'base'", "24:8: error: frame \"base\" exists already, in line 22"),
        ("parent = 'base'", "rotation = [0, 0, 0, 2]", "25:12: error: the rotation has length 2.0000, not 1"),
        ("parent = 'base'", "rotation = [0, 0, 0, nan]", "25:12: error: the rotation has length NaN, not 1"),
        ("parent = 'base'", "translation = [0, 0, 0, 2]", "25:15: error: translation has 4 numbers, not 3"),
        ("parent = 'base'", "translation = [0, inf, 0]", "25:15: error: the translation is not finite"),
        ("name = 't'\n", "name = 'T'\n", "27:8: error: \"T\" is not a trigger name"),
        ("when = 'a.x > 1'", "when = ' '", "28:8: error: the trigger has no condition"),
        ("'u.urdf'", "'../u.urdf'", "31:8: error: \"../u.urdf\" does not lie beside the profile or below it"),
        ("'u.urdf'", "'/etc/passwd'", "31:8: error: \"/etc/passwd\" does not lie beside the profile or below it"),
    ] {
        let found = problems_after(from, to);
        if !found.iter().any(|line| line == expected) {
            wrong.push(format!("{to}\nexpected {expected}\n   found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_group_needs_two_members_with_a_rate() {
    let found = problems_after("rate_hz = 10\nsync_group = 'g'\nframe", "sync_group = 'g'\nframe");
    assert_eq!(found, ["18:8: error: sync group \"g\" has 1 streams with a rate"]);
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_text() {
    let broken = GOOD
        .replace("version = 1", "version = 3")
        .replace("rate_hz = 10", "rate_hz = 0")
        .replace("when = 'a.x > 1'", "when = ''")
        .replace("u.urdf", "..");
    let errors = Profile::parse(&broken, "f").unwrap_err();
    let lines: Vec<usize> = errors.errors().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 9, 15, 28, 31]);

    let broken =
        GOOD.replace("rate_hz = 10", "rate = 10").replace("kind = 'other'", "kind = 'x'").replace("'8 MiB'", "8");
    let errors = Profile::parse(&broken, "f").unwrap_err();
    let lines: Vec<usize> = errors.errors().map(|problem| problem.line).collect();
    assert_eq!(lines, [3, 5, 9, 15], "also those that serde alone would stop at");
}

#[test]
fn a_missing_key_is_reported_once() {
    let errors = Profile::parse("[name]\nko = 'x'\n", "f").unwrap_err();
    assert_eq!(errors.problems.len(), 1, "{errors}");
    let errors = Profile::parse(&GOOD.replace("kind = 'other'", "kind = 'x'"), "f").unwrap_err();
    assert_eq!(errors.problems.len(), 1, "a wrong value is not missing: {errors}");
}

#[test]
fn errors_are_shown_as_compilers_do() {
    let text = "version = 1\nplatform = 'p'\nkind = 'humanoi'\nname = { ko = '이름', ne = 'x' }\n[[streams]]\n";
    insta::assert_snapshot!(Profile::parse(text, "my.toml").unwrap_err(), @r"
    my.toml:3:8: error: unknown value `humanoi`, expected one of `humanoid`, `vehicle`, `vessel`, `other`
      3 | kind = 'humanoi'
        |        ^^^^^^^^^
        = help: did you mean `humanoid`?

    my.toml:4:21: error: unknown key `ne`
      4 | name = { ko = '이름', ne = 'x' }
        |                       ^^
        = help: known here: ko, en

    my.toml:5:3: error: unknown key `streams`
      5 | [[streams]]
        |   ^^^^^^^
        = help: did you mean `stream`?
    ");
}

#[test]
fn a_flood_of_errors_is_counted_not_kept() {
    let text = format!("{GOOD}{}", "[[frame]]\nname = '?'\n".repeat(5000));
    let errors = Profile::parse(&text, "f").unwrap_err();
    assert_eq!((errors.problems.len(), errors.more), (100, 4900));
}

#[test]
fn hostile_texts_are_refused() {
    for text in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        "a.".repeat(100_000),
        "x = 1\n".repeat(5_000),
        (0..5_000).map(|i| format!("k{i} = 1\n")).collect(),
        (0..1_000).map(|i| format!("[[frame]]\nname = 'f{i}'\nparent = 'g{i}'\n")).collect(),
        format!("{GOOD}{}", "[[frame]]\nname = 'f'\nparent = 'f'\n".repeat(1_000)),
        " ".repeat(5 << 20),
    ] {
        let errors = Profile::parse(&text, "f").unwrap_err();
        assert!(!errors.problems.is_empty() && errors.problems.len() <= 200);
        errors.problems.iter().for_each(|problem| assert_inside(&text, problem));
    }
}

#[test]
fn keys_lead_to_their_streams() {
    let text = GOOD.replace("name = 'b'", "name = 'b'\nkey = '{platform}/cam/*/{stream}'");
    let profile = Profile::parse(&text, "f").unwrap();
    let name = |key| profile.stream_for_key(key).map(|stream| stream.name.as_str());
    assert_eq!(name("sagwan/v1/p/a"), Some("a"));
    assert_eq!(name("p/cam/front/b"), Some("b"));
    assert_eq!(name("p/cam/front/c"), None);
}

#[test]
fn a_stream_stalls_after_five_periods_or_half_a_second() {
    let profile = Profile::parse(HUMANOID, "humanoid").unwrap();
    let stall = |name| profile.stream(name).and_then(Stream::stall_after).map(Span::nanos);
    assert_eq!(stall("imu"), Some(500_000_000));
    assert_eq!(stall("battery"), Some(5_000_000_000));
    assert_eq!(stall("tf_static"), None);
    let vessel = Profile::parse(VESSEL, "vessel").unwrap();
    assert_eq!(vessel.stream("ais").and_then(Stream::stall_after), Some(Span::from_secs(30)));
}

#[test]
fn a_file_is_kept_as_it_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    fs::write(&path, GOOD).unwrap();
    let loaded = Profile::load(&path).unwrap();
    assert_eq!((loaded.text.as_str(), loaded.base_dir.as_path()), (GOOD, dir.path()));
    assert_eq!(loaded.sha256.len(), 64);

    fs::write(&path, b"version = 1\nname = \"\xff\"").unwrap();
    assert!(Profile::load(&path).unwrap_err().to_string().contains("p.toml:2:9: this is not UTF-8"));
    assert!(matches!(Profile::load(dir.path().join("none")), Err(LoadProfileError::Read { .. })));
}

#[test]
fn the_implicit_profile_is_a_profile() {
    let loaded = LoadedProfile::schemaless("robot-7");
    assert_eq!(LoadedProfile::parse(&loaded.text, "implicit").unwrap().profile, loaded.profile);
    assert_eq!(loaded.profile.stream_for_key("any/key"), None);
}

/// A change of some bytes of a text, which stays text.
#[derive(Clone, Debug)]
enum Change {
    Delete(Index, usize),
    Insert(Index, String),
    Replace(Index, u8),
}

/// What is inserted: what TOML, keys and terminals treat as special.
const PIECES: &[&str] =
    &["[", "]", "[[stream]]", "=", "\"", "\n", "{", "}", "-1", "nan", "'", "관", "\r", "\u{1b}", "**", "é\u{301}"];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), 1..200_usize).prop_map(|(at, count)| Change::Delete(at, count)),
        (any::<Index>(), proptest::sample::select(PIECES)).prop_map(|(at, t)| Change::Insert(at, t.to_owned())),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for change in changes {
        match change {
            Change::Delete(at, count) if !bytes.is_empty() => {
                let start = at.index(bytes.len());
                bytes.drain(start..bytes.len().min(start + count));
            }
            Change::Insert(at, piece) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, piece.bytes());
            }
            Change::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            _ => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn assert_inside(text: &str, problem: &Problem) {
    let line = text.split('\n').nth(problem.line - 1).unwrap_or_else(|| panic!("no such line: {problem}"));
    assert!(problem.column <= line.chars().count() + 1, "beyond its line: {problem}");
    assert!(problem.line >= 1 && problem.column >= 1 && !problem.message.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_change_of_an_example_makes_the_parser_panic(
        example in proptest::sample::select(vec![HUMANOID, VEHICLE, VESSEL, GOOD]),
        changes in proptest::collection::vec(change(), 1..6),
    ) {
        let text = changed(example, &changes);
        match LoadedProfile::parse(&text, "f") {
            Ok(loaded) => loaded.warnings.iter().for_each(|problem| assert_inside(&text, problem)),
            Err(errors) => {
                prop_assert!(errors.errors().count() > 0);
                errors.problems.iter().for_each(|problem| assert_inside(&text, problem));
                prop_assert!(!errors.to_string().is_empty());
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}|[\\[\\]={}'\"a-z0-9.,\\n-]{0,200}") {
        if let Err(errors) = LoadedProfile::parse(&text, "f") {
            errors.problems.iter().for_each(|problem| assert_inside(&text, problem));
        }
    }
}
