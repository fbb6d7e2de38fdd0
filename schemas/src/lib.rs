//! The contract of sagwan: what a sample means, and how a recording lies on disk. Knows no zenoh session and no window.

pub mod channel;
pub mod encoding;
pub mod message;
pub mod profile;
pub mod quantity;
pub mod recording;
pub mod stream;
pub mod time;
pub mod value;

/// Messages compiled from `proto/sagwan/*.proto`; their comments are the documentation.
#[expect(missing_docs, reason = "generated")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/sagwan.rs"));

    /// Descriptors of every `sagwan.*` message and what they import, as a serialized `FileDescriptorSet`.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sagwan.bin"));
}
