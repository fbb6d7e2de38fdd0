//! What the humanoid's cameras see: a room, a table with objects, its own arms and hands.

use std::sync::OnceLock;

use nalgebra::{Isometry3, Point3, Vector3};

use super::{
    super::{
        noise::{Noise, value_noise},
        scene::{
            camera::{Camera, Lens, TexturePlane},
            canvas::{Canvas, Color, Haze, Paint},
            model::{Light, Model, tint},
            texture::Texture,
        },
    },
    arm::Arm,
    task::{OBJECT_HALF_HEIGHT, OBJECTS, Scene, TABLE_HEIGHT, world_from_torso},
};

/// The table: from x and y to x and y, metres.
const TABLE: [[f64; 2]; 2] = [[0.20, -0.62], [0.90, 0.62]];
const TEXEL: f64 = 0.004;

fn light() -> Light {
    let haze = Haze { color: Color::rgb(200, 200, 200), half: 80.0 };
    Light { sun: Vector3::new(-0.35, 0.3, 0.89).normalize(), ambient: 0.55, haze }
}

/// All that stands still.
#[derive(Debug)]
pub struct Room {
    wood: Texture,
    tiles: Texture,
    models: Vec<Model>,
    objects: Vec<Model>,
}

/// The room; painted once.
pub fn room() -> &'static Room {
    static ROOM: OnceLock<Room> = OnceLock::new();
    ROOM.get_or_init(Room::build)
}

fn quad(low: [f64; 2], high: [f64; 2], z: f64) -> [Point3<f64>; 4] {
    [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]].map(|[x, y]| Point3::new(x, y, z))
}

fn plane(z: f64, texel: f64) -> TexturePlane {
    TexturePlane { origin: Point3::new(0.0, 0.0, z), along_u: Vector3::x() * texel, along_v: Vector3::y() * texel }
}

impl Room {
    fn build() -> Self {
        let noise = Noise::new(11);
        let wood = Texture::paint(8, 8, 0.0, |u, v| {
            let (u, v) = (u as f64, v as f64);
            let grain = value_noise(noise, u / 3.2, v / 42.0, [80; 2]) * 0.6
                + value_noise(noise.at(1), u / 1.3, v / 17.0, [197; 2]) * 0.4;
            let grit = noise.unit((u * 256.0 + v) as u64);
            Color::rgb(176, 132, 88).lit(0.86 + 0.2 * grain as f32 + 0.05 * grit as f32)
        });
        let tiles = Texture::paint(8, 8, 0.0, |u, v| {
            let joint = u % 128 < 3 || v % 128 < 3;
            let speckle = 0.93 + 0.1 * noise.unit((u * 256 + v) as u64) as f32;
            if joint { Color::rgb(112, 114, 116) } else { Color::rgb(168, 170, 172).lit(speckle) }
        });
        let objects = OBJECTS.iter().map(|object| object_model(object.color, object.round)).collect();
        Self { wood, tiles, models: furniture(), objects }
    }

