//! Pictures that cover a plane again and again.

use super::canvas::Color;

/// A square-free power-of-two picture and its halvings, repeated endlessly in both directions.
#[derive(Clone, Debug)]
pub struct Texture {
    levels: Vec<Level>,
    /// A constant for one plane and lens: texels that one pixel row jumps over, times depth.
    steepness: f32,
}

#[derive(Clone, Debug)]
struct Level {
    width_log2: u32,
    u_mask: i32,
    v_mask: i32,
    pixels: Vec<u32>,
}

/// Reads one level of a texture.
#[derive(Clone, Copy, Debug)]
pub struct Sampler<'a> {
    level: &'a Level,
    scale: f32,
    smooth: bool,
}

impl Texture {
    /// Paints 2^`width_log2` × 2^`height_log2` texels.
    ///
    /// `steepness` tells how much longer a far pixel's footprint is away from the camera than across: the camera's
    /// height over the plane in metres, times its focal length in pixels, times metres per texel, inverted; 0 where
    /// the plane is seen from all sides.
    #[must_use]
    pub fn paint(width_log2: u32, height_log2: u32, steepness: f32, color: impl Fn(usize, usize) -> Color) -> Self {
        let (width, height) = (1_usize << width_log2, 1_usize << height_log2);
        let mut pixels = Vec::with_capacity(width * height);
        for v in 0..height {
            pixels.extend((0..width).map(|u| color(u, v).0));
        }
        let mut levels = vec![Level::new(width_log2, height_log2, pixels)];
        for shrink in 1..=width_log2.min(height_log2).min(8) {
            if let Some(last) = levels.last() {
                let next = last.halved(width_log2 - shrink, height_log2 - shrink);
                levels.push(next);
            }
        }
        Self { levels, steepness }
    }

    /// The level for pixels that step by `(du, dv)` texels and lie at `inverse_depth`, 1/m.
    #[must_use]
    #[inline]
    pub fn sampler(&self, du: f32, dv: f32, inverse_depth: f32) -> Sampler<'_> {
        let across = du.abs().max(dv.abs());
        let along = self.steepness / (inverse_depth * inverse_depth).max(1e-9);
        // Between both: the longer side alone would smear what the shorter one still shows.
        let footprint = across.max((across * along).sqrt());
        let wanted = footprint.max(1.0).log2() as usize;
        let level = wanted.min(self.levels.len() - 1);
        Sampler { level: &self.levels[level], scale: 1.0 / (1_u32 << level) as f32, smooth: footprint < 0.7 }
    }
}

impl Level {
    fn new(width_log2: u32, height_log2: u32, pixels: Vec<u32>) -> Self {
        Self { width_log2, u_mask: (1 << width_log2) - 1, v_mask: (1 << height_log2) - 1, pixels }
    }

    #[inline]
    fn texel(&self, u: i32, v: i32) -> Color {
        let index = (((v & self.v_mask) << self.width_log2) | (u & self.u_mask)) as usize;
        Color(self.pixels.get(index).copied().unwrap_or_default())
    }

    fn halved(&self, width_log2: u32, height_log2: u32) -> Self {
        let mut pixels = Vec::with_capacity(1 << (width_log2 + height_log2));
        for v in 0..1 << height_log2 {
            for u in 0..1 << width_log2 {
                let pair = |v| self.texel(2 * u, v).mix(self.texel(2 * u + 1, v), 128);
                pixels.push(pair(2 * v).mix(pair(2 * v + 1), 128).0);
            }
        }
        Self::new(width_log2, height_log2, pixels)
    }
}

impl Sampler<'_> {
    /// The colour at texel `(u, v)` of the finest level.
    #[must_use]
    #[inline]
    pub fn color(&self, u: f32, v: f32) -> Color {
        let (u, v) = (u * self.scale, v * self.scale);
        if !self.smooth {
            return self.level.texel(u.floor() as i32, v.floor() as i32);
        }
        let (u, v) = (u - 0.5, v - 0.5);
        let (left, top) = (u.floor(), v.floor());
        let (right, down) = (((u - left) * 256.0) as u32, ((v - top) * 256.0) as u32);
        let (left, top) = (left as i32, top as i32);
        let upper = self.level.texel(left, top).mix(self.level.texel(left + 1, top), right);
        let lower = self.level.texel(left, top + 1).mix(self.level.texel(left + 1, top + 1), right);
        upper.mix(lower, down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textures_repeat_and_average() {
        let texture = Texture::paint(3, 2, 0.0, |u, _| Color::ycc(if u % 2 == 0 { 0.0 } else { 200.0 }, 128.0, 128.0));
        let fine = texture.sampler(1.0, 0.0, 1.0);
        assert_eq!((fine.color(0.5, 0.5).luma(), fine.color(-0.5, 9.0).luma()), (0, 200));
        assert_eq!(texture.sampler(2.0, 0.0, 1.0).color(0.5, 0.5).luma(), 100);
    }
}
