//! `sagwan demo`: simulates a humanoid and a vehicle in processes of their own, records both with two episodes, checks
//! the result, and tells what was captured and what was lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use sagwan_bridges::wire::{self, WireOptions};
use sagwan_datasets::{
    check::{Report, check},
    finding::Severity,
};
use sagwan_recorder::{
    capture::Selection,
    control::Command,
    episode::{EpisodeInfo, Outcome as EpisodeOutcome},
    recorder::{Ended, Options, Recorder},
};
use sagwan_schemas::{profile::LocalText, recording::storage::FileSystem, time::SystemClock};
use zenoh::{Wait as _, key_expr::OwnedKeyExpr};

use crate::{
    args::DemoArgs,
    output::{self, Outcome},
    record::{load_profile, shown_path},
    signal::Stop,
    units,
};

/// The platforms of the demo with the instructions of their two episodes, Korean and English.
const PLATFORMS: [(&str, [(&str, &str); 2]); 2] = [
    (
        "humanoid",
        [("컵을 집어 선반에 놓기", "put the cup on the shelf"), ("블록을 상자에 넣기", "put the block into the box")],
    ),
    ("vehicle", [("교차로에서 우회전", "turn right at the crossing"), ("앞차를 따라가기", "follow the car in front")]),
];
/// How long the simulated platforms may take until they publish.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    let stop = Stop::listen()?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let endpoint = free_endpoint()?;
    let wire = WireOptions { listen: vec![endpoint.clone()], ..WireOptions::default() };
    let session = wire::open(&wire)?;
    output::note(format!("1/4  starting a simulated humanoid and a simulated vehicle on {endpoint}"));
    let simulators = Simulators::start(&endpoint, &stop)?;
    let mut recorders = Vec::new();
    for (name, _) in PLATFORMS {
        let recorder = Recorder::start(&session, &options(args, name)?)?;
        output::note(format!("     recording the {name} to {}", shown_path(recorder.path())));
        recorders.push(recorder);
    }
    wait_for_samples(&recorders, &simulators, &stop)?;
    output::note(format!("2/4  recording for {} s, two episodes each", args.seconds));
    let watched = record_episodes(args, &recorders, &stop);
    output::note("3/4  stopping, and closing the files");
    // In this order: streams that end before their recording would look like stalls.
    let ended: Vec<Result<Ended, _>> = recorders.into_iter().map(|recorder| recorder.stop(None)).collect();
    let platforms = simulators.end();
    let alarms = watched?;
    let ended = ended.into_iter().collect::<Result<Vec<Ended>, _>>()?;
    session.close().wait().map_err(anyhow::Error::from_boxed).context("the session did not close")?;
    platforms?;
    if stop.is_asked() {
        output::note(format!("interrupted; what was recorded until then is in {}", args.out.display()));
    }
    output::note("4/4  checking every byte of it");
    let reports = ended.iter().map(|ended| check(&ended.path)).collect::<Result<Vec<_>, _>>()?;
    let is_good =
        ended.iter().all(Ended::is_complete) && reports.iter().all(|report| report.worst() != Some(Severity::Error));
    tell(args, &ended, &reports, &alarms);
    Ok(match (stop.is_asked(), is_good) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Done,
        (false, false) => Outcome::Lossy,
    })
}

/// A port of the loopback that nobody uses now.
fn free_endpoint() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on the loopback")?;
    let port = listener.local_addr().context("no free port on the loopback")?.port();
    Ok(format!("tcp/127.0.0.1:{port}"))
}

fn options(args: &DemoArgs, name: &str) -> anyhow::Result<Options> {
    let profile = load_profile(&format!("example:{name}"))?;
    let key = format!("sagwan/v1/{}/**", profile.profile.platform);
    let key = OwnedKeyExpr::new(key).map_err(anyhow::Error::from_boxed)?;
    Ok(Options {
        root: args.out.clone(),
        profile,
        selection: Selection { include: vec![key], exclude: Vec::new() },
        operator: "demo".to_owned(),
        site: "demo".to_owned(),
        consent: String::new(),
        notes: "sagwan demo".to_owned(),
        clock: Arc::new(SystemClock::new()),
        storage: Arc::new(FileSystem),
    })
}

