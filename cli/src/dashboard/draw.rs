//! Draws the dashboard: a pure function of the recording's status and the state of the screen.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line, Span},
    widgets::Paragraph,
};
use sagwan_recorder::{
    daemon::Phase,
    status::{AlarmStatus, Status, StreamStatus},
};

use super::{
    state::{Confirm, Prompt, Ui},
    text::{self, Language},
};
use crate::units;

/// Least width of a stream's name, and of the columns behind it.
const NAME_LEAST: usize = 12;
/// Alarms shown on a small screen.
const ALARMS_MAX: usize = 4;

/// What is shown.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    /// How the recording stands; absent before the first.
    pub(super) status: Option<&'a Status>,
    /// What the recorder does.
    pub(super) phase: Phase,
    /// Where it is recorded.
    pub(super) path: String,
    /// How often it was asked to stop.
    pub(super) asked_to_stop: usize,
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown<'_>, ui: &mut Ui) {
    let alarms = shown.status.map_or(0, |status| status.alarms.len());
    // On a high screen there is room for more.
    let alarm_rows = alarms.clamp(1, ALARMS_MAX.max(usize::from(frame.area().height) / 6));
    let [header, streams, alarm_area, episode, bottom] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Min(3),
        Constraint::Length(u16::try_from(alarm_rows + 1).unwrap_or(u16::MAX)),
        Constraint::Length(2),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    draw_header(frame, header, shown, ui);
    draw_streams(frame, streams, shown, ui);
    draw_alarms(frame, alarm_area, shown, ui.language);
    draw_episode(frame, episode, shown, ui.language);
    draw_bottom(frame, bottom, shown, ui);
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, ui: &Ui) {
    let width = usize::from(area.width);
    let language = ui.language;
    let (word, style) = match shown.phase {
        Phase::Recording => (language.of("● 기록 중", "● REC"), Style::new().red().bold()),
        Phase::Finishing => (language.of("◌ 마무리 중", "◌ FINISHING"), Style::new().yellow().bold()),
        Phase::Idle => (language.of("○ 대기", "○ IDLE"), Style::new().dark_gray().bold()),
    };
    let name = language.of(&ui.platform.ko, &ui.platform.en);
    let Some(status) = shown.status else {
        let hint = language.of("`sagwan ctl start` 를 기다립니다", "waiting for `sagwan ctl start`");
        let lines = vec![
            Line::from(vec![Span::raw("sagwan  ").bold(), Span::styled(word, style), Span::raw(format!("  {name}"))]),
            Line::raw(hint),
        ];
        frame.render_widget(Paragraph::new(lines), area);
        return;
    };
    let elapsed = units::clock(status.elapsed_seconds);
    let preserved = if status.preserved { language.of("  보존", "  preserved") } else { "" };
    let left = format!("sagwan  {word}  {}{preserved}", status.recording_id);
    let right = format!("{elapsed} ");
    let room = width.saturating_sub(units::width(&right));
    let title = Line::from(vec![
        Span::raw("sagwan  ").bold(),
        Span::styled(word.to_owned(), style),
        Span::raw(units::pad(
            left.get("sagwan  ".len() + word.len()..).unwrap_or_default(),
            room.saturating_sub(8 + units::width(word)),
        )),
        Span::raw(right).bold(),
    ]);
    let lines = vec![title, amounts(status, name, width, language), queue(status, width, language), rule(width)];
    frame.render_widget(Paragraph::new(lines), area);
}

fn amounts<'a>(status: &Status, name: &str, width: usize, language: Language) -> Line<'a> {
    let disk = &status.disk;
    let left = disk.seconds_left.map_or(String::new(), |left| format!(" ({})", units::roughly(left)));
    let disk_style = match disk.state.as_str() {
        "good" if disk.seconds_left.is_none_or(|left| left > 1800.0) => Style::new(),
        "good" => Style::new().yellow(),
        _ => Style::new().red().bold(),
    };
    let (clock, clock_style) = clock(status, language);
    let lost = status.lost.total();
    let lost_style = if lost == 0 { Style::new().green() } else { Style::new().red().bold() };
    let lost = match lost {
        0 => language.of("손실 0", "lost 0").to_owned(),
        n => format!("{} {}", language.of("손실", "LOST"), units::count(n)),
    };
    let mut line = Line::from(vec![
        Span::raw(format!(
            "{}  {}  {} {}  ",
            units::bytes(status.bytes),
            units::bytes_per_second(status.bytes_per_second),
            language.of("파트", "part"),
            status.part
        )),
        Span::styled(format!("{} {}{left}", language.of("디스크", "disk"), units::bytes(disk.free)), disk_style),
        Span::raw("  "),
        Span::styled(clock, clock_style),
        Span::raw("  "),
        Span::styled(lost, lost_style),
    ]);
    if line.width() + 2 + units::width(name) <= width {
        line.push_span(Span::raw(format!("  {name}")).dark_gray());
    }
    line
}

