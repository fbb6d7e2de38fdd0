//! What a key means: the state of the screen between pictures. Pure; knows neither terminal nor recorder.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sagwan_recorder::{
    control::Command,
    episode::{EpisodeInfo, Outcome},
};
use sagwan_schemas::profile::LocalText;
use serde_json::Value;

use super::text::Language;

/// Longest text of a field, characters.
const FIELD_CHARS_MAX: usize = 500;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Finish.
    Stop,
    /// Ask the recorder.
    Ask(Command),
}

/// A question on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// Instruction of an episode in both languages; which one is being written.
    Begin { fields: [String; 2], at: usize },
    /// Name of a mark.
    Mark { name: String },
    /// Yes or no.
    Confirm(Confirm),
}

/// What a yes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirm {
    Stop,
    Discard,
    Rerecord,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct Ui {
    pub(super) language: Language,
    /// The platform for people.
    pub(super) platform: LocalText,
    pub(super) prompt: Option<Prompt>,
    /// The last answer, and whether it is bad news.
    pub(super) message: Option<(String, bool)>,
    /// First row of the streams.
    pub(super) scroll: usize,
    /// Most that `scroll` may be; known when it was drawn.
    pub(super) scroll_max: usize,
    instruction: [String; 2],
    mark: String,
}

impl Ui {
    pub(super) fn new(language: Language, platform: LocalText) -> Self {
        Self {
            language,
            platform,
            prompt: None,
            message: None,
            scroll: 0,
            scroll_max: 0,
            instruction: [String::new(), String::new()],
            mark: "mark".to_owned(),
        }
    }