/// The simulated platforms; they end with this value.
#[derive(Debug)]
struct Simulators {
    children: Vec<(&'static str, Child)>,
}

impl Simulators {
    fn start(endpoint: &str, stop: &Stop) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut simulators = Self { children: Vec::new() };
        for (name, _) in PLATFORMS {
            if stop.is_asked() {
                bail!("interrupted");
            }
            let mut process = Process::new(&program);
            process.args(["simulate", name, "--json", "--connect", endpoint]);
            process.stdin(Stdio::null()).stdout(Stdio::null());
            // A Ctrl-C is for this process; it ends the others in order.
            std::os::unix::process::CommandExt::process_group(&mut process, 0);
            let child = process.spawn().with_context(|| format!("cannot start `sagwan simulate {name}`"))?;
            simulators.children.push((name, child));
        }
        Ok(simulators)
    }

    /// Asks them to end and waits until they have sent what is queued.
    fn end(mut self) -> anyhow::Result<()> {
        for (_, child) in &self.children {
            terminate(child);
        }
        let began = Instant::now();
        for (name, child) in &mut self.children {
            loop {
                match child.try_wait().with_context(|| format!("cannot wait for `sagwan simulate {name}`"))? {
                    Some(status) if status.success() => break,
                    Some(status) => bail!("`sagwan simulate {name}` failed: {status}"),
                    None if began.elapsed() > PATIENCE => bail!("`sagwan simulate {name}` does not end"),
                    None => thread::sleep(LOOK_INTERVAL),
                }
            }
        }
        Ok(())
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            if matches!(child.try_wait(), Ok(None)) {
                // It may have ended in between.
                let _ = child.kill().and_then(|()| child.wait());
            }
        }
    }
}

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // One that has ended already needs no signal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn wait_for_samples(recorders: &[Recorder], simulators: &Simulators, stop: &Stop) -> anyhow::Result<()> {
    let began = Instant::now();
    let flows = |recorder: &Recorder| {
        let status = recorder.status();
        status.streams.iter().filter(|stream| stream.required).all(|stream| stream.received > 0)
    };
    while !stop.is_asked() && !recorders.iter().all(flows) {
        if began.elapsed() > PATIENCE {
            let names = simulators.children.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" and ");
            bail!("the simulated {names} did not publish within {} s", PATIENCE.as_secs());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// What happens when, as a share of the time.
const SCRIPT: [(f64, Step); 4] = [
    (0.08, Step::Begin(0)),
    (0.48, Step::End(EpisodeOutcome::Success)),
    (0.56, Step::Begin(1)),
    (0.94, Step::End(EpisodeOutcome::Failure)),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(usize),
    End(EpisodeOutcome),
}

/// Alarms that were raised: identifier and what each is about.
type Alarms = BTreeSet<(String, String)>;

fn record_episodes(args: &DemoArgs, recorders: &[Recorder], stop: &Stop) -> anyhow::Result<Alarms> {
    let mut alarms = Alarms::new();
    let bar = output::progress(Some(args.seconds * 10), "     {wide_bar} {msg}");
    let began = Instant::now();
    let mut script = SCRIPT.iter().peekable();
    let total = Duration::from_secs(args.seconds);
    while began.elapsed() < total && !stop.is_asked() {
        let share = began.elapsed().as_secs_f64() / total.as_secs_f64();
        while let Some((_, step)) = script.next_if(|(at, _)| share >= *at) {
            take_step(*step, recorders)?;
        }
        let (bytes, rate) = recorders
            .iter()
            .map(Recorder::status)
            .fold((0, 0.0), |(bytes, rate), status| (bytes + status.bytes, rate + status.bytes_per_second));
        for recorder in recorders {
            let status = recorder.status();
            let about = |subject: &str| format!("{}{subject}", status.platform);
            alarms.extend(status.alarms.iter().map(|alarm| (alarm.id.clone(), about(&alarm.subject))));
        }
        bar.set_position((share * args.seconds as f64 * 10.0) as u64);
        bar.set_message(format!("{}  {}", units::bytes(bytes), units::bytes_per_second(rate)));
        thread::sleep(LOOK_INTERVAL);
    }
    bar.finish_and_clear();
    Ok(alarms)
}

fn take_step(step: Step, recorders: &[Recorder]) -> anyhow::Result<()> {
    for (recorder, (name, instructions)) in recorders.iter().zip(PLATFORMS) {
        let command = match step {
            Step::Begin(index) => {
                let (ko, en) = instructions.get(index).copied().unwrap_or_default();
                output::note(format!("     {name}: episode {}: {ko} / {en}", index + 1));
                let instruction = LocalText { ko: ko.to_owned(), en: en.to_owned() };
                Command::EpisodeBegin(EpisodeInfo { instruction, ..EpisodeInfo::default() })
            }
            Step::End(outcome) => Command::EpisodeEnd { outcome, notes: String::new() },
        };
        recorder.request(command).with_context(|| format!("the {name}'s recording refused an episode"))?;
    }
    Ok(())
}

fn tell(args: &DemoArgs, ended: &[Ended], reports: &[Report], alarms: &Alarms) {
    if args.json {
        let recordings: Vec<_> = ended
            .iter()
            .zip(reports)
            .map(|(ended, report)| {
                serde_json::json!({ "recording": sagwan_recorder::daemon::summary(ended), "check": report })
            })
            .collect();
        output::json(&serde_json::json!({ "format_version": 1, "recordings": recordings, "alarms": alarms }));
        return;
    }
    for (ended, report) in ended.iter().zip(reports) {
        output::text(&render(ended, report));
    }
    if !alarms.is_empty() {
        output::text(&render_alarms(alarms));
    }
    let paths: Vec<PathBuf> = ended.iter().map(|ended| ended.path.clone()).collect();
    let Some(first) = paths.first().map(|path| shown_path(path)) else { return };
    output::text(&format!(
        "\nnext   sagwan info {first}\n       sagwan check {first}\n       sagwan replay {first} --loop\n       sagwan profile example humanoid > my-robot.toml\n       sagwan record --profile my-robot.toml --preflight\n       sagwan record --profile my-robot.toml --out data\n\nThe parts are plain MCAP: open them in Foxglove, Lichtblick or Rerun as well.\n"
    ));
}

fn render(ended: &Ended, report: &Report) -> String {
    let manifest = &ended.manifest;
    let mut rows = vec![["", "stream", "captured", "sent", "lost"].map(str::to_owned).to_vec()];
    for source in &manifest.loss.sources {
        let lost = source.lost.total();
        rows.push(vec![
            String::new(),
            source.topic.clone(),
            units::count(source.recorded),
            units::count(source.sent),
            if lost == 0 { "-".to_owned() } else { units::count(lost) },
        ]);
    }
    let lost = match manifest.loss.lost.total() {
        0 => "nothing lost".to_owned(),
        n => format!("{} samples LOST", units::count(n)),
    };
    let of = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let findings = format!("{} errors, {} warnings", of(Severity::Error), of(Severity::Warning));
    let mut out = format!("\n{}\n{}", manifest.recording_id, units::table(&rows, &[2, 3, 4]));
    for episode in &manifest.episodes {
        out.push_str(&format!(
            "  episode {}: {} / {}: {}\n",
            episode.index, episode.instruction_ko, episode.instruction_en, episode.outcome
        ));
    }
    for part in &manifest.parts {
        let path = shown_path(&ended.path.join("parts").join(&part.file));
        out.push_str(&format!("  {path}  {}\n", units::bytes(part.bytes)));
    }
    out.push_str(&format!("  {} samples, {lost}; check: {findings}\n", units::count(manifest.loss.recorded)));
    for finding in report.findings.iter().filter(|finding| finding.severity != Severity::Info) {
        out.push_str(&format!("  {finding}\n"));
    }
    out
}

/// A simulator that cannot keep its rates says something about this machine, not about the recording.
fn render_alarms(alarms: &Alarms) -> String {
    let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, _) in alarms {
        *by_id.entry(id).or_default() += 1;
    }
    let counted: Vec<String> = by_id.iter().map(|(id, count)| format!("{id} × {count}")).collect();
    let mut out = format!("\nalarms while recording: {}\n", counted.join(", "));
    out.push_str(
        "  the simulated platforms did not keep their rates on this machine; nothing of what they sent is missing\n",
    );
    if cfg!(debug_assertions) {
        out.push_str("  this is a build for debugging: `cargo run --release -- demo` has room to spare\n");
    }
    out
}
