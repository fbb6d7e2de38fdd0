//! What a channel is: topic, encoding, schema. The words are MCAP's.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A schema as MCAP keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SchemaDescriptor {
    /// Full name, e.g. `foxglove.Imu` or `sensor_msgs/msg/Imu`.
    pub name: String,
    /// `protobuf`, `ros2msg`, `jsonschema`…, from MCAP's registry.
    pub encoding: String,
    /// Schema text or, for protobuf, a serialized `FileDescriptorSet`.
    pub data: Bytes,
}

/// A channel as MCAP keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelDescriptor {
    /// Topic, unique in meaning, not in a file: two publishers of one topic are two channels.
    pub topic: String,
    /// `protobuf`, `cdr`, `json`, or the zenoh encoding of an unknown payload.
    pub message_encoding: String,
    /// Absent for payloads without a schema.
    pub schema: Option<SchemaDescriptor>,
    /// Free key/value pairs.
    pub metadata: BTreeMap<String, String>,
}
