//! Keys of the native dialect, and how any MCAP topic becomes one without two topics meeting.
//!
//! Escaping: one leading `/` is dropped, and every character that zenoh gives a meaning to is written `%XX` (its ASCII
//! code, upper-case hexadecimal): `* $ # ? %`, control characters, and `@` where a chunk begins. Three marks, which no
//! `%XX` can look like, stand for what is not there: `%_` an empty chunk, `%~` a missing leading `/`, and a last
//! chunk `%=<number>` one of several channels of one topic. So `/camera*/#1` is `camera%2A/%231`.

use zenoh::key_expr::keyexpr;

/// Where all native keys live.
pub const PREFIX: &str = "sagwan/v1";
/// Matches every native stream of every platform.
pub const ALL_STREAMS: &str = "sagwan/v1/**";
/// Matches the liveliness tokens of every native publisher that announces itself.
pub const ALL_LIVE: &str = "sagwan/v1/**/@live/*";
/// Longest key in bytes; MCAP allows topics of gigabytes.
pub const MAX_KEY_BYTES: usize = 2048;

const SCHEMA: &str = "/@schema";
const LIVE: &str = "/@live/";
const EMPTY_CHUNK: &str = "%_";
const NO_LEADING_SLASH: &str = "%~";
const NUMBER: &str = "%=";

/// Why something is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not one plain chunk.
    #[error("platform `{0}` must be one chunk without / * $ # ? and not begin with @")]
    Platform(String),
    /// Not a concrete zenoh key.
    #[error("`{0}` is not a concrete zenoh key: chunks must not be empty, begin with @ or contain * $ # ?")]
    Illegal(String),
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("a key may have {MAX_KEY_BYTES} bytes, this one has {0}")]
    TooLong(usize),
}

/// `sagwan/v1/<platform>/<stream>`.
///
/// # Errors
/// [`KeyError`] if either part is no legal part of a key; use [`escape_topic`] for names that come from elsewhere.
pub fn stream_key(platform: &str, stream: &str) -> Result<String, KeyError> {
    if platform.contains('/') || check(platform).is_err() {
        return Err(KeyError::Platform(platform.to_owned()));
    }
    let key = format!("{PREFIX}/{platform}/{stream}");
    check(&key)?;
    Ok(key)
}

/// Accepts keys that a publisher can use: concrete, short enough and without verbatim chunks.
///
/// # Errors
/// [`KeyError`] says which rule is broken.
pub fn check(key: &str) -> Result<(), KeyError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong(key.len()));
    }
    let legal = keyexpr::new(key).is_ok_and(|k| !k.is_wild());
    if !legal || key.split('/').any(|chunk| chunk.starts_with('@')) {
        return Err(KeyError::Illegal(key.to_owned()));
    }
    Ok(())
}

/// Where the schema of `key` is asked for.
#[must_use]
pub fn schema_key(key: &str) -> String {
    format!("{key}{SCHEMA}")
}

/// The liveliness token of one instance of the publisher of `key`.
#[must_use]
pub fn live_key(key: &str, instance: i64) -> String {
    format!("{key}{LIVE}{instance:x}")
}

/// The key that a liveliness token announces: the token is on `<key>/@live/<instance>` or on `<key>` itself.
///
/// `None` for tokens of other dialects.
#[must_use]
pub fn announced_key(token: &str) -> Option<&str> {
    let key = match token.rsplit_once(LIVE) {
        Some((key, instance)) if !instance.contains('/') => key,
        Some(_) => return None,
        None => token,
    };
    (split(key).is_some() && check(key).is_ok()).then_some(key)
}

/// Platform and stream of a native key; `None` if it is none.
#[must_use]
pub fn split(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(PREFIX)?.strip_prefix('/')?.split_once('/')
}

/// The topic of a key that nobody describes: `/<stream>` with its escapes undone, for foreign keys `/<key>`.
#[must_use]
pub fn default_topic(key: &str) -> String {
    match split(key) {
        Some((_, stream)) => unescape_topic(stream).unwrap_or_else(|| format!("/{stream}")),
        None => format!("/{key}"),
    }
}

/// A topic as the stream part of a key; different topics give different streams.
#[must_use]
pub fn escape_topic(topic: &str) -> String {
    let (mut out, rest) = match topic.strip_prefix('/') {
        Some(rest) => (String::with_capacity(topic.len()), rest),
        None => (NO_LEADING_SLASH.to_owned(), topic),
    };
    for (i, chunk) in rest.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        escape_chunk(chunk, &mut out);
    }
    out
}

/// [`escape_topic`] for the `number`th channel that has this topic.
#[must_use]
pub fn escape_numbered(topic: &str, number: usize) -> String {
    format!("{}/{NUMBER}{number}", escape_topic(topic))
}

