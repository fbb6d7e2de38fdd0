//! The dashboard's pictures as text, and what keys do.

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use sagwan_recorder::{
    episode::{EpisodeInfo, Outcome},
    status::{AlarmStatus, ClockState, DiskStatus, QueueStatus},
};
use sagwan_schemas::{
    profile::LocalText,
    recording::manifest::{EpisodeEntry, LossCounts},
    stream::Class,
};

use super::{state::Prompt, text::Language, *};
use sagwan_recorder::status::{Status, StreamStatus};

fn stream(topic: &str, state: &str, rate: f64, contract: Option<f64>, missing: u64) -> StreamStatus {
    StreamStatus {
        topic: topic.to_owned(),
        key: String::new(),
        class: Class::State,
        required: contract.is_some(),
        state: state.to_owned(),
        rate_hz: rate,
        contract_hz: contract,
        jitter_seconds: if rate > 0.0 { 0.000_41 } else { 0.0 },
        latency_seconds: (rate > 0.0).then_some(0.0032),
        received: (rate * 492.0) as u64,
        missing,
    }
}

fn status() -> Status {
    let mut streams = vec![
        stream("/joint_states", "ok", 500.2, Some(500.0), 0),
        stream("/joint_command", "ok", 499.8, Some(500.0), 0),
        stream("/head_color", "slow", 17.3, Some(30.0), 1204),
        stream("/right_wrist_color", "stalled", 0.0, Some(30.0), 0),
        stream("/관절_상태", "ok", 100.0, Some(100.0), 0),
        stream("/a_stream_with_a_very_long_name/that_does_not_fit", "waiting", 0.0, None, 0),
    ];
    for index in 0..12 {
        streams.push(stream(&format!("/extra_{index}"), "ok", 10.0, Some(10.0), 0));
    }
    Status {
        format_version: 1,
        recording: true,
        recording_id: "humanoid-sim_20260115T093000Z_1f3a".to_owned(),
        platform: "humanoid-sim".to_owned(),
        started: "2026-01-15T09:30:00Z".to_owned(),
        elapsed_seconds: 492.4,
        part: 1,
        bytes: 4_321_000_000,
        bytes_per_second: 8_780_000.0,
        received: 1_234_567,
        recorded: 1_233_363,
        lost: LossCounts { transport: 1204, ..LossCounts::default() },
        queue: QueueStatus { bytes: 90 << 20, bytes_max: 120 << 20, budget: 256 << 20, shed: [0; 4], waits: 0 },
        disk: DiskStatus {
            free: 47_100_000_000,
            seconds_left: Some(5364.0),
            state: "good".to_owned(),
            exposure_seconds_max: 0.1,
        },
        clock: ClockState { source: "chrony".to_owned(), synchronized: true, jumps: 0 },
        streams,
        alarms: vec![
            AlarmStatus {
                id: "stream.stalled".to_owned(),
                subject: "/right_wrist_color".to_owned(),
                detail_ko: "12초 동안 표본이 없음".to_owned(),
                detail_en: "no sample for 12 s".to_owned(),
                age_seconds: 12.0,
            },
            AlarmStatus {
                id: "stream.slow".to_owned(),
                subject: "/head_color".to_owned(),
                detail_ko: "초당 17.3개 (계약 30 ± 10 %)".to_owned(),
                detail_en: "17.3 samples/s; the contract is 30 ± 10 %".to_owned(),
                age_seconds: 75.0,
            },
        ],
        episode: Some(EpisodeEntry {
            index: 3,
            instruction_ko: "컵을 집어 선반에 놓기".to_owned(),
            instruction_en: "put the cup on the shelf".to_owned(),
            ..EpisodeEntry::default()
        }),
        episodes: 4,
        preserved: false,
    }
}

fn ui(language: Language) -> Ui {
    Ui::new(language, LocalText { ko: "휴머노이드 시뮬레이터".to_owned(), en: "Simulated humanoid".to_owned() })
}

