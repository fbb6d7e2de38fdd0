//! `sagwan ctl`: asks recorders on the network and prints what each answers.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sagwan_bridges::wire;
use sagwan_recorder::{
    control::{Command, Reply, Start, command_key},
    daemon::patience,
    episode::{EpisodeInfo, Outcome as EpisodeOutcome},
    preflight::{Language, Preflight, Verdict},
    status::Status,
};
use sagwan_schemas::profile::LocalText;
use serde_json::Value;
use zenoh::{
    Session, Wait as _,
    query::{ConsolidationMode, QueryTarget},
};

use crate::{
    args::{CtlArgs, CtlCommand, EpisodeCommand, OutcomeArg},
    output::{self, Outcome},
    units,
};

/// How long recorders may take to be found.
const DISCOVERY: Duration = Duration::from_secs(3);
/// Time between two looks for them.
const DISCOVERY_STEP: Duration = Duration::from_millis(100);
/// After one was found, the others get this long.
const DISCOVERY_MORE: Duration = Duration::from_millis(300);

pub(crate) fn run(args: &CtlArgs) -> anyhow::Result<Outcome> {
    let command = command(&args.command);
    let session = wire::open(&(&args.wire).into())?;
    let host = (args.host != "*").then_some(args.host.as_str());
    let expected = find(&session, host)?;
    let replies = ask(&session, host, &command, patience(&command, args.timeout.0), expected)?;
    session.close().wait().map_err(anyhow::Error::from_boxed).context("the session did not close")?;
    if args.json {
        output::json(&serde_json::json!({ "format_version": 1, "command": command.name(), "replies": replies }));
    } else {
        for reply in &replies {
            output::text(&render(&command, reply));
        }
    }
    if replies.is_empty() {
        let who = host.map_or("no recorder".to_owned(), |host| format!("no recorder called {host:?}"));
        output::note(format!(
            "error: {who} answered\n  check that `sagwan record` runs there, and reach it with --connect tcp/HOST:PORT if this network has no multicast"
        ));
        return Ok(Outcome::Failed);
    }
    if replies.iter().any(|reply| !reply.ok) {
        return Ok(Outcome::Failed);
    }
    let is_no_go = replies.iter().filter_map(preflight_of).any(|preflight| preflight.verdict == Verdict::NoGo);
    Ok(if is_no_go { Outcome::Lossy } else { Outcome::Done })
}

fn command(args: &CtlCommand) -> Command {
    match args {
        CtlCommand::Status => Command::Status,
        CtlCommand::Start { operator, site, notes, consent } => Command::Start(Start {
            operator: operator.clone(),
            site: site.clone(),
            notes: notes.clone(),
            consent: consent.clone(),
        }),
        CtlCommand::Stop => Command::Stop,
        CtlCommand::Episode(EpisodeCommand::Begin { ko, en, operator, site, notes, consent }) => {
            Command::EpisodeBegin(EpisodeInfo {
                instruction: LocalText { ko: ko.clone(), en: en.clone() },
                operator: operator.clone(),
                site: site.clone(),
                notes: notes.clone(),
                consent: consent.clone(),
            })
        }
        CtlCommand::Episode(EpisodeCommand::End { outcome, notes }) => {
            Command::EpisodeEnd { outcome: (*outcome).into(), notes: notes.clone() }
        }
        CtlCommand::Episode(EpisodeCommand::Discard { notes }) => Command::EpisodeDiscard { notes: notes.clone() },
        CtlCommand::Episode(EpisodeCommand::Rerecord) => Command::EpisodeRerecord,
        CtlCommand::Mark { name, detail } => Command::Mark { name: name.clone(), detail: detail.clone() },
        CtlCommand::Preserve { detail } => Command::Preserve { detail: detail.clone() },
        CtlCommand::Preflight { duration } => Command::Preflight { duration: *duration },
    }
}

impl From<OutcomeArg> for EpisodeOutcome {
    fn from(outcome: OutcomeArg) -> Self {
        match outcome {
            OutcomeArg::Success => Self::Success,
            OutcomeArg::Failure => Self::Failure,
            OutcomeArg::Unspecified => Self::Unspecified,
        }
    }
}

