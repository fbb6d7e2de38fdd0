//! What the bow camera sees: sea, sky, a coast with a city, other ships, and the own bow.

use std::sync::OnceLock;

use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3};

use super::{
    super::{
        noise::{Noise, value_noise},
        scene::{
            camera::{Camera, Lens, TexturePlane},
            canvas::{Canvas, Color, Haze, Paint},
            model::{Light, Model, tint},
            sky::{Sky, SkyStyle},
            texture::Texture,
        },
    },
    model,
    ships::{Ship, ShipState},
};

/// Edge of a texel of the sea, metres.
const TEXEL: f64 = 0.14;

fn light() -> Light {
    let haze = Haze { color: Color::rgb(198, 212, 224), half: 2600.0 };
    Light { sun: Vector3::new(0.5, -0.55, 0.67).normalize(), ambient: 0.55, haze }
}

fn sky() -> &'static Sky {
    static SKY: OnceLock<Sky> = OnceLock::new();
    SKY.get_or_init(|| {
        let style = SkyStyle {
            zenith: Color::rgb(92, 146, 206),
            horizon: light().haze.color,
            hills: Color::rgb(92, 116, 108),
            hill_height: 0.075,
            coast: true,
        };
        Sky::paint(Noise::new(33), &style)
    })
}

fn sea() -> &'static Texture {
    static SEA: OnceLock<Texture> = OnceLock::new();
    SEA.get_or_init(|| {
        let noise = Noise::new(8);
        let (deep, crest, foam) = (Color::rgb(24, 66, 92), Color::rgb(92, 142, 160), Color::rgb(226, 236, 238));
        // Cells across the texture and share: long waves and ripples on them. Crests are longer than waves.
        let octaves = [(12_u64, 0.32), (28, 0.24), (60, 0.20), (120, 0.14), (240, 0.10)];
        Texture::paint(9, 9, (1.0 / (830.0 * 4.2 * TEXEL)) as f32, |u, v| {
            let wave = |(cells, share): (u64, f64)| {
                let (x, y) = (u as f64 / 512.0 * cells as f64, v as f64 / 512.0 * (cells / 2) as f64);
                share * value_noise(noise.at(cells), x, y, [cells, cells / 2])
            };
            let height: f64 = octaves.into_iter().map(wave).sum();
            let color = deep.mix(crest, (256.0 * ((height - 0.25) * 1.7).clamp(0.0, 1.0)) as u32);
            color.mix(foam, (256.0 * ((height - 0.72) * 9.0).clamp(0.0, 0.8)) as u32)
        })
    })
}

/// The lens of the bow camera.
#[must_use]
pub fn lens() -> Lens {
    Lens::new(1280, 720, 75.0, 0.5)
}

/// Pose of a ship in the world (x east, y north, z up); its own x to the bow.
#[must_use]
pub fn pose(at: [f64; 2], heading: f64) -> Isometry3<f64> {
    let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), std::f64::consts::FRAC_PI_2 - heading);
    Isometry3::from_parts(Translation3::new(at[0], at[1], 0.0), turn)
}

/// Models of everything that floats or stands, built once.
#[derive(Debug)]
pub struct Harbour {
    models: Vec<Model>,
    marks: Vec<(Isometry3<f64>, Model)>,
    bow: Model,
}

impl Harbour {
    /// Models for a fleet.
    #[must_use]
    pub fn new(fleet: &[Ship]) -> Self {
        let models = fleet.iter().map(|ship| model::ship(ship.kind, ship.mmsi)).collect();
        Self { models, marks: model::marks(), bow: model::bow() }
    }

    /// Draws the whole image. `own` is the own vessel in the world.
    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, own: &Isometry3<f64>, ships: &[ShipState], seconds: f64) {
        canvas.clear_depth();
        sky().draw(canvas, camera);
        draw_sea(canvas, camera, seconds);
        let light = light();
        let eye = camera.world_from_camera.translation.vector;
        for (model, state) in self.models.iter().zip(ships) {
            let at = pose(state.at, state.heading);
            if (at.translation.vector - eye).norm() < 5000.0 {
                draw_wake(canvas, camera, &at, state);
                model.draw(canvas, camera, &at, &light);
            }
        }
        for (at, model) in &self.marks {
            model.draw(canvas, camera, at, &light);
        }
        self.bow.draw(canvas, camera, own, &light);
    }
}

fn draw_sea(canvas: &mut Canvas, camera: &Camera, seconds: f64) {
    let far = 12_000.0;
    let eye = camera.world_from_camera.translation.vector;
    let corners =
        [[-far, -far], [far, -far], [far, far], [-far, far]].map(|[x, y]| Point3::new(eye.x + x, eye.y + y, 0.0));
    // The waves run before the wind; their direction is turned off the compass so that no crest lies along a course.
    let (sin, cos) = 0.6_f64.sin_cos();
    let run = 2.4 * seconds;
    let plane = TexturePlane {
        origin: Point3::new(run * cos, run * sin, 0.0),
        along_u: Vector3::new(cos, sin, 0.0) * TEXEL,
        along_v: Vector3::new(-sin, cos, 0.0) * TEXEL,
    };
    if let Some(polygon) = camera.polygon(&corners, &plane) {
        canvas.fill(&polygon, Paint::Texture(sea(), light().haze));
    }
}

fn draw_wake(canvas: &mut Canvas, camera: &Camera, at: &Isometry3<f64>, state: &ShipState) {
    if state.speed < 0.5 {
        return;
    }
    for (length, width, weight) in [(14.0, 1.6, 60), (7.0, 0.9, 90)] {
        let reach = state.speed * length;
        let corners = [[-2.0, -width], [-2.0, width], [-reach, width * 2.6], [-reach, -width * 2.6]]
            .map(|[x, y]| at * Point3::new(x, y, 0.05));
        tint(canvas, camera, &corners, Color::rgb(222, 234, 238), weight);
    }
}