    /// Draws all that stands still.
    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera) {
        let (wall, height) = (Color::rgb(206, 208, 204), canvas.height());
        for y in 0..height {
            let shade = wall.lit(1.0 - 0.12 * y as f32 / height as f32);
            canvas.row_mut(y).fill(shade.0);
        }
        canvas.clear_depth();
        let haze = light().haze;
        let floor = camera.polygon(&quad([-6.0, -6.0], [6.0, 6.0], 0.0), &plane(0.0, 0.004));
        if let Some(polygon) = floor {
            canvas.fill(&polygon, Paint::Texture(&self.tiles, haze));
        }
        for model in &self.models {
            model.draw(canvas, camera, &Isometry3::identity(), &light());
        }
        let top = camera.polygon(&quad(TABLE[0], TABLE[1], TABLE_HEIGHT), &plane(TABLE_HEIGHT, TEXEL));
        if let Some(polygon) = top {
            canvas.fill(&polygon, Paint::Texture(&self.wood, haze));
        }
        for arm in Arm::BOTH {
            for place in 0..3 {
                let at = super::task::place_in_world(arm, place);
                let [low, high] = [-0.048, 0.048].map(|d| [at.x + d, at.y + d]);
                tint(canvas, camera, &quad(low, high, TABLE_HEIGHT + 0.0005), Color::rgb(245, 245, 240), 90);
            }
        }
    }

    /// Draws all that moves.
    pub fn draw_scene(&self, canvas: &mut Canvas, camera: &Camera, scene: &Scene) {
        let dark = Color::rgb(30, 24, 18);
        for object in &scene.objects {
            let at = object.translation.vector;
            // The higher it is carried, the wider and fainter its shadow.
            let lift = (at.z - OBJECT_HALF_HEIGHT - TABLE_HEIGHT).max(0.0);
            let (half, center) = (0.040 + 0.15 * lift, [at.x + 0.4 * lift + 0.008, at.y - 0.35 * lift - 0.007]);
            let [low, high] = [-half, half].map(|d| [center[0] + d, center[1] + d]);
            let weight = (110.0 / (1.0 + 12.0 * lift)) as u32;
            tint(canvas, camera, &quad(low, high, TABLE_HEIGHT + 0.001), dark, weight);
        }
        for (model, pose) in self.objects.iter().zip(&scene.objects) {
            model.draw(canvas, camera, pose, &light());
        }
        for arm in Arm::BOTH {
            draw_arm(canvas, camera, arm, scene);
        }
    }
}

fn furniture() -> Vec<Model> {
    let [low, high] = TABLE;
    let metal = Color::rgb(70, 74, 80);
    let mut models = vec![
        Model::cuboid(
            [low[0], low[1], TABLE_HEIGHT - 0.035],
            [high[0], high[1], TABLE_HEIGHT - 0.001],
            Color::rgb(150, 110, 72),
        ),
        // Back wall with a board, a shelf and things on it.
        Model::cuboid([3.0, -6.0, 0.0], [3.1, 6.0, 3.0], Color::rgb(212, 214, 208)),
        Model::cuboid([2.97, -6.0, 0.0], [3.0, 6.0, 0.12], Color::rgb(120, 122, 126)),
        Model::cuboid([2.95, -0.9, 0.9], [2.99, 0.5, 1.75], Color::rgb(44, 84, 74)),
        Model::cuboid([2.5, 1.1, 0.0], [2.9, 2.2, 0.45], Color::rgb(128, 98, 70)),
        Model::cuboid([2.5, 1.1, 0.5], [2.9, 2.2, 0.9], Color::rgb(142, 110, 80)),
        Model::cuboid([2.55, 1.2, 0.9], [2.8, 1.45, 1.2], Color::rgb(190, 80, 50)),
        Model::cuboid([2.55, 1.6, 0.9], [2.8, 1.95, 1.1], Color::rgb(60, 110, 160)),
        Model::cuboid([1.9, -2.3, 0.0], [2.6, -1.4, 0.75], Color::rgb(96, 104, 116)),
    ];
    for [x, y] in
        [[low[0], low[1]], [high[0] - 0.05, low[1]], [low[0], high[1] - 0.05], [high[0] - 0.05, high[1] - 0.05]]
    {
        models.push(Model::cuboid([x, y, 0.0], [x + 0.05, y + 0.05, TABLE_HEIGHT - 0.035], metal));
    }
    // A tray with small parts, at the far side.
    models.push(Model::cuboid([0.70, -0.16, TABLE_HEIGHT], [0.86, 0.16, TABLE_HEIGHT + 0.018], Color::rgb(58, 62, 70)));
    for (i, color) in [[220, 120, 40], [90, 160, 200], [190, 190, 70], [160, 90, 170]].into_iter().enumerate() {
        let y = -0.12 + 0.07 * i as f64;
        let [r, g, b] = color;
        models.push(Model::cuboid(
            [0.75, y, TABLE_HEIGHT + 0.018],
            [0.79, y + 0.04, TABLE_HEIGHT + 0.045],
            Color::rgb(r, g, b),
        ));
    }
    models
}

