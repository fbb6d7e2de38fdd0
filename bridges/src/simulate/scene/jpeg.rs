//! JPEG images whose unchanged parts are not encoded again.
//!
//! The image is cut into tiles of 10 MCUs; each is a restart interval of its own (ITU-T T.81, E.1.4), so its entropy
//! coded bytes depend on its pixels alone and are kept for the next image. The bytes of an image are therefore the
//! same whether or not an earlier one was encoded before it.

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, SamplingFactor};

use super::canvas::Canvas;

/// Edge of an MCU with 4:2:0 subsampling, pixels.
const MCU: usize = 16;
/// MCUs in a tile.
const TILE_MCUS: usize = 10;
const TILE_WIDTH: usize = MCU * TILE_MCUS;

/// Encodes images of one size, one after the other.
#[derive(Debug)]
pub struct JpegEncoder {
    width: usize,
    height: usize,
    quality: u8,
    /// Everything up to the first entropy coded byte.
    header: Vec<u8>,
    tiles: Vec<Tile>,
    scratch: Vec<u8>,
}

#[derive(Debug, Default)]
struct Tile {
    pixels: Vec<u32>,
    scan: Vec<u8>,
}

/// An image could not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// The size is not a whole number of tiles.
    #[error("{width}×{height} is no multiple of {TILE_WIDTH}×{MCU} pixels")]
    Size {
        /// Width, pixels.
        width: usize,
        /// Height, pixels.
        height: usize,
    },
    /// The encoder failed.
    #[error("cannot encode a JPEG image")]
    Encode(#[source] EncodingError),
    /// The encoder's output has no start of scan.
    #[error("the JPEG encoder wrote no scan")]
    NoScan,
}

impl JpegEncoder {
    /// For images of this size.
    ///
    /// # Errors
    /// When the size is not a whole number of tiles (160 × 16).
    pub fn new(width: usize, height: usize, quality: u8) -> Result<Self, JpegError> {
        let size_error = || JpegError::Size { width, height };
        if width == 0 || height == 0 || !width.is_multiple_of(TILE_WIDTH) || !height.is_multiple_of(MCU) {
            return Err(size_error());
        }
        let (w, h) = (u16::try_from(width), u16::try_from(height));
        let (Ok(w), Ok(h)) = (w, h) else { return Err(size_error()) };
        let mut whole = Vec::new();
        let mut encoder = Encoder::new(&mut whole, quality);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.set_restart_interval(TILE_MCUS as u16);
        encoder.encode_image(Gray(w, h)).map_err(JpegError::Encode)?;
        let start = scan_start(&whole).ok_or(JpegError::NoScan)?;
        whole.truncate(start);
        let tiles = (0..width / TILE_WIDTH * (height / MCU)).map(|_| Tile::default()).collect();
        Ok(Self { width, height, quality, header: whole, tiles, scratch: Vec::new() })
    }

    /// The image as a baseline JPEG file, 4:2:0.
    ///
    /// # Errors
    /// When `canvas` has another size or the encoder fails.
    pub fn encode(&mut self, canvas: &Canvas) -> Result<Vec<u8>, JpegError> {
        if (canvas.width(), canvas.height()) != (self.width, self.height) {
            return Err(JpegError::Size { width: canvas.width(), height: canvas.height() });
        }
        let columns = self.width / TILE_WIDTH;
        for (index, tile) in self.tiles.iter_mut().enumerate() {
            let corner = (index / columns * MCU) * self.width + index % columns * TILE_WIDTH;
            let rows = canvas.pixels()[corner..].chunks(self.width).take(MCU).map(|row| &row[..TILE_WIDTH]);
            if !tile.holds(rows.clone()) {
                tile.pixels.clear();
                tile.pixels.extend(rows.flatten());
                tile.encode(self.quality, &mut self.scratch)?;
            }
        }
        Ok(self.assemble())
    }

