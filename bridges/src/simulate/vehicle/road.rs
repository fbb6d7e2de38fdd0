//! A closed road with four lanes, and the ground around it. Map frame: x east, y north, z up, metres.

use std::{f64::consts::FRAC_PI_2, sync::OnceLock};

use nalgebra::{Isometry3, Point2, Translation3, UnitQuaternion, Vector2, Vector3};

use super::super::{
    noise::{Noise, value_noise},
    scene::{canvas::Color, texture::Texture},
};

/// Half the lengths of the middle line's sides, and the radius of its corners, metres.
const HALF: [f64; 2] = [150.0, 62.0];
const RADIUS: f64 = 34.0;
/// Width of a lane, metres.
pub const LANE: f64 = 3.3;
/// Edge of a texel of the ground, metres.
pub const TEXEL: f64 = 0.1;
/// The ground's texture, binary logarithms of its size.
const SIZE_LOG2: [u32; 2] = [12, 11];

/// Length of the middle line, metres.
#[must_use]
pub fn length() -> f64 {
    4.0 * (HALF[0] + HALF[1] - 2.0 * RADIUS) + 4.0 * FRAC_PI_2 * RADIUS
}

/// A place on the road: `along` the middle line (anticlockwise, from the middle of the southern side) and so far to
/// the `left` of it. Returns the point and the direction of the road, rad.
#[must_use]
pub fn place(along: f64, left: f64) -> (Point2<f64>, f64) {
    let straight = [HALF[0] - RADIUS, HALF[1] - RADIUS];
    let arc = FRAC_PI_2 * RADIUS;
    let mut rest = along.rem_euclid(length());
    // Half a side first, then corner, side, corner … and the other half.
    let sides = [straight[0], 2.0 * straight[1], 2.0 * straight[0], 2.0 * straight[1], straight[0]];
    let mut at = Point2::new(0.0, -HALF[1]);
    let mut heading = 0.0_f64;
    for side in sides {
        let forward = Vector2::new(heading.cos(), heading.sin());
        let normal = Vector2::new(-forward.y, forward.x);
        if rest <= side {
            return (at + forward * rest + normal * left, heading);
        }
        at += forward * side;
        rest -= side;
        let center = at + normal * RADIUS;
        if rest <= arc {
            let turned = heading + rest / RADIUS;
            let outward = Vector2::new(turned.sin(), -turned.cos());
            return (center + outward * (RADIUS - left), turned);
        }
        heading += FRAC_PI_2;
        at = center + Vector2::new(heading.sin(), -heading.cos()) * RADIUS;
        rest -= arc;
    }
    (at, heading)
}

/// How far a point is outside of the middle line (negative inside), and a length along the road near it that is right
/// on straights and continuous in corners.
#[must_use]
pub fn locate(x: f64, y: f64) -> (f64, f64) {
    let q = [x.abs() - (HALF[0] - RADIUS), y.abs() - (HALF[1] - RADIUS)];
    let outside = (q[0].max(0.0).hypot(q[1].max(0.0))) + q[0].max(q[1]).min(0.0) - RADIUS;
    let along = if q[0] <= 0.0 {
        x
    } else if q[1] <= 0.0 {
        y
    } else {
        q[0].atan2(q[1]) * RADIUS
    };
    (outside, along)
}

/// An upright pose on the ground.
#[must_use]
pub fn pose(at: Point2<f64>, heading: f64) -> Isometry3<f64> {
    Isometry3::from_parts(
        Translation3::new(at.x, at.y, 0.0),
        UnitQuaternion::from_axis_angle(&Vector3::z_axis(), heading),
    )
}

/// Map position of texel (0, 0).
#[must_use]
pub fn texture_origin() -> [f64; 2] {
    SIZE_LOG2.map(|log2| -TEXEL * f64::from(1_u32 << log2) / 2.0)
}

/// The ground around the road; painted once.
pub fn ground() -> &'static Texture {
    static GROUND: OnceLock<Texture> = OnceLock::new();
    GROUND.get_or_init(|| {
        let palette = Palette::new();
        let [left, bottom] = texture_origin();
        // Focal length near 850 px, camera 1.5 m over the ground.
        let steepness = (1.0 / (850.0 * 1.5 * TEXEL)) as f32;
        Texture::paint(SIZE_LOG2[0], SIZE_LOG2[1], steepness, |u, v| {
            palette.color(left + (u as f64 + 0.5) * TEXEL, bottom + (v as f64 + 0.5) * TEXEL, (u + v * 4096) as u64)
        })
    })
}