fn object_model([r, g, b]: [u8; 3], round: bool) -> Model {
    let (color, h) = (Color::rgb(r, g, b), OBJECT_HALF_HEIGHT);
    if round {
        let rim = Model::cylinder(0.031, h - 0.004, h, 14, color.lit(1.25));
        Model::cylinder(0.030, -h, h - 0.004, 14, color).with(rim).with(Model::cylinder(
            0.025,
            h,
            h + 0.0005,
            14,
            color.lit(0.45),
        ))
    } else {
        let label = Model::cuboid([-0.0315, -0.018, -0.02], [0.0315, 0.018, 0.02], Color::rgb(240, 238, 230));
        Model::cuboid([-0.03, -0.03, -h], [0.03, 0.03, h], color).with(label)
    }
}

fn draw_arm(canvas: &mut Canvas, camera: &Camera, arm: Arm, scene: &Scene) {
    let (shoulder, elbow, wrist) = arm.forward(&scene.arms[arm.index()]);
    let world = world_from_torso();
    let (shell, joint) = (Color::rgb(224, 226, 230), Color::rgb(58, 62, 70));
    let wrist_at = Point3::from(wrist.translation.vector);
    let mut arm_model = Model::bar(shoulder, elbow, 0.040, shell).with(Model::bar(elbow, wrist_at, 0.033, shell));
    let cuff = wrist * Point3::new(-0.035, 0.0, 0.0);
    arm_model = arm_model.with(Model::bar(cuff, wrist * Point3::new(0.012, 0.0, 0.0), 0.036, joint));
    arm_model.draw(canvas, camera, &world, &light());
    hand_model(arm, scene.closed[arm.index()]).draw(canvas, camera, &(world * wrist), &light());
}

/// Palm, four fingers and a thumb in the wrist's frame; the palm faces the other hand.
fn hand_model(arm: Arm, closed: f64) -> Model {
    let inward = -arm.side();
    let (skin, tip) = (Color::rgb(84, 90, 100), Color::rgb(120, 128, 140));
    let mut model = Model::cuboid([0.02, -0.013, -0.036], [0.095, 0.013, 0.026], skin);
    for finger in 0..4 {
        let base = Point3::new(0.095, 0.0, 0.018 - 0.0155 * f64::from(finger));
        let curl = closed * 1.25;
        let first = base + Vector3::new(curl.cos(), inward * curl.sin(), 0.0) * 0.042;
        let bent = curl * 2.1;
        let second = first + Vector3::new(bent.cos(), inward * bent.sin(), 0.0) * 0.035;
        model = model.with(Model::bar(base, first, 0.0085, skin)).with(Model::bar(first, second, 0.0078, tip));
    }
    let thumb_base = Point3::new(0.04, inward * 0.012, 0.028);
    let swing = 0.35 + closed * 0.75;
    let first = thumb_base + Vector3::new(0.55, inward * swing, 0.35 - 0.5 * closed).normalize() * 0.04;
    let second = first + Vector3::new(0.85, inward * swing * 0.5, -0.25).normalize() * 0.034;
    model.with(Model::bar(thumb_base, first, 0.010, skin)).with(Model::bar(first, second, 0.009, tip))
}

/// Where a camera is: fixed to the torso, or to a wrist.
#[derive(Clone, Copy, Debug)]
pub enum Mount {
    /// Optical frame in the torso.
    Torso(Isometry3<f64>),
    /// Optical frame in a wrist.
    Wrist(Arm, Isometry3<f64>),
}

impl Mount {
    /// The camera at a moment of the scene.
    #[must_use]
    pub fn camera(&self, lens: Lens, scene: &Scene) -> Camera {
        let world_from_camera = match self {
            Self::Torso(mount) => world_from_torso() * mount,
            Self::Wrist(arm, mount) => {
                let (_, _, wrist) = arm.forward(&scene.arms[arm.index()]);
                world_from_torso() * wrist * mount
            }
        };
        Camera { lens, world_from_camera }
    }

    /// Whether the background stands still.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        matches!(self, Self::Torso(_))
    }
}

/// The lens of all three cameras.
#[must_use]
pub fn lens() -> Lens {
    Lens::new(640, 480, 78.0, 0.5)
}
