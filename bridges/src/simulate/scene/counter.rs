//! A number drawn into an image as black and white blocks, so that a decoded image tells which one it is.
//!
//! 32 blocks of 8 × 8 pixels in the lowest rows from the left edge, most significant bit first, white for 1. Blocks
//! coincide with JPEG's, so they survive any quality.

use super::canvas::{Canvas, Color};

/// Edge of one block, pixels.
pub const BLOCK: usize = 8;

/// Draws the lowest 32 bits of `number`.
pub fn draw(canvas: &mut Canvas, number: u64) {
    let y = canvas.height().saturating_sub(BLOCK);
    for bit in 0..32 {
        let color = if (number >> (31 - bit)) & 1 == 1 { Color::rgb(255, 255, 255) } else { Color::rgb(0, 0, 0) };
        canvas.block(bit * BLOCK, y, BLOCK, BLOCK, color);
    }
}

/// The number in a decoded image; `luma(x, y)` gives its brightness, 0…255.
#[must_use]
pub fn read(height: usize, luma: impl Fn(usize, usize) -> u8) -> u32 {
    let y = height.saturating_sub(BLOCK) + BLOCK / 2;
    (0..32).fold(0, |number, bit| (number << 1) | u32::from(luma(bit * BLOCK + BLOCK / 2, y) >= 128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_read() {
        for number in [0, 1, 0x8000_0001, u64::from(u32::MAX), 123_456_789] {
            let mut canvas = Canvas::new(320, 32);
            draw(&mut canvas, number);
            assert_eq!(u64::from(read(32, |x, y| canvas.color(x, y).luma())), number);
        }
    }
}
