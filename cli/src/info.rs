//! `sagwan info`: a recording or any MCAP at a glance.

use sagwan_schemas::recording::overview;

use crate::{
    args::InfoArgs,
    output::{self, Outcome},
};

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Outcome> {
    let overview = overview::read(&args.path)?;
    if args.json {
        output::json(&overview);
    } else {
        output::text(&overview.to_text());
    }
    Ok(Outcome::Done)
}
