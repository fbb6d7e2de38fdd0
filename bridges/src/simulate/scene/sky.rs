//! The far away: sky, clouds and a skyline, by bearing.

use std::f64::consts::TAU;

use super::{
    super::noise::{Noise, value_noise},
    camera::Camera,
    canvas::{Canvas, Color},
};

/// Bearings around the horizon; a power of two.
const BEARINGS: usize = 4096;
/// Elevations from the horizon up, evenly by tangent to `TOP`.
const ELEVATIONS: usize = 192;
const TOP: f64 = 0.75;

/// A panorama from the horizon up; it stands still however far the camera travels.
#[derive(Clone, Debug)]
pub struct Sky {
    pixels: Vec<u32>,
}

/// How a sky looks.
#[derive(Clone, Copy, Debug)]
pub struct SkyStyle {
    /// Colour overhead.
    pub zenith: Color,
    /// Colour at the horizon.
    pub horizon: Color,
    /// Colour of the hills.
    pub hills: Color,
    /// Tangent of the highest hill's elevation.
    pub hill_height: f64,
    /// Land with a city to the north and open sea to the south, instead of hills all around.
    pub coast: bool,
}

impl Sky {
    /// Paints it.
    #[must_use]
    pub fn paint(noise: Noise, style: &SkyStyle) -> Self {
        let clouds = noise.named("clouds");
        let mut pixels = Vec::with_capacity(BEARINGS * ELEVATIONS);
        for row in 0..ELEVATIONS {
            let height = row as f64 / ELEVATIONS as f64;
            for column in 0..BEARINGS {
                let bearing = column as f64 / BEARINGS as f64;
                let mut color = style.horizon.mix(style.zenith, (256.0 * height.powf(0.6)) as u32);
                let cover = cloud(clouds, bearing, height);
                color = color.mix(Color::rgb(250, 250, 252), (230.0 * cover) as u32);
                let mut hill = skyline(noise, bearing) * style.hill_height / TOP;
                if style.coast {
                    hill *= coast(bearing);
                    let tower = tower(noise, bearing) * coast(bearing) * style.hill_height / TOP;
                    if height < tower && height >= hill {
                        let window = [(bearing * 6000.0) as u64 % 3, (height * 900.0) as u64 % 2];
                        let lit = window.contains(&0);
                        color = Color::rgb(176, 186, 196).lit(if lit { 0.9 } else { 1.0 });
                        color = color.mix(style.horizon, 90);
                    }
                }
                if height < hill {
                    let tree = value_noise(noise, bearing * 512.0, height * 300.0, [512; 2]);
                    let near = style.hills.lit(0.9 + 0.25 * tree as f32);
                    color = near.mix(style.horizon, (190.0 * (1.0 - height / hill).powi(2)) as u32 + 40);
                }
                pixels.push(color.0);
            }
        }
        Self { pixels }
    }

    /// Fills the image above the horizon of a camera that stands upright.
    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera) {
        let lens = camera.lens;
        let forward = camera.world_from_camera.rotation * nalgebra::Vector3::z();
        let down = camera.world_from_camera.rotation * nalgebra::Vector3::y();
        let right = camera.world_from_camera.rotation * nalgebra::Vector3::x();
        let heading = forward.y.atan2(forward.x);
        // Pitch moves the horizon, roll slopes it.
        let pitch = forward.z.atan2(-down.z);
        let slope = right.z / -down.z;
        let columns: Vec<(usize, i32)> = (0..lens.width)
            .map(|x| {
                let across = (x as f64 + 0.5 - lens.center[0]) / lens.focal;
                let bearing = (heading - across.atan()) / TAU;
                let horizon = lens.center[1] + lens.focal * (pitch.tan() + slope * across);
                let column = (bearing.rem_euclid(1.0) * BEARINGS as f64) as usize % BEARINGS;
                (column, (horizon * 16.0) as i32)
            })
            .collect();
        let lowest = columns.iter().map(|c| c.1).max().unwrap_or(0) / 16 + 1;
        let scale = ELEVATIONS as f64 / (TOP * lens.focal * 16.0);
        for y in 0..canvas.height().min(usize::try_from(lowest).unwrap_or(0)) {
            let row = canvas.row_mut(y);
            for (pixel, &(column, horizon)) in row.iter_mut().zip(&columns) {
                let above = (horizon - (y as i32) * 16).max(0);
                let elevation = ((f64::from(above) * scale) as usize).min(ELEVATIONS - 1);
                *pixel = self.pixels[elevation * BEARINGS + column];
            }
        }
    }
}

fn cloud(noise: Noise, bearing: f64, height: f64) -> f64 {
    // Clouds lie on a ceiling: towards the horizon they shrink and flatten.
    let depth = 1.0 / (height + 0.12);
    let mut density = 0.0;
    for (octave, share) in [(1_u64, 0.55), (2, 0.28), (4, 0.17)] {
        let period = 24 * octave;
        density +=
            share * value_noise(noise.at(octave), bearing * period as f64, depth * 2.2 * octave as f64, [period; 2]);
    }
    ((density - 0.52) * 4.0).clamp(0.0, 1.0) * (height * 5.0).clamp(0.0, 1.0)
}

/// How much land there is at a bearing (in turns anticlockwise from east), 0…1.
fn coast(bearing: f64) -> f64 {
    (((bearing * TAU).sin() + 0.25) * 2.5).clamp(0.0, 1.0)
}

/// Height of the houses at a bearing, 0…1: clusters of towers.
fn tower(noise: Noise, bearing: f64) -> f64 {
    let towers = noise.named("towers");
    let cell = (bearing * 420.0) as u64;
    let cluster = value_noise(towers.at(1), bearing * 14.0, 0.5, [14; 2]);
    let wide = (bearing * 420.0).fract() < 0.7;
    if wide && towers.unit(cell) < cluster { 0.25 + 0.75 * towers.unit(cell + 1000) * cluster } else { 0.0 }
}

/// Height of the skyline at a bearing (in turns), 0…1.
fn skyline(noise: Noise, bearing: f64) -> f64 {
    let hills = noise.named("hills");
    let sum: f64 = [(8_u64, 0.6), (24, 0.25), (72, 0.1), (256, 0.05)]
        .iter()
        .map(|&(period, share)| share * value_noise(hills.at(period), bearing * period as f64, 0.5, [period; 2]))
        .sum();
    ((sum - 0.25) * 1.8).clamp(0.0, 1.0)
}