fn clock(status: &Status, language: Language) -> (String, Style) {
    let clock = &status.clock;
    let source = if clock.source.is_empty() { "?" } else { &clock.source };
    let label = language.of("시계", "clock");
    let jumps = if clock.jumps == 0 {
        String::new()
    } else {
        format!(" {} {}", clock.jumps, language.of("회 이동", "jumps"))
    };
    if clock.synchronized {
        let style = if clock.jumps == 0 { Style::new() } else { Style::new().yellow() };
        (format!("{label} {source}{jumps}"), style)
    } else {
        (format!("{label} {}{jumps}", language.of("동기 안 됨", "unsynced")), Style::new().yellow())
    }
}

fn queue<'a>(status: &Status, width: usize, language: Language) -> Line<'a> {
    let queue = &status.queue;
    let share = queue.bytes as f64 / (queue.budget.max(1)) as f64;
    let label = language.of("대기열", "queue");
    let amount =
        format!(" {:>3.0} %  {} {}", share * 100.0, language.of("최대", "peak"), units::bytes(queue.bytes_max));
    let shed: u64 = queue.shed.iter().sum();
    let shed =
        if shed == 0 { String::new() } else { format!("  {} {}", language.of("버림", "SHED"), units::count(shed)) };
    let received = format!("  {} {}", language.of("받음", "received"), units::count(status.received));
    let used = units::width(label) + units::width(&amount) + units::width(&shed) + units::width(&received) + 2;
    let bar = width.saturating_sub(used).clamp(4, 40);
    // At most the bar's length.
    let filled = ((share * bar as f64).ceil() as usize).min(bar);
    let style = match share {
        s if s > 0.8 => Style::new().red(),
        s if s > 0.5 => Style::new().yellow(),
        _ => Style::new().green(),
    };
    Line::from(vec![
        Span::raw(format!("{label} ")),
        Span::styled("█".repeat(filled), style),
        Span::raw("░".repeat(bar - filled)).dark_gray(),
        Span::raw(amount),
        Span::styled(shed, Style::new().red().bold()),
        Span::raw(received),
    ])
}

fn rule<'a>(width: usize) -> Line<'a> {
    Line::raw("─".repeat(width)).dark_gray()
}

fn state_style(state: &str) -> Style {
    match state {
        "ok" => Style::new().green(),
        "waiting" => Style::new().dark_gray(),
        "slow" | "fast" => Style::new().yellow().bold(),
        _ => Style::new().red().bold(),
    }
}

/// What is wrong comes first; within that the order stays.
fn ordered(status: &Status) -> Vec<&StreamStatus> {
    let mut streams: Vec<&StreamStatus> = status.streams.iter().collect();
    streams.sort_by_key(|stream| match stream.state.as_str() {
        "missing" | "stalled" => 0,
        "slow" | "fast" => 1,
        "ok" => 2,
        _ => 3,
    });
    streams
}

/// Widths of the columns: state, name, rate, jitter, latency, received, missing.
fn widths(total: usize, longest_name: usize) -> [usize; 7] {
    let fixed = [9, 0, 13, 7, 7, 10, 7];
    let used: usize = fixed.iter().sum::<usize>() + 6;
    let name = total.saturating_sub(used).max(NAME_LEAST).min(longest_name.max(NAME_LEAST) + 2);
    let mut widths = fixed;
    if let Some(slot) = widths.get_mut(1) {
        *slot = name;
    }
    widths
}

