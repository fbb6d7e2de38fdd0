//! How deeply an expression's brackets and conditionals nest, told before it is parsed: CEL's parser recurses and costs some 100 KiB of
//! stack for each level.

/// Deepest nesting of brackets, counting every `?` before as one.
pub(super) const BRACKETS_MAX: usize = 8;

/// The byte offset of the first bracket that nests deeper than [`BRACKETS_MAX`].
///
/// Brackets in text literals do not count; a literal that is not closed ends with the expression.
pub(super) fn too_deep(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' => {
                at = literal_end(bytes, at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == b'\n')).unwrap_or(bytes.len());
                continue;
            }
            // A conditional nests in the one before it, and nothing closes it.
            b'(' | b'[' | b'{' | b'?' => {
                depth += 1;
                if depth > BRACKETS_MAX {
                    return Some(at);
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The offset after the text literal that opens at `at`: one or three quotes, escapes unless an `r` stands before.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let quote = rest.first().copied().unwrap_or(b'"');
    let width = if rest.starts_with(&[quote; 3]) { 3 } else { 1 };
    let raw = is_raw(bytes.get(..at).unwrap_or_default());
    let mut i = width;
    while let Some(&byte) = rest.get(i) {
        if byte == b'\\' && !raw {
            i += 2;
        } else if rest.get(i..).is_some_and(|r| r.starts_with(&[quote; 3][..width])) {
            return at + i + width;
        } else if width == 1 && matches!(byte, b'\n' | b'\r') {
            // CEL knows no such literal; going on after the quote counts what follows.
            return at + 1;
        } else {
            i += 1;
        }
    }
    // Not closed: what follows counts too, for the parser will try to go on with it.
    at + 1
}

/// Whether the prefix right before a quote, `r`, `br` or `rb` in any case, makes it raw.
fn is_raw(before: &[u8]) -> bool {
    before.iter().rev().take(2).take_while(|b| matches!(b, b'r' | b'R' | b'b' | b'B')).any(|b| matches!(b, b'r' | b'R'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_text_only() {
        let nine = "(".repeat(9);
        for (source, expected) in [
            ("((((((((a))))))))".to_owned(), None),
            (nine.clone(), Some(8)),
            ("()".repeat(50), None),
            ("a?b:".repeat(9), Some(33)),
            (format!("'{nine}'"), None),
            (format!("\"{nine}\""), None),
            (format!("'''{nine}'x'''"), None),
            (format!("'\\'{nine}'"), None),
            (format!("r'\\'{nine}"), Some(12)),
            (format!("'{nine}"), Some(9)),
            ("(((('))))'(((([".to_owned(), Some(14)),
            (format!("'a\n{nine}'"), Some(11)),
            (format!("// {nine}\n{nine}"), Some(21)),
        ] {
            assert_eq!(too_deep(&source), expected, "{source}");
        }
    }
}