fn escape_chunk(chunk: &str, out: &mut String) {
    if chunk.is_empty() {
        out.push_str(EMPTY_CHUNK);
    }
    for (i, c) in chunk.char_indices() {
        let special = matches!(c, '*' | '$' | '#' | '?' | '%') || c.is_ascii_control() || (c == '@' && i == 0);
        if special {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
}

/// The topic that [`escape_topic`] or [`escape_numbered`] made this stream of; `None` if neither did.
#[must_use]
pub fn unescape_topic(stream: &str) -> Option<String> {
    let stream = match stream.rsplit_once('/') {
        Some((topic, last)) if last.strip_prefix(NUMBER).is_some_and(is_number) => topic,
        _ => stream,
    };
    let (mut out, rest) = match stream.strip_prefix(NO_LEADING_SLASH) {
        Some(rest) => (String::new(), rest),
        None => ("/".to_owned(), stream),
    };
    for (i, chunk) in rest.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        if chunk != EMPTY_CHUNK {
            unescape_chunk(chunk, &mut out)?;
        }
    }
    Some(out)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn unescape_chunk(chunk: &str, out: &mut String) -> Option<()> {
    let mut parts = chunk.split('%');
    out.push_str(parts.next()?);
    for part in parts {
        let code = part.get(..2)?;
        let upper_hex = code.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        let byte = u8::from_str_radix(code, 16).ok().filter(|byte| upper_hex && byte.is_ascii())?;
        out.push(char::from(byte));
        out.push_str(part.get(2..)?);
    }
    Some(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_become_readable_streams() {
        for (topic, stream) in [
            ("/head_color", "head_color"),
            ("/tf", "tf"),
            ("/camera/front/image", "camera/front/image"),
            ("/camera*/#1", "camera%2A/%231"),
            ("tf", "%~tf"),
            ("", "%~%_"),
            ("/", "%_"),
            ("//a", "%_/a"),
            ("/a/", "a/%_"),
            ("/100%", "100%25"),
            ("/@schema/a@b", "%40schema/a@b"),
            ("/카메라/앞 왼쪽", "카메라/앞 왼쪽"),
            ("/**", "%2A%2A"),
            ("/a?b=$c", "a%3Fb=%24c"),
        ] {
            assert_eq!(escape_topic(topic), stream, "{topic}");
            assert_eq!(unescape_topic(stream).as_deref(), Some(topic), "{stream}");
            assert_eq!(unescape_topic(&escape_numbered(topic, 3)).as_deref(), Some(topic), "{stream}");
            assert!(stream_key("g1", stream).is_ok(), "{stream}");
        }
    }

    #[test]
    fn platforms_and_streams_must_be_legal() {
        for (platform, stream, legal) in [
            ("g1", "imu", true),
            ("g1", "head/color", true),
            ("g1/left", "imu", false),
            ("", "imu", false),
            ("@g1", "imu", false),
            ("*", "imu", false),
            ("g1", "", false),
            ("g1", "/imu", false),
            ("g1", "a/**", false),
            ("g1", "a/@schema", false),
        ] {
            assert_eq!(stream_key(platform, stream).is_ok(), legal, "{platform} {stream}");
        }
        assert_eq!(check(&"a".repeat(MAX_KEY_BYTES + 1)), Err(KeyError::TooLong(MAX_KEY_BYTES + 1)));
    }

    #[test]
    fn tokens_announce_their_key() {
        for (token, key) in [
            ("sagwan/v1/g1/imu/@live/17f", Some("sagwan/v1/g1/imu")),
            ("sagwan/v1/g1/a/b/@live/x", Some("sagwan/v1/g1/a/b")),
            ("sagwan/v1/g1/imu", Some("sagwan/v1/g1/imu")),
            ("sagwan/v1/g1", None),
            ("sagwan/v1/g1/imu/@live/a/b", None),
            ("sagwan/v1/g1/imu/@adv/pub/0/_", None),
            ("sagwan/v1/g1/@live/a", None),
            ("@ros2_lv/0/a", None),
        ] {
            assert_eq!(announced_key(token), key, "{token}");
        }
        assert_eq!(announced_key(&live_key("sagwan/v1/g1/imu", -1)), Some("sagwan/v1/g1/imu"));
        assert!(keyexpr::new(ALL_LIVE).unwrap().intersects(keyexpr::new("sagwan/v1/g1/imu/@live/17f").unwrap()));
        assert!(!keyexpr::new(ALL_STREAMS).unwrap().intersects(keyexpr::new("sagwan/v1/g1/imu/@live/17f").unwrap()));
    }

    proptest! {
        #[test]
        fn every_topic_becomes_a_legal_stream_and_comes_back(topic in "[a-c/@*$#?%_~=0-9A-F\u{0}-\u{7f}한é]{0,12}") {
            let stream = escape_topic(&topic);
            prop_assert!(stream_key("p", &stream).is_ok(), "{}", stream);
            let back = unescape_topic(&stream);
            prop_assert_eq!(back.as_deref(), Some(topic.as_str()));
            let numbered = escape_numbered(&topic, 12);
            prop_assert!(stream_key("p", &numbered).is_ok(), "{}", numbered);
            prop_assert_eq!(unescape_topic(&numbered), back);
        }

        #[test]
        fn different_topics_never_meet(topics in proptest::collection::btree_set("[a/@%_~=2A*]{0,5}", 2..40)) {
            let mut streams = HashSet::new();
            for topic in &topics {
                streams.insert(escape_topic(topic));
                streams.insert(escape_numbered(topic, 1));
            }
            prop_assert_eq!(streams.len(), 2 * topics.len());
        }

        #[test]
        fn any_text_is_unescaped_without_panic(text in "\\PC{0,24}") {
            let _ = unescape_topic(&text);
            let _ = default_topic(&text);
            let _ = announced_key(&text);
        }
    }
}