fn picture(status: Option<&Status>, phase: Phase, ui: &mut Ui, (width, height): (u16, u16)) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let shown = Shown { status, phase, path: "data/humanoid-sim_20260115T093000Z_1f3a".to_owned(), asked_to_stop: 0 };
    let Ok(_) = terminal.draw(|frame| draw::draw(frame, &shown, ui));
    // Behind the closing quote the backend explains which cells wide letters cover.
    let lines = terminal.backend().to_string();
    let lines =
        lines.lines().map(|line| line.split("\" Hidden").next().unwrap_or_default().trim_matches('"').to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_recording_with_trouble_in_english_on_a_small_terminal() {
    insta::assert_snapshot!(picture(Some(&status()), Phase::Recording, &mut ui(Language::En), (80, 24)));
}

#[test]
fn a_recording_with_trouble_in_korean_on_a_small_terminal() {
    insta::assert_snapshot!(picture(Some(&status()), Phase::Recording, &mut ui(Language::Ko), (80, 24)));
}

#[test]
fn a_healthy_recording_on_a_large_terminal() {
    let mut status = status();
    status.alarms.clear();
    status.episode = None;
    status.lost = LossCounts::default();
    insta::assert_snapshot!(picture(Some(&status), Phase::Recording, &mut ui(Language::Ko), (120, 34)));
}

#[test]
fn an_idle_recorder_and_one_that_finishes() {
    insta::assert_snapshot!("idle", picture(None, Phase::Idle, &mut ui(Language::En), (80, 24)));
    insta::assert_snapshot!("finishing", picture(Some(&status()), Phase::Finishing, &mut ui(Language::En), (80, 24)));
}

#[test]
fn the_question_for_an_instruction_in_two_languages() {
    let mut ui = ui(Language::Ko);
    ui.prompt = Some(Prompt::Begin { fields: ["컵을 집기".to_owned(), "pick up the cup".to_owned()], at: 0 });
    insta::assert_snapshot!(picture(Some(&status()), Phase::Recording, &mut ui, (80, 24)));
}

#[test]
fn no_terminal_is_too_small_to_draw_on() {
    for size in [(1, 1), (10, 3), (20, 8), (40, 12), (79, 23), (300, 100)] {
        for prompt in [None, Some(Prompt::Mark { name: "가나다라마바사아자차카타파하".repeat(5) })] {
            let mut ui = ui(Language::Ko);
            ui.prompt = prompt;
            picture(Some(&status()), Phase::Recording, &mut ui, size);
            picture(None, Phase::Idle, &mut ui, size);
        }
    }
}

fn type_in(ui: &mut Ui, keys: &[KeyCode], has_episode: bool) -> Option<Action> {
    let mut last = None;
    for key in keys {
        last = ui.press(KeyEvent::new(*key, KeyModifiers::NONE), true, has_episode);
    }
    last
}

#[test]
fn an_episode_is_begun_with_both_instructions_which_are_remembered() {
    use KeyCode::{Char, Enter, Tab};
    let mut ui = ui(Language::Ko);
    let keys = [Char('b'), Char('컵'), Tab, Char('c'), Char('u'), Char('p'), Enter];
    let info =
        EpisodeInfo { instruction: LocalText { ko: "컵".to_owned(), en: "cup".to_owned() }, ..EpisodeInfo::default() };
    let begin = Some(Action::Ask(Command::EpisodeBegin(info)));
    assert_eq!(type_in(&mut ui, &keys, false), begin);
    assert_eq!(type_in(&mut ui, &[Char('ㅠ'), Enter], false), begin, "the next one has the same instruction");
    assert_eq!(type_in(&mut ui, &[Char('b')], true), None, "one episode at a time");
    assert!(ui.message.is_some());
}

#[test]
fn keys_that_could_spoil_a_day_ask_first() {
    use KeyCode::{Char, Esc};
    let discard = Action::Ask(Command::EpisodeDiscard { notes: String::new() });
    for (key, action) in [('q', Action::Stop), ('d', discard), ('r', Action::Ask(Command::EpisodeRerecord))] {
        for no in [Esc, Char('n'), Char('q')] {
            let mut ui = ui(Language::En);
            assert_eq!(type_in(&mut ui, &[Char(key), no], true), None, "{key}");
            assert_eq!(ui.prompt, None);
        }
        assert_eq!(type_in(&mut ui(Language::En), &[Char(key), Char('y')], true), Some(action));
    }
    let end = Action::Ask(Command::EpisodeEnd { outcome: Outcome::Success, notes: String::new() });
    assert_eq!(type_in(&mut ui(Language::En), &[Char('s')], true), Some(end));
    assert_eq!(type_in(&mut ui(Language::En), &[Char('s')], false), None);
    let interrupt = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
    assert_eq!(ui(Language::En).press(interrupt, true, true), Some(Action::Stop));
}
