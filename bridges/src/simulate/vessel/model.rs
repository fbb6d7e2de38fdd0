//! Shapes of ships, lights and buoys. x to the bow, y to port, z up from the waterline, metres.

use nalgebra::{Isometry3, Point3, Translation3};

use super::{
    super::scene::{canvas::Color, model::Model},
    ships::ShipKind,
    view::pose,
};

fn hull(length: f64, beam: f64, freeboard: f64, color: Color) -> Model {
    let (l, b) = (length / 2.0, beam / 2.0);
    let at = |grow: f64, bow: f64| {
        let side = [[-l, b * 0.82], [-l * 0.88, b], [l * 0.55, b], [l * 0.85, b * 0.55]];
        let starboard = side.iter().map(|&[x, y]| [x * grow, -y * grow]);
        let port = side.iter().rev().map(|&[x, y]| [x * grow, y * grow]);
        starboard.chain([[l * bow, 0.0]]).chain(port).collect::<Vec<[f64; 2]>>()
    };
    let boot = Model::taper(&at(0.97, 0.96), &at(0.98, 0.97), -1.0, freeboard * 0.25, Color::rgb(140, 44, 38));
    boot.with(Model::taper(&at(0.98, 0.97), &at(1.0, 1.04), freeboard * 0.25, freeboard, color))
}

fn house(along: [f64; 2], half: f64, height: [f64; 2]) -> Model {
    let ([x0, x1], [z0, z1]) = (along, height);
    let glass = Color::rgb(46, 60, 76);
    let windows = Model::cuboid([x0 - 0.05, -half - 0.05, z1 - 1.6], [x1 + 0.05, half + 0.05, z1 - 0.7], glass);
    Model::cuboid([x0, -half, z0], [x1, half, z1], white()).with(windows)
}

fn white() -> Color {
    Color::rgb(236, 238, 238)
}

fn mast(x: f64, bottom: f64, top: f64, color: Color) -> Model {
    Model::bar(Point3::new(x, 0.0, bottom), Point3::new(x, 0.0, top), 0.12, color)
}

/// The model of a ship; `look` chooses its cargo's colours.
#[must_use]
pub fn ship(kind: ShipKind, look: u32) -> Model {
    let [length, beam, _] = kind.size();
    let (l, b) = (length / 2.0, beam / 2.0);
    match kind {
        ShipKind::Container => container(l, b, look),
        ShipKind::Tanker => hull(length, beam, 5.0, Color::rgb(40, 42, 46))
            .with(Model::cuboid([-l * 0.5, -b * 0.7, 5.0], [l * 0.8, b * 0.7, 5.8], Color::rgb(150, 60, 48)))
            .with(Model::cuboid([-l * 0.4, -0.8, 5.8], [l * 0.7, 0.8, 7.2], Color::rgb(176, 178, 176)))
            .with(house([-l + 6.0, -l + 20.0], b * 0.8, [5.0, 18.0]))
            .with(Model::cuboid([-l + 3.0, -2.0, 5.0], [-l + 6.0, 2.0, 16.0], Color::rgb(60, 92, 140))),
        ShipKind::Ferry => hull(length, beam, 4.2, white())
            .with(Model::cuboid([-l * 0.85, -b - 0.05, 2.6], [l * 0.5, b + 0.05, 3.2], Color::rgb(30, 92, 160)))
            .with(house([-l * 0.85, l * 0.5], b * 0.9, [4.2, 8.0]))
            .with(house([-l * 0.7, l * 0.4], b * 0.75, [8.0, 11.2]))
            .with(Model::cuboid([-l * 0.35, -1.8, 11.2], [-l * 0.2, 1.8, 15.0], Color::rgb(206, 62, 50))),
        ShipKind::Fishing => hull(length, beam, 1.7, Color::rgb(238, 240, 236))
            .with(Model::cuboid([-l * 0.8, -b - 0.02, 1.2], [l * 0.5, b + 0.02, 1.45], Color::rgb(36, 120, 90)))
            .with(house([-l * 0.35, l * 0.1], b * 0.62, [1.6, 4.3]))
            .with(mast(l * 0.3, 1.6, 7.5, Color::rgb(210, 150, 50)))
            .with(mast(-l * 0.6, 1.6, 5.5, white())),
        ShipKind::Tug => hull(length, beam, 2.4, Color::rgb(28, 32, 40))
            .with(Model::cuboid([-l * 0.3, -b * 0.7, 2.4], [l * 0.5, b * 0.7, 4.8], Color::rgb(206, 96, 36)))
            .with(house([-l * 0.05, l * 0.35], b * 0.5, [4.8, 8.2]))
            .with(Model::cuboid([-l * 0.25, -1.0, 4.8], [-l * 0.12, 1.0, 8.6], Color::rgb(30, 32, 36)))
            .with(mast(l * 0.1, 8.2, 12.5, white())),
    }
}

