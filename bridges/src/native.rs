//! The native wire dialect of sagwan: keys, attachment, schema and announcement of a stream.
//!
//! - **Key**: `sagwan/v1/<platform>/<stream>`; [`key`] also puts any MCAP topic into one.
//! - **Payload**: the message; its zenoh encoding says what it is, e.g. `application/protobuf;schema=foxglove.Imu`.
//! - **Attachment**: sequence, capture time and the instance of the publisher, see [`Attachment`].
//! - **Announcement**: a liveliness token on `<key>/@live/<instance>`. Chunks that begin with `@` are verbatim in zenoh:
//!   no wildcard matches them, so they never show up as data.
//! - **Schema**: a queryable on `<key>/@schema`, see [`Fetched`].
//! - **Flush**: receivers that want everything answer on `sagwan/v1/@flush/<zid>`, see [`flush()`].
//! - **Latched streams** also answer a `get` on `<key>` with their last value.
//!
//! Knows no recorder: what to subscribe to and what to do with a sample is decided elsewhere.

mod attachment;
mod descriptor;
pub mod encoding;
mod flush;
pub mod key;
mod publisher;
mod receive;

pub use attachment::{Attachment, AttachmentError};
pub use descriptor::{DescriptorError, Fetched, StreamDescriptor, fetch_descriptor, parse_descriptor};
pub use encoding::descriptor_from_encoding;
pub use flush::{Flushed, answer_flush, flush};
pub use key::KeyError;
pub use publisher::{Congestion, NativeError, Publisher, PublisherOptions};
pub use receive::{PayloadError, Received, Source, classify, copy_payload, fetch_latched};