    /// Shows a message until the next key.
    pub(super) fn say(&mut self, message: impl Into<String>, is_bad: bool) {
        self.message = Some((message.into(), is_bad));
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent, is_recording: bool, has_episode: bool) -> Option<Action> {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c')) {
            self.prompt = None;
            return Some(Action::Stop);
        }
        match self.prompt.take() {
            Some(Prompt::Begin { fields, at }) => self.press_begin(key, fields, at),
            Some(Prompt::Mark { name }) => self.press_mark(key, name),
            Some(Prompt::Confirm(what)) => confirm(key, what),
            None => self.press_plain(key, is_recording, has_episode),
        }
    }

    fn press_plain(&mut self, key: KeyEvent, is_recording: bool, has_episode: bool) -> Option<Action> {
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = (self.scroll + 1).min(self.scroll_max),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::PageDown => self.scroll = (self.scroll + 10).min(self.scroll_max),
            KeyCode::Home => self.scroll = 0,
            KeyCode::Char('l' | 'L' | 'ㅣ') => self.language = self.language.other(),
            KeyCode::Char('q' | 'Q' | 'ㅂ') => {
                if !is_recording {
                    return Some(Action::Stop);
                }
                self.prompt = Some(Prompt::Confirm(Confirm::Stop));
            }
            KeyCode::Char(letter) if is_recording => return self.press_episode(letter, has_episode),
            _ => {}
        }
        None
    }

    /// The Korean letters are those of the same keys, for keyboards that are in Korean mode.
    fn press_episode(&mut self, letter: char, has_episode: bool) -> Option<Action> {
        let end = |outcome| Some(Action::Ask(Command::EpisodeEnd { outcome, notes: String::new() }));
        match letter {
            'b' | 'B' | 'ㅠ' if !has_episode => {
                let at = usize::from(self.language == Language::En);
                self.prompt = Some(Prompt::Begin { fields: self.instruction.clone(), at });
                None
            }
            's' | 'S' | 'ㄴ' if has_episode => end(Outcome::Success),
            'f' | 'F' | 'ㄹ' if has_episode => end(Outcome::Failure),
            'd' | 'D' | 'ㅇ' => self.ask_first(Confirm::Discard),
            'r' | 'R' | 'ㄱ' => self.ask_first(Confirm::Rerecord),
            'm' | 'M' | 'ㅡ' => {
                self.prompt = Some(Prompt::Mark { name: self.mark.clone() });
                None
            }
            'p' | 'P' | 'ㅔ' => Some(Action::Ask(Command::Preserve { detail: String::new() })),
            'b' | 'B' | 'ㅠ' => {
                let running = self.language.of("에피소드가 진행 중입니다", "an episode is running: s, f or d ends it");
                self.say(running, true);
                None
            }
            's' | 'S' | 'ㄴ' | 'f' | 'F' | 'ㄹ' => {
                let none = self.language.of("진행 중인 에피소드가 없습니다", "no episode is running: b begins one");
                self.say(none, true);
                None
            }
            _ => None,
        }
    }

    fn ask_first(&mut self, what: Confirm) -> Option<Action> {
        self.prompt = Some(Prompt::Confirm(what));
        None
    }

    fn press_begin(&mut self, key: KeyEvent, mut fields: [String; 2], at: usize) -> Option<Action> {
        let other = 1 - at.min(1);
        let at_next = match key.code {
            KeyCode::Esc => return None,
            KeyCode::Enter => {
                self.instruction.clone_from(&fields);
                let [ko, en] = fields.map(|text| text.trim().to_owned());
                let info = EpisodeInfo { instruction: LocalText { ko, en }, ..EpisodeInfo::default() };
                return Some(Action::Ask(Command::EpisodeBegin(info)));
            }
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => other,
            _ => {
                if let Some(field) = fields.get_mut(at) {
                    edit(field, key);
                }
                at
            }
        };
        self.prompt = Some(Prompt::Begin { fields, at: at_next });
        None
    }

    fn press_mark(&mut self, key: KeyEvent, mut name: String) -> Option<Action> {
        match key.code {
            KeyCode::Esc => None,
            KeyCode::Enter => {
                let name = name.trim().to_owned();
                self.mark.clone_from(&name);
                Some(Action::Ask(Command::Mark { name, detail: String::new() }))
            }
            _ => {
                edit(&mut name, key);
                self.prompt = Some(Prompt::Mark { name });
                None
            }
        }
    }

    /// The recorder answered.
    pub(super) fn answered(&mut self, command: &Command, result: &Result<Value, String>) {
        let language = self.language;
        let done = match command {
            Command::EpisodeBegin(_) => language.of("에피소드 시작", "episode begun"),
            Command::EpisodeEnd { outcome: Outcome::Success, .. } => language.of("에피소드 성공", "episode: success"),
            Command::EpisodeEnd { .. } => language.of("에피소드 실패", "episode: failure"),
            Command::EpisodeDiscard { .. } => language.of("에피소드 폐기", "episode discarded"),
            Command::EpisodeRerecord => language.of("다시 기록 시작", "recording the episode again"),
            Command::Mark { .. } => language.of("표시했습니다", "marked"),
            Command::Preserve { .. } => {
                language.of("이 기록은 자동으로 지워지지 않습니다", "this recording is preserved")
            }
            _ => "ok",
        };
        match result {
            Ok(_) => self.say(done, false),
            Err(error) => self.say(error.as_str(), true),
        }
    }
}

fn confirm(key: KeyEvent, what: Confirm) -> Option<Action> {
    if !matches!(key.code, KeyCode::Char('y' | 'Y' | 'ㅛ') | KeyCode::Enter) {
        return None;
    }
    Some(match what {
        Confirm::Stop => Action::Stop,
        Confirm::Discard => Action::Ask(Command::EpisodeDiscard { notes: String::new() }),
        Confirm::Rerecord => Action::Ask(Command::EpisodeRerecord),
    })
}

fn edit(field: &mut String, key: KeyEvent) {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u') if is_control => field.clear(),
        KeyCode::Char(letter) if !is_control && !letter.is_control() && field.chars().count() < FIELD_CHARS_MAX => {
            field.push(letter);
        }
        KeyCode::Backspace => {
            field.pop();
        }
        _ => {}
    }
}
