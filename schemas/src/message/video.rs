//! Compressed video, packet by packet.

use bytes::Bytes;
use foxglove::messages as fx;

use crate::time::Timestamp;

/// One coded picture of a video stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoPacket {
    /// When the exposure was, UTC.
    pub timestamp: Timestamp,
    /// Optical frame of the camera: +x right, +y down, +z into the scene.
    pub frame_id: String,
    /// `h264`, `h265` (both Annex B), `vp9` or `av1` (low overhead bitstream).
    pub format: String,
    /// All that decodes to exactly one picture.
    pub data: Bytes,
}

impl VideoPacket {
    pub(super) fn from_foxglove(m: fx::CompressedVideo, timestamp: Timestamp) -> Self {
        Self { timestamp, frame_id: m.frame_id, format: m.format, data: m.data }
    }

    /// Whether a decoder can start here; absent when the format is not known.
    #[must_use]
    pub fn is_key_frame(&self) -> Option<bool> {
        is_key_frame(&self.format, &self.data)
    }
}

/// Whether a decoder can start at this packet; absent when the format is not one of `h264`, `h265`, `vp9`, `av1`.
#[must_use]
pub fn is_key_frame(format: &str, data: &[u8]) -> Option<bool> {
    match format {
        // An IDR slice.
        "h264" => Some(nal_headers(data).any(|header| header & 0x1f == 5)),
        // BLA, IDR or CRA slices.
        "h265" => Some(nal_headers(data).any(|header| (16..=21).contains(&((header >> 1) & 0x3f)))),
        "vp9" => Some(vp9_key_frame(data)),
        "av1" => Some(av1_has_sequence_header(data)),
        _ => None,
    }
}

/// First byte of each NAL unit of an Annex B stream: what follows 00 00 01.
fn nal_headers(data: &[u8]) -> impl Iterator<Item = u8> + '_ {
    data.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| w[3])
}

/// VP9 bitstream, section 6.2: frame marker (2), profile (2, and 1 reserved for profile 3), show existing, frame type.
fn vp9_key_frame(data: &[u8]) -> bool {
    let Some(first) = data.first() else { return false };
    let bit = |n: u32| (first >> (7 - n)) & 1;
    let after_profile = if bit(2) == 1 && bit(3) == 1 { 5 } else { 4 };
    first >> 6 == 2 && bit(after_profile) == 0 && bit(after_profile + 1) == 0
}

/// AV1 bitstream, section 5.3: walks the units (OBU) and looks for a sequence header, which key frames carry.
fn av1_has_sequence_header(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((header, after)) = rest.split_first() {
        if (header >> 3) & 0xf == 1 {
            return true;
        }
        let skip = usize::from(header & 0b100 != 0);
        let (Some(body), true) = (after.get(skip..), header & 0b10 != 0) else { return false };
        let Some((size, length)) = leb128(body) else { return false };
        let Some(next) = length.checked_add(size).and_then(|end| body.get(end..)) else { return false };
        rest = next;
    }
    false
}

/// A little-endian base-128 number of at most four bytes, and how many bytes it took.
fn leb128(data: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, byte) in data.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::is_key_frame;

    #[test]
    fn key_frames_are_told_from_others() {
        for (format, data, expected) in [
            ("h264", &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 9][..], Some(true)),
            ("h264", &[0, 0, 0, 1, 0x41, 9], Some(false)),
            ("h265", &[0, 0, 1, 0x26, 1], Some(true)),
            ("h265", &[0, 0, 1, 0x02, 1], Some(false)),
            ("vp9", &[0b1000_0010, 0x49], Some(true)),
            ("vp9", &[0b1000_0110], Some(false)),
            ("vp9", &[], Some(false)),
            ("av1", &[0x12, 0, 0x0a, 1, 0], Some(true)),
            ("av1", &[0x12, 0, 0x32, 1, 0], Some(false)),
            ("av1", &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff], Some(false)),
            ("theora", &[1], None),
        ] {
            assert_eq!(is_key_frame(format, data), expected, "{format} {data:x?}");
        }
    }
}
