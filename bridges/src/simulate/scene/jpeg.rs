//! JPEG files of twice the canvas's size, 4:2:0 baseline.
//!
//! An 8×8 block of the file is a 4×4 block of the canvas: its 4×4 DCT, scaled, is the lower quarter of the 8×8 DCT of
//! the smoothly enlarged block. So nothing is enlarged, and three quarters of each block need no arithmetic.

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, SamplingFactor};

use super::canvas::Canvas;

/// Edge of a pixel of the canvas in the file, pixels.
pub const ENLARGEMENT: usize = 2;
/// Edge of an MCU on the canvas: four blocks of luma, one of each chroma.
const MCU: usize = 8;
/// The lower quarter of a block in zigzag order: index in the 4×4 block, and place in the zigzag of all 64.
#[rustfmt::skip]
const ZIGZAG: [(usize, usize); 16] = [
    (0, 0), (1, 1), (4, 2), (8, 3), (5, 4), (2, 5), (3, 6), (6, 7),
    (9, 8), (12, 9), (13, 11), (10, 12), (7, 13), (11, 17), (14, 18), (15, 24),
];

/// A Huffman table: code and its length by symbol.
type Codes = [(u32, u8); 256];

/// Encodes images of one size, one after the other.
#[derive(Debug)]
pub struct JpegEncoder {
    width: usize,
    height: usize,
    /// Everything up to the first entropy coded byte.
    header: Vec<u8>,
    luma: Component,
    chroma: Component,
    last_size: usize,
}

/// How the blocks of a component are coded.
#[derive(Debug)]
struct Component {
    /// 2^16 over the quantisation step and the scale of [`transform`], in the order of [`ZIGZAG`].
    reciprocals: [i32; 16],
    dc: Box<Codes>,
    ac: Box<Codes>,
}

/// An image could not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// The size is not a whole number of MCUs.
    #[error("a canvas of {width}×{height} is no multiple of {MCU}×{MCU} pixels")]
    Size {
        /// Width of the canvas, pixels.
        width: usize,
        /// Height of the canvas, pixels.
        height: usize,
    },
    /// The encoder of the header failed.
    #[error("cannot encode a JPEG header")]
    Encode(#[source] EncodingError),
    /// The header lacks a table.
    #[error("the JPEG header is incomplete")]
    Header,
}

impl JpegEncoder {
    /// For canvases of this size.
    ///
    /// # Errors
    /// When the size is not a whole number of MCUs (8 × 8), or the file would be larger than JPEG allows.
    pub fn new(width: usize, height: usize, quality: u8) -> Result<Self, JpegError> {
        let whole = |size: usize| {
            let fits = size > 0 && size.is_multiple_of(MCU);
            u16::try_from(size * ENLARGEMENT).ok().filter(|_| fits).ok_or(JpegError::Size { width, height })
        };
        let mut header = Vec::new();
        let mut encoder = Encoder::new(&mut header, quality);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.encode_image(Gray(whole(width)?, whole(height)?)).map_err(JpegError::Encode)?;
        let tables = Tables::read(&header).ok_or(JpegError::Header)?;
        header.truncate(tables.end);
        let component = |id: usize| Component {
            reciprocals: reciprocals(&tables.steps[id]),
            dc: tables.codes[id].clone(),
            ac: tables.codes[2 + id].clone(),
        };
        Ok(Self { width, height, luma: component(0), chroma: component(1), last_size: 0, header })
    }

    /// The canvas, enlarged, as a JPEG file.
    ///
    /// # Errors
    /// When `canvas` has another size.
    pub fn encode(&mut self, canvas: &Canvas) -> Result<Vec<u8>, JpegError> {
        if (canvas.width(), canvas.height()) != (self.width, self.height) {
            return Err(JpegError::Size { width: canvas.width(), height: canvas.height() });
        }
        let mut file = Vec::with_capacity(self.last_size + self.last_size / 4 + 4096);
        file.extend_from_slice(&self.header);
        let mut bits = BitWriter { file, pending: 0, count: 0 };
        let mut last = [0; 3];
        for rows in canvas.pixels().chunks_exact(self.width * MCU) {
            for x in (0..self.width).step_by(MCU) {
                self.encode_mcu(&mut bits, |row| &rows[row * self.width + x..][..MCU], &mut last);
            }
        }
        let file = bits.finish();
        self.last_size = file.len();
        Ok(file)
    }