fn draw_streams(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, ui: &mut Ui) {
    let Some(status) = shown.status else { return };
    let streams = ordered(status);
    let longest = streams.iter().map(|stream| units::width(&stream.topic) + 2).max().unwrap_or(0);
    let widths = widths(usize::from(area.width), longest);
    let rows = usize::from(area.height).saturating_sub(1);
    let is_all = streams.len() <= rows;
    let visible = if is_all { rows } else { rows.saturating_sub(1) };
    ui.scroll_max = streams.len().saturating_sub(visible);
    ui.scroll = ui.scroll.min(ui.scroll_max);
    let mut lines = vec![Line::raw(cells(&text::columns(ui.language).map(str::to_owned), &widths)).dark_gray()];
    for stream in streams.iter().skip(ui.scroll).take(visible) {
        lines.push(stream_line(stream, &widths, ui.language));
    }
    if !is_all {
        let below = streams.len().saturating_sub(ui.scroll + visible);
        let more = ui.language.of("개 더", "more");
        let text = format!("  ↑ {} {more}   ↓ {below} {more}", ui.scroll);
        lines.push(Line::raw(text).dark_gray());
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The first two columns begin flush, the others end flush.
fn cells(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let cell = |(index, (cell, width)): (usize, (&String, &usize))| {
        if index < 2 { units::pad(cell, *width) } else { units::pad_left(cell, *width) }
    };
    cells.iter().zip(widths).enumerate().map(cell).collect::<Vec<_>>().join(" ")
}

fn stream_line<'a>(stream: &StreamStatus, widths: &[usize; 7], language: Language) -> Line<'a> {
    let style = state_style(&stream.state);
    let contract = stream.contract_hz.map_or_else(|| "-".to_owned(), units::hertz);
    let star = if stream.required { "*" } else { " " };
    let missing = if stream.missing == 0 { String::new() } else { units::count(stream.missing) };
    let state = units::pad(&format!("● {}", text::state(&stream.state, language)), widths[0]);
    let all = cells(
        &[
            String::new(),
            format!("{}{star}", units::cut(&stream.topic, widths[1].saturating_sub(1))),
            format!("{} / {contract}", units::hertz(stream.rate_hz)),
            units::short(stream.jitter_seconds),
            stream.latency_seconds.map_or(String::new(), units::short),
            units::count(stream.received),
            missing,
        ],
        widths,
    );
    // The first cell is blank there: as many bytes as columns.
    let rest = all.get(widths[0]..).unwrap_or_default();
    let (middle, last) = rest.split_at_checked(rest.len().saturating_sub(widths[6])).unwrap_or((rest, ""));
    Line::from(vec![
        Span::styled(state, style),
        Span::raw(middle.to_owned()),
        Span::styled(last.to_owned(), Style::new().red().bold()),
    ])
}

fn draw_alarms(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, language: Language) {
    let width = usize::from(area.width);
    let mut lines = vec![rule(width)];
    let alarms = shown.status.map(|status| status.alarms.as_slice()).unwrap_or_default();
    let rows = usize::from(area.height).saturating_sub(1);
    if alarms.is_empty() {
        lines.push(Line::raw(language.of("경보 없음", "no alarms")).green());
    }
    let fits = if alarms.len() <= rows { rows } else { rows.saturating_sub(1) };
    for alarm in alarms.iter().take(fits) {
        lines.push(Line::styled(alarm_text(alarm, width, language), Style::new().red()));
    }
    if alarms.len() > fits {
        let more = alarms.len() - fits;
        lines.push(Line::styled(format!("… +{more} {}", language.of("건", "more")), Style::new().red()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The stable identifier only where there is room for it.
fn alarm_text(alarm: &AlarmStatus, width: usize, language: Language) -> String {
    let detail = language.of(&alarm.detail_ko, &alarm.detail_en);
    let subject = if alarm.subject.is_empty() { String::new() } else { format!("{}: ", alarm.subject) };
    let text = format!("! {:>5} {subject}{detail}", units::clock(alarm.age_seconds));
    let id = format!("  [{}]", alarm.id);
    if units::width(&text) + units::width(&id) <= width { text + &id } else { units::cut(&text, width) }
}

fn draw_episode(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, language: Language) {
    let width = usize::from(area.width);
    let mut lines = vec![rule(width)];
    let label = language.of("에피소드", "episode");
    lines.push(match shown.status.and_then(|status| status.episode.as_ref().map(|episode| (status, episode))) {
        Some((_, episode)) => {
            let instruction = match (episode.instruction_ko.as_str(), episode.instruction_en.as_str()) {
                ("", en) => en.to_owned(),
                (ko, "") => ko.to_owned(),
                (ko, en) => format!("{ko} / {en}"),
            };
            Line::styled(
                units::cut(&format!("▶ {label} {}  {instruction}", episode.index), width),
                Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD),
            )
        }
        None => {
            let count = shown.status.map_or(0, |status| status.episodes);
            let none = language.of("진행 중 아님", "none running");
            let so_far = language.of("지금까지", "so far");
            Line::raw(units::cut(&format!("  {label}: {none}, {so_far} {count}   {}", shown.path), width)).dark_gray()
        }
    });
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_bottom(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, ui: &Ui) {
    let width = usize::from(area.width);
    let language = ui.language;
    let has_episode = shown.status.is_some_and(|status| status.episode.is_some());
    let is_recording = shown.phase == Phase::Recording;
    let keys = || Line::raw(units::cut(text::keys(language, is_recording, has_episode), width)).dark_gray();
    let lines = if shown.phase == Phase::Finishing || shown.asked_to_stop > 0 {
        finishing(shown, language)
    } else if let Some(prompt) = &ui.prompt {
        let (lines, cursor) = prompt_lines(prompt, width, language);
        if let Some((row, column)) = cursor {
            let x = area.x.saturating_add(column).min(area.right().saturating_sub(1));
            frame.set_cursor_position(Position::new(x, area.y + row));
        }
        lines
    } else if let Some((message, is_bad)) = &ui.message {
        let style = if *is_bad { Style::new().red().bold() } else { Style::new().green() };
        vec![Line::styled(units::cut(message, width), style), keys()]
    } else {
        vec![Line::default(), keys()]
    };
    frame.render_widget(Paragraph::new(lines), area);
}

fn finishing<'a>(shown: &Shown<'_>, language: Language) -> Vec<Line<'a>> {
    let first = language.of(
        "마무리 중: 받은 데이터를 쓰고 파일을 닫습니다. 잠시만 기다리세요.",
        "finishing: writing what was received and closing the files. Please wait.",
    );
    let second = if shown.asked_to_stop < 2 {
        ""
    } else {
        language.of(
            "Ctrl-C 를 한 번 더 누르면 바로 끝냅니다 (다음 시작 때 복구됩니다).",
            "One more Ctrl-C ends at once (the part is recovered at the next start).",
        )
    };
    vec![Line::raw(first.to_owned()).yellow().bold(), Line::raw(second.to_owned()).yellow()]
}

/// The lines, and the cursor's row and column.
fn prompt_lines<'a>(prompt: &Prompt, width: usize, language: Language) -> (Vec<Line<'a>>, Option<(u16, u16)>) {
    let field = |label: &str, value: &str, is_active: bool| {
        // The end of a long text stays visible.
        let room = width.saturating_sub(units::width(label) + 2);
        let mut shown = value;
        while units::width(shown) > room {
            shown = shown.char_indices().nth(1).and_then(|(at, _)| shown.get(at..)).unwrap_or_default();
        }
        let style = if is_active { Style::new().bold() } else { Style::new().dark_gray() };
        let column = u16::try_from(units::width(label) + 1 + units::width(shown)).unwrap_or(u16::MAX);
        (Line::styled(format!("{label} {shown}"), style), column)
    };
    match prompt {
        Prompt::Begin { fields: [ko, en], at } => {
            let help = language.of("(Enter 시작, Tab 다음, Esc 취소)", "(Enter begins, Tab next, Esc cancels)");
            let (ko_line, ko_column) = field("지시 (한국어):", ko, *at == 0);
            let (en_line, en_column) = field("Instruction (English):", en, *at == 1);
            let mut first = ko_line;
            let used = usize::from(ko_column);
            if used + units::width(help) + 3 <= width {
                let gap = width - used - units::width(help) - 1;
                first.push_span(Span::raw(format!("{}{help}", " ".repeat(gap))).dark_gray());
            }
            let cursor = if *at == 0 { (0, ko_column) } else { (1, en_column) };
            (vec![first, en_line], Some(cursor))
        }
        Prompt::Mark { name } => {
            let help = language.of("Enter 표시, Esc 취소", "Enter marks, Esc cancels");
            let (line, column) = field(language.of("표시 이름:", "name of the mark:"), name, true);
            (vec![line, Line::raw(help.to_owned()).dark_gray()], Some((0, column)))
        }
        Prompt::Confirm(what) => {
            let question = match what {
                Confirm::Stop => language.of("기록을 끝낼까요?", "Stop the recording?"),
                Confirm::Discard => language.of("이 에피소드를 폐기할까요?", "Discard the running or last episode?"),
                Confirm::Rerecord => language
                    .of("마지막 에피소드를 폐기하고 다시 기록할까요?", "Discard the last episode and record it again?"),
            };
            let help = language.of("y 예, 다른 키는 아니요", "y yes, any other key no");
            (vec![Line::raw(question.to_owned()).yellow().bold(), Line::raw(help.to_owned()).dark_gray()], None)
        }
    }
}
