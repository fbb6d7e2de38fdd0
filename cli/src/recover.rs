//! `sagwan recover`: finishes a recording in place, or copies what is intact of any MCAP to a new file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sagwan_recorder::leftover::{self, Recovered};
use sagwan_schemas::recording::{
    layout::MANIFEST,
    recover::{RecoverOptions, RecoverReport, recover_copy},
    storage::FileSystem,
};

use crate::{
    args::RecoverArgs,
    output::{self, Outcome},
    units,
};

pub(crate) fn run(args: &RecoverArgs) -> anyhow::Result<Outcome> {
    if args.path.is_dir() {
        return recording(args);
    }
    let out = args.out.clone().unwrap_or_else(|| default_output(&args.path));
    let size = std::fs::metadata(&args.path).map_or(0, |metadata| metadata.len());
    let bar = output::progress(None, "{spinner} {elapsed_precise} {msg}");
    bar.set_message(format!("reading {} of {}", units::bytes(size), args.path.display()));
    let report = recover_copy(&args.path, &out, RecoverOptions::default());
    bar.finish_and_clear();
    Ok(tell(args, &report?))
}

fn recording(args: &RecoverArgs) -> anyhow::Result<Outcome> {
    if args.out.is_some() {
        bail!("a recording is recovered in place; --out is for single files");
    }
    if !args.path.join(MANIFEST).is_file() {
        bail!("{} has no {MANIFEST}: it is no recording; name the recording or an MCAP in it", args.path.display());
    }
    let recovered = leftover::recover(&FileSystem, &args.path)
        .with_context(|| format!("cannot recover {}", args.path.display()))?;
    let has_loss = recovered.as_ref().is_some_and(Recovered::has_loss);
    if args.json {
        output::json(&serde_json::json!({ "format_version": 1, "recovered": recovered }));
    } else if let Some(recovered) = recovered {
        for report in &recovered.parts {
            output::text(&report.to_text());
        }
        output::line(format!(
            "{} is finished: {} messages, {} samples known to be missing",
            recovered.recording_id,
            units::count(recovered.messages),
            units::count(recovered.lost.total())
        ));
    } else {
        output::line("nothing to do: this recording is finished");
    }
    Ok(if has_loss { Outcome::Lossy } else { Outcome::Done })
}

fn tell(args: &RecoverArgs, report: &RecoverReport) -> Outcome {
    if args.json {
        output::json(report);
    } else {
        output::text(&report.to_text());
    }
    if report.has_loss() { Outcome::Lossy } else { Outcome::Done }
}

/// `x.recovered.mcap` beside `x.mcap`, also for `x.mcap.active`.
fn default_output(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.strip_suffix(".active").unwrap_or(&name);
    let stem = stem.strip_suffix(".mcap").unwrap_or(stem);
    path.with_file_name(format!("{stem}.recovered.mcap"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recovered_file_lies_beside_the_broken_one() {
        for (given, expected) in
            [("a/b.mcap", "a/b.recovered.mcap"), ("b.mcap.active", "b.recovered.mcap"), ("기록", "기록.recovered.mcap")]
        {
            assert_eq!(default_output(Path::new(given)), PathBuf::from(expected));
        }
    }
}
