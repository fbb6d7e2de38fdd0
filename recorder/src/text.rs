//! Limits on texts that people and programs send in: how long, and which characters. Knows nothing of what they mean.

/// Longest instruction, notes, consent reference or detail, in bytes of UTF-8.
pub const LONG_TEXT_BYTES: usize = 4096;

/// Longest name, pseudonym or site, in bytes of UTF-8.
pub const SHORT_TEXT_BYTES: usize = 256;

/// A text that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// More bytes than the field may have.
    #[error("{field} has {bytes} bytes; at most {limit} are allowed, shorten it")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A character that a terminal or a viewer would obey instead of show.
    #[error("{field} has the control character U+{:04X} at byte {at}; remove it", *.character as u32)]
    Control {
        /// The field.
        field: &'static str,
        /// The character.
        character: char,
        /// Its byte offset.
        at: usize,
    },
    /// Nothing but blanks where a text is needed.
    #[error("{field} is empty; give it a text")]
    Empty {
        /// The field.
        field: &'static str,
    },
}

/// Accepts one line of at most `limit` bytes without control characters.
///
/// # Errors
/// The first rule broken; the text itself is not repeated in the error.
pub fn check_line(field: &'static str, text: &str, limit: usize) -> Result<(), TextError> {
    check(field, text, limit, is_obeyed)
}

/// Like [`check_line`], but line feeds and tabs may be in it: notes are written in paragraphs.
///
/// # Errors
/// The first rule broken.
pub fn check_paragraphs(field: &'static str, text: &str, limit: usize) -> Result<(), TextError> {
    check(field, text, limit, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

/// Like [`check_line`], but there must be something to read.
///
/// # Errors
/// The first rule broken.
pub fn check_name(field: &'static str, text: &str, limit: usize) -> Result<(), TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty { field });
    }
    check_line(field, text, limit)
}

fn check(field: &'static str, text: &str, limit: usize, refused: impl Fn(char) -> bool) -> Result<(), TextError> {
    if text.len() > limit {
        return Err(TextError::TooLong { field, bytes: text.len(), limit });
    }
    match text.char_indices().find(|&(_, c)| refused(c)) {
        Some((at, character)) => Err(TextError::Control { field, character, at }),
        None => Ok(()),
    }
}

/// A text from elsewhere made fit for a terminal: at most `chars` characters, and `�` for those that it would obey.
#[must_use]
pub fn shown(text: &str, chars: usize) -> String {
    let mut shown: String =
        text.chars().take(chars).map(|c| if is_obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(chars).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters, line separators, and the marks that turn the writing direction around and so hide what a text
/// says.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_terminal_would_obey_are_refused() {
        for (text, line, paragraphs) in [
            ("컵을 집어 상자에 넣는다", true, true),
            ("", true, true),
            ("two\nlines\tand a tab", false, true),
            ("\u{1b}[2J", false, false),
            ("nul\0", false, false),
            ("\u{85}", false, false),
            ("right\u{202e}left", false, false),
            ("\u{2028}", false, false),
        ] {
            assert_eq!(check_line("x", text, 64).is_ok(), line, "{text:?}");
            assert_eq!(check_paragraphs("x", text, 64).is_ok(), paragraphs, "{text:?}");
        }
    }

    #[test]
    fn shown_texts_are_short_and_harmless() {
        assert_eq!(shown("가\u{1b}나", 3), "가\u{fffd}나");
        assert_eq!(shown("가나다라", 3), "가나다…");
    }

    #[test]
    fn limits_count_bytes_and_are_inclusive() {
        assert_eq!(check_line("x", "가가", 6), Ok(()));
        assert_eq!(check_line("x", "가가", 5), Err(TextError::TooLong { field: "x", bytes: 6, limit: 5 }));
        assert_eq!(check_name("x", " ", 5), Err(TextError::Empty { field: "x" }));
    }
}