    #[inline]
    fn encode_mcu<'a>(&self, bits: &mut BitWriter, row: impl Fn(usize) -> &'a [u32], last: &mut [i32; 3]) {
        let mut sums = [[0_u32; 16]; 2];
        for (top, left) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
            let mut block = [0_i32; 16];
            for v in 0..4 {
                for (u, &pixel) in row(top + v)[left..left + 4].iter().enumerate() {
                    block[4 * v + u] = (pixel & 0xff) as i32 - 128;
                    let chroma = (top + v) / 2 * 4 + (left + u) / 2;
                    sums[0][chroma] += (pixel >> 8) & 0xff;
                    sums[1][chroma] += (pixel >> 16) & 0xff;
                }
            }
            self.luma.encode(bits, &block, &mut last[0]);
        }
        for (sums, last) in sums.iter().zip(&mut last[1..]) {
            self.chroma.encode(bits, &sums.map(|sum| ((sum + 2) >> 2) as i32 - 128), last);
        }
    }
}

impl Component {
    #[inline]
    fn encode(&self, bits: &mut BitWriter, block: &[i32; 16], last: &mut i32) {
        // Every frequency of a flat block but the lowest is zero.
        let flat = block.iter().all(|&value| value == block[0]);
        let frequencies = if flat { [block[0] << 6; 16] } else { transform(block) };
        let quantised = |nth: usize| {
            let value = frequencies[ZIGZAG[nth].0] * self.reciprocals[nth];
            ((value + 0x8000) >> 16).clamp(-1023, 1023)
        };
        let dc = quantised(0);
        bits.put_value(&self.dc, 0, dc - *last);
        *last = dc;
        let mut before = 0;
        for nth in if flat { 16..16 } else { 1..16 } {
            let (value, place) = (quantised(nth), ZIGZAG[nth].1);
            if value == 0 {
                continue;
            }
            let mut zeros = place - before - 1;
            while zeros > 15 {
                bits.put(self.ac[0xf0]);
                zeros -= 16;
            }
            bits.put_value(&self.ac, zeros << 4, value);
            before = place;
        }
        // End of block: the highest frequencies are always zero.
        bits.put(self.ac[0]);
    }
}

/// Two-dimensional DCT of a 4×4 block: orthonormal, times 4, times 2 or √2 in each direction (even or odd frequency).
#[inline]
fn transform(block: &[i32; 16]) -> [i32; 16] {
    // cos(π/8) and sin(π/8), times 2^10.
    let (cos, sin) = (946, 392);
    let line = |a: i32, b: i32, c: i32, d: i32| {
        let (outer, inner, far, near) = (a + d, b + c, a - d, b - c);
        [outer + inner, (cos * far + sin * near + 512) >> 10, outer - inner, (sin * far - cos * near + 512) >> 10]
    };
    let mut rows = [0; 16];
    for v in 0..4 {
        let [a, b, c, d] = std::array::from_fn(|u| block[4 * v + u] << 2);
        rows[4 * v..4 * v + 4].copy_from_slice(&line(a, b, c, d));
    }
    let columns: [[i32; 4]; 4] = std::array::from_fn(|u| line(rows[u], rows[u + 4], rows[u + 8], rows[u + 12]));
    std::array::from_fn(|index| columns[index % 4][index / 4])
}

fn reciprocals(steps: &[u8; 64]) -> [i32; 16] {
    let scale = |frequency: usize| if frequency.is_multiple_of(2) { 2.0 } else { std::f64::consts::SQRT_2 };
    ZIGZAG.map(|(index, place)| {
        // An orthonormal frequency of 4×4 pixels is half that of the 8×8 they become.
        let scale = 4.0 * scale(index % 4) * scale(index / 4) / 2.0;
        (65536.0 / (scale * f64::from(steps[place].max(1)))).round() as i32
    })
}

/// What the header of a file says about its scan.
struct Tables {
    /// Quantisation steps of luma and chroma, in zigzag order.
    steps: [[u8; 64]; 2],
    /// Luma's and chroma's DC, luma's and chroma's AC.
    codes: [Box<Codes>; 4],
    /// Where the header ends.
    end: usize,
}

