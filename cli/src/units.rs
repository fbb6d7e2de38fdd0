//! Amounts for people: `1.2 GB`, `3:07`, `480 Hz`. Columns line up with Korean text too.

use ratatui::text::Span;

/// Bytes with three significant digits, decimal units as disks are sold.
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// Bytes per second.
pub(crate) fn bytes_per_second(rate: f64) -> String {
    scaled(rate, &["B/s", "kB/s", "MB/s", "GB/s"])
}

fn scaled(value: f64, units: &[&str]) -> String {
    let mut value = value.max(0.0);
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", units.get(unit).copied().unwrap_or_default())
}

/// A length of time: `0:07`, `12:34`, `3:00:00`, `2 d 3:00:00`.
pub(crate) fn clock(seconds: f64) -> String {
    // Saturates: nobody waits for 2⁶⁴ seconds.
    let total = seconds.max(0.0) as u64;
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days} d {hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A length of time in its largest unit: `5 h`, `12 min`, `40 s`.
pub(crate) fn roughly(seconds: f64) -> String {
    match seconds {
        s if s >= 2.0 * 86_400.0 => format!("{:.0} d", s / 86_400.0),
        s if s >= 2.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s if s >= 120.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} s", s.max(0.0)),
    }
}

/// A short time: `0.4 ms`, `12 ms`, `1.5 s`; empty for nothing.
pub(crate) fn short(seconds: f64) -> String {
    let size = seconds.abs();
    if size == 0.0 {
        String::new()
    } else if size < 0.001 {
        format!("{:.2} ms", seconds * 1e3)
    } else if size < 0.01 {
        format!("{:.1} ms", seconds * 1e3)
    } else if size < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if size < 1000.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.0} s")
    }
}

/// Samples per second.
pub(crate) fn hertz(rate: f64) -> String {
    match rate {
        r if r >= 99.95 => format!("{r:.0}"),
        r if r >= 0.05 || r == 0.0 => format!("{r:.1}"),
        r => format!("{r:.2}"),
    }
}

/// A count with thousands apart: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Columns that a text takes on a terminal; Korean letters take two.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, cut to `columns` with `…` where it is longer.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let wide = width(letter.encode_utf8(&mut [0; 4]));
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(letter);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The text in exactly `columns`: cut, or with spaces behind it.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let spaces = columns.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(spaces))
}

/// The text in exactly `columns`: cut, or with spaces before it.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let spaces = columns.saturating_sub(width(&text));
    format!("{}{text}", " ".repeat(spaces))
}

/// Rows of cells as a table: columns as wide as their widest cell, two spaces between; `right` columns end flush.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut text = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column > 0 {
                text.push_str("  ");
            }
            text.push_str(&if right.contains(&column) { pad_left(cell, *width) } else { pad(cell, *width) });
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_and_keep_three_digits() {
        for (given, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_600, "1.00 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(given), expected);
        }
        for (given, expected) in
            [(0.0, "0:00"), (67.9, "1:07"), (3600.0, "1:00:00"), (180_000.0, "2 d 2:00:00"), (-1.0, "0:00")]
        {
            assert_eq!(clock(given), expected);
        }
        for (given, expected) in
            [(0.0, ""), (0.00042, "0.42 ms"), (0.0042, "4.2 ms"), (0.042, "42 ms"), (1.51, "1.5 s"), (-0.3, "-300 ms")]
        {
            assert_eq!(short(given), expected);
        }
        for (given, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(given), expected);
        }
    }

    #[test]
    fn korean_takes_two_columns_and_is_never_cut_in_half() {
        assert_eq!(width("사관ab"), 6);
        assert_eq!(pad("사관", 6), "사관  ");
        assert_eq!(cut("사관이다", 6), "사관…");
        assert_eq!(cut("사관이다", 5), "사관…");
        assert_eq!(width(&pad("사관이다", 4)), 4);
        assert_eq!(pad_left("가", 4), "  가");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(
            table(&[vec!["가나".into(), "1".into()], vec!["a".into(), "22".into()]], &[1]),
            "가나   1\na     22\n"
        );
    }
}
