//! What the command line accepts, and that every command explains itself.

use clap::{CommandFactory as _, Parser as _};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn spellings_that_scripts_rely_on_are_accepted() {
    for line in [
        "sagwan record --profile p.toml --key a/** --key b --exclude a/c --out d --duration 60",
        "sagwan record --out d",
        "sagwan record --preflight",
        "sagwan record --profile example:humanoid --out d --idle --name edge-1 --json --no-tui",
        "sagwan record --out d --queue 64MiB --part-size 1GiB --part-duration 10min --sync-interval 500ms --min-free 2GB",
        "sagwan record --out d --ring --ring-duration 10s --ring-size 100MB --quota 1TB",
        "sagwan record --out d --connect tcp/1.2.3.4:7447 --listen tcp/0.0.0.0:0 --zenoh-config z.json5",
        "sagwan replay p --rate 0.5 --loop --topic /a --topic /b --exclude-topic /c --platform x --wait 3",
        "sagwan replay p q --rate max --start 10s --end 2026-01-15T09:30:00Z",
        "sagwan info p --json",
        "sagwan recover p --out q --json",
        "sagwan check p --json",
        "sagwan simulate vessel --seed 3 --duration 5 --platform x --fault drop:imu:0.1 --report r.jsonl",
        "sagwan demo --out d --no-view --seconds 20",
        "sagwan ctl --host * status",
        "sagwan ctl episode begin --ko k --en e --connect tcp/1.2.3.4:7447 --json",
        "sagwan ctl --json episode end --outcome success",
        "sagwan ctl mark near_miss --detail x",
        "sagwan ctl preflight --duration 3",
        "sagwan profile example humanoid",
        "sagwan profile check p.toml --json",
        "sagwan completions bash",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).err().map(|e| e.to_string()).unwrap_or_default());
    }
}

#[test]
fn wrong_usage_is_refused_with_exit_code_2() {
    for line in [
        "sagwan",
        "sagwan recrod",
        "sagwan record",
        "sagwan record --out d --queue lots",
        "sagwan record --out d --key a//b",
        "sagwan record --out d --duration -1",
        "sagwan record --out d --ring-size 1MB",
        "sagwan record --out d --preflight --idle",
        "sagwan replay",
        "sagwan replay p --rate 0",
        "sagwan replay p --rate fast",
        "sagwan replay p --start 2026-01-15T25:30:00Z",
        "sagwan simulate submarine",
        "sagwan ctl",
        "sagwan ctl episode end --outcome great",
        "sagwan demo --seconds 1",
    ] {
        assert_eq!(parse(line).err().map(|error| error.exit_code()), Some(2), "{line}");
    }
}

#[test]
fn every_command_has_examples_in_its_help() {
    fn visit(command: &mut clap::Command, path: &str) {
        if command.get_name() == "help" {
            return;
        }
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:"), "`{path} --help` has no examples:\n{help}");
        for child in command.get_subcommands_mut() {
            let path = format!("{path} {}", child.get_name());
            visit(child, &path);
        }
    }
    visit(&mut Cli::command(), "sagwan");
}

#[test]
fn values_are_read_as_meant() {
    assert_eq!(rate("max"), Ok(0.0));
    assert_eq!(moment("1.5s"), Ok(MomentArg::Since(Span(Duration::from_millis(1500)))));
    assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(MomentArg::At(1_000_000_000)));
}
