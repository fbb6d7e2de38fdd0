//! The flags of every command that touches the wire.

use std::path::PathBuf;

use clap::Args;

/// How to reach the wire.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Wire (zenoh)")]
pub(crate) struct WireArgs {
    /// Endpoint to connect to, e.g. tcp/192.168.0.10:7447; may be repeated
    #[arg(long, value_name = "EP", global = true)]
    pub(crate) connect: Vec<String>,
    /// Endpoint to listen on, e.g. tcp/0.0.0.0:7447; may be repeated
    #[arg(long, value_name = "EP", global = true)]
    pub(crate) listen: Vec<String>,
    /// zenoh configuration to start from (.json5, .json, .yaml)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) zenoh_config: Option<PathBuf>,
}
