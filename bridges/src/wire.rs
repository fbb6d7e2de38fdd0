//! Opening the zenoh session that every command on the wire shares. Knows nothing about keys or payloads.
//!
//! What the defaults change against zenoh's own, and why:
//! - **Peer mode**; with `connect` or `listen` given, multicast scouting is off, so that two systems on one network
//!   do not find each other by surprise. A configuration file that sets it wins. Gossip stays on.
//! - **`transport/link/rx/buffer_size` is 16 MiB.** It is no socket buffer: zenoh cuts it into a pool of
//!   batch-sized buffers (65 535 bytes each, so 256 instead of 1) per link. A payload borrows its buffers until its last
//!   slice is dropped; when the pool is empty zenoh allocates and zeroes a fresh buffer per batch. The pool is last in,
//!   first out, so its pages become resident only as far as a backlog really reached.
//! - **Shared memory is off**, unless the file has a `shared_memory` section. zenoh 1.10 puts payloads from 3 KiB on
//!   into it unasked, and they become unreadable for whoever still holds them when their publisher ends, or when it
//!   stalls; messages on their way are then lost without a trace. Publishers fall back to the network by themselves.
//!   With it on, payloads must be copied in the receive callback, see [`crate::native::copy_payload`].
//! - Timestamping and everything else stay as zenoh or the file says.

use std::path::{Path, PathBuf};

use zenoh::{
    Config, Session, Wait,
    config::{EndPoint, WhatAmI},
};

/// Bytes of receive buffers that are recycled per link; see the module's documentation.
pub const RX_BUFFER_BYTES: u64 = 16 * 1024 * 1024;

/// What zenoh itself uses when nothing is configured; [`open`] raises exactly this value.
const RX_BUFFER_BYTES_UNSET: u64 = 65_535;

/// How to reach the wire: the flags `--connect`, `--listen`, `--zenoh-config` of every command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireOptions {
    /// Endpoints to connect to, e.g. `tcp/192.168.0.10:7447`; they replace those of the file.
    pub connect: Vec<String>,
    /// Endpoints to listen on, e.g. `tcp/0.0.0.0:7447`; they replace those of the file.
    pub listen: Vec<String>,
    /// A zenoh configuration (`.json5`, `.json` or `.yaml`) to start from.
    pub zenoh_config: Option<PathBuf>,
    /// Role in the network; `None` leaves it to the file, else it is a peer.
    pub mode: Option<Mode>,
}

/// Role of a session in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Talks to other peers and to routers; keeps trying endpoints that do not answer yet.
    Peer,
    /// Talks to one router; fails at once if there is none.
    Client,
    /// Forwards between others.
    Router,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Router => "router",
        }
    }
}

