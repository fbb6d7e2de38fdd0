//! `sagwan check`: whether a recording is whole, and says what is missing.

use sagwan_datasets::{
    check::{Report, check},
    finding::Severity,
};

use crate::{
    args::CheckArgs,
    output::{self, Outcome},
    units,
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
        output::text(&render(&report));
    }
    Ok(if report.worst() == Some(Severity::Error) { Outcome::Lossy } else { Outcome::Done })
}

fn render(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        out.push_str(&format!("{finding}\n"));
    }
    for (rule, count) in &report.not_listed {
        out.push_str(&format!("and {} more of {rule}\n", units::count(*count)));
    }
    let of = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    out.push_str(&format!(
        "{}: {} messages in {} files ({}), {} of them decoded: {} errors, {} warnings\n",
        report.path.display(),
        units::count(report.messages),
        report.files,
        units::bytes(report.bytes),
        units::count(report.messages_decoded),
        of(Severity::Error),
        of(Severity::Warning)
    ));
    out
}
