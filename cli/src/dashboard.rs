//! The terminal dashboard of `sagwan record`: how every stream does, and the keys of a day's episodes.
//!
//! Owns the terminal. What is shown is drawn by a pure function ([`draw`]), what a key means is decided by another
//! ([`state`]); requests go to the recorder like anybody else's.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, bounded};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use sagwan_recorder::{
    control::Command,
    daemon::{Daemon, Phase},
};

use self::{
    draw::Shown,
    state::{Action, Ui},
};
use crate::{
    output,
    record::{View, ask, shown_path},
    signal::Stop,
};

mod draw;
mod state;
mod text;

#[cfg(test)]
mod tests;

/// Time between two pictures when nobody presses a key.
const PICTURE_INTERVAL: Duration = Duration::from_millis(250);

/// Gives the terminal back; harmless when it was not taken.
pub(crate) fn restore_terminal() {
    // Nothing more can be done about a terminal that is gone.
    let _ = ratatui::try_restore();
}

/// The dashboard on the terminal.
#[derive(Debug)]
pub(crate) struct Dashboard {
    terminal: DefaultTerminal,
    stop: Stop,
    ui: Ui,
    drawn: Option<Instant>,
    answers: Receiver<(Command, Result<serde_json::Value, String>)>,
    answer: Sender<(Command, Result<serde_json::Value, String>)>,
    is_open: bool,
}

/// Answers that may wait to be shown.
const ANSWERS_MAX: usize = 64;

impl Dashboard {
    /// Takes the terminal; log lines wait until it is given back.
    pub(crate) fn open(daemon: &Daemon, stop: Stop) -> anyhow::Result<Self> {
        let terminal = ratatui::try_init().context("cannot use this terminal; try --no-tui")?;
        output::hold_log();
        let language = if output::is_korean() { text::Language::Ko } else { text::Language::En };
        let ui = Ui::new(language, daemon.options().profile.profile.name.clone());
        let (answer, answers) = bounded(ANSWERS_MAX);
        Ok(Self { terminal, stop, ui, drawn: None, answers, answer, is_open: true })
    }

    fn act(&mut self, daemon: &Arc<Daemon>, action: Action) {
        match action {
            Action::Stop => self.stop.ask(),
            Action::Ask(command) => {
                let (daemon, answer) = (Arc::clone(daemon), self.answer.clone());
                let request = move || {
                    let result = ask(&daemon, command.clone());
                    // The dashboard may be closed.
                    // Full only when nobody has drawn for a long time; the daemon has done it all the same.
                    answer.try_send((command, result)).ok();
                };
                // A stalled disk must not freeze the picture.
                if let Err(error) = thread::Builder::new().name("sagwan-key".to_owned()).spawn(request) {
                    self.ui.say(error.to_string(), true);
                }
            }
        }
    }

    fn draw(&mut self, daemon: &Daemon) -> anyhow::Result<()> {
        let status = daemon.status();
        let shown = Shown {
            status: status.as_deref(),
            phase: daemon.phase(),
            path: daemon.path().map(|path| shown_path(&path)).unwrap_or_default(),
            asked_to_stop: self.stop.count(),
        };
        let ui = &mut self.ui;
        self.terminal.draw(|frame| draw::draw(frame, &shown, ui)).context("cannot draw on the terminal")?;
        self.drawn = Some(Instant::now());
        Ok(())
    }
}

impl View for Dashboard {
    fn look(&mut self, daemon: &Arc<Daemon>, patience: Duration) -> anyhow::Result<()> {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= PICTURE_INTERVAL) {
            self.draw(daemon)?;
        }
        let until = Instant::now() + patience;
        let mut pressed = false;
        while event::poll(until.saturating_duration_since(Instant::now())).context("cannot read the terminal")? {
            pressed = true;
            if let Event::Key(key) = event::read().context("cannot read the terminal")?
                && key.kind != KeyEventKind::Release
            {
                let is_recording = daemon.phase() == Phase::Recording;
                let status = daemon.status();
                let has_episode = status.as_ref().is_some_and(|status| status.episode.is_some());
                if let Some(action) = self.ui.press(key, is_recording, has_episode) {
                    self.act(daemon, action);
                }
            }
        }
        while let Ok((command, result)) = self.answers.try_recv() {
            pressed = true;
            self.ui.answered(&command, &result);
        }
        if pressed { self.draw(daemon) } else { Ok(()) }
    }

    fn close(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_open) {
            restore_terminal();
            output::release_log();
        }
        Ok(())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // Closing does not fail.
        let _ = self.close();
    }
}
