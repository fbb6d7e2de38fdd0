//! What the vehicle's cameras see.

use std::sync::OnceLock;

use nalgebra::{Isometry3, Point3, Vector3};

use super::{
    super::{
        noise::Noise,
        scene::{
            camera::{Camera, Lens, TexturePlane},
            canvas::{Canvas, Color, Haze, Paint},
            model::{Light, Model, tint},
            sky::{Sky, SkyStyle},
        },
    },
    road,
    traffic::{Fixture, RoadUser, UserKind},
};

const PAINTS: [[u8; 3]; 8] = [
    [226, 228, 230],
    [38, 40, 46],
    [152, 158, 164],
    [184, 34, 36],
    [36, 74, 150],
    [236, 236, 236],
    [92, 98, 108],
    [54, 104, 82],
];
const WALLS: [[u8; 3]; 6] =
    [[196, 178, 156], [168, 112, 92], [206, 204, 198], [146, 154, 166], [188, 160, 120], [120, 128, 138]];

/// Light of an afternoon.
#[must_use]
pub fn light() -> Light {
    let haze = Haze { color: Color::rgb(196, 208, 220), half: 420.0 };
    Light { sun: Vector3::new(-0.45, -0.5, 0.74).normalize(), ambient: 0.58, haze }
}

fn sky() -> &'static Sky {
    static SKY: OnceLock<Sky> = OnceLock::new();
    SKY.get_or_init(|| {
        let style = SkyStyle {
            zenith: Color::rgb(96, 148, 212),
            horizon: light().haze.color,
            hills: Color::rgb(84, 112, 92),
            hill_height: 0.11,
            coast: false,
        };
        Sky::paint(Noise::new(21), &style)
    })
}

/// The lens of a camera by its frame: wider to the sides.
#[must_use]
pub fn lens(frame: &str) -> Lens {
    let field_of_view = if frame == "camera_front" { 70.0 } else { 82.0 };
    Lens::new(1280, 720, field_of_view, 0.45)
}

/// Models of everything that stands still, built once.
#[derive(Debug)]
pub struct Town {
    fixtures: Vec<(Isometry3<f64>, f64, Model)>,
}

impl Town {
    /// Builds the models.
    #[must_use]
    pub fn new(fixtures: &[Fixture]) -> Self {
        let build = |fixture: &Fixture| {
            let model = if fixture.is_tree { tree(fixture) } else { house(fixture) };
            (fixture.pose, fixture.size[0].hypot(fixture.size[1]) / 2.0, model)
        };
        Self { fixtures: fixtures.iter().map(build).collect() }
    }

    /// Draws the whole image.
    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, users: &[RoadUser]) {
        canvas.clear_depth();
        sky().draw(canvas, camera);
        draw_ground(canvas, camera);
        let light = light();
        for user in users.iter().filter(|user| near(camera, &user.pose, 6.0, 200.0)) {
            draw_shadow(canvas, camera, user);
        }
        for (pose, radius, model) in &self.fixtures {
            if near(camera, pose, *radius, 260.0) {
                model.draw(canvas, camera, pose, &light);
            }
        }
        for user in users.iter().filter(|user| near(camera, &user.pose, 6.0, 220.0)) {
            model(user).draw(canvas, camera, &user.pose, &light);
        }
    }
}

/// Whether something can be in the image at all.
fn near(camera: &Camera, pose: &Isometry3<f64>, radius: f64, reach: f64) -> bool {
    let at = camera.world_from_camera.inverse_transform_point(&Point3::from(pose.translation.vector));
    let half_width = camera.lens.width as f64 / 2.0 / camera.lens.focal;
    at.z > -radius && at.z < reach && at.x.abs() - 2.0 * radius < half_width * at.z.max(0.0) + radius
}

fn draw_ground(canvas: &mut Canvas, camera: &Camera) {
    let haze = light().haze;
    let square = |low: [f64; 2], high: [f64; 2]| {
        [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]]
            .map(|[x, y]| Point3::new(x, y, 0.0))
    };
    let plane = |origin: [f64; 2], texel: f64| TexturePlane {
        origin: Point3::new(origin[0], origin[1], 0.0),
        along_u: Vector3::x() * texel,
        along_v: Vector3::y() * texel,
    };
    let origin = road::texture_origin();
    // The nearer one first: what lies at the same depth does not replace it.
    let detail = camera.polygon(&square(origin, [-origin[0], -origin[1]]), &plane(origin, road::TEXEL));
    if let Some(polygon) = detail {
        canvas.fill(&polygon, Paint::Texture(road::ground(), haze));
    }
    let far = 4000.0;
    let mut low_plane = plane([0.0, 0.0], 0.5);
    low_plane.origin.z = -0.3;
    let beyond = square([-far, -far], [far, far]).map(|p| p - Vector3::z() * 0.3);
    if let Some(polygon) = camera.polygon(&beyond, &low_plane) {
        canvas.fill(&polygon, Paint::Texture(road::meadow(), haze));
    }
}

