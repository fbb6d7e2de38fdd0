//! A turning lidar: rays from precomputed directions against the ground and upright boxes.
//!
//! A whole turn is measured at one instant. Frame: that of the sensor, x forward, y left, z up.

use std::f64::consts::{PI, TAU};

use nalgebra::{Isometry3, Point3};

use super::super::noise::Noise;

/// Rays in one turn of one ring, and rings.
pub const COLUMNS: usize = 1024;
/// See [`COLUMNS`].
pub const RINGS: usize = 64;
/// Elevation of the lowest and the highest ring, degrees.
const ELEVATIONS: [f64; 2] = [-25.0, 2.5];
/// Nothing farther away comes back, metres.
const REACH: f32 = 120.0;
/// Bytes of one point: x, y, z, intensity, float32 each.
pub const POINT_BYTES: usize = 16;

/// An upright box in the sensor's frame.
#[derive(Clone, Copy, Debug)]
pub struct Obstacle {
    /// Middle of its foot; x along its length.
    pub pose: Isometry3<f64>,
    /// Length, width, height, metres.
    pub size: [f64; 3],
    /// How much light comes back, 0…255.
    pub reflectivity: f32,
}

#[derive(Clone, Copy, Debug)]
struct Echo {
    /// Horizontal distance, metres; infinite where nothing comes back.
    range: f32,
    /// Negative: the ground.
    reflectivity: f32,
}

/// The sensor.
#[derive(Debug)]
pub struct Lidar {
    directions: Vec<[f32; 2]>,
    slopes: [f32; RINGS],
    /// What each ring sees of an empty plane.
    ground: [Echo; RINGS],
    height: f32,
    echoes: Vec<Echo>,
}

impl Lidar {
    /// So many metres over the ground.
    #[must_use]
    pub fn new(height: f64) -> Self {
        let slopes = std::array::from_fn(|ring| {
            let share = ring as f64 / (RINGS - 1) as f64;
            (ELEVATIONS[0] + (ELEVATIONS[1] - ELEVATIONS[0]) * share).to_radians().tan() as f32
        });
        let ground = slopes.map(|slope: f32| {
            let range = if slope < 0.0 { -(height as f32) / slope } else { f32::INFINITY };
            Echo { range: if range < REACH { range } else { f32::INFINITY }, reflectivity: -1.0 }
        });
        let directions = (0..COLUMNS)
            .map(|column| {
                let azimuth = TAU * (column as f64 + 0.5) / COLUMNS as f64 - PI;
                [azimuth.cos() as f32, azimuth.sin() as f32]
            })
            .collect();
        Self { directions, slopes, ground, height: height as f32, echoes: Vec::new() }
    }