    fn assemble(&self) -> Vec<u8> {
        let size = self.header.len() + self.tiles.iter().map(|tile| tile.scan.len() + 2).sum::<usize>();
        let mut file = Vec::with_capacity(size);
        file.extend_from_slice(&self.header);
        for (index, tile) in self.tiles.iter().enumerate() {
            if index > 0 {
                // RST0…RST7 in turn.
                file.extend_from_slice(&[0xff, 0xd0 + ((index - 1) % 8) as u8]);
            }
            file.extend_from_slice(&tile.scan);
        }
        file.extend_from_slice(&[0xff, 0xd9]);
        file
    }
}

impl Tile {
    fn holds<'a>(&self, rows: impl Iterator<Item = &'a [u32]>) -> bool {
        !self.pixels.is_empty() && self.pixels.chunks(TILE_WIDTH).zip(rows).all(|(held, row)| held == row)
    }

    fn encode(&mut self, quality: u8, scratch: &mut Vec<u8>) -> Result<(), JpegError> {
        scratch.clear();
        let mut encoder = Encoder::new(&mut *scratch, quality);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.encode_image(Strip(&self.pixels)).map_err(JpegError::Encode)?;
        let start = scan_start(scratch).ok_or(JpegError::NoScan)?;
        let end = scratch.len().saturating_sub(2).max(start);
        self.scan.clear();
        self.scan.extend_from_slice(&scratch[start..end]);
        Ok(())
    }
}

/// Where the entropy coded bytes of a JPEG file begin.
fn scan_start(file: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let [0xff, marker, high, low] = *file.get(at..at + 4)? else { return None };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xda {
            return Some(at);
        }
    }
}

struct Gray(u16, u16);

impl ImageBuffer for Gray {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }
    fn width(&self) -> u16 {
        self.0
    }
    fn height(&self) -> u16 {
        self.1
    }
    fn fill_buffers(&self, _y: u16, buffers: &mut [Vec<u8>; 4]) {
        for buffer in &mut buffers[..3] {
            buffer.resize(buffer.len() + usize::from(self.0), 128);
        }
    }
}

struct Strip<'a>(&'a [u32]);

impl ImageBuffer for Strip<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }
    fn width(&self) -> u16 {
        TILE_WIDTH as u16
    }
    fn height(&self) -> u16 {
        MCU as u16
    }
    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let start = usize::from(y) * TILE_WIDTH;
        let row = &self.0[start..start + TILE_WIDTH];
        for (shift, buffer) in [0, 8, 16].into_iter().zip(buffers) {
            buffer.extend(row.iter().map(|pixel| (pixel >> shift) as u8));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{super::canvas::Color, *};

    fn picture(offset: usize) -> Canvas {
        let mut canvas = Canvas::new(320, 64);
        canvas.block(0, 0, 320, 64, Color::rgb(40, 90, 200));
        canvas.block(20 + offset, 10, 60, 40, Color::rgb(220, 30, 30));
        canvas
    }

    #[test]
    fn other_decoders_see_what_was_drawn() {
        let mut encoder = JpegEncoder::new(320, 64, 85).unwrap();
        let file = encoder.encode(&picture(0)).unwrap();
        let image = image::load_from_memory(&file).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (320, 64));
        for ((x, y), rgb) in [((50, 30), [220, 30, 30]), ((200, 50), [40, 90, 200]), ((5, 5), [40, 90, 200])] {
            let got = image.get_pixel(x, y).0;
            assert!(got.iter().zip(rgb).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 6), "{x} {y}: {got:?}");
        }
    }

    #[test]
    fn bytes_do_not_depend_on_earlier_images() {
        let mut used = JpegEncoder::new(320, 64, 85).unwrap();
        let first = used.encode(&picture(0)).unwrap();
        let second = used.encode(&picture(100)).unwrap();
        assert_ne!(first, second);
        assert_eq!(JpegEncoder::new(320, 64, 85).unwrap().encode(&picture(100)).unwrap(), second);
        assert_eq!(used.encode(&picture(0)).unwrap(), first);
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert!(matches!(JpegEncoder::new(100, 64, 85), Err(JpegError::Size { .. })));
        assert!(JpegEncoder::new(320, 64, 85).unwrap().encode(&Canvas::new(160, 64)).is_err());
    }
}
