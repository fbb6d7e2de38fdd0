//! A pinhole camera in the world.

use nalgebra::{Isometry3, Matrix3, Point3, Rotation3, UnitQuaternion, Vector3};

use super::canvas::Projected;

/// A pinhole without distortion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
    /// Focal length, pixels; the same in both directions.
    pub focal: f64,
    /// Where the optical axis meets the image, pixels.
    pub center: [f64; 2],
}

impl Lens {
    /// Axis in the middle column, at `horizon` of the height from the top.
    #[must_use]
    pub fn new(width: usize, height: usize, field_of_view_deg: f64, horizon: f64) -> Self {
        let focal = width as f64 / 2.0 / (field_of_view_deg.to_radians() / 2.0).tan();
        Self { width, height, focal, center: [width as f64 / 2.0, height as f64 * horizon] }
    }

    /// Intrinsics `K`, 3×3 row-major, pixels.
    #[must_use]
    pub fn intrinsics(&self) -> [f64; 9] {
        [self.focal, 0.0, self.center[0], 0.0, self.focal, self.center[1], 0.0, 0.0, 1.0]
    }
}

/// A lens at a place.
#[derive(Clone, Copy, Debug)]
pub struct Camera {
    /// The lens.
    pub lens: Lens,
    /// Optical frame (x right, y down, z forward) to world.
    pub world_from_camera: Isometry3<f64>,
}

/// Nothing nearer than this is drawn, metres.
const NEAR: f64 = 0.03;

impl Camera {
    /// Orientation of the optical frame of a camera that looks along x of a body frame (x forward, y left, z up).
    #[must_use]
    pub fn body_from_optical() -> UnitQuaternion<f64> {
        let matrix = Matrix3::new(0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0);
        UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix))
    }

    /// At `eye`, looking at `target`, upright.
    #[must_use]
    pub fn look_at(lens: Lens, eye: Point3<f64>, target: Point3<f64>) -> Self {
        let forward = (target - eye).normalize();
        let right = forward.cross(&Vector3::z()).normalize();
        let down = forward.cross(&right);
        let matrix = Matrix3::from_columns(&[right, down, forward]);
        let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix));
        Self { lens, world_from_camera: Isometry3::from_parts(eye.coords.into(), rotation) }
    }

    /// Where a point of the world appears, pixels, and how far it is along the axis, metres; `None` behind the camera.
    #[must_use]
    pub fn project(&self, point: &Point3<f64>) -> Option<([f64; 2], f64)> {
        let p = self.world_from_camera.inverse_transform_point(point);
        (p.z > NEAR).then(|| (self.pixel(&p), p.z))
    }

    /// Whether a pixel position lies in the image.
    #[must_use]
    pub fn sees(&self, pixel: [f64; 2]) -> bool {
        (0.0..self.lens.width as f64).contains(&pixel[0]) && (0.0..self.lens.height as f64).contains(&pixel[1])
    }

    fn pixel(&self, p: &Point3<f64>) -> [f64; 2] {
        let Lens { focal, center, .. } = self.lens;
        [center[0] + focal * p.x / p.z, center[1] + focal * p.y / p.z]
    }

    /// A convex polygon of the world in the image; `None` where it is behind the camera or seen edge-on.
    ///
    /// Texture coordinates are those of `world_from_texel`: its x and y axes, one unit to a texel.
    #[must_use]
    pub fn polygon(&self, corners: &[Point3<f64>], plane: &TexturePlane) -> Option<Projected> {
        let inverse = self.world_from_camera.inverse();
        let local: Vec<Point3<f64>> = corners.iter().map(|c| inverse * c).collect();
        let clipped = clip(&local);
        if clipped.len() < 3 {
            return None;
        }
        let Lens { focal, center, .. } = self.lens;
        let k = Matrix3::new(focal, 0.0, center[0], 0.0, focal, center[1], 0.0, 0.0, 1.0);
        let columns =
            Matrix3::from_columns(&[(inverse * plane.origin).coords, inverse * plane.along_u, inverse * plane.along_v]);
        // K·[o a b]·(1, u, v) = z·(x, y, 1), so the inverse maps a pixel to (1, u, v)/z.
        let pixel_to_plane = (k * columns).try_inverse()?;
        let row = |i: usize| [pixel_to_plane[(i, 0)], pixel_to_plane[(i, 1)], pixel_to_plane[(i, 2)]];
        Some(Projected {
            corners: clipped.iter().map(|p| self.pixel(p).map(|v| v as f32)).collect(),
            plane: [row(0), row(1), row(2)],
        })
    }
}

/// A plane with texture coordinates.
#[derive(Clone, Copy, Debug)]
pub struct TexturePlane {
    /// Where texel (0, 0) begins.
    pub origin: Point3<f64>,
    /// From one texel to the next one in u.
    pub along_u: Vector3<f64>,
    /// From one texel to the next one in v.
    pub along_v: Vector3<f64>,
}

/// The part of a polygon in front of the camera.
fn clip(corners: &[Point3<f64>]) -> Vec<Point3<f64>> {
    let mut kept = Vec::with_capacity(corners.len() + 1);
    for (a, b) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        if a.z >= NEAR {
            kept.push(*a);
        }
        if (a.z >= NEAR) != (b.z >= NEAR) {
            kept.push(a + (b - a) * ((NEAR - a.z) / (b.z - a.z)));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_ahead_is_in_the_middle_and_left_is_left() {
        let lens = Lens::new(640, 480, 90.0, 0.5);
        let camera = Camera::look_at(lens, Point3::origin(), Point3::new(1.0, 0.0, 0.0));
        let (ahead, depth) = camera.project(&Point3::new(5.0, 0.0, 0.0)).unwrap_or_default();
        assert!((ahead[0] - 320.0).abs() < 1e-9 && (ahead[1] - 240.0).abs() < 1e-9 && (depth - 5.0).abs() < 1e-9);
        let (left_up, _) = camera.project(&Point3::new(5.0, 1.0, 1.0)).unwrap_or_default();
        assert!(left_up[0] < 320.0 && left_up[1] < 240.0);
        assert!(camera.project(&Point3::new(-5.0, 0.0, 0.0)).is_none());
        let body = Isometry3::from_parts(Vector3::zeros().into(), Camera::body_from_optical());
        assert!((body.rotation.angle_to(&camera.world_from_camera.rotation)).abs() < 1e-9);
    }

    #[test]
    fn inverse_depth_of_a_polygon_is_that_of_its_points() {
        let camera =
            Camera::look_at(Lens::new(640, 480, 60.0, 0.5), Point3::new(0.0, 0.0, 2.0), Point3::new(4.0, 0.0, 0.0));
        let plane = TexturePlane { origin: Point3::origin(), along_u: Vector3::x(), along_v: Vector3::y() };
        let corners = [[2.0, -1.0], [6.0, -1.0], [6.0, 1.0], [-6.0, 1.0]].map(|[x, y]| Point3::new(x, y, 0.0));
        let polygon = camera.polygon(&corners, &plane).map(|p| p.plane).unwrap_or_default();
        let ([x, y], depth) = camera.project(&Point3::new(3.0, 0.5, 0.0)).unwrap_or_default();
        let at = |i: usize| polygon[i][0] * x + polygon[i][1] * y + polygon[i][2];
        assert!((at(0) * depth - 1.0).abs() < 1e-9, "{}", at(0) * depth);
        assert!((at(1) / at(0) - 3.0).abs() < 1e-9 && (at(2) / at(0) - 0.5).abs() < 1e-9);
    }
}
