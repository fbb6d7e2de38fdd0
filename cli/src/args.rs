//! The command line: what every command takes. Its spellings are a promise to scripts.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use sagwan_bridges::wire::WireOptions;
use sagwan_schemas::quantity::{Bytes, Span};
use zenoh::key_expr::OwnedKeyExpr;

mod wire;

#[cfg(test)]
mod tests;

pub(crate) use wire::WireArgs;

/// Records a robot's, car's or ship's streams from zenoh into MCAP, with every loss accounted for.
#[derive(Debug, Parser)]
#[command(name = "sagwan", version, about, after_help = concat!(
    "Examples:\n",
    "  sagwan demo                                     try everything in half a minute\n",
    "  sagwan profile example humanoid > my.toml       start a profile of your own\n",
    "  sagwan record --profile my.toml --preflight     is everything there?\n",
    "  sagwan record --profile my.toml --out data      record\n",
    "  sagwan info data/<recording>                    look at it\n",
    "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 done but with data loss or findings of severity error."
))]
pub(crate) struct Cli {
    /// Say more: -v what happens, -vv everything.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate a humanoid and a vehicle, record both, check the result: the tour
    #[command(after_help = "Examples:\n  sagwan demo\n  sagwan demo --out /data/tour --seconds 30")]
    Demo(DemoArgs),
    /// Publish a simulated platform at real rates
    #[command(after_help = concat!(
        "Examples:\n",
        "  sagwan simulate humanoid\n",
        "  sagwan simulate vehicle --seed 7 --duration 60 --listen tcp/127.0.0.1:7447\n",
        "  sagwan simulate humanoid --fault drop:head_color:0.01 --report truth.jsonl\n",
        "\nFaults:\n",
        "  drop:STREAM:SHARE              a share of the samples is numbered but not sent\n",
        "  corrupt:STREAM:SHARE           a share is sent with bytes that no decoder accepts\n",
        "  stall:STREAM:at=5s,for=2s      the sensor gives nothing for a while\n",
        "  burst:STREAM:at=5s,for=2s      samples are held back, then all come at once\n",
        "  jitter:STREAM:5ms              each sample is late by up to so much\n",
        "  restart:STREAM:at=5s           the publisher begins anew\n",
        "  clock-step:+1h:at=10s          the platform's clock is set",
    ))]
    Simulate(SimulateArgs),
    /// Record streams from the wire
    #[command(after_help = concat!(
        "Examples:\n",
        "  sagwan record --profile robot.toml --out data\n",
        "  sagwan record --profile example:humanoid --out data --connect tcp/192.168.0.10:7447\n",
        "  sagwan record --key 'lab/**' --exclude 'lab/debug/**' --out data --duration 60\n",
        "  sagwan record --profile robot.toml --preflight      go or no-go, records nothing\n",
        "  sagwan record --profile robot.toml --out data --idle --name edge-1   wait for `sagwan ctl start`\n",
        "  sagwan record --profile robot.toml --out data --json | jq .lost      status every second\n",
        "\nCtrl-C finishes cleanly. Exit codes: 0 complete, 1 failed, 2 wrong usage, 3 finished but with losses; ",
        "with --preflight: 0 go, 3 no-go.",
    ))]
    Record(RecordArgs),
    /// Control recorders on this network: start, stop, episodes, marks
    #[command(after_help = concat!(
        "Examples:\n",
        "  sagwan ctl status\n",
        "  sagwan ctl --host edge-1 episode begin --ko '컵을 집어 선반에 놓기' --en 'put the cup on the shelf'\n",
        "  sagwan ctl episode end --outcome success\n",
        "  sagwan ctl --host '*' mark near_miss --detail 'pedestrian from the right'\n",
        "  sagwan ctl --connect tcp/192.168.0.10:7447 stop\n",
        "\nEvery recorder that is addressed answers. Exit code 1 when none did or one refused.",
    ))]
    Ctl(CtlArgs),
    /// Put recordings or any MCAP back on the wire with the original timing
    #[command(after_help = concat!(
        "Examples:\n",
        "  sagwan replay data/<recording>\n",
        "  sagwan replay drive.mcap --rate 2 --topic '/camera/*' --exclude-topic /camera/depth\n",
        "  sagwan replay drive.mcap --rate max --wait 10 --connect tcp/127.0.0.1:7447\n",
        "  sagwan replay drive.mcap --loop --start 30s --end 60s",
    ))]
    Replay(ReplayArgs),
    /// Show a recording or MCAP at a glance, also of 100 GB
    #[command(
        after_help = "Examples:\n  sagwan info data/<recording>\n  sagwan info foreign.mcap\n  sagwan info data/<recording> --json | jq .channels"
    )]
    Info(InfoArgs),
    /// Rescue what is intact in a torn or damaged MCAP, or finish a recording that a crash left open
    #[command(after_help = concat!(
        "Examples:\n",
        "  sagwan recover data/<recording>                 finish it in place\n",
        "  sagwan recover broken.mcap                      writes broken.recovered.mcap\n",
        "  sagwan recover broken.mcap --out good.mcap\n",
        "\nExit code 3 when something was lost.",
    ))]
    Recover(RecoverArgs),
    /// Check that a recording or MCAP is whole and says what is missing
    #[command(
        after_help = "Examples:\n  sagwan check data/<recording>\n  sagwan check foreign.mcap --json | jq '.findings[]'\n\nExit code 3 when there is a finding of severity error."
    )]
    Check(CheckArgs),
    /// Look at profiles: the contract of a platform's streams
    #[command(after_help = concat!(
        "Examples:\n",
        "  sagwan profile example humanoid > my.toml       copy an example to begin with\n",
        "  sagwan profile check my.toml\n",
        "  sagwan profile show my.toml",
    ))]
    Profile(ProfileArgs),
    /// Print the completion script of a shell
    #[command(
        after_help = "Examples:\n  sagwan completions bash > ~/.local/share/bash-completion/completions/sagwan\n  sagwan completions zsh > ~/.zfunc/_sagwan"
    )]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Directory for the recordings
    #[arg(long, default_value = "sagwan-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How long to record
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u64).range(4..=3600))]
    pub(crate) seconds: u64,
    /// Do not open a window at the end
    #[arg(long)]
    pub(crate) no_view: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which platform to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimulatedPlatform {
    /// 29 joints at 500 Hz, two hands, IMU, three cameras
    Humanoid,
    /// Six cameras, lidar, GNSS, vehicle bus
    Vehicle,
    /// GNSS, AIS, heading, rudder, engine, camera
    Vessel,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Which platform
    pub(crate) kind: SimulatedPlatform,
    /// Decides noise, colours, traffic and faults
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// End after so long [e.g. 60, 10min]
    #[arg(long, value_name = "SECS", value_parser = span)]
    pub(crate) duration: Option<Span>,
    /// Its name on the wire [default: that of its example profile]
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Something that is to go wrong, see below; may be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<String>,
    /// Only these streams; may be repeated
    #[arg(long = "stream", value_name = "STREAM")]
    pub(crate) streams: Vec<String>,
    /// Write the truth about what was sent to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print what was sent as JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) wire: WireArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The platform's contract: a file, or example:humanoid, example:vehicle, example:vessel
    #[arg(long, value_name = "P.toml")]
    pub(crate) profile: Option<String>,
    /// Key expression to record; may be repeated [default: the profile's, without one sagwan/v1/**]
    #[arg(long = "key", value_name = "KE", value_parser = key_expression)]
    pub(crate) keys: Vec<OwnedKeyExpr>,
    /// Key expression not to record; may be repeated
    #[arg(long = "exclude", value_name = "KE", value_parser = key_expression)]
    pub(crate) excludes: Vec<OwnedKeyExpr>,
    /// Directory of recordings; each gets its own below it
    #[arg(long, value_name = "DIR", required_unless_present = "preflight")]
    pub(crate) out: Option<PathBuf>,
    /// End after so long [e.g. 60, 10min]
    #[arg(long, value_name = "SECS", value_parser = span)]
    pub(crate) duration: Option<Span>,
    /// Pseudonym of the operator, never a name
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) operator: String,
    /// Where it is recorded
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) site: String,
    /// Reference to the consent or notice record
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) consent: String,
    /// Anything worth keeping
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) notes: String,
    /// Name under which `sagwan ctl --host` finds this recorder [default: the host's name]
    #[arg(long, value_name = "HOST")]
    pub(crate) name: Option<String>,
    /// Start nothing yet, wait for `sagwan ctl start`
    #[arg(long, conflicts_with = "preflight")]
    pub(crate) idle: bool,
    /// Look at the streams for some seconds, say go or no-go, record nothing
    #[arg(long)]
    pub(crate) preflight: bool,
    /// How long the preflight looks
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) preflight_secs: u64,
    /// Status as a line of JSON every second, the summary as the last one
    #[arg(long)]
    pub(crate) json: bool,
    /// Log lines instead of the dashboard
    #[arg(long)]
    pub(crate) no_tui: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    #[command(flatten)]
    pub(crate) wire: WireArgs,
}

