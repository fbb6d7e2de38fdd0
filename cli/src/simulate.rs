//! `sagwan simulate`: publishes a simulated platform until its time is over or somebody stops it.

use sagwan_bridges::{
    simulate::{self, Fault, Kind, Options, Report},
    wire,
};
use zenoh::Wait as _;

use crate::{
    args::{SimulateArgs, SimulatedPlatform},
    output::{self, Outcome},
    signal::Stop,
    units,
};

impl From<SimulatedPlatform> for Kind {
    fn from(platform: SimulatedPlatform) -> Self {
        match platform {
            SimulatedPlatform::Humanoid => Self::Humanoid,
            SimulatedPlatform::Vehicle => Self::Vehicle,
            SimulatedPlatform::Vessel => Self::Vessel,
        }
    }
}

pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<Outcome> {
    let kind = Kind::from(args.kind);
    let mut options = Options::new(kind);
    options.seed = args.seed;
    options.duration = args.duration.map(|span| span.0);
    options.faults = args.faults.iter().map(|fault| fault.parse::<Fault>()).collect::<Result<_, _>>()?;
    options.streams.clone_from(&args.streams);
    options.report.clone_from(&args.report);
    if let Some(platform) = &args.platform {
        options.platform.clone_from(platform);
    }
    let stop = Stop::listen()?;
    let session = wire::open(&(&args.wire).into())?;
    if !args.json {
        let until = args.duration.map_or_else(|| "until Ctrl-C".to_owned(), |span| format!("for {span}"));
        output::note(format!("publishing the {kind} on sagwan/v1/{}/** {until}", options.platform));
    }
    let report = simulate::run(&session, &options, stop.flag());
    // What is queued gets out.
    if let Err(error) = session.close().wait() {
        tracing::debug!("the session did not close: {error}");
    }
    tell(args, &report?);
    Ok(Outcome::Done)
}

fn tell(args: &SimulateArgs, report: &Report) {
    let dropped: u64 =
        report.streams.iter().flat_map(|stream| &stream.instances).map(|instance| instance.dropped).sum();
    if args.json {
        let streams: Vec<_> = report
            .streams
            .iter()
            .map(|stream| {
                serde_json::json!({
                    "stream": stream.stream, "key": stream.key, "sent": stream.sent(), "late": stream.late,
                    "stalled": stream.stalled,
                    "dropped": stream.instances.iter().map(|instance| instance.dropped).sum::<u64>(),
                    "bytes": stream.instances.iter().map(|instance| instance.bytes).sum::<u64>(),
                })
            })
            .collect();
        output::json_line(&serde_json::json!({
            "format_version": 1, "platform": report.platform, "seed": report.seed,
            "sent": report.sent(), "dropped": dropped, "streams": streams,
        }));
        return;
    }
    let bytes: u64 = report.streams.iter().flat_map(|stream| &stream.instances).map(|instance| instance.bytes).sum();
    let late: u64 = report.streams.iter().map(|stream| stream.late).sum();
    output::note(format!(
        "sent {} samples, {} on {} streams; {} dropped on purpose, {} late",
        units::count(report.sent()),
        units::bytes(bytes),
        report.streams.len(),
        units::count(dropped),
        units::count(late)
    ));
}