fn draw_shadow(canvas: &mut Canvas, camera: &Camera, user: &RoadUser) {
    let [length, width, height] = user.kind.size();
    let reach = light().sun.xy() * (-0.25 * height);
    for (grow, weight) in [(0.18, 70), (-0.05, 90)] {
        let [l, w] = [length / 2.0 + grow, width / 2.0 + grow];
        let corners = [[-l, -w], [l, -w], [l, w], [-l, w]].map(|[x, y]| {
            let at = user.pose * Point3::new(x, y, 0.02);
            at + Vector3::new(reach.x, reach.y, 0.0) * if grow > 0.0 { 1.0 } else { 0.0 }
        });
        tint(canvas, camera, &corners, Color::rgb(20, 22, 28), weight);
    }
}

fn color(palette: &[[u8; 3]], look: u64) -> Color {
    let [r, g, b] = palette[(look >> 8) as usize % palette.len()];
    Color::rgb(r, g, b)
}

/// A road user's model in its own frame.
#[must_use]
pub fn model(user: &RoadUser) -> Model {
    let paint = color(&PAINTS, user.look);
    match user.kind {
        UserKind::Car => car(paint),
        UserKind::Truck => heavy(user.kind.size(), paint, true),
        UserKind::Bus => heavy(user.kind.size(), paint, false),
        UserKind::Pedestrian => pedestrian(paint),
    }
}

fn outline(back: f64, front: f64, half_width: f64) -> [[f64; 2]; 4] {
    [[back, -half_width], [front, -half_width], [front, half_width], [back, half_width]]
}

fn wheels(axles: &[f64], half_width: f64, radius: f64) -> Model {
    let mut model = Model::default();
    for &x in axles {
        for side in [-1.0, 1.0] {
            let (outer, inner) = (side * (half_width + 0.01), side * (half_width - 0.22));
            let points = [outer, inner].map(|y| Point3::new(x, y, radius));
            model = model.with(Model::bar(points[0], points[1], radius, Color::rgb(26, 27, 30)));
            let hub = Point3::new(x, outer + side * 0.012, radius);
            model = model.with(Model::bar(hub, points[0], radius * 0.55, Color::rgb(150, 152, 156)));
        }
    }
    model
}

fn lamps(front: f64, back: f64, half_width: f64, height: f64) -> Model {
    let mut model = Model::default();
    for side in [-1.0, 1.0] {
        let (a, b) = (side * (half_width - 0.42), side * (half_width - 0.06));
        let (low, high) = (a.min(b), a.max(b));
        let lamp = |x: f64, color| Model::cuboid([x - 0.03, low, height], [x + 0.03, high, height + 0.15], color);
        model = model.with(lamp(front, Color::rgb(255, 252, 235))).with(lamp(back, Color::rgb(196, 22, 26)));
    }
    model
}

fn car(paint: Color) -> Model {
    let glass = Color::rgb(44, 54, 66);
    let body = Model::taper(&outline(-2.24, 2.22, 0.90), &outline(-2.20, 2.12, 0.86), 0.28, 0.92, paint);
    let skirt = Model::cuboid([-2.2, -0.86, 0.16], [2.18, 0.86, 0.30], Color::rgb(48, 50, 54));
    let windows = Model::taper(&outline(-1.85, 1.05, 0.82), &outline(-1.25, 0.35, 0.66), 0.92, 1.40, glass);
    let roof = Model::taper(&outline(-1.28, 0.38, 0.67), &outline(-1.15, 0.25, 0.62), 1.40, 1.48, paint);
    let plate = Model::cuboid([-2.27, -0.26, 0.52], [2.25, 0.26, 0.64], Color::rgb(238, 238, 232));
    let mut pillars = Model::default();
    for side in [-1.0, 1.0] {
        let pillar = |x0: f64, x1: f64| {
            Model::bar(Point3::new(x0, side * 0.82, 0.92), Point3::new(x1, side * 0.665, 1.41), 0.045, paint)
        };
        pillars = pillars.with(pillar(1.0, 0.32)).with(pillar(-0.45, -0.42)).with(pillar(-1.8, -1.22));
    }
    body.with(skirt)
        .with(windows)
        .with(roof)
        .with(plate)
        .with(pillars)
        .with(wheels(&[-1.36, 1.38], 0.90, 0.33))
        .with(lamps(2.19, -2.22, 0.88, 0.66))
}

