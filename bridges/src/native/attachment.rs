//! The attachment of a native sample: which message this is, and when its sensor saw it. Little-endian, no header.

use sagwan_schemas::time::Timestamp;
use zenoh::bytes::ZBytes;

/// Bytes without and with the instance.
const SHORT: usize = 16;
const LONG: usize = 24;

/// What a native publisher says about one message.
///
/// Layout: `sequence` u64 LE, `capture_time` i64 LE, and in the 24-byte form `instance` i64 LE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// Counts the messages of one instance from 0; a number that never arrives is a lost message.
    pub sequence: u64,
    /// When the sensor captured the value; the sensor's clock.
    pub capture_time: Timestamp,
    /// When this instance of the publisher started, ns UTC. Tells a restart, which is no loss, from a gap.
    pub instance: Option<i64>,
}

/// The bytes are no native attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a native attachment has 16 or 24 bytes, got {length}")]
pub struct AttachmentError {
    /// Bytes found.
    pub length: usize,
}

impl Attachment {
    /// The 24-byte form if there is an instance, else the 16-byte form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONG);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.capture_time.as_nanos().to_le_bytes());
        if let Some(instance) = self.instance {
            bytes.extend_from_slice(&instance.to_le_bytes());
        }
        bytes
    }

    /// Reads either form.
    ///
    /// # Errors
    /// [`AttachmentError`] for any other length.
    pub fn decode(bytes: &[u8]) -> Result<Self, AttachmentError> {
        let (fields, rest) = bytes.as_chunks::<8>();
        let wrong = AttachmentError { length: bytes.len() };
        if !rest.is_empty() {
            return Err(wrong);
        }
        let (sequence, capture_time, instance) = match fields {
            [sequence, time] => (sequence, time, None),
            [sequence, time, instance] => (sequence, time, Some(i64::from_le_bytes(*instance))),
            _ => return Err(wrong),
        };
        Ok(Self {
            sequence: u64::from_le_bytes(*sequence),
            capture_time: Timestamp::from_nanos(i64::from_le_bytes(*capture_time)),
            instance,
        })
    }

    /// As [`Attachment::decode`], from the wire: nothing is copied or allocated for attachments of another length.
    ///
    /// # Errors
    /// [`AttachmentError`] for any other length.
    pub fn from_zbytes(bytes: &ZBytes) -> Result<Self, AttachmentError> {
        match bytes.len() {
            SHORT | LONG => Self::decode(&bytes.to_bytes()),
            length => Err(AttachmentError { length }),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_little_endian_and_has_no_header() {
        let attachment =
            Attachment { sequence: 1, capture_time: Timestamp::from_nanos(-2), instance: Some(0x0102_0304) };
        let bytes = attachment.encode();
        assert_eq!(bytes[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(bytes[16..], [4, 3, 2, 1, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(sequence: u64, nanos: i64, instance: Option<i64>) {
            let attachment = Attachment { sequence, capture_time: Timestamp::from_nanos(nanos), instance };
            let bytes = attachment.encode();
            prop_assert_eq!(bytes.len(), if instance.is_some() { LONG } else { SHORT });
            prop_assert_eq!(Attachment::decode(&bytes).unwrap(), attachment);
            prop_assert_eq!(Attachment::from_zbytes(&ZBytes::from(bytes)).unwrap(), attachment);
        }

        #[test]
        fn any_other_length_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let decoded = Attachment::decode(&bytes);
            prop_assert_eq!(decoded.is_ok(), matches!(bytes.len(), SHORT | LONG));
            prop_assert_eq!(Attachment::from_zbytes(&ZBytes::from(bytes)), decoded);
        }
    }
}
