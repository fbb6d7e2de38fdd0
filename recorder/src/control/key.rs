//! The keys of control queries: `@sagwan/<host>/recorder/<command>`.

/// First chunk of every control key. Zenoh matches chunks that begin with `@` by name only, so that a subscriber on `**`
/// never sees control traffic.
const ROOT: &str = "@sagwan";
/// Third chunk.
const RECORDER: &str = "recorder";
/// Longest host chunk, bytes.
const HOST_BYTES_MAX: usize = 64;

/// A query's key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlKey<'a> {
    /// The host as asked for: a name, or a wildcard for several.
    pub host: &'a str,
    /// The command's path, for [`parse`](super::parse).
    pub command: &'a str,
}

/// A key that is no control key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key:?} is not a control key; use {ROOT}/<host>/{RECORDER}/<command>, with * for every host")]
pub struct ControlKeyError {
    /// The key, shortened.
    pub key: String,
}

impl<'a> ControlKey<'a> {
    /// Takes a query's key expression apart; the command must be spelled out.
    ///
    /// # Errors
    /// The key, if its layout is another.
    pub fn parse(key: &'a str) -> Result<Self, ControlKeyError> {
        let mut chunks = key.splitn(4, '/');
        match (chunks.next(), chunks.next(), chunks.next(), chunks.next()) {
            (Some(ROOT), Some(host), Some(RECORDER), Some(command)) if !host.is_empty() && !command.is_empty() => {
                Ok(Self { host, command })
            }
            _ => Err(ControlKeyError { key: key.chars().take(128).collect() }),
        }
    }
}

/// The key expression that a recorder on `host` answers.
#[must_use]
pub fn queryable_key(host: &str) -> String {
    format!("{ROOT}/{}/{RECORDER}/**", host_chunk(host))
}

/// The key that asks for `command`, of one host or, without one, of all.
#[must_use]
pub fn command_key(host: Option<&str>, command: &str) -> String {
    let host = host.map_or_else(|| "*".to_owned(), host_chunk);
    format!("{ROOT}/{host}/{RECORDER}/{command}")
}

/// A host's name as a key chunk: ASCII letters, digits, `.`, `_` and `-`; everything else becomes `_`.
#[must_use]
pub fn host_chunk(host: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let chunk: String = host.chars().take(HOST_BYTES_MAX).map(|c| if keep(c) { c } else { '_' }).collect();
    if chunk.is_empty() { "_".to_owned() } else { chunk }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_and_taken_apart() {
        let key = command_key(Some("edge 1"), "episode/begin");
        assert_eq!(key, "@sagwan/edge_1/recorder/episode/begin");
        assert_eq!(ControlKey::parse(&key), Ok(ControlKey { host: "edge_1", command: "episode/begin" }));
        let all = command_key(None, "status");
        assert_eq!(ControlKey::parse(&all), Ok(ControlKey { host: "*", command: "status" }));
        assert_eq!(queryable_key("로봇/1"), "@sagwan/___1/recorder/**");
        assert_eq!(host_chunk(""), "_");
        for bad in
            ["", "@sagwan", "@sagwan/**", "@sagwan//recorder/status", "sagwan/h/recorder/x", "@sagwan/h/recorder/"]
        {
            assert!(ControlKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_key_expressions_and_wildcards_reach_the_queryable() {
        let queryable = zenoh::key_expr::KeyExpr::try_from(queryable_key("edge-1"));
        let query = zenoh::key_expr::KeyExpr::try_from(command_key(None, "status"));
        assert!(matches!((queryable, query), (Ok(a), Ok(b)) if a.intersects(&b)));
    }
}