/// Waits until recorders announce themselves; gives how many did.
fn find(session: &Session, host: Option<&str>) -> anyhow::Result<usize> {
    let host = host.map_or_else(|| "*".to_owned(), sagwan_recorder::control::host_chunk);
    let key = format!("@sagwan/{host}/live/*");
    let began = Instant::now();
    let mut found = 0;
    loop {
        let replies = session
            .liveliness()
            .get(&key)
            .timeout(DISCOVERY_STEP * 5)
            .wait()
            .map_err(anyhow::Error::from_boxed)
            .context("cannot ask for recorders")?;
        let now = replies.into_iter().filter(|reply| reply.result().is_ok()).count();
        if now > 0 && now == found || began.elapsed() >= DISCOVERY {
            return Ok(now);
        }
        found = now;
        std::thread::sleep(if found > 0 { DISCOVERY_MORE } else { DISCOVERY_STEP });
    }
}

fn ask(
    session: &Session,
    host: Option<&str>,
    command: &Command,
    patience: Duration,
    expected: usize,
) -> anyhow::Result<Vec<Reply>> {
    if expected == 0 {
        return Ok(Vec::new());
    }
    let replies = session
        .get(command_key(host, command.name()))
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .payload(command.to_payload())
        .timeout(patience)
        .wait()
        .map_err(anyhow::Error::from_boxed)
        .context("cannot ask the recorders")?;
    let mut answers = Vec::new();
    for reply in replies {
        match reply.result() {
            Ok(sample) => match serde_json::from_slice(&sample.payload().to_bytes()) {
                Ok(answer) => answers.push(answer),
                Err(error) => tracing::warn!("{} answered something else: {error}", sample.key_expr()),
            },
            Err(error) => tracing::warn!("no answer: {}", String::from_utf8_lossy(&error.payload().to_bytes())),
        }
    }
    answers.sort_by(|a: &Reply, b: &Reply| (&a.host, &a.recorder).cmp(&(&b.host, &b.recorder)));
    Ok(answers)
}

fn preflight_of(reply: &Reply) -> Option<Preflight> {
    serde_json::from_value(reply.result.clone()).ok()
}

fn render(command: &Command, reply: &Reply) -> String {
    let who = format!("{} ({})", reply.host, reply.recorder);
    if !reply.ok {
        let why = reply.error.as_ref().map_or("no reason given", |error| error.message.as_str());
        return format!("{who}: REFUSED: {why}\n");
    }
    match command {
        Command::Status => format!("{who}: {}\n", status(&reply.result)),
        Command::Preflight { .. } => match preflight_of(reply) {
            Some(preflight) => {
                let language = if output::is_korean() { Language::Ko } else { Language::En };
                format!("{who}:\n{}", preflight.render(language))
            }
            None => format!("{who}: done\n"),
        },
        Command::Start(_) => format!("{who}: recording {}\n", text(&reply.result, "recording_id")),
        Command::Stop => format!("{who}: {}\n", stopped(&reply.result)),
        Command::EpisodeBegin(_) | Command::EpisodeRerecord => {
            format!("{who}: episode {} begun\n", reply.result.get("index").and_then(Value::as_u64).unwrap_or(0))
        }
        _ => format!("{who}: done\n"),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("?")
}

fn stopped(result: &Value) -> String {
    let bytes = result.get("bytes").and_then(Value::as_u64).unwrap_or(0);
    let lost = ["transport", "queue", "disk"]
        .iter()
        .filter_map(|cause| result.pointer(&format!("/loss/lost/{cause}")).and_then(Value::as_u64))
        .sum::<u64>();
    let lost = if lost == 0 { "nothing lost".to_owned() } else { format!("{} samples LOST", units::count(lost)) };
    format!("stopped {}, {}, {lost}", text(result, "recording_id"), units::bytes(bytes))
}

fn status(result: &Value) -> String {
    let Ok(status) = serde_json::from_value::<Status>(result.clone()) else {
        return format!("{}, not recording", text(result, "phase"));
    };
    let lost = status.lost.total();
    let mut out = format!(
        "{} {} for {}, {} samples, {}, {}, {}, disk {} free",
        text(result, "phase"),
        status.recording_id,
        units::clock(status.elapsed_seconds),
        units::count(status.received),
        units::bytes(status.bytes),
        units::bytes_per_second(status.bytes_per_second),
        if lost == 0 { "nothing lost".to_owned() } else { format!("{} LOST", units::count(lost)) },
        units::bytes(status.disk.free),
    );
    if let Some(episode) = &status.episode {
        out.push_str(&format!("\n  episode {} {} / {}", episode.index, episode.instruction_ko, episode.instruction_en));
    }
    for alarm in &status.alarms {
        let detail = if output::is_korean() { &alarm.detail_ko } else { &alarm.detail_en };
        out.push_str(&format!("\n  ALARM {} {}: {detail}", alarm.id, alarm.subject));
    }
    out
}
