//! Sound.

use bytes::Bytes;
use foxglove::messages as fx;

use super::error::{Expected, Problem};
use crate::time::Timestamp;

/// One block of sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audio {
    /// When the block began, UTC.
    pub timestamp: Timestamp,
    /// `pcm-s16`, `g711-alaw`, `g711-ulaw`; for compressed sound `opus` or another codec's name.
    pub format: String,
    /// Samples per second and channel; 0 where the codec's data tell.
    pub sample_rate: u32,
    /// Channels, interleaved; 0 where the codec's data tell.
    pub channels: u32,
    /// The samples, little-endian, or one packet of the codec.
    pub data: Bytes,
}

impl Audio {
    pub(super) fn from_raw(m: fx::RawAudio, timestamp: Timestamp) -> Result<Self, Problem> {
        let width: u64 = if m.format == "pcm-s16" { 2 } else { 1 };
        let unit = width * u64::from(m.number_of_channels);
        if unit == 0 || m.sample_rate == 0 {
            let values = format!("{} channels at {} Hz", m.number_of_channels, m.sample_rate);
            return Err(Problem::Sizes { what: "number_of_channels and sample_rate", values });
        }
        if !(m.data.len() as u64).is_multiple_of(unit) {
            return Err(Problem::Length { field: "data", expected: Expected::MultipleOf(unit), actual: m.data.len() });
        }
        Ok(Self {
            timestamp,
            format: m.format,
            sample_rate: m.sample_rate,
            channels: m.number_of_channels,
            data: m.data,
        })
    }

    pub(super) fn from_compressed(m: fx::CompressedAudio, timestamp: Timestamp) -> Self {
        Self { timestamp, format: m.format, sample_rate: 0, channels: 0, data: m.data }
    }
}
