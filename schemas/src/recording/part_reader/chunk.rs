//! A chunk's records: decompressing within a limit, its CRC, and what is left of it when it is damaged. Knows no file.

use std::io::{self, Read};

use bytes::Bytes;

use crate::recording::part_reader::parse::ChunkHead;

/// Why a chunk's records cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Larger than the reader may hold.
    #[error("{bytes} bytes of records, more than the limit of {limit}")]
    TooLarge {
        /// Claimed size.
        bytes: u64,
        /// [`ReadOptions::chunk_bytes_max`](super::ReadOptions::chunk_bytes_max).
        limit: u64,
    },
    /// Neither none, lz4 nor zstd.
    #[error("compression `{0}` is not known")]
    Compression(String),
    /// The compressed bytes are damaged.
    #[error("{compression} stream is damaged after {bytes} bytes of records")]
    Decompress {
        /// `lz4` or `zstd`.
        compression: String,
        /// Uncompressed bytes before the damage.
        bytes: u64,
        /// The decoder's reason.
        source: io::Error,
    },
    /// The records are not as long as the chunk says.
    #[error("{actual} bytes of records where the chunk says {claimed}")]
    Size {
        /// The chunk's own word.
        claimed: u64,
        /// What there is.
        actual: u64,
    },
    /// The records are not those that were written.
    #[error("chunk CRC is {actual:08X}, not {saved:08X}")]
    Crc {
        /// Written in the chunk.
        saved: u32,
        /// Of the bytes read.
        actual: u32,
    },
}

/// What came out of a chunk, whole or not.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) records: Bytes,
    /// Stored bytes that the decoder has taken.
    pub(crate) consumed: usize,
    /// `None` when all is well.
    pub(crate) error: Option<ChunkError>,
}

impl Unpacked {
    pub(crate) fn into_result(self) -> Result<Bytes, ChunkError> {
        self.error.map_or(Ok(self.records), Err)
    }
}

/// The records of a chunk whose stored bytes (or the beginning of them) are `stored`.
///
/// Memory grows with what comes out, not with what the head claims, and ends at `limit`.
pub(crate) fn unpack(head: &ChunkHead, stored: Bytes, limit: u64, check_crc: bool) -> Unpacked {
    if head.uncompressed_size > limit && !head.compression.is_empty() {
        let error = ChunkError::TooLarge { bytes: head.uncompressed_size, limit };
        return Unpacked { records: Bytes::new(), consumed: 0, error: Some(error) };
    }
    let mut unpacked = match head.compression.as_str() {
        "" => Unpacked { consumed: stored.len(), records: stored, error: None },
        "zstd" => decode(head, &stored, |input| {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Ok(decoder.single_frame())
        }),
        "lz4" => decode(head, &stored, lz4::Decoder::new),
        other => {
            let error = ChunkError::Compression(other.to_owned());
            Unpacked { records: Bytes::new(), consumed: 0, error: Some(error) }
        }
    };
    if unpacked.error.is_none() {
        unpacked.error = verify(head, &unpacked.records, check_crc).err();
    }
    unpacked
}

/// 128 MiB, the most that zstd's own tools take without being told to.
const WINDOW_LOG_MAX: u32 = 27;

fn verify(head: &ChunkHead, records: &[u8], check_crc: bool) -> Result<(), ChunkError> {
    let actual = records.len() as u64;
    if actual != head.uncompressed_size {
        return Err(ChunkError::Size { claimed: head.uncompressed_size, actual });
    }
    if check_crc && head.uncompressed_crc != 0 {
        let actual = crc32fast::hash(records);
        if actual != head.uncompressed_crc {
            return Err(ChunkError::Crc { saved: head.uncompressed_crc, actual });
        }
    }
    Ok(())
}

/// Reserved without asking how much comes out.
const RESERVE_MAX: u64 = 16 << 20;
/// Little, so that little is lost where a decoder gives an error together with bytes.
const PIECE: usize = 4 * 1024;

fn decode<'a, R: Read>(
    head: &ChunkHead,
    stored: &'a [u8],
    open: impl FnOnce(Counted<'a>) -> io::Result<R>,
) -> Unpacked {
    let consumed = std::rc::Rc::new(std::cell::Cell::new(0));
    let input = Counted { rest: stored, consumed: consumed.clone() };
    let mut records = Vec::with_capacity(head.uncompressed_size.min(RESERVE_MAX) as usize);
    let result = open(input).and_then(|decoder| read_to_limit(decoder, head.uncompressed_size, &mut records));
    let error = result.err().map(|source| ChunkError::Decompress {
        compression: head.compression.clone(),
        bytes: records.len() as u64,
        source,
    });
    Unpacked { records: records.into(), consumed: consumed.get(), error }
}

/// Reads to the end, but no further than one byte beyond `len`: enough to know that there is more.
fn read_to_limit(mut decoder: impl Read, len: u64, records: &mut Vec<u8>) -> io::Result<()> {
    while records.len() as u64 <= len {
        let room = (len - records.len() as u64 + 1).min(PIECE.max(records.len() / 8) as u64) as usize;
        let at = records.len();
        records.resize(at + room, 0);
        match decoder.read(&mut records[at..]) {
            Ok(0) => {
                records.truncate(at);
                return Ok(());
            }
            Ok(n) => records.truncate(at + n),
            Err(error) => {
                records.truncate(at);
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// Input that tells how much of it was taken.
struct Counted<'a> {
    rest: &'a [u8],
    consumed: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.rest.read(buffer)?;
        self.consumed.set(self.consumed.get() + n);
        Ok(n)
    }
}

impl io::BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest)
    }

    fn consume(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
        self.consumed.set(self.consumed.get() + n);
    }
}
