//! Pixels with depth, and convex polygons drawn onto them.
//!
//! Pixels are YCbCr as JPEG wants them (JFIF, full range), so that no frame is ever converted.

use super::texture::Texture;

/// A colour: Y, Cb, Cr from the lowest byte up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Color(pub u32);

impl Color {
    /// From sRGB.
    #[must_use]
    pub fn rgb(r: u8, g: u8, b: u8) -> Self {
        let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
        // ITU-T T.871.
        Self::ycc(
            0.299 * r + 0.587 * g + 0.114 * b,
            128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b,
            128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b,
        )
    }

    /// From luma and chroma, 0…255 each; beyond it saturates.
    #[must_use]
    pub fn ycc(y: f32, cb: f32, cr: f32) -> Self {
        Self(u32::from_le_bytes([y.round() as u8, cb.round() as u8, cr.round() as u8, 0]))
    }

    /// Luma, 0…255.
    #[must_use]
    pub fn luma(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// As bright as `factor` times this; 1 leaves it.
    #[must_use]
    pub fn lit(self, factor: f32) -> Self {
        let [y, cb, cr, _] = self.0.to_le_bytes();
        // A dark surface is less colourful, a bright one not more so.
        let chroma = factor.min(1.0);
        let scale = |c: u8| 128.0 + (f32::from(c) - 128.0) * chroma;
        Self::ycc(f32::from(y) * factor, scale(cb), scale(cr))
    }

    /// `weight` 256ths of `other`, the rest of this.
    #[must_use]
    #[inline]
    pub fn mix(self, other: Self, weight: u32) -> Self {
        let weight = weight.min(256);
        let keep = 256 - weight;
        let even = ((self.0 & 0x00ff_00ff) * keep + (other.0 & 0x00ff_00ff) * weight) >> 8;
        let odd = ((self.0 >> 8) & 0xff) * keep + ((other.0 >> 8) & 0xff) * weight;
        Self((even & 0x00ff_00ff) | (odd & 0xff00))
    }
}

/// Air that pales what is far away.
#[derive(Clone, Copy, Debug)]
pub struct Haze {
    /// What everything tends to.
    pub color: Color,
    /// Distance at which half of a colour is gone, metres.
    pub half: f32,
}

impl Haze {
    /// How many 256ths of the haze lie over something at inverse distance `inverse`, 1/m.
    #[must_use]
    #[inline]
    pub fn weight(&self, inverse: f32) -> u32 {
        (256.0 / (1.0 + self.half * inverse.max(0.0))) as u32
    }
}

/// How a polygon is filled.
#[derive(Clone, Copy, Debug)]
pub enum Paint<'a> {
    /// One colour, and depth.
    Flat(Color),
    /// A texture under haze, and depth. Coordinates are texels, see [`Projected`].
    Texture(&'a Texture, Haze),
    /// So many 256ths of a colour over what is there; depth is neither asked nor changed.
    Tint(Color, u32),
}

/// A convex polygon in the image and the plane it lies on.
#[derive(Clone, Debug, Default)]
pub struct Projected {
    /// Corners, pixels.
    pub corners: Vec<[f32; 2]>,
    /// Linear functions of the pixel `(x, y, 1)`: inverse depth `1/z`, `u/z` and `v/z`.
    pub plane: [[f64; 3]; 3],
}

/// A picture with inverse depth.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u32>,
    /// 1/z in 1/m; 0 is infinitely far.
    inverse_depth: Vec<f32>,
    spans: Vec<(f32, f32)>,
}

/// Texels are placed exactly once in so many pixels and evenly in between.
const SPAN: usize = 16;

impl Canvas {
    /// Black and empty.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![Color::rgb(0, 0, 0).0; width * height],
            inverse_depth: vec![0.0; width * height],
            spans: Vec::new(),
        }
    }

    /// Width, pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height, pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Colours, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// The colour at a pixel; black outside.
    #[must_use]
    pub fn color(&self, x: usize, y: usize) -> Color {
        Color(if x < self.width { self.pixels.get(y * self.width + x).copied().unwrap_or(0x0080_8000) } else { 0 })
    }

    /// One row of colours.
    pub fn row_mut(&mut self, y: usize) -> &mut [u32] {
        let start = y.min(self.height) * self.width;
        let end = (start + self.width).min(self.pixels.len());
        &mut self.pixels[start..end]
    }

    /// Becomes a copy of `other`, which has the same size.
    pub fn copy_from(&mut self, other: &Self) {
        self.pixels.clone_from(&other.pixels);
        self.inverse_depth.clone_from(&other.inverse_depth);
    }

    /// Everything is infinitely far again; colours stay.
    pub fn clear_depth(&mut self) {
        self.inverse_depth.fill(0.0);
    }

    /// Fills an axis-aligned block, cut at the edges.
    pub fn block(&mut self, x: usize, y: usize, width: usize, height: usize, color: Color) {
        let end = (x + width).min(self.width);
        for row in y..(y + height).min(self.height) {
            if let Some(row) = self.row_mut(row).get_mut(x..end) {
                row.fill(color.0);
            }
        }
    }

    /// Fills a polygon where it is nearest.
    pub fn fill(&mut self, polygon: &Projected, paint: Paint<'_>) {
        let rows = self.scan(&polygon.corners);
        for y in rows {
            let (left, right) = self.spans[y];
            // A pixel belongs to the polygon that holds its centre.
            let from = (left - 0.5).ceil().max(0.0) as usize;
            let to = ((right - 0.5).ceil().max(0.0) as usize).min(self.width);
            if from >= to {
                continue;
            }
            let range = y * self.width + from..y * self.width + to;
            let (pixels, depths) = (&mut self.pixels[range.clone()], &mut self.inverse_depth[range]);
            let at = |row: &[f64; 3]| (row[0] * (from as f64 + 0.5) + row[1] * (y as f64 + 0.5) + row[2]) as f32;
            let step = polygon.plane.map(|row| row[0] as f32);
            let start = [at(&polygon.plane[0]), at(&polygon.plane[1]), at(&polygon.plane[2])];
            match paint {
                Paint::Flat(color) => fill_flat(pixels, depths, color, start[0], step[0]),
                Paint::Texture(texture, haze) => fill_texture(pixels, depths, texture, haze, start, step),
                Paint::Tint(color, weight) => {
                    for pixel in pixels {
                        *pixel = Color(*pixel).mix(color, weight).0;
                    }
                }
            }
        }
    }

    /// Leaves in `spans` where each row crosses the polygon; returns the rows it reaches.
    fn scan(&mut self, corners: &[[f32; 2]]) -> std::ops::Range<usize> {
        let (mut top, mut bottom) = (f32::MAX, f32::MIN);
        for corner in corners {
            top = top.min(corner[1]);
            bottom = bottom.max(corner[1]);
        }
        if corners.len() < 3 || !(bottom - top).is_finite() {
            return 0..0;
        }
        let first = (top - 0.5).ceil().max(0.0) as usize;
        let end = ((bottom - 0.5).ceil().max(0.0) as usize).min(self.height);
        self.spans.clear();
        self.spans.resize(self.height, (f32::MAX, f32::MIN));
        for (a, b) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            let (upper, lower) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            let slope = (lower[0] - upper[0]) / (lower[1] - upper[1]).max(1e-9);
            let from = (upper[1] - 0.5).ceil().max(0.0) as usize;
            let to = ((lower[1] - 0.5).ceil().max(0.0) as usize).min(end);
            for (y, span) in self.spans.iter_mut().enumerate().take(to).skip(from) {
                let x = upper[0] + slope * (y as f32 + 0.5 - upper[1]);
                *span = (span.0.min(x), span.1.max(x));
            }
        }
        first..end.max(first)
    }
}

