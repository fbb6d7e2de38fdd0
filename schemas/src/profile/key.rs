//! Key expressions as profiles need them: whether one is valid and canonical, and whether it includes a key.
//!
//! The rules are zenoh's (`zenoh-keyexpr` 1.x); they are written down here because this crate knows no zenoh.

/// Why a text is not a canonical key expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No text between two slashes, before the first or after the last, or no text at all.
    #[error("has an empty part: it may not be empty, begin or end with `/`, or hold `//`")]
    EmptyChunk,
    /// `#` or `?`.
    #[error("holds `{0}`, which zenoh forbids in keys")]
    Forbidden(char),
    /// `$` that is not the beginning of `$*`, or `$*` twice in a row.
    #[error("holds `$`, which is only allowed as `$*` beside other characters")]
    Dollar,
    /// `*` beside other characters.
    #[error("holds `*` beside other characters; inside a part write `$*`")]
    StarInChunk,
    /// `**/**` or `**/*`.
    #[error("is not canonical: write `**` for `**/**`, and `*/**` for `**/*`")]
    NotCanonical,
}

/// Whether a text is a canonical key expression.
///
/// # Errors
/// The first rule it breaks.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    let mut after_double_star = false;
    for chunk in key.split('/') {
        check_chunk(chunk)?;
        if after_double_star && matches!(chunk, "*" | "**") {
            return Err(KeyError::NotCanonical);
        }
        after_double_star = chunk == "**";
    }
    Ok(())
}

fn check_chunk(chunk: &str) -> Result<(), KeyError> {
    match chunk {
        "" => return Err(KeyError::EmptyChunk),
        "*" | "**" => return Ok(()),
        // A lone `$*` is `*` and not canonical.
        "$*" => return Err(KeyError::Dollar),
        _ => {}
    }
    if let Some(forbidden) = chunk.chars().find(|c| matches!(c, '#' | '?')) {
        return Err(KeyError::Forbidden(forbidden));
    }
    if chunk.contains("$*$*") {
        return Err(KeyError::Dollar);
    }
    let rest = chunk.replace("$*", "");
    if rest.contains('$') {
        return Err(KeyError::Dollar);
    }
    if rest.contains('*') { Err(KeyError::StarInChunk) } else { Ok(()) }
}

/// Whether a key expression includes a key without wildcards.
///
/// As in zenoh, chunks that begin with `@` are only matched by themselves, never by a wildcard.
#[must_use]
pub fn includes(expression: &str, key: &str) -> bool {
    let pattern: Vec<&str> = expression.split('/').collect();
    let chunks: Vec<&str> = key.split('/').collect();
    glob(&pattern, &chunks, |p| *p == "**", |p, c| chunk_includes(p, c), |c| !c.starts_with('@'))
}

fn chunk_includes(pattern: &str, chunk: &str) -> bool {
    if pattern.starts_with('@') || chunk.starts_with('@') {
        return pattern == chunk;
    }
    if pattern == "*" {
        return true;
    }
    if !pattern.contains("$*") {
        return pattern == chunk;
    }
    // `$*` as one symbol that no chunk can hold.
    let pattern: Vec<char> = pattern.replace("$*", "*").chars().collect();
    let chunk: Vec<char> = chunk.chars().collect();
    glob(&pattern, &chunk, |p| *p == '*', |p, c| p == c, |_| true)
}

/// Matches `items` against a pattern whose stars stand for any number of items that may be skipped.
///
/// Only the last star is ever widened, so the cost is the product of the lengths, not exponential. That is enough: an
/// earlier star that took more would only leave less for what follows.
fn glob<P, I>(
    pattern: &[P],
    items: &[I],
    is_star: impl Fn(&P) -> bool,
    matches: impl Fn(&P, &I) -> bool,
    may_skip: impl Fn(&I) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    // Where the last star stands, and the first item that it has not taken.
    let mut last_star: Option<(usize, usize)> = None;
    while i < items.len() || p < pattern.len() {
        match (pattern.get(p), items.get(i)) {
            (Some(star), _) if is_star(star) => {
                last_star = Some((p, i));
                p += 1;
            }
            (Some(symbol), Some(item)) if matches(symbol, item) => {
                p += 1;
                i += 1;
            }
            _ => {
                let Some((star, taken)) = last_star else { return false };
                if !items.get(taken).is_some_and(&may_skip) {
                    return false;
                }
                last_star = Some((star, taken + 1));
                (p, i) = (star + 1, taken + 1);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked_as_zenoh_does() {
        use KeyError::*;
        for (key, expected) in [
            ("a", Ok(())),
            ("sagwan/v1/p/s", Ok(())),
            ("a/*/b/**", Ok(())),
            ("*/**/b", Ok(())),
            ("a/b$*c$*/@x", Ok(())),
            ("한글/키", Ok(())),
            ("", Err(EmptyChunk)),
            ("/a", Err(EmptyChunk)),
            ("a/", Err(EmptyChunk)),
            ("a//b", Err(EmptyChunk)),
            ("a?b", Err(Forbidden('?'))),
            ("a#", Err(Forbidden('#'))),
            ("a/$*", Err(Dollar)),
            ("a$b", Err(Dollar)),
            ("a$*$*", Err(Dollar)),
            ("a*", Err(StarInChunk)),
            ("***", Err(StarInChunk)),
            ("**/**", Err(NotCanonical)),
            ("a/**/*", Err(NotCanonical)),
        ] {
            assert_eq!(check_key(key), expected, "{key}");
        }
    }

    #[test]
    fn a_key_expression_includes_what_zenoh_says() {
        for (expression, key, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a", true),
            ("a/**", "a/b/c", true),
            ("**/c", "a/b/c", true),
            ("a/**/c", "a/c", true),
            ("a/**/c/*", "a/c/c/d", true),
            ("a/x$*", "a/xyz", true),
            ("a/$*z", "a/xyz", true),
            ("a/x$*y$*z", "a/xyyz", true),
            ("a/x$*y", "a/xyz", false),
            ("**", "a/@live/b", false),
            ("a/*/b", "a/@live/b", false),
            ("**/@live/*", "a/@live/b", true),
            ("**", "a", true),
        ] {
            assert_eq!(includes(expression, key), expected, "{expression} {key}");
        }
    }

    #[test]
    fn a_hostile_expression_costs_little() {
        let expression = format!("{}b", "a$*".repeat(2000));
        assert!(!includes(&expression, &"a".repeat(4000)));
    }

    /// The definition, slow.
    fn includes_by_definition(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => {
                includes_by_definition(rest, key)
                    || key.split_first().is_some_and(|(c, k)| !c.starts_with('@') && includes_by_definition(pattern, k))
            }
            (Some((p, rest)), Some((c, k))) => chunk_includes(p, c) && includes_by_definition(rest, k),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_agrees_with_the_definition(
            pattern in proptest::collection::vec(proptest::sample::select(vec!["a", "b", "@a", "*", "**"]), 1..7),
            key in proptest::collection::vec(proptest::sample::select(vec!["a", "b", "@a"]), 1..7),
        ) {
            proptest::prop_assert_eq!(
                includes(&pattern.join("/"), &key.join("/")),
                includes_by_definition(&pattern, &key)
            );
        }
    }
}
