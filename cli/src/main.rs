//! The `sagwan` command: reads the command line, calls the crate that does the work, tells the result.
//!
//! Nothing here decides anything about samples, parts or datasets. [`output`] alone prints.

mod args;
mod check;
mod ctl;
mod dashboard;
mod demo;
mod info;
mod output;
mod profile;
mod record;
mod recover;
mod replay;
mod signal;
mod simulate;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory, Parser as _};

use crate::{
    args::{Cli, Command},
    output::Outcome,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    output::start_log(cli.verbose, output::Talk::of(&cli.command));
    match run(cli.command) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            output::error(&error);
            Outcome::Failed.into()
        }
    }
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Ctl(args) => ctl::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sagwan", &mut script);
            output::text(&String::from_utf8_lossy(&script));
            Ok(Outcome::Done)
        }
    }
}