fn fill_flat(pixels: &mut [u32], depths: &mut [f32], color: Color, mut inverse: f32, step: f32) {
    for (pixel, depth) in pixels.iter_mut().zip(depths) {
        if inverse > *depth {
            *depth = inverse;
            *pixel = color.0;
        }
        inverse += step;
    }
}

fn fill_texture(
    pixels: &mut [u32],
    depths: &mut [f32],
    texture: &Texture,
    haze: Haze,
    mut start: [f32; 3],
    step: [f32; 3],
) {
    let coordinates = |at: [f32; 3]| {
        let z = 1.0 / at[0].max(1e-6);
        (at[1] * z, at[2] * z)
    };
    let (mut u, mut v) = coordinates(start);
    for (pixels, depths) in pixels.chunks_mut(SPAN).zip(depths.chunks_mut(SPAN)) {
        let count = pixels.len() as f32;
        let end = [start[0] + step[0] * count, start[1] + step[1] * count, start[2] + step[2] * count];
        let (end_u, end_v) = coordinates(end);
        let (du, dv) = ((end_u - u) / count, (end_v - v) / count);
        let weight = haze.weight(start[0]);
        // Rows far away jump over more texels downwards than sideways: 1/z shrinks them once more.
        let sampler = texture.sampler(du, dv, start[0]);
        let mut inverse = start[0];
        for (pixel, depth) in pixels.iter_mut().zip(depths) {
            if inverse > *depth {
                *depth = inverse;
                *pixel = sampler.color(u, v).mix(haze.color, weight).0;
            }
            inverse += step[0];
            u += du;
            v += dv;
        }
        (start, u, v) = (end, end_u, end_v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32, y: f32, size: f32, inverse_depth: f64) -> Projected {
        Projected {
            corners: vec![[x, y], [x + size, y], [x + size, y + size], [x, y + size]],
            plane: [[0.0, 0.0, inverse_depth], [0.0; 3], [0.0; 3]],
        }
    }

    #[test]
    fn the_nearest_polygon_wins_in_any_order() {
        let (red, blue) = (Color::rgb(255, 0, 0), Color::rgb(0, 0, 255));
        for near_first in [true, false] {
            let mut canvas = Canvas::new(16, 16);
            let mut drawings = [(square(2.0, 2.0, 8.0, 0.5), red), (square(4.0, 4.0, 8.0, 0.1), blue)];
            if !near_first {
                drawings.reverse();
            }
            for (polygon, color) in &drawings {
                canvas.fill(polygon, Paint::Flat(*color));
            }
            assert_eq!((canvas.color(5, 5), canvas.color(11, 11)), (red, blue));
            assert_eq!(canvas.color(12, 12).luma(), 0);
        }
    }

    #[test]
    fn polygons_are_cut_at_the_edges() {
        let mut canvas = Canvas::new(8, 8);
        let color = Color::rgb(9, 200, 9);
        for (x, y) in [(-100.0, -100.0), (f32::NAN, 0.0), (1e30, 0.0)] {
            canvas.fill(&square(x, y, 50.0, 1.0), Paint::Flat(color));
            assert!(canvas.pixels().iter().all(|&p| Color(p) != color), "{x} {y}");
        }
        canvas.fill(&square(-1e4, -1e4, 2e4, 1.0), Paint::Flat(color));
        assert!(canvas.pixels().iter().all(|&p| Color(p) == color));
    }

    #[test]
    fn mixing_ends_at_both_colours() {
        let (a, b) = (Color::rgb(10, 200, 30), Color::rgb(240, 20, 90));
        assert_eq!((a.mix(b, 0), a.mix(b, 256)), (a, b));
    }
}
