//! "Did you mean": the known word nearest to a wrong one. Pure text.

/// Words longer than this are not compared; the cost grows with the square of the length.
const LONGEST: usize = 64;

/// Of longer lists only the beginning is compared: a hostile file may have thousands of names, each of them wrong.
const MOST: usize = 256;

/// The known word that was probably meant, if one is near enough.
pub(super) fn nearest<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if wrong.len() > LONGEST {
        return None;
    }
    let allowed = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .take(MOST)
        .filter(|word| word.len() <= LONGEST)
        .map(|word| (distance(wrong, word), word))
        .filter(|(distance, word)| *distance <= allowed || is_part(wrong, word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `rate` of `rate_hz`: people remember the beginning.
fn is_part(wrong: &str, word: &str) -> bool {
    wrong.len() >= 3 && word.starts_with(wrong)
}

/// Levenshtein distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("관절", "관잘", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_offered_and_far_ones_are_not() {
        let known = ["rate_hz", "rate_tolerance", "required", "name"];
        assert_eq!(nearest("rate", known), Some("rate_hz"));
        assert_eq!(nearest("requird", known), Some("required"));
        assert_eq!(nearest("nmae", known), None, "two replacements of four");
        assert_eq!(nearest("x", known), None);
    }
}