struct Palette {
    noise: Noise,
    asphalt: Color,
    white: Color,
    yellow: Color,
    curb: Color,
    paving: Color,
    grass: Color,
}

impl Palette {
    fn new() -> Self {
        Self {
            noise: Noise::new(5),
            asphalt: Color::rgb(84, 86, 90),
            white: Color::rgb(232, 232, 228),
            yellow: Color::rgb(226, 180, 52),
            curb: Color::rgb(150, 150, 148),
            paving: Color::rgb(164, 156, 146),
            grass: Color::rgb(96, 124, 62),
        }
    }

    fn color(&self, x: f64, y: f64, index: u64) -> Color {
        let (outside, along) = locate(x, y);
        let d = outside.abs();
        let grit = self.noise.unit(index) as f32;
        let on_southern_straight = y < 0.0 && x.abs() < HALF[0] - RADIUS;
        let near = |at: f64, half_width: f64| (d - at).abs() < half_width;
        if d < 2.0 * LANE + 0.9 {
            let crossing = on_southern_straight && (x - 42.0).abs() < 2.0;
            let stop_line = on_southern_straight && outside > 0.0 && (x - 37.5).abs() < 0.25 && d > 0.3;
            let wear = value_noise(self.noise, x * 0.31, y * 0.31, [4096; 2]) as f32;
            if crossing && d < 2.0 * LANE + 0.3 {
                if (outside / 0.9).rem_euclid(1.0) < 0.5 {
                    return self.white.lit(0.9 + 0.1 * grit);
                }
            } else if stop_line && d < 2.0 * LANE {
                return self.white;
            } else if near(0.16, 0.075) {
                return self.yellow.lit(0.9 + 0.1 * grit);
            } else if near(LANE, 0.075) && along.rem_euclid(10.0) < 5.0 || near(2.0 * LANE + 0.1, 0.075) {
                return self.white.lit(0.85 + 0.15 * grit);
            }
            // Tyres darken the middle of each lane's tracks.
            let track = ((d - LANE / 2.0).rem_euclid(LANE) - LANE / 2.0).abs();
            let dark = if (track - 0.85).abs() < 0.3 { 0.95 } else { 1.0 };
            return self.asphalt.lit(dark * (0.86 + 0.16 * wear + 0.12 * grit));
        }
        if d < 2.0 * LANE + 1.15 {
            return self.curb;
        }
        if d < 2.0 * LANE + 3.9 {
            let joint = along.rem_euclid(0.9) < 0.1 || (d - 7.75).rem_euclid(0.9) < 0.1;
            return self.paving.lit(if joint { 0.8 } else { 0.94 + 0.1 * grit });
        }
        let patch = value_noise(self.noise.at(2), x * 0.13, y * 0.13, [4096; 2]) as f32;
        self.grass.lit(0.75 + 0.3 * patch + 0.16 * grit)
    }
}

/// Grass for everything beyond [`ground`].
pub fn meadow() -> &'static Texture {
    static MEADOW: OnceLock<Texture> = OnceLock::new();
    MEADOW.get_or_init(|| {
        let palette = Palette::new();
        Texture::paint(7, 7, 0.002, |u, v| {
            let patch = value_noise(palette.noise.at(3), u as f64 / 16.0, v as f64 / 16.0, [8; 2]) as f32;
            palette.grass.lit(0.78 + 0.3 * patch)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_road_is_closed_and_smooth() {
        let step = 0.25;
        let count = (length() / step) as usize;
        for i in 0..=count {
            let (a, heading) = place(i as f64 * step, 1.5);
            let (b, _) = place((i + 1) as f64 * step, 1.5);
            let way = b - a;
            assert!(way.norm() < step * 1.06, "{i}: {}", way.norm());
            assert!((way.y.atan2(way.x) - heading).sin().abs() < 0.02, "{i}");
        }
        let (start, end) = (place(0.0, 0.0).0, place(length(), 0.0).0);
        assert!((start - end).norm() < 1e-6);
    }

    #[test]
    fn places_are_found_again() {
        for i in 0..400 {
            let left = f64::from(i % 7) - 3.0;
            let (at, _) = place(f64::from(i) * 1.9, left);
            assert!((locate(at.x, at.y).0 + left).abs() < 1e-6, "{i}");
        }
    }
}