    /// One turn, packed as x, y, z, intensity; `ground(x, y)` tells how much light the ground gives back, 0…255.
    pub fn scan(&mut self, obstacles: &[Obstacle], noise: Noise, ground: impl Fn(f32, f32) -> f32) -> Vec<u8> {
        self.echoes.clear();
        for _ in 0..COLUMNS {
            self.echoes.extend_from_slice(&self.ground);
        }
        for obstacle in obstacles {
            self.strike(obstacle);
        }
        let mut points = Vec::with_capacity(COLUMNS * RINGS * POINT_BYTES);
        for (column, echoes) in self.echoes.chunks_exact(RINGS).enumerate() {
            let [cos, sin] = self.directions[column];
            for (ring, echo) in echoes.iter().enumerate() {
                if echo.range > REACH {
                    continue;
                }
                let index = (column * RINGS + ring) as u64;
                let range = echo.range + 0.012 * noise.gauss(index) as f32;
                let (x, y) = (range * cos, range * sin);
                let light = if echo.reflectivity < 0.0 { ground(x, y) } else { echo.reflectivity };
                let intensity = light * (1.0 - 0.5 * range / REACH);
                for value in [x, y, range * self.slopes[ring], intensity] {
                    points.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        points
    }

    fn strike(&mut self, obstacle: &Obstacle) {
        let at = obstacle.pose.translation.vector;
        let half = [obstacle.size[0] / 2.0, obstacle.size[1] / 2.0];
        let radius = half[0].hypot(half[1]);
        let distance = at.x.hypot(at.y);
        if distance - radius > f64::from(REACH) || distance < radius {
            return;
        }
        // Only columns that can meet the circle around it.
        let (azimuth, spread) = (at.y.atan2(at.x), (radius / distance).asin());
        let per_radian = COLUMNS as f64 / TAU;
        let first = ((azimuth - spread + PI) * per_radian).floor() as i64;
        let last = ((azimuth + spread + PI) * per_radian).ceil() as i64;
        let to_box = obstacle.pose.inverse();
        let origin = to_box * Point3::origin();
        let [bottom, top] = [at.z as f32, (at.z + obstacle.size[2]) as f32];
        for column in first..=last {
            let column = column.rem_euclid(COLUMNS as i64) as usize;
            let [cos, sin] = self.directions[column].map(f64::from);
            let ray = to_box * nalgebra::Vector3::new(cos, sin, 0.0);
            let Some((near, far)) = slab([origin.x, origin.y], [ray.x, ray.y], half) else { continue };
            let (near, far) = (near as f32, far as f32);
            for (echo, &slope) in self.echoes[column * RINGS..][..RINGS].iter_mut().zip(&self.slopes) {
                let (enters, leaves) = (near * slope, far * slope);
                let range = if (bottom..=top).contains(&enters) {
                    near
                } else if enters > top && leaves < top {
                    top / slope
                } else {
                    continue;
                };
                if range < echo.range {
                    *echo = Echo { range, reflectivity: obstacle.reflectivity };
                }
            }
        }
    }

    /// Height over the ground, metres.
    #[must_use]
    pub fn height(&self) -> f32 {
        self.height
    }
}

/// Where a ray enters and leaves a rectangle around the origin.
fn slab(origin: [f64; 2], ray: [f64; 2], half: [f64; 2]) -> Option<(f64, f64)> {
    let (mut near, mut far) = (0.0_f64, f64::INFINITY);
    for axis in 0..2 {
        let inverse = 1.0 / ray[axis];
        let (a, b) = ((-half[axis] - origin[axis]) * inverse, (half[axis] - origin[axis]) * inverse);
        near = near.max(a.min(b));
        far = far.min(a.max(b));
    }
    (near < far && far.is_finite()).then_some((near, far))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(bytes: &[u8]) -> Vec<[f32; 4]> {
        bytes
            .chunks_exact(POINT_BYTES)
            .map(|point| {
                std::array::from_fn(|i| {
                    f32::from_le_bytes([point[4 * i], point[4 * i + 1], point[4 * i + 2], point[4 * i + 3]])
                })
            })
            .collect()
    }

    #[test]
    fn an_empty_plane_is_flat() {
        let scan = Lidar::new(1.85).scan(&[], Noise::new(1), |_, _| 50.0);
        let points = points(&scan);
        assert!(points.len() > 50_000, "{}", points.len());
        assert!(points.iter().all(|p| (p[2] + 1.85).abs() < 0.03));
    }

    #[test]
    fn a_box_gives_points_on_its_near_side_and_a_shadow_behind() {
        let pose = Isometry3::translation(10.0, 0.0, -1.85);
        let obstacle = Obstacle { pose, size: [4.0, 2.0, 1.5], reflectivity: 200.0 };
        let scan = Lidar::new(1.85).scan(&[obstacle], Noise::new(1), |_, _| 50.0);
        let hits: Vec<_> = points(&scan).into_iter().filter(|p| p[2] > -1.7).collect();
        assert!(hits.len() > 200, "{}", hits.len());
        assert!(hits.iter().all(|p| (7.9..12.1).contains(&p[0]) && p[1].abs() < 1.1 && p[2] < -0.3), "on the box");
        let behind = points(&scan).into_iter().filter(|p| (13.0..14.0).contains(&p[0]) && p[1].abs() < 0.5);
        assert_eq!(behind.count(), 0);
    }
}
