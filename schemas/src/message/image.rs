//! Images: compressed, raw, depth. Axes of an image's frame: +x right, +y down, +z into the scene.

use bytes::Bytes;
use foxglove::messages as fx;

use super::error::{Expected, Problem};
use crate::time::Timestamp;

/// A picture in a compressed format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressedImage {
    /// When the exposure was, UTC.
    pub timestamp: Timestamp,
    /// Optical frame of the camera.
    pub frame_id: String,
    /// Format as the sender writes it: `jpeg`, `png`, `webp`, `avif`; ROS adds words such as `rgb8; jpeg compressed bgr8`.
    pub format: String,
    /// One complete file of that format.
    pub data: Bytes,
}

impl CompressedImage {
    pub(super) fn from_foxglove(m: fx::CompressedImage, timestamp: Timestamp) -> Self {
        Self { timestamp, frame_id: m.frame_id, format: m.format, data: m.data }
    }
}

/// A picture as pixels. `step * height` bytes of data are there, and a row's pixels fit into its step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawImage {
    /// When the exposure was, UTC.
    pub timestamp: Timestamp,
    /// Optical frame of the camera.
    pub frame_id: String,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pixel format: those of `foxglove.RawImage`, e.g. `rgb8`, `mono16`, `nv12`, or any other of ROS.
    pub encoding: String,
    /// Bytes from one row to the next.
    pub step: u32,
    /// Multi-byte pixels are stored high byte first (some ROS senders; never in `foxglove.RawImage`).
    pub big_endian: bool,
    /// The rows.
    pub data: Bytes,
}

impl RawImage {
    pub(super) fn from_foxglove(m: fx::RawImage, timestamp: Timestamp) -> Result<Self, Problem> {
        Self {
            timestamp,
            frame_id: m.frame_id,
            width: m.width,
            height: m.height,
            encoding: m.encoding,
            step: m.step,
            big_endian: false,
            data: m.data,
        }
        .checked()
    }

    /// Itself, if its sizes belong together: only then may anybody index into it.
    pub(super) fn checked(self) -> Result<Self, Problem> {
        // A pixel of an encoding that is not known here has at least one byte.
        let row = u64::from(self.width) * u64::from(bytes_per_pixel(&self.encoding).unwrap_or(1));
        if self.height > 0 && row > u64::from(self.step) {
            let values = format!("{} pixels of {} in {} bytes", self.width, self.encoding, self.step);
            return Err(Problem::Sizes { what: "width, encoding and step", values });
        }
        let luma = u64::from(self.step) * u64::from(self.height);
        let needed = if self.encoding == "nv12" { luma.saturating_add(luma / 2) } else { luma };
        if (self.data.len() as u64) < needed {
            return Err(Problem::Length {
                field: "data",
                expected: Expected::AtLeast(needed),
                actual: self.data.len(),
            });
        }
        Ok(self)
    }

    /// The bytes of one row without its padding; absent below the last row. For `nv12`, the luma.
    #[must_use]
    pub fn row(&self, row: u32) -> Option<&[u8]> {
        if row >= self.height {
            return None;
        }
        let start = (row as usize).checked_mul(self.step as usize)?;
        let pixel = bytes_per_pixel(&self.encoding).map_or(self.step as usize, |n| n as usize * self.width as usize);
        self.data.get(start..start.checked_add(pixel)?)
    }
}

/// A picture of distances along +z of the optical frame.
///
/// Made from a raw image of encoding `16UC1` (millimetres) or `32FC1` (metres): the convention of ROS REP 118, which
/// Foxglove's users follow too. A brightness image has one of the `mono` encodings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DepthImage {
    /// The pixels; its encoding is `16UC1` or `32FC1`.
    pub image: RawImage,
}

impl DepthImage {
    /// The image as distances, or the image itself if its encoding is not one of distances.
    ///
    /// # Errors
    /// The image unchanged, boxed, when its encoding is neither `16UC1` nor `32FC1`.
    pub fn of(image: RawImage) -> Result<Self, Box<RawImage>> {
        match image.encoding.as_str() {
            "16UC1" | "32FC1" => Ok(Self { image }),
            _ => Err(Box::new(image)),
        }
    }

    /// Distance at a pixel, metres; absent outside the image and where nothing was measured (0, not finite).
    #[must_use]
    pub fn metres(&self, x: u32, y: u32) -> Option<f32> {
        let row = self.image.row(y)?;
        let x = x as usize;
        let metres = if self.image.encoding == "16UC1" {
            let raw: [u8; 2] = row.get(2 * x..2 * x + 2)?.try_into().ok()?;
            let millimetres = if self.image.big_endian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) };
            f32::from(millimetres) / 1000.0
        } else {
            let raw: [u8; 4] = row.get(4 * x..4 * x + 4)?.try_into().ok()?;
            if self.image.big_endian { f32::from_be_bytes(raw) } else { f32::from_le_bytes(raw) }
        };
        (metres.is_finite() && metres > 0.0).then_some(metres)
    }
}

/// Bytes of one pixel in one row, for encodings that are known: Foxglove's, and ROS's `8UC3`, `32FC1` and the like.
#[must_use]
pub fn bytes_per_pixel(encoding: &str) -> Option<u32> {
    Some(match encoding {
        "mono8" | "nv12" => 1,
        "mono16" | "yuv422" | "uyvy" | "yuv422_yuy2" | "yuyv" => 2,
        "rgb8" | "bgr8" => 3,
        "rgba8" | "bgra8" => 4,
        "rgb16" | "bgr16" => 6,
        "rgba16" | "bgra16" => 8,
        other => match other.strip_prefix("bayer_") {
            Some(pattern) => {
                if pattern.ends_with("16") {
                    2
                } else {
                    1
                }
            }
            None => return opencv_type(other),
        },
    })
}

/// Bytes of a pixel of OpenCV's type names: bits, `U`, `S` or `F`, `C` and the number of channels.
fn opencv_type(name: &str) -> Option<u32> {
    let (bytes, rest) = [("8", 1), ("16", 2), ("32", 4), ("64", 8)]
        .into_iter()
        .find_map(|(bits, bytes)| Some((bytes, name.strip_prefix(bits)?)))?;
    let channels = rest.strip_prefix(['U', 'S', 'F'])?.strip_prefix('C')?;
    let channels: u32 = if channels.is_empty() { 1 } else { channels.parse().ok()? };
    (1..=64).contains(&channels).then(|| bytes * channels)
}
