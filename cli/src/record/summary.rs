//! What was recorded, what was lost, and what to do next.

use std::fmt::Write as _;

use sagwan_recorder::recorder::Ended;
use sagwan_schemas::recording::manifest::{LossCounts, Manifest, State};

use super::shown_path;
use crate::units;

/// The summary of a recording for a person.
pub(crate) fn render(ended: &Ended) -> String {
    let manifest = &ended.manifest;
    let path = shown_path(&ended.path);
    let mut out = String::new();
    let seconds = manifest.ended.as_ref().map_or(0.0, |end| end.ns.nanos_since(manifest.started.ns) as f64 / 1e9);
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "\nrecorded  {}\n          {} samples of {} publishers in {}, {} in {}",
        manifest.recording_id,
        units::count(manifest.loss.recorded),
        manifest.loss.sources.len(),
        units::clock(seconds),
        units::bytes(manifest.bytes()),
        if manifest.parts.len() == 1 { "1 part".to_owned() } else { format!("{} parts", manifest.parts.len()) },
    );
    if !manifest.episodes.is_empty() {
        let _ = writeln!(out, "          {}", episodes(manifest));
    }
    let _ = writeln!(out, "{}", losses(manifest));
    match manifest.state {
        State::Failed => out.push_str("stopped   by itself: the disk failed or is full\n"),
        _ if ended.disk_failed => out.push_str("disk      it refused to write for a while\n"),
        _ => {}
    }
    for remark in &manifest.remarks {
        let _ = writeln!(out, "note      {remark}");
    }
    let _ =
        writeln!(out, "\nnext      sagwan info {path}\n          sagwan check {path}\n          sagwan replay {path}");
    out
}

fn episodes(manifest: &Manifest) -> String {
    let kept: Vec<_> = manifest.episodes.iter().filter(|episode| !episode.discarded).collect();
    let of = |outcome: &str| kept.iter().filter(|episode| episode.outcome == outcome).count();
    let discarded = manifest.episodes.len() - kept.len();
    format!(
        "{} episodes: {} success, {} failure, {discarded} discarded",
        manifest.episodes.len(),
        of("success"),
        of("failure")
    )
}

fn losses(manifest: &Manifest) -> String {
    let lost = manifest.loss.lost;
    if lost.total() == 0 {
        let unnumbered = manifest.loss.sources.iter().filter(|source| !source.numbered).count();
        let caveat = match unnumbered {
            0 => String::new(),
            n => format!(" that could be noticed: {n} publishers do not number their samples"),
        };
        let source = match lost.source {
            0 => String::new(),
            n => format!("\n          {} samples were never sent: their sensor left them out", units::count(n)),
        };
        return format!("lost      nothing{caveat}{source}");
    }
    let mut out = format!("LOST      {} samples: {}", units::count(lost.total()), causes(&lost));
    let mut sources: Vec<_> = manifest.loss.sources.iter().filter(|source| source.lost.total() > 0).collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.lost.total()));
    let rows: Vec<Vec<String>> = sources
        .iter()
        .take(10)
        .map(|source| {
            vec![format!("          {}", source.topic), units::count(source.lost.total()), causes(&source.lost)]
        })
        .collect();
    let _ = write!(out, "\n{}", units::table(&rows, &[1]).trim_end());
    if sources.len() > rows.len() {
        let _ = write!(out, "\n          and {} more, see recording.json", sources.len() - rows.len());
    }
    out
}

fn causes(lost: &LossCounts) -> String {
    let named = [(lost.transport, "on the way"), (lost.queue, "shed by the queue"), (lost.disk, "refused by the disk")];
    named
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, cause)| format!("{} {cause}", units::count(*count)))
        .collect::<Vec<_>>()
        .join(", ")
}