fn container(l: f64, b: f64, look: u32) -> Model {
    let funnel = Model::cuboid([-l + 8.0, -3.0, 9.0], [-l + 13.0, 3.0, 26.0], Color::rgb(206, 120, 40));
    let bridge = house([-l + 14.0, -l + 26.0], b * 0.85, [9.0, 29.0]);
    let mut model = hull(2.0 * l, 2.0 * b, 9.0, Color::rgb(34, 52, 92)).with(bridge).with(funnel);
    let paints = [[172, 62, 50], [48, 96, 150], [206, 158, 60], [92, 132, 96], [160, 160, 158], [124, 78, 52]];
    for bay in 0..8_usize {
        for tier in 0..3_usize {
            let number = bay * 5 + tier * 3 + look as usize;
            if tier == 2 && number.is_multiple_of(3) {
                continue;
            }
            let [red, green, blue] = paints[number % paints.len()];
            let (x, z) = (-l + 30.0 + 15.0 * bay as f64, 9.0 + 3.6 * tier as f64);
            let high = [x + 13.0, b - 1.0, z + 3.5];
            model = model.with(Model::cuboid([x, -b + 1.0, z], high, Color::rgb(red, green, blue)));
        }
    }
    model
}

/// Breakwaters with a red and a white light, and buoys, in the world.
#[must_use]
pub fn marks() -> Vec<(Isometry3<f64>, Model)> {
    let (red, green, pale) = (Color::rgb(206, 36, 34), Color::rgb(28, 140, 72), Color::rgb(238, 238, 236));
    let mut marks =
        vec![(pose([-260.0, 780.0], 1.75), breakwater(red)), (pose([420.0, 860.0], -1.45), breakwater(pale))];
    for (x, y, color) in [(-420.0, 560.0, red), (600.0, 640.0, green), (1000.0, 100.0, green), (-980.0, -60.0, red)] {
        let buoy = Model::cylinder(1.4, -0.5, 1.0, 10, color)
            .with(Model::cylinder(0.5, 1.0, 4.0, 8, color))
            .with(Model::cylinder(0.9, 4.0, 5.0, 8, color));
        marks.push((pose([x, y], 0.0), buoy));
    }
    marks
}

fn breakwater(color: Color) -> Model {
    let foot = [[-330.0, -9.0], [12.0, -9.0], [12.0, 9.0], [-330.0, 9.0]];
    let crown = [[-330.0, -4.0], [6.0, -4.0], [6.0, 4.0], [-330.0, 4.0]];
    Model::taper(&foot, &crown, -1.0, 4.0, Color::rgb(140, 138, 132))
        .with(Model::cylinder(2.6, 4.0, 5.5, 12, Color::rgb(220, 220, 216)))
        .with(Model::cylinder(1.7, 5.5, 14.0, 12, color))
        .with(Model::cylinder(2.2, 14.0, 14.6, 12, Color::rgb(236, 236, 232)))
        .with(Model::cylinder(1.1, 14.6, 16.6, 12, color))
}

/// The own foredeck in `base_link`.
#[must_use]
pub fn bow() -> Model {
    let (deck, rail) = (Color::rgb(92, 124, 108), Color::rgb(232, 232, 228));
    let outline = [[8.0, -3.6], [13.0, -2.7], [15.6, -1.1], [16.6, 0.0], [15.6, 1.1], [13.0, 2.7], [8.0, 3.6]];
    let inner = outline.map(|[x, y]| [x - 0.15, y * 0.95]);
    let mut model =
        Model::hull(&outline, 1.0, 2.55, Color::rgb(222, 224, 224)).with(Model::hull(&inner, 2.5, 2.57, deck));
    for pair in outline.windows(2) {
        let [a, b] = [pair[0], pair[1]].map(|[x, y]| Point3::new(x, y * 0.98, 3.4));
        let foot = Point3::new(a.x, a.y, 2.55);
        model = model.with(Model::bar(a, b, 0.03, rail)).with(Model::bar(foot, a, 0.025, rail));
    }
    let staff = Model::cylinder(0.05, 2.55, 4.3, 6, rail).moved(&Translation3::new(15.9, 0.0, 0.0).into());
    model.with(Model::cuboid([13.1, -0.5, 2.57], [13.8, 0.5, 3.0], Color::rgb(70, 76, 84))).with(staff)
}
