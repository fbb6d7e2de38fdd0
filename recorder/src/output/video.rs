//! Key frames of compressed video: a part must begin with one.

use prost::Message;
use sagwan_schemas::{message, time::Timestamp};

/// Schema of a video picture.
pub(super) const SCHEMA: &str = "foxglove.CompressedVideo";
/// Pictures since the last key frame beyond this are not repeated in the next part, bytes.
const GOP_BYTES_MAX: usize = 32 << 20;

/// A picture as it was received.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) sequence: Option<u64>,
    pub(super) publish_time: Timestamp,
    pub(super) payload: Box<[u8]>,
}

/// The pictures since the last key frame, that one included.
#[derive(Debug, Default)]
pub(super) struct Gop {
    pictures: Vec<Picture>,
    bytes: usize,
    too_large: bool,
}

impl Gop {
    pub(super) fn note(&mut self, sequence: Option<u64>, publish_time: Timestamp, payload: &[u8]) {
        if is_key_frame(payload) {
            *self = Self::default();
        } else if self.pictures.is_empty() {
            // Before the first key frame nothing can be decoded anyway.
            return;
        }
        self.bytes += payload.len();
        if self.bytes > GOP_BYTES_MAX {
            self.too_large = true;
            self.pictures.clear();
        }
        if !self.too_large {
            self.pictures.push(Picture { sequence, publish_time, payload: payload.into() });
        }
    }

    pub(super) fn pictures(&self) -> &[Picture] {
        &self.pictures
    }
}

/// Whether a `foxglove.CompressedVideo` can be decoded without the ones before it. What cannot be told counts as one:
/// nothing is repeated for it.
pub(super) fn is_key_frame(payload: &[u8]) -> bool {
    foxglove::messages::CompressedVideo::decode(payload)
        .ok()
        .and_then(|video| message::video::is_key_frame(&video.format, &video.data))
        .unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(format: &str, data: &[u8]) -> Vec<u8> {
        foxglove::messages::CompressedVideo {
            format: format.to_owned(),
            data: data.to_vec().into(),
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn only_the_pictures_since_the_last_key_frame_are_kept() {
        let key = video("h264", &[0, 0, 1, 0x65, 2]);
        let other = video("h264", &[0, 0, 1, 0x41, 2]);
        let mut gop = Gop::default();
        for (sequence, payload) in [&other, &key, &other, &other, &key, &other].into_iter().enumerate() {
            gop.note(Some(sequence as u64), Timestamp::EPOCH, payload);
        }
        let kept: Vec<_> = gop.pictures().iter().filter_map(|picture| picture.sequence).collect();
        assert_eq!(kept, [4, 5]);
    }
}
