//! Key frames of compressed video: a part must begin with one.

use prost::Message;
use sagwan_schemas::time::Timestamp;

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

/// Whether a `foxglove.CompressedVideo` can be decoded without the ones before it.
///
/// H.264: NAL type 5 (ITU-T H.264 table 7-1); H.265: 16 to 21 (H.265 table 7-1); AV1: a sequence header OBU; VP9: the
/// frame type bit. Unknown formats count as key frames: nothing is repeated for them.
pub(super) fn is_key_frame(payload: &[u8]) -> bool {
    let Ok(video) = foxglove::messages::CompressedVideo::decode(payload) else { return true };
    match video.format.as_str() {
        "h264" => nal_headers(&video.data).any(|header| header & 0x1f == 5),
        "h265" => nal_headers(&video.data).any(|header| (16..=21).contains(&((header >> 1) & 0x3f))),
        // Temporal units with a sequence header (OBU type 1) begin a coded video sequence.
        "av1" => obu_types(&video.data).any(|kind| kind == 1),
        // Frame marker 2, then profile; profile 3 has one more bit before show-existing and frame type.
        "vp9" => video.data.first().is_some_and(|byte| match (byte >> 4) & 3 {
            3 => byte & 0x06 == 0,
            _ => byte & 0x0c == 0,
        }),
        _ => true,
    }
}

/// First byte of each NAL unit of an Annex B stream.
fn nal_headers(data: &[u8]) -> impl Iterator<Item = u8> + '_ {
    data.windows(4).filter(|window| window[..3] == [0, 0, 1]).map(|window| window[3])
}

/// Types of the OBUs of a low-overhead AV1 temporal unit.
fn obu_types(data: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = data;
    std::iter::from_fn(move || {
        let header = *rest.first()?;
        let mut at = 1 + usize::from(header & 0x04 != 0);
        let mut size = 0_usize;
        if header & 0x02 == 0 {
            size = rest.len().saturating_sub(at);
        } else {
            for shift in 0..5 {
                let byte = *rest.get(at)?;
                at += 1;
                size |= usize::from(byte & 0x7f) << (7 * shift);
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        rest = rest.get(at.checked_add(size)?..).unwrap_or_default();
        Some((header >> 3) & 0x0f)
    })
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
    fn key_frames_are_told_by_their_bitstream() {
        for (format, data, is_key) in [
            ("h264", &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2][..], true),
            ("h264", &[0, 0, 0, 1, 0x41, 1, 2, 3], false),
            ("h265", &[0, 0, 1, 0x26, 1], true),
            ("h265", &[0, 0, 1, 0x02, 1], false),
            ("av1", &[0x12, 0x00, 0x0a, 0x01, 0x00, 0x32, 0x01, 0x00], true),
            ("av1", &[0x12, 0x00, 0x32, 0x01, 0x00], false),
            ("vp9", &[0x82], true),
            ("vp9", &[0x86], false),
            ("something", &[], true),
        ] {
            assert_eq!(is_key_frame(&video(format, data)), is_key, "{format} {data:x?}");
        }
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
