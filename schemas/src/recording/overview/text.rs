//! An [`Overview`] as text. Pure.

use std::fmt::Write as _;

use crate::{
    recording::overview::{Overview, seconds},
    time::Timestamp,
};

/// Lists in the text end here; the serialized overview has them whole.
const LINES: usize = 50;

pub(super) fn render(overview: &Overview) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, overview);
    out
}

fn write_all(out: &mut String, o: &Overview) -> std::fmt::Result {
    writeln!(out, "{}", clean(&o.path.to_string_lossy()))?;
    for warning in &o.warnings {
        writeln!(out, "warning: {}", clean(warning))?;
    }
    out.push('\n');
    head(out, o)?;
    channels(out, o)?;
    parts(out, o)?;
    episodes(out, o)?;
    if !o.events.is_empty() {
        section(out, "events", o.events.len())?;
        let rows = o
            .events
            .iter()
            .take(LINES)
            .map(|e| vec![e.time.to_string(), e.kind.clone(), e.name.clone(), e.detail.clone()]);
        table(out, &[], rows.collect(), &[])?;
    }
    losses(out, o)?;
    if !o.attachments.is_empty() {
        section(out, "attachments", o.attachments.len())?;
        let rows = o.attachments.iter().take(LINES);
        let rows = rows.map(|a| vec![a.name.clone(), a.media_type.clone(), bytes(a.bytes)]);
        table(out, &[], rows.collect(), &[2])?;
    }
    if !o.metadata.is_empty() {
        let names: Vec<String> = o.metadata.iter().take(LINES).map(|name| clean(name)).collect();
        writeln!(out, "\nmetadata: {}", names.join(", "))?;
    }
    Ok(())
}

fn head(out: &mut String, o: &Overview) -> std::fmt::Result {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(recording) = &o.recording {
        let state = format!("{:?}", recording.state).to_lowercase();
        row("recording", format!("{} ({state})", recording.id));
        row("platform", recording.platform.clone());
        for (name, value) in [("operator", &recording.operator), ("site", &recording.site)] {
            if !value.is_empty() {
                row(name, value.clone());
            }
        }
        for remark in &recording.remarks {
            row("remark", remark.clone());
        }
    }
    if let Some(part) = o.parts.first() {
        row("written by", [part.library.as_str(), part.profile.as_str()].join(" ").trim().to_owned());
    }
    row("size", format!("{} in {} {}", bytes(o.bytes), o.parts.len(), plural(o.parts.len(), "file")));
    row("messages", o.messages.to_string());
    if let (Some(start), Some(end)) = (o.start, o.end) {
        row("start", start.to_string());
        row("end", end.to_string());
        row("duration", duration(o.duration_seconds));
    }
    for (compression, chunks) in &o.chunks {
        let name = if compression.is_empty() { "none" } else { compression };
        let ratio = chunks.bytes_stored as f64 / (chunks.bytes_uncompressed.max(1)) as f64 * 100.0;
        let (stored, whole) = (bytes(chunks.bytes_stored), bytes(chunks.bytes_uncompressed));
        row("chunks", format!("{} × {name}: {stored} of {whole} ({ratio:.1} %)", chunks.count));
    }
    if o.clock_jumps > 0 {
        row("clock jumps", o.clock_jumps.to_string());
    }
    table(out, &[], rows, &[])
}

fn channels(out: &mut String, o: &Overview) -> std::fmt::Result {
    section(out, "channels", o.channels.len())?;
    let rows = o.channels.iter().map(|c| {
        let encoding = match (c.message_encoding.as_str(), c.schema_encoding.as_str()) {
            (message, schema) if message == schema || schema.is_empty() => message.to_owned(),
            (message, schema) => format!("{message}/{schema}"),
        };
        vec![
            c.topic.clone(),
            c.messages.to_string(),
            c.rate_hz.map_or("-".to_owned(), |rate| format!("{} Hz", number(rate))),
            c.gap_seconds_max.map_or("-".to_owned(), duration),
            c.bytes.map_or("-".to_owned(), bytes),
            encoding,
            if c.schema.is_empty() { "-".to_owned() } else { c.schema.clone() },
        ]
    });
    table(
        out,
        &["topic", "messages", "rate", "longest gap", "size", "encoding", "schema"],
        rows.collect(),
        &[1, 2, 3, 4],
    )
}

