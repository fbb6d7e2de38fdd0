//! `sagwan replay`: puts recordings back on the wire.

use std::path::Path;

use anyhow::Context as _;
use sagwan_bridges::{
    replay::{Progress, ReplayOptions, ReplayReport, replay},
    wire,
};
use sagwan_schemas::{recording::overview, time::Timestamp};
use zenoh::Wait as _;

use crate::{
    args::{MomentArg, ReplayArgs},
    output::{self, Outcome},
    signal::Stop,
    units,
};

pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let options = options(args)?;
    let stop = Stop::listen()?;
    let session = wire::open(&(&args.wire).into())?;
    let mut bar = None;
    let mut show = |progress: Progress| {
        let total = progress.total_messages.filter(|_| !args.looped);
        let bar = bar.get_or_insert_with(|| output::progress(total, TEMPLATE));
        bar.set_position(progress.messages);
        let rate = progress.bytes as f64 / progress.elapsed.as_secs_f64().max(0.001);
        bar.set_message(format!("{}  {}", units::bytes(progress.bytes), units::bytes_per_second(rate)));
    };
    if !args.json && args.wait.0.as_secs() > 0 {
        output::note(format!("waiting up to {} for subscribers of sagwan/v1/{}/**", args.wait, args.platform));
    }
    let report = replay(&session, &args.paths, &options, stop.flag(), &mut show);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    // What is queued gets out.
    if let Err(error) = session.close().wait() {
        tracing::debug!("the session did not close: {error}");
    }
    let report = report?;
    tell(args, &report);
    Ok(if report.damage.is_empty() { Outcome::Done } else { Outcome::Lossy })
}

const TEMPLATE: &str = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} messages  {msg}  ETA {eta}";

fn options(args: &ReplayArgs) -> anyhow::Result<ReplayOptions> {
    let is_since = [args.start, args.end].iter().any(|moment| matches!(moment, Some(MomentArg::Since(_))));
    let first = if is_since { first_log_time(args.paths.first().map(AsRef::as_ref))? } else { None };
    let moment = |moment: Option<MomentArg>| match moment? {
        MomentArg::At(nanos) => Some(Timestamp::from_nanos(nanos)),
        MomentArg::Since(span) => first.map(|first| first.offset(span.nanos())),
    };
    Ok(ReplayOptions {
        rate: args.rate,
        looped: args.looped,
        start: moment(args.start),
        end: moment(args.end),
        include: args.topics.clone(),
        exclude: args.exclude_topics.clone(),
        platform: args.platform.clone(),
        wait_for_subscribers: (!args.wait.0.is_zero()).then_some(args.wait.0),
        ..ReplayOptions::default()
    })
}

fn first_log_time(path: Option<&Path>) -> anyhow::Result<Option<Timestamp>> {
    let Some(path) = path else { return Ok(None) };
    let overview = overview::read(path).context("cannot find the first message")?;
    Ok(overview.start)
}

fn tell(args: &ReplayArgs, report: &ReplayReport) {
    if args.json {
        let streams: Vec<_> = report
            .streams
            .iter()
            .map(|stream| {
                serde_json::json!({
                    "topic": stream.topic, "key": stream.key, "messages": stream.messages, "bytes": stream.bytes,
                })
            })
            .collect();
        let damage: Vec<_> = report
            .damage
            .iter()
            .map(
                |damage| serde_json::json!({ "path": damage.path, "reason": damage.reason, "orphans": damage.orphans }),
            )
            .collect();
        output::json(&serde_json::json!({
            "format_version": 1, "messages": report.messages, "bytes": report.bytes,
            "elapsed_seconds": report.elapsed.as_secs_f64(), "passes": report.passes, "stopped": report.stopped,
            "all_subscribed": report.all_subscribed, "streams": streams, "damage": damage,
        }));
        return;
    }
    output::note(format!(
        "sent {} messages, {} on {} streams in {}{}",
        units::count(report.messages),
        units::bytes(report.bytes),
        report.streams.len(),
        units::clock(report.elapsed.as_secs_f64()),
        if report.stopped { ", stopped before the end" } else { "" }
    ));
    if report.all_subscribed == Some(false) {
        output::note("not every stream had a subscriber at the start; see --wait");
    }
    for damage in &report.damage {
        output::note(format!("damaged: {}: {}", damage.path.display(), damage.reason));
    }
}