fn heavy([length, width, height]: [f64; 3], paint: Color, is_truck: bool) -> Model {
    let (half, w) = (length / 2.0, width / 2.0);
    let glass = Color::rgb(40, 50, 62);
    let chassis = Model::cuboid([-half, -w + 0.1, 0.35], [half, w - 0.1, 0.75], Color::rgb(46, 48, 52));
    let mut model = chassis.with(wheels(&[-half * 0.62, half * 0.68], w, 0.46)).with(lamps(half, -half, w, 0.72));
    if is_truck {
        let cab = Model::cuboid([half - 1.7, -w, 0.6], [half - 0.02, w, height * 0.86], paint);
        let shield = Model::cuboid([half - 0.9, -w - 0.01, 1.5], [half + 0.01, w + 0.01, height * 0.8], glass);
        let cargo = Model::cuboid([-half, -w, 0.78], [half - 1.85, w, height], Color::rgb(222, 224, 222));
        let stripe = Model::cuboid([-half + 0.5, -w - 0.01, 1.5], [half - 2.4, w + 0.01, 1.75], paint);
        model = model.with(cab).with(shield).with(cargo).with(stripe);
    } else {
        let body = Model::cuboid([-half, -w, 0.45], [half, w, height], paint);
        let band = Model::cuboid([-half + 0.3, -w - 0.01, 1.35], [half - 0.5, w + 0.01, height - 0.55], glass);
        let shield = Model::cuboid([half - 0.3, -w + 0.12, 1.1], [half + 0.015, w - 0.12, height - 0.4], glass);
        let rear = Model::cuboid([-half - 0.015, -w + 0.25, 1.6], [-half + 0.3, w - 0.25, height - 0.6], glass);
        let sill =
            Model::cuboid([-half - 0.01, -w - 0.012, 0.62], [half + 0.01, w + 0.012, 0.85], Color::rgb(240, 240, 236));
        model = model.with(body).with(band).with(shield).with(rear).with(sill);
    }
    model
}

fn pedestrian(coat: Color) -> Model {
    let (skin, trousers) = (Color::rgb(214, 170, 140), Color::rgb(52, 58, 78));
    let leg = |y: f64| Model::cuboid([-0.09, y - 0.08, 0.0], [0.09, y + 0.08, 0.82], trousers);
    let arm = |y: f64| Model::cuboid([-0.06, y - 0.05, 0.78], [0.06, y + 0.05, 1.38], coat.lit(0.85));
    leg(-0.1)
        .with(leg(0.1))
        .with(Model::taper(&outline(-0.12, 0.12, 0.19), &outline(-0.13, 0.13, 0.23), 0.80, 1.42, coat))
        .with(arm(-0.26))
        .with(arm(0.26))
        .with(Model::cylinder(0.105, 1.46, 1.72, 8, skin))
        .with(Model::cylinder(0.112, 1.64, 1.74, 8, Color::rgb(40, 32, 28)))
}

fn house(fixture: &Fixture) -> Model {
    let [length, width, height] = fixture.size;
    let (l, w) = (length / 2.0, width / 2.0);
    let wall = color(&WALLS, fixture.look);
    let mut model = Model::cuboid([-l, -w, 0.0], [l, w, height], wall)
        .with(Model::cuboid([-l - 0.2, -w - 0.2, height], [l + 0.2, w + 0.2, height + 0.4], wall.lit(0.7)))
        .with(Model::cuboid([-l - 0.05, -w - 0.05, 0.0], [l + 0.05, w + 0.05, 0.7], wall.lit(0.6)));
    // Bands of glass, cut by pillars: windows at the price of a few boxes.
    let glass = Color::rgb(70, 88, 108);
    let floors = ((height - 1.2) / 3.0) as usize;
    for floor in 0..floors {
        let z = 1.2 + 3.0 * floor as f64;
        model = model.with(Model::cuboid([-l - 0.03, -w - 0.03, z], [l + 0.03, w + 0.03, z + 1.5], glass));
    }
    let pillar = |x: f64, y: f64, half: [f64; 2]| {
        Model::cuboid([x - half[0], y - half[1], 0.0], [x + half[0], y + half[1], height], wall)
    };
    let columns = (length / 2.6) as usize;
    for i in 0..=columns {
        let x = -l + length * i as f64 / columns.max(1) as f64;
        model = model.with(pillar(x, -w, [0.45, 0.06])).with(pillar(x, w, [0.45, 0.06]));
    }
    let rows = (width / 2.6) as usize;
    for i in 0..=rows {
        let y = -w + width * i as f64 / rows.max(1) as f64;
        model = model.with(pillar(-l, y, [0.06, 0.45])).with(pillar(l, y, [0.06, 0.45]));
    }
    model
}

fn tree(fixture: &Fixture) -> Model {
    let [spread, _, height] = fixture.size;
    let shade = 0.85 + 0.3 * (fixture.look % 100) as f32 / 100.0;
    let leaf = Color::rgb(70, 112, 54).lit(shade);
    let ring = |radius: f64| -> Vec<[f64; 2]> {
        (0..9)
            .map(|i| {
                let angle = std::f64::consts::TAU * f64::from(i) / 9.0;
                [radius * angle.cos(), radius * angle.sin()]
            })
            .collect()
    };
    let r = spread / 2.0;
    let levels = [(0.62, 0.34), (1.0, 0.52), (0.92, 0.72), (0.55, 0.90), (0.12, 1.0)];
    let mut model = Model::cylinder(0.14, 0.0, height * 0.45, 7, Color::rgb(96, 74, 54));
    for pair in levels.windows(2) {
        let ((a, low), (b, high)) = (pair[0], pair[1]);
        model = model.with(Model::taper(&ring(r * a), &ring(r * b), height * low, height * high, leaf));
    }
    model
}