/// Why the wire could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The configuration file could not be read or understood.
    #[error("zenoh configuration is unusable; it must be .json5, .json or .yaml as in zenoh's DEFAULT_CONFIG: {path}")]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
    /// An endpoint is not of the form zenoh expects.
    #[error("endpoint `{endpoint}` is not of the form <protocol>/<address>, for example tcp/192.168.0.10:7447")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
    /// A value of ours was refused by zenoh's configuration.
    #[error("zenoh refuses `{value}` for `{setting}`")]
    Setting {
        /// Path in the configuration.
        setting: &'static str,
        /// JSON.
        value: String,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
    /// The session did not come up.
    #[error("cannot open the zenoh session as {mode}; {hint}")]
    Open {
        /// Role that was asked for.
        mode: String,
        /// What to check.
        hint: String,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
}

/// Opens a session and returns when it is usable.
///
/// # Errors
/// [`WireError`]; no session is left behind. A peer whose `connect` endpoints do not answer is no error: it keeps
/// trying in the background, because recorders start before robots.
pub fn open(options: &WireOptions) -> Result<Session, WireError> {
    let config = configure(options)?;
    let mode = text(&config, "mode").unwrap_or_else(|| Mode::Peer.name().to_owned());
    zenoh::open(config).wait().map_err(|source| WireError::Open { mode, hint: hint(options), source })
}

/// The configuration [`open`] uses.
///
/// # Errors
/// [`WireError`], except [`WireError::Open`].
pub fn configure(options: &WireOptions) -> Result<Config, WireError> {
    let (mut config, decides_shared_memory) = match &options.zenoh_config {
        Some(path) => from_file(path).map_err(|source| WireError::ConfigFile { path: path.clone(), source })?,
        None => (Config::default(), false),
    };
    if !decides_shared_memory {
        set(&mut config, "transport/shared_memory/enabled", "false")?;
    }
    if let Some(mode) = options.mode {
        set(&mut config, "mode", &format!("\"{}\"", mode.name()))?;
    }
    if !options.connect.is_empty() {
        set(&mut config, "connect/endpoints", &endpoints(&options.connect)?)?;
    }
    if !options.listen.is_empty() {
        set(&mut config, "listen/endpoints", &endpoints(&options.listen)?)?;
    }
    let explicit = !options.connect.is_empty() || !options.listen.is_empty();
    if explicit && is_unset(&config, "scouting/multicast/enabled") {
        set(&mut config, "scouting/multicast/enabled", "false")?;
    }
    if text(&config, "transport/link/rx/buffer_size") == Some(RX_BUFFER_BYTES_UNSET.to_string()) {
        set(&mut config, "transport/link/rx/buffer_size", &RX_BUFFER_BYTES.to_string())?;
    }
    Ok(config)
}

/// The configuration, and whether it says anything about shared memory: zenoh's default cannot be told from its value.
fn from_file(path: &Path) -> zenoh::Result<(Config, bool)> {
    let config = Config::from_file(path)?;
    Ok((config, std::fs::read_to_string(path)?.contains("shared_memory")))
}

/// A JSON list of endpoints that zenoh can parse.
fn endpoints(given: &[String]) -> Result<String, WireError> {
    for endpoint in given {
        endpoint.parse::<EndPoint>().map_err(|source| WireError::Endpoint { endpoint: endpoint.clone(), source })?;
    }
    Ok(serde_json::Value::from(given).to_string())
}

fn set(config: &mut Config, setting: &'static str, value: &str) -> Result<(), WireError> {
    config.insert_json5(setting, value).map_err(|source| WireError::Setting {
        setting,
        value: value.to_owned(),
        source,
    })
}

/// The setting as text: a JSON string without its quotes, anything else as JSON.
fn text(config: &Config, setting: &str) -> Option<String> {
    let json = config.get_json(setting).ok()?;
    match serde_json::from_str(&json).ok()? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn is_unset(config: &Config, setting: &str) -> bool {
    text(config, setting).is_none()
}

fn hint(options: &WireOptions) -> String {
    let mut hints = Vec::new();
    if !options.connect.is_empty() {
        hints.push(format!("check that a zenoh router or peer listens on {}", options.connect.join(", ")));
    }
    if !options.listen.is_empty() {
        hints.push(format!("check that {} is an address of this host and not in use", options.listen.join(", ")));
    }
    if let Some(path) = &options.zenoh_config {
        hints.push(format!("check the endpoints in {}", path.display()));
    }
    if hints.is_empty() {
        hints.push("give --connect or --listen if this network has no multicast".to_owned());
    }
    hints.join("; ")
}

/// Whether the session reaches a router or a peer right now.
#[must_use]
pub fn is_connected(session: &Session) -> bool {
    let info = session.info();
    let routers = info.routers_zid().wait().next().is_some();
    routers || info.peers_zid().wait().next().is_some()
}

/// The mode zenoh would run in, for messages.
#[must_use]
pub fn mode_of(config: &Config) -> Mode {
    match text(config, "mode").and_then(|m| m.parse::<WhatAmI>().ok()) {
        Some(WhatAmI::Client) => Mode::Client,
        Some(WhatAmI::Router) => Mode::Router,
        Some(WhatAmI::Peer) | None => Mode::Peer,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn given(endpoint: &str) -> Vec<String> {
        vec![endpoint.to_owned()]
    }

    #[test]
    fn explicit_endpoints_switch_multicast_off_and_gossip_stays() {
        for (options, multicast) in [
            (WireOptions::default(), None),
            (WireOptions { connect: given("tcp/127.0.0.1:1"), ..Default::default() }, Some("false")),
            (WireOptions { listen: given("tcp/127.0.0.1:0"), ..Default::default() }, Some("false")),
        ] {
            let config = configure(&options).unwrap();
            assert_eq!(text(&config, "scouting/multicast/enabled").as_deref(), multicast, "{options:?}");
            assert_ne!(text(&config, "scouting/gossip/enabled").as_deref(), Some("false"));
            assert_eq!(text(&config, "transport/shared_memory/enabled").as_deref(), Some("false"));
            assert_eq!(text(&config, "transport/link/rx/buffer_size"), Some(RX_BUFFER_BYTES.to_string()));
            assert_eq!(mode_of(&config), Mode::Peer);
        }
    }

    #[test]
    fn what_the_file_says_wins_over_our_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zenoh.json5");
        let file = "{mode: 'client', scouting: {multicast: {enabled: true}},
            transport: {link: {rx: {buffer_size: 1000000}}, shared_memory: {enabled: true}}}";
        std::fs::write(&path, file).unwrap();
        let options =
            WireOptions { zenoh_config: Some(path), connect: given("tcp/127.0.0.1:1"), ..WireOptions::default() };
        let config = configure(&options).unwrap();
        assert_eq!(text(&config, "scouting/multicast/enabled").as_deref(), Some("true"));
        assert_eq!(text(&config, "transport/link/rx/buffer_size").as_deref(), Some("1000000"));
        assert_eq!(text(&config, "transport/shared_memory/enabled").as_deref(), Some("true"));
        assert_eq!(mode_of(&config), Mode::Client);
        let config = configure(&WireOptions { mode: Some(Mode::Router), ..options }).unwrap();
        assert_eq!(mode_of(&config), Mode::Router);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("broken.json5");
        std::fs::write(&broken, "{mode: 'admiral'}").unwrap();
        for (options, expected) in [
            (WireOptions { zenoh_config: Some(broken), ..Default::default() }, "broken.json5"),
            (WireOptions { zenoh_config: Some(dir.path().join("absent.json5")), ..Default::default() }, "absent.json5"),
            (WireOptions { connect: given("192.168.0.10"), ..Default::default() }, "`192.168.0.10`"),
        ] {
            let error = configure(&options).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_client_without_a_router_is_told_which_endpoint_does_not_answer() {
        // Port 1 of the loopback has no listener.
        let options =
            WireOptions { connect: given("tcp/127.0.0.1:1"), mode: Some(Mode::Client), ..WireOptions::default() };
        let error = open(&options).unwrap_err();
        assert!(error.to_string().contains("listens on tcp/127.0.0.1:1"), "{error}");
    }
}