fn parts(out: &mut String, o: &Overview) -> std::fmt::Result {
    if o.parts.len() < 2 {
        return Ok(());
    }
    section(out, "parts", o.parts.len())?;
    let rows = o.parts.iter().take(LINES).map(|part| {
        let span = part.start.zip(part.end).map_or("-".to_owned(), |(a, b)| duration(seconds(a, b)));
        let state = match (part.active, &part.torn) {
            (true, _) => "active",
            (_, Some(_)) => "torn",
            _ => "",
        };
        let start = part.start.map_or("-".to_owned(), |start: Timestamp| start.to_string());
        vec![part.file.clone(), bytes(part.bytes), part.messages.to_string(), start, span, state.to_owned()]
    });
    table(out, &["file", "size", "messages", "start", "duration", ""], rows.collect(), &[1, 2, 4])
}

fn episodes(out: &mut String, o: &Overview) -> std::fmt::Result {
    if o.episodes.is_empty() {
        return Ok(());
    }
    section(out, "episodes", o.episodes.len())?;
    let rows = o.episodes.iter().take(LINES).map(|e| {
        let span = e.start.zip(e.end).map_or("-".to_owned(), |(a, b)| duration(seconds(a, b)));
        let instruction = if e.instruction_ko.is_empty() { &e.instruction_en } else { &e.instruction_ko };
        let start = e.start.map_or("-".to_owned(), |start| start.to_string());
        vec![e.index.to_string(), e.state.clone(), e.outcome.clone(), start, span, instruction.clone()]
    });
    table(out, &["#", "state", "outcome", "start", "duration", "instruction"], rows.collect(), &[0, 4])
}

fn losses(out: &mut String, o: &Overview) -> std::fmt::Result {
    if let Some(loss) = &o.loss_summary {
        let lost = &loss.lost;
        writeln!(
            out,
            "\nsent {} = recorded {} + outside {} + lost {} (transport {}, queue {}, disk {}); not produced: {}",
            loss.sent,
            loss.recorded,
            loss.outside,
            lost.total(),
            lost.transport,
            lost.queue,
            lost.disk,
            lost.source
        )?;
    }
    if o.losses.is_empty() {
        return Ok(());
    }
    section(out, "losses", o.losses.len())?;
    let rows = o.losses.iter().take(LINES);
    let rows = rows.map(|l| vec![l.topic.clone(), l.cause.to_owned(), l.count.to_string(), l.publisher.clone()]);
    table(out, &["topic", "cause", "samples", "publisher"], rows.collect(), &[2])
}

fn section(out: &mut String, name: &str, count: usize) -> std::fmt::Result {
    let shown = if count > LINES && name != "channels" { format!(", the first {LINES}") } else { String::new() };
    writeln!(out, "\n{name} ({count}{shown})")
}

fn table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> std::fmt::Result {
    let mut all: Vec<Vec<String>> = Vec::new();
    if !head.is_empty() {
        all.push(head.iter().map(|&cell| cell.to_owned()).collect());
    }
    all.extend(rows.into_iter().map(|row| row.iter().map(|cell| clean(cell)).collect()));
    let columns = all.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &all {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - self::width(cell));
            let cell = if right.contains(&column) { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
            line.push_str("  ");
            line.push_str(&cell);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Columns on a terminal; Hangul and other East Asian characters take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// Texts from files must not move the cursor or change colours.
fn clean(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// Three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match seconds {
        s if s < 1e-3 => format!("{} µs", number(s * 1e6)),
        s if s < 1.0 => format!("{} ms", number(s * 1e3)),
        s if s < 60.0 => format!("{} s", number(s)),
        _ if whole < 3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min {:02} s", whole / 3600, whole / 60 % 60, whole % 60),
    }
}