/// What the profile's `[recording]` says, from the command line.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Recording policy (wins over the profile)")]
pub(crate) struct PolicyArgs {
    /// Samples that may wait for the disk [e.g. 256MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) queue: Option<Bytes>,
    /// Close a part at this size
    #[arg(long, value_name = "SIZE")]
    pub(crate) part_size: Option<Bytes>,
    /// Close a part at this age
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(crate) part_duration: Option<Span>,
    /// At most this much is lost in a power cut
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(crate) sync_interval: Option<Span>,
    /// End cleanly when less than this is free on the disk
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_free: Option<Bytes>,
    /// Delete the oldest finished recordings beyond this total; preserved ones stay
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<Bytes>,
    /// Keep the last seconds in memory and write them only around triggers and marks
    #[arg(long)]
    pub(crate) ring: bool,
    /// How far back the ring reaches
    #[arg(long, value_name = "TIME", value_parser = span, requires = "ring")]
    pub(crate) ring_duration: Option<Span>,
    /// How many bytes the ring holds
    #[arg(long, value_name = "SIZE", requires = "ring")]
    pub(crate) ring_size: Option<Bytes>,
}

#[derive(Debug, Args)]
pub(crate) struct CtlArgs {
    /// Which recorder, by its name; * is every one
    #[arg(long, default_value = "*", value_name = "NAME", global = true)]
    pub(crate) host: String,
    /// How long to wait for answers
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = span, global = true)]
    pub(crate) timeout: Span,
    /// Print the answers as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
    #[command(flatten)]
    pub(crate) wire: WireArgs,
}