impl Tables {
    fn read(file: &[u8]) -> Option<Self> {
        let mut tables = Self { steps: [[1; 64]; 2], codes: std::array::from_fn(|_| Box::new([(0, 0); 256])), end: 2 };
        loop {
            let [0xff, marker, high, low] = *file.get(tables.end..tables.end + 4)? else { return None };
            let next = tables.end + 2 + usize::from(u16::from_be_bytes([high, low]));
            let mut segment = file.get(tables.end + 4..next)?;
            tables.end = next;
            match marker {
                0xda => return Some(tables),
                0xdb => {
                    while let Some((&id, rest)) = segment.split_first() {
                        let (steps, rest) = rest.split_at_checked(64)?;
                        tables.steps.get_mut(usize::from(id))?.copy_from_slice(steps);
                        segment = rest;
                    }
                }
                0xc4 => {
                    while let Some((&id, rest)) = segment.split_first() {
                        let codes = tables.codes.get_mut(usize::from(id >> 4) * 2 + usize::from(id & 15))?;
                        segment = read_codes(codes, rest)?;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Codes of one table (ITU-T T.81, C.2); returns what follows it.
fn read_codes<'a>(codes: &mut Codes, table: &'a [u8]) -> Option<&'a [u8]> {
    let (counts, mut rest) = table.split_at_checked(16)?;
    let mut code = 0;
    for (length, &count) in (1_u8..).zip(counts) {
        let (symbols, after) = rest.split_at_checked(usize::from(count))?;
        for &symbol in symbols {
            codes[usize::from(symbol)] = (code, length);
            code += 1;
        }
        code <<= 1;
        rest = after;
    }
    Some(rest)
}

struct BitWriter {
    file: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    #[inline]
    fn put(&mut self, (code, length): (u32, u8)) {
        self.pending = self.pending << length | u64::from(code);
        self.count += u32::from(length);
        if self.count >= 32 {
            self.count -= 32;
            self.write((self.pending >> self.count) as u32);
        }
    }

    #[inline]
    fn write(&mut self, word: u32) {
        let bytes = word.to_be_bytes();
        if bytes.contains(&0xff) {
            bytes.into_iter().for_each(|byte| self.byte(byte));
        } else {
            self.file.extend_from_slice(&bytes);
        }
    }

    fn byte(&mut self, byte: u8) {
        self.file.push(byte);
        // Else it would be taken for a marker.
        if byte == 0xff {
            self.file.push(0);
        }
    }

    /// The code of `prefix` and the size of a value, and the value.
    #[inline]
    fn put_value(&mut self, codes: &Codes, prefix: usize, value: i32) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        let (code, length) = codes[(prefix | size as usize) & 255];
        let bits = (if value < 0 { value - 1 } else { value }) as u32 & ((1 << size) - 1);
        self.put((code << size | bits, length + size as u8));
    }

    fn finish(mut self) -> Vec<u8> {
        // The last byte is filled with ones.
        let spare = (8 - self.count % 8) % 8;
        self.put(((1 << spare) - 1, spare as u8));
        while self.count > 0 {
            self.count -= 8;
            self.byte((self.pending >> self.count) as u8);
        }
        self.file.extend_from_slice(&[0xff, 0xd9]);
        self.file
    }
}

/// A picture of which only the header is wanted.
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::{super::canvas::Color, *};

    #[test]
    fn other_decoders_see_what_was_drawn() {
        let mut canvas = Canvas::new(160, 32);
        canvas.block(0, 0, 160, 32, Color::rgb(40, 90, 200));
        canvas.block(10, 5, 30, 20, Color::rgb(220, 30, 30));
        let file = JpegEncoder::new(160, 32, 75).unwrap().encode(&canvas).unwrap();
        let image = image::load_from_memory(&file).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (320, 64));
        for ((x, y), rgb) in [((50, 30), [220, 30, 30]), ((200, 50), [40, 90, 200]), ((5, 5), [40, 90, 200])] {
            let got = image.get_pixel(x, y).0;
            assert!(got.iter().zip(rgb).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 6), "{x} {y}: {got:?}");
        }
    }

    fn decoded(lumas: &[u8], quality: u8) -> image::GrayImage {
        let mut canvas = Canvas::new(32, 16);
        for (y, row) in lumas.chunks(32).enumerate() {
            for (pixel, &luma) in canvas.row_mut(y).iter_mut().zip(row) {
                *pixel = Color::ycc(f32::from(luma), 128.0, 128.0).0;
            }
        }
        let file = JpegEncoder::new(32, 16, quality).unwrap().encode(&canvas).unwrap();
        image::load_from_memory(&file).unwrap().to_luma8()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_picture_is_decoded_and_keeps_its_brightness(
            lumas in proptest::collection::vec(any::<u8>(), 32 * 16),
            quality in 1_u8..=100,
        ) {
            prop_assert_eq!(decoded(&lumas, quality).dimensions(), (64, 32));
            // Enlarging overshoots: in the middle of the range nothing is cut.
            let lumas: Vec<u8> = lumas.iter().map(|luma| 96 + luma / 4).collect();
            let image = decoded(&lumas, 100);
            for (x, y) in (0..8).flat_map(|x| (0..4).map(move |y| (x, y))) {
                let drawn: i32 = (0..16).map(|i| i32::from(lumas[(4 * y + i / 4) * 32 + 4 * x + i % 4])).sum();
                let at = |i: usize| image.get_pixel((8 * x + i % 8) as u32, (8 * y + i / 8) as u32).0[0];
                let got: i32 = (0..64).map(|i| i32::from(at(i))).sum();
                prop_assert!((got - 4 * drawn).abs() < 2 * 64, "{x} {y}: {got} for {}", 4 * drawn);
            }
        }
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert!(matches!(JpegEncoder::new(100, 64, 85), Err(JpegError::Size { .. })));
        assert!(JpegEncoder::new(320, 64, 85).unwrap().encode(&Canvas::new(160, 64)).is_err());
    }
}
