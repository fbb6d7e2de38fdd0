//! `sagwan check`: whether a recording is whole, and says what is missing.

use sagwan_datasets::{check::check, finding::Severity};

use crate::{
    args::CheckArgs,
    output::{self, Outcome},
};

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let bar = output::progress(None, "{spinner} {elapsed_precise} {msg}");
    bar.set_message(format!("reading {}", args.path.display()));
    let report = check(&args.path);
    bar.finish_and_clear();
    let report = report?;
    if args.json {
        output::json(&report);
    } else {
        output::text(&report.to_text());
    }
    Ok(if report.worst() == Some(Severity::Error) { Outcome::Lossy } else { Outcome::Done })
}
