//! `sagwan profile`: shows, checks and copies profiles.

use std::fmt::Write as _;

use sagwan_schemas::profile::{LoadProfileError, LoadedProfile, Problem, Severity, example};

use crate::{
    args::{ProfileArgs, ProfileCommand},
    output::{self, Outcome},
    record::load_profile,
    units,
};

pub(crate) fn run(args: &ProfileArgs) -> anyhow::Result<Outcome> {
    match &args.command {
        ProfileCommand::Show { profile, json } => {
            let loaded = load_profile(profile)?;
            if *json {
                output::json(&serde_json::json!({
                    "format_version": 1, "sha256": loaded.sha256, "profile": loaded.profile,
                }));
            } else {
                output::text(&render(&loaded));
            }
            Ok(Outcome::Done)
        }
        ProfileCommand::Check { file, json } => {
            let (problems, more, is_valid) = match LoadedProfile::load(file) {
                Ok(loaded) => (loaded.warnings, 0, true),
                Err(LoadProfileError::Invalid(errors)) => (errors.problems, errors.more, false),
                Err(other) => return Err(other.into()),
            };
            tell_check(&file.display().to_string(), &problems, more, is_valid, *json);
            Ok(if is_valid { Outcome::Done } else { Outcome::Lossy })
        }
        ProfileCommand::Example { name } => {
            let name = sagwan_bridges::simulate::Kind::from(*name).name();
            output::text(example(name).unwrap_or_default());
            Ok(Outcome::Done)
        }
    }
}

fn tell_check(file: &str, problems: &[Problem], more: usize, is_valid: bool, json: bool) {
    if json {
        let findings: Vec<_> = problems
            .iter()
            .map(|problem| {
                serde_json::json!({
                    "severity": severity(problem), "line": problem.line, "column": problem.column,
                    "message": problem.message, "help": problem.help,
                })
            })
            .collect();
        output::json(&serde_json::json!({
            "format_version": 1, "file": file, "valid": is_valid, "findings": findings, "more": more,
        }));
        return;
    }
    for problem in problems {
        output::line(problem.to_string());
    }
    if more > 0 {
        output::line(format!("and {more} more"));
    }
    output::line(if is_valid { format!("{file}: this is a good profile") } else { format!("{file}: not usable") });
}

fn render(loaded: &LoadedProfile) -> String {
    let profile = &loaded.profile;
    let mut rows = vec![["stream", "modality", "schema", "rate", "", "class", "key"].map(str::to_owned).to_vec()];
    for stream in &profile.streams {
        let flags = match (stream.required, stream.record) {
            (_, false) => "not recorded",
            (true, true) => "required",
            (false, true) => "",
        };
        rows.push(vec![
            stream.name.clone(),
            word(&stream.modality),
            stream.schema.clone(),
            stream.rate_hz.map_or_else(|| "-".to_owned(), |rate| format!("{} Hz", units::hertz(rate))),
            flags.to_owned(),
            word(&stream.class),
            stream.key(&profile.platform),
        ]);
    }
    let mut out =
        format!("{}  {} / {}  sha256 {}\n\n", profile.platform, profile.name.ko, profile.name.en, loaded.sha256);
    out.push_str(&units::table(&rows, &[3]));
    for group in &profile.sync_groups {
        let _ = writeln!(out, "\nsync group {}: capture times within {}", group.name, group.tolerance);
    }
    for trigger in &profile.triggers {
        let _ = writeln!(out, "trigger {}: {}", trigger.name, trigger.when);
    }
    out
}

/// A word as the profile spells it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

const fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
