//! `sagwan record`: prepares the directory, starts the recorder, lets a person or a script watch it, tells how it ended.

use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sagwan_bridges::wire;
use sagwan_recorder::{
    control::{Command, Start},
    daemon::{self, Daemon, Phase, Setup},
    observe::{Observation, observe},
    preflight::{Language, Verdict},
    recorder::{Ended, Options},
};
use zenoh::Wait as _;

use crate::{
    args::RecordArgs,
    dashboard,
    output::{self, Outcome},
    signal::Stop,
};

mod house;
mod options;
mod plain;
pub(crate) mod summary;

pub(crate) use options::load_profile;

/// How often the recorder is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &RecordArgs) -> anyhow::Result<Outcome> {
    let options = options::build(args)?;
    let stop = Stop::listen()?;
    if args.preflight {
        return preflight(args, &options, &stop);
    }
    prepare(&options)?;
    let session = wire::open(&(&args.wire).into())?;
    let daemon = Daemon::new(&session, setup(args, options));
    let door = match daemon.open() {
        Ok(door) => Some(door),
        Err(error) => {
            tracing::warn!("`sagwan ctl` cannot reach this recorder: {error}");
            None
        }
    };
    if !args.idle {
        daemon.start(&Start::default())?;
    }
    let watched = watch(args, &daemon, &stop);
    daemon.close();
    let ended = finish(&daemon);
    drop(door);
    watched?;
    let ended = ended?;
    // Answers that are on their way get out.
    if let Err(error) = session.close().wait() {
        tracing::debug!("the session did not close: {error}");
    }
    Ok(tell(args, &daemon, ended.as_deref()))
}

fn setup(args: &RecordArgs, options: Options) -> Setup {
    let host = args.name.clone().unwrap_or_else(options::host_name);
    let platform = &options.profile.profile.platform;
    Setup {
        host,
        recorder: format!("{platform}-{}", std::process::id()),
        has_profile: args.profile.is_some(),
        needed_seconds: args.duration.map(|span| span.0.as_secs_f64()),
        stays: args.idle,
        options,
    }
}

/// Makes the directory, finishes what a crash left, makes room.
fn prepare(options: &Options) -> anyhow::Result<()> {
    let root = &options.root;
    fs::create_dir_all(root)
        .with_context(|| format!("cannot create the directory of recordings {}", root.display()))?;
    house::recover_leftovers(options);
    house::make_room(options, &[]);
    Ok(())
}

/// Runs until somebody stops it, the time is over, or the recording ends by itself.
fn watch(args: &RecordArgs, daemon: &Arc<Daemon>, stop: &Stop) -> anyhow::Result<()> {
    let is_dashboard = !args.json && !args.no_tui && output::is_terminal();
    let mut view: Box<dyn View> = if is_dashboard {
        Box::new(dashboard::Dashboard::open(daemon, stop.clone())?)
    } else if args.json {
        Box::new(plain::JsonLines::default())
    } else {
        Box::new(plain::LogLines::new(daemon))
    };
    let mut housekeeping = house::Housekeeping::new();
    let mut finishing: Option<thread::JoinHandle<()>> = None;
    loop {
        view.look(daemon, LOOK_INTERVAL)?;
        housekeeping.look(daemon);
        if finishing.as_ref().is_some_and(thread::JoinHandle::is_finished) {
            finishing = None;
        }
        let phase = daemon.phase();
        let is_over = daemon.is_over() || (stop.is_asked() && phase == Phase::Idle);
        if is_over && finishing.is_none() {
            return view.close();
        }
        let is_time_up = args
            .duration
            .is_some_and(|span| daemon.status().is_some_and(|status| status.elapsed_seconds >= span.0.as_secs_f64()));
        if phase == Phase::Recording && finishing.is_none() && (stop.is_asked() || is_time_up || daemon.has_ended()) {
            finishing = Some(finish_beside(daemon)?);
        }
    }
}

/// Stops on a thread of its own, so that the view goes on.
fn finish_beside(daemon: &Arc<Daemon>) -> anyhow::Result<thread::JoinHandle<()>> {
    let daemon = Arc::clone(daemon);
    let stop = move || {
        if let Err(error) = daemon.stop(None) {
            tracing::error!("the recording did not finish: {error}");
        }
    };
    thread::Builder::new().name("sagwan-finish".to_owned()).spawn(stop).context("cannot start a thread")
}

/// Ends what still runs, whatever happened to the view.
fn finish(daemon: &Daemon) -> anyhow::Result<Option<Arc<Ended>>> {
    let began = Instant::now();
    while daemon.phase() == Phase::Finishing {
        if began.elapsed() > Duration::from_secs(1) {
            tracing::debug!("waiting for the last bytes");
        }
        thread::sleep(LOOK_INTERVAL);
    }
    if daemon.phase() == Phase::Recording {
        daemon.stop(None)?;
    }
    Ok(daemon.last())
}

fn tell(args: &RecordArgs, daemon: &Daemon, ended: Option<&Ended>) -> Outcome {
    let Some(ended) = ended else {
        if args.idle {
            return Outcome::Done;
        }
        output::note("error: the recording broke down; its parts are recovered at the next start");
        return Outcome::Failed;
    };
    if args.json {
        output::json_line(&daemon::summary(ended));
    } else {
        output::text(&summary::render(ended));
    }
    // Of several recordings one loss is enough.
    if daemon.is_lossy() { Outcome::Lossy } else { Outcome::Done }
}

fn preflight(args: &RecordArgs, options: &Options, stop: &Stop) -> anyhow::Result<Outcome> {
    let session = wire::open(&(&args.wire).into())?;
    let what = Observation {
        selection: options.selection.clone(),
        profile: Arc::new(options.profile.profile.clone()),
        has_profile: args.profile.is_some(),
        duration: args.preflight_duration(),
        root: options.root.clone(),
        needed_seconds: args.duration.map(|span| span.0.as_secs_f64()),
    };
    if !args.json {
        output::note(format!("looking at the streams for {} s …", args.preflight_secs));
    }
    let result = observe(&session, &what, &options.clock, &*options.storage, &|| stop.is_asked())?;
    if args.json {
        output::json(&serde_json::json!({ "format_version": 1, "preflight": result }));
    } else {
        let language = if output::is_korean() { Language::Ko } else { Language::En };
        output::text(&result.render(language));
    }
    let is_go = result.verdict == Verdict::Go;
    Ok(if is_go && !stop.is_asked() { Outcome::Done } else { Outcome::Lossy })
}

/// Somebody or something that watches the recorder.
pub(crate) trait View {
    /// Shows how things stand, and takes at most about `patience` for it.
    fn look(&mut self, daemon: &Arc<Daemon>, patience: Duration) -> anyhow::Result<()>;

    /// Nothing more to see.
    fn close(&mut self) -> anyhow::Result<()>;
}

/// Asks the recorder something and tells the answer in a word.
pub(crate) fn ask(daemon: &Daemon, command: Command) -> Result<serde_json::Value, String> {
    daemon.handle(command).map_err(|error| {
        let error = anyhow::Error::new(error);
        format!("{error:#}")
    })
}

/// The path as a person types it: relative where that is shorter.
pub(crate) fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    relative.unwrap_or_else(|| path.to_owned()).display().to_string()
}