#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum CtlCommand {
    /// How things stand
    #[command(after_help = "Examples:\n  sagwan ctl status\n  sagwan ctl status --json | jq '.replies[].result.lost'")]
    Status,
    /// Start a recording
    #[command(after_help = "Examples:\n  sagwan ctl --host edge-1 start --operator op-07 --site lab-2")]
    Start {
        /// Pseudonym of the operator
        #[arg(long, default_value = "", hide_default_value = true)]
        operator: String,
        /// Site
        #[arg(long, default_value = "", hide_default_value = true)]
        site: String,
        /// Notes
        #[arg(long, default_value = "", hide_default_value = true)]
        notes: String,
        /// Reference to the consent or notice record
        #[arg(long, default_value = "", hide_default_value = true)]
        consent: String,
    },
    /// Stop the recording
    #[command(after_help = "Examples:\n  sagwan ctl --host '*' stop")]
    Stop,
    /// Begin and end episodes
    #[command(subcommand, after_help = concat!(
        "Examples:\n",
        "  sagwan ctl episode begin --ko '컵을 집기' --en 'pick up the cup'\n",
        "  sagwan ctl episode end --outcome success\n",
        "  sagwan ctl episode rerecord",
    ))]
    Episode(EpisodeCommand),
    /// Mark this instant
    #[command(after_help = "Examples:\n  sagwan ctl mark near_miss --detail 'pedestrian from the right'")]
    Mark {
        /// What it is called
        name: String,
        /// More about it
        #[arg(long, default_value = "", hide_default_value = true)]
        detail: String,
    },
    /// Keep the running recording from being deleted by retention
    #[command(after_help = "Examples:\n  sagwan ctl preserve --detail 'wanted by the safety team'")]
    Preserve {
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        detail: String,
    },
    /// Look whether everything that has to be recorded is there
    #[command(after_help = "Examples:\n  sagwan ctl preflight --duration 10s")]
    Preflight {
        /// How long to look
        #[arg(long, value_name = "TIME", value_parser = span)]
        duration: Option<Span>,
    },
}

