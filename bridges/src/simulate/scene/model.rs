//! Solids made of flat, coloured faces.

use nalgebra::{Isometry3, Point3, Vector3};

use super::{
    camera::{Camera, TexturePlane},
    canvas::{Canvas, Color, Haze, Paint},
};

/// One convex face; its corners run counter-clockwise seen from outside.
#[derive(Clone, Debug)]
pub struct Face {
    /// Corners in the model's frame, metres.
    pub corners: Vec<Point3<f64>>,
    /// Colour in full light.
    pub color: Color,
}

/// A solid in its own frame.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The faces.
    pub faces: Vec<Face>,
}

/// Where the sun stands, and how much light comes from everywhere else.
#[derive(Clone, Copy, Debug)]
pub struct Light {
    /// Direction to the sun, unit.
    pub sun: Vector3<f64>,
    /// Brightness in full shade, 0…1.
    pub ambient: f64,
    /// Air between the camera and the model.
    pub haze: Haze,
}

impl Model {
    /// A box from `low` to `high`.
    #[must_use]
    pub fn cuboid(low: [f64; 3], high: [f64; 3], color: Color) -> Self {
        Self::hull(
            &[[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]],
            low[2],
            high[2],
            color,
        )
    }

    /// An upright prism over a convex outline that runs counter-clockwise seen from above.
    #[must_use]
    pub fn hull(outline: &[[f64; 2]], bottom: f64, top: f64, color: Color) -> Self {
        Self::taper(outline, outline, bottom, top, color)
    }

    /// Between two outlines with equally many corners, at heights `bottom` and `top`.
    #[must_use]
    pub fn taper(lower: &[[f64; 2]], upper: &[[f64; 2]], bottom: f64, top: f64, color: Color) -> Self {
        let low: Vec<_> = lower.iter().map(|&[x, y]| Point3::new(x, y, bottom)).collect();
        let high: Vec<_> = upper.iter().map(|&[x, y]| Point3::new(x, y, top)).collect();
        let mut faces =
            vec![Face { corners: high.clone(), color }, Face { corners: low.iter().rev().copied().collect(), color }];
        for i in 0..low.len().min(high.len()) {
            let next = (i + 1) % low.len();
            faces.push(Face { corners: vec![low[i], low[next], high[next], high[i]], color });
        }
        Self { faces }
    }

    /// A cylinder of `sides` sides along z.
    #[must_use]
    pub fn cylinder(radius: f64, bottom: f64, top: f64, sides: usize, color: Color) -> Self {
        let outline: Vec<[f64; 2]> = (0..sides)
            .map(|i| {
                let angle = std::f64::consts::TAU * i as f64 / sides as f64;
                [radius * angle.cos(), radius * angle.sin()]
            })
            .collect();
        Self::hull(&outline, bottom, top, color)
    }

    /// A bar of `half_width` from one point to another.
    #[must_use]
    pub fn bar(from: Point3<f64>, to: Point3<f64>, half_width: f64, color: Color) -> Self {
        let length = (to - from).norm();
        let turn = nalgebra::UnitQuaternion::rotation_between(&Vector3::z(), &(to - from))
            .unwrap_or_else(|| nalgebra::UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI));
        Self::cylinder(half_width, 0.0, length, 8, color).moved(&Isometry3::from_parts(from.coords.into(), turn))
    }

    /// This in another frame.
    #[must_use]
    pub fn moved(mut self, target_from_model: &Isometry3<f64>) -> Self {
        for corner in self.faces.iter_mut().flat_map(|face| &mut face.corners) {
            *corner = target_from_model * *corner;
        }
        self
    }

    /// Both as one.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.faces.extend(other.faces);
        self
    }

    /// Draws what the camera sees of it.
    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, world_from_model: &Isometry3<f64>, light: &Light) {
        let eye = Point3::from(camera.world_from_camera.translation.vector);
        let mut corners = Vec::with_capacity(16);
        for face in &self.faces {
            corners.clear();
            corners.extend(face.corners.iter().map(|corner| world_from_model * corner));
            let [a, b, c, ..] = corners[..] else { continue };
            let normal = (b - a).cross(&(c - a));
            let size = normal.norm();
            if size <= 0.0 || normal.dot(&(eye - a)) <= 0.0 {
                continue;
            }
            let plane = TexturePlane { origin: a, along_u: b - a, along_v: c - a };
            let Some(polygon) = camera.polygon(&corners, &plane) else { continue };
            let sun = (normal.dot(&light.sun) / size).max(0.0);
            let brightness = light.ambient + (1.0 - light.ambient) * sun;
            let weight = light.haze.weight((1.0 / (eye - a).norm()) as f32);
            let color = face.color.lit(brightness as f32).mix(light.haze.color, weight);
            canvas.fill(&polygon, Paint::Flat(color));
        }
    }
}

/// Darkens or colours a flat polygon of the world without touching depth: shadows, lamps on the ground, wakes.
pub fn tint(canvas: &mut Canvas, camera: &Camera, corners: &[Point3<f64>], color: Color, weight: u32) {
    let [a, b, c, ..] = *corners else { return };
    let plane = TexturePlane { origin: a, along_u: b - a, along_v: c - a };
    if let Some(polygon) = camera.polygon(corners, &plane) {
        canvas.fill(&polygon, Paint::Tint(color, weight));
    }
}