#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum EpisodeCommand {
    /// Begin an episode
    #[command(after_help = "Examples:\n  sagwan ctl episode begin --ko '컵을 집기' --en 'pick up the cup'")]
    Begin {
        /// Instruction in Korean
        #[arg(long, default_value = "", hide_default_value = true)]
        ko: String,
        /// Instruction in English
        #[arg(long, default_value = "", hide_default_value = true)]
        en: String,
        /// Pseudonym of the operator
        #[arg(long, default_value = "", hide_default_value = true)]
        operator: String,
        /// Site
        #[arg(long, default_value = "", hide_default_value = true)]
        site: String,
        /// Notes
        #[arg(long, default_value = "", hide_default_value = true)]
        notes: String,
        /// Reference to the consent or notice record
        #[arg(long, default_value = "", hide_default_value = true)]
        consent: String,
    },
    /// End the running episode
    #[command(after_help = "Examples:\n  sagwan ctl episode end --outcome failure --notes 'dropped the cup'")]
    End {
        /// How it went
        #[arg(long, value_enum, default_value_t = OutcomeArg::Unspecified)]
        outcome: OutcomeArg,
        /// Notes
        #[arg(long, default_value = "", hide_default_value = true)]
        notes: String,
    },
    /// Take back the running or the last episode
    #[command(after_help = "Examples:\n  sagwan ctl episode discard --notes 'camera was covered'")]
    Discard {
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        notes: String,
    },
    /// Discard the last episode and begin it again
    #[command(after_help = "Examples:\n  sagwan ctl episode rerecord")]
    Rerecord,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeArg {
    /// The task was done
    Success,
    /// It was not
    Failure,
    /// Nobody said
    Unspecified,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Recordings or MCAP files, one after the other
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Seconds of the recording per second, or max for as fast as the network takes it
    #[arg(long, default_value = "1", value_name = "X", value_parser = rate)]
    pub(crate) rate: f64,
    /// Begin again at the end, until stopped
    #[arg(long = "loop")]
    pub(crate) looped: bool,
    /// Topic to send, * stands for any text; may be repeated [default: all but /sagwan/*]
    #[arg(long = "topic", value_name = "T")]
    pub(crate) topics: Vec<String>,
    /// Topic not to send; may be repeated
    #[arg(long = "exclude-topic", value_name = "T")]
    pub(crate) exclude_topics: Vec<String>,
    /// Begin here: time since the first message [e.g. 30s], or a date and time in UTC [2026-01-15T09:30:00Z]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) start: Option<MomentArg>,
    /// End before this, in the same spelling
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) end: Option<MomentArg>,
    /// Platform in the keys: sagwan/v1/<platform>/…
    #[arg(long, default_value = "replay")]
    pub(crate) platform: String,
    /// Wait at most so long for subscribers before the first message; 0 does not wait
    #[arg(long, default_value = "5", value_name = "SECS", value_parser = span)]
    pub(crate) wait: Span,
    /// Print what was sent as JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) wire: WireArgs,
}

/// A time in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MomentArg {
    /// Since the first message.
    Since(Span),
    /// Nanoseconds UTC.
    At(i64),
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A recording, a part or any MCAP
    pub(crate) path: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// A recording, a part or any MCAP
    pub(crate) path: PathBuf,
    /// The file to write [default: NAME.recovered.mcap beside it]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print what was kept and what was lost as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A recording, a part or any MCAP
    pub(crate) path: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    pub(crate) command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Show a profile's streams
    #[command(after_help = "Examples:\n  sagwan profile show example:vehicle\n  sagwan profile show my.toml --json")]
    Show {
        /// A file, or example:NAME
        profile: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a profile and say what is wrong, where, and what would be right
    #[command(after_help = "Examples:\n  sagwan profile check my.toml")]
    Check {
        /// The file
        file: PathBuf,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print an example to copy
    #[command(after_help = "Examples:\n  sagwan profile example humanoid > my.toml")]
    Example {
        /// Which one
        name: SimulatedPlatform,
    },
}

fn span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: sagwan_schemas::quantity::QuantityError| error.to_string())?;
    Ok(span)
}

fn key_expression(text: &str) -> Result<OwnedKeyExpr, String> {
    OwnedKeyExpr::autocanonize(text.to_owned()).map_err(|error| format!("{error}; e.g. robot/camera/** or **/imu"))
}

fn rate(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(0.0);
    }
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number above 0, like 0.5 or 2, or max".to_owned()),
    }
}

fn moment(text: &str) -> Result<MomentArg, String> {
    if text.contains('T') {
        let time: jiff::Timestamp = text.parse().map_err(|error| format!("{error}"))?;
        return i64::try_from(time.as_nanosecond()).map(MomentArg::At).map_err(|_far_away| "out of range".to_owned());
    }
    span(text).map(MomentArg::Since)
}

impl RecordArgs {
    /// How long the preflight looks.
    pub(crate) const fn preflight_duration(&self) -> Duration {
        Duration::from_secs(self.preflight_secs)
    }
}

impl From<&WireArgs> for WireOptions {
    fn from(args: &WireArgs) -> Self {
        Self {
            connect: args.connect.clone(),
            listen: args.listen.clone(),
            zenoh_config: args.zenoh_config.clone(),
            mode: None,
        }
    }
}
