//! Who is where: the ego vehicle, other road users, houses and trees, at any time.

use nalgebra::{Isometry3, Point3, Vector3};

use super::{
    super::noise::Noise,
    road::{self, LANE},
};

/// From rear to front axle of the ego vehicle, metres.
pub const WHEELBASE: f64 = 2.8;
/// Offset of the ego vehicle's lane to the left of the road's middle, metres.
const EGO_LEFT: f64 = -0.5 * LANE - 0.1;
/// Speed on straights, and how much less in corners, m/s.
const CRUISE: f64 = 13.5;
const CORNER_SLOWER: f64 = 5.0;
/// Resolution of the timetable, seconds.
const TICK: f64 = 0.02;

/// What kind of road user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserKind {
    /// A passenger car.
    Car,
    /// A truck.
    Truck,
    /// A bus.
    Bus,
    /// A person on foot.
    Pedestrian,
}

impl UserKind {
    /// Class name in messages.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Car => "car",
            Self::Truck => "truck",
            Self::Bus => "bus",
            Self::Pedestrian => "pedestrian",
        }
    }

    /// Length, width, height, metres.
    #[must_use]
    pub const fn size(self) -> [f64; 3] {
        match self {
            Self::Car => [4.5, 1.84, 1.48],
            Self::Truck => [7.6, 2.3, 2.9],
            Self::Bus => [10.9, 2.5, 3.2],
            Self::Pedestrian => [0.45, 0.55, 1.72],
        }
    }
}

/// One other road user at one time.
#[derive(Clone, Copy, Debug)]
pub struct RoadUser {
    /// Stays the same for ever.
    pub id: usize,
    /// Kind.
    pub kind: UserKind,
    /// On the ground under its middle, in the map; x forward.
    pub pose: Isometry3<f64>,
    /// m/s along its x.
    pub speed: f64,
    /// Chooses its colour.
    pub look: u64,
}

/// The ego vehicle at one time.
#[derive(Clone, Copy, Debug)]
pub struct Ego {
    /// Middle of the rear axle on the ground, in the map.
    pub pose: Isometry3<f64>,
    /// rad, anticlockwise from x.
    pub heading: f64,
    /// m/s.
    pub speed: f64,
    /// m/s².
    pub acceleration: f64,
    /// rad/s.
    pub yaw_rate: f64,
    /// Driven since the start, m.
    pub distance: f64,
}

impl Ego {
    /// Angle of the front wheels, rad, positive left.
    #[must_use]
    pub fn road_wheel_angle(&self) -> f64 {
        (WHEELBASE * self.yaw_rate / self.speed.max(0.5)).atan()
    }
}

/// An upright box that does not move.
#[derive(Clone, Copy, Debug)]
pub struct Fixture {
    /// House or tree.
    pub is_tree: bool,
    /// Middle of its foot, in the map.
    pub pose: Isometry3<f64>,
    /// Length, width, height, metres.
    pub size: [f64; 3],
    /// Chooses its colour.
    pub look: u64,
}

#[derive(Clone, Copy, Debug)]
enum Motion {
    /// Follows the timetable with this share of its pace, so many seconds ahead, along or against the middle line.
    Driving { pace: f64, ahead: f64, against: bool },
    /// Walks to and fro.
    Walking { from: f64, reach: f64, phase: f64 },
}

#[derive(Clone, Debug)]
struct Actor {
    kind: UserKind,
    motion: Motion,
    left: f64,
    look: u64,
}

/// All that is on and beside the road.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Length along the road at each tick of one lap.
    timetable: Vec<f64>,
    lap: f64,
    actors: Vec<Actor>,
    /// Houses and trees.
    pub fixtures: Vec<Fixture>,
}

/// Allowed speed at a place of the road, m/s.
fn speed_at(along: f64) -> f64 {
    // Share of the next and last metres that is corner.
    let bend = |at: f64| {
        let (a, b) = (road::place(at - 4.0, 0.0).1, road::place(at + 4.0, 0.0).1);
        ((b - a).rem_euclid(std::f64::consts::TAU) / 8.0 * 34.0).clamp(0.0, 1.0)
    };
    let near = (-6..=6).map(|i| bend(along + 6.0 + 6.0 * f64::from(i))).sum::<f64>() / 13.0;
    CRUISE - CORNER_SLOWER * near * near * (3.0 - 2.0 * near)
}

impl Traffic {
    /// The traffic that belongs to a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut timetable = vec![0.0];
        let mut along = 0.0;
        while along < road::length() {
            // Halfway between the ticks: Heun's rule would do no better at 20 ms.
            let middle = along + speed_at(along) * TICK / 2.0;
            along += speed_at(middle) * TICK;
            timetable.push(along);
        }
        let last = timetable.len() - 1;
        let over = (along - road::length()) / (along - timetable[last - 1]).max(1e-9);
        let lap = (last as f64 - over) * TICK;
        let noise = Noise::new(seed).named("traffic");
        Self { timetable, lap, actors: actors(noise, lap), fixtures: fixtures(Noise::new(seed).named("town")) }
    }

    /// How far along the road one is by the timetable, metres since the start.
    fn along(&self, seconds: f64) -> f64 {
        let laps = (seconds / self.lap).floor();
        let tick = (seconds - laps * self.lap) / TICK;
        let index = (tick as usize).min(self.timetable.len() - 2);
        let (a, b) = (self.timetable[index], self.timetable[index + 1]);
        laps * road::length() + a + (b - a) * (tick - index as f64)
    }

    /// The ego vehicle.
    #[must_use]
    pub fn ego(&self, seconds: f64) -> Ego {
        let pose_at = |t: f64| {
            let along = self.along(t);
            let rear = road::place(along, EGO_LEFT).0;
            let front = road::place(along + WHEELBASE, EGO_LEFT).0;
            let way = front - rear;
            (along, rear, way.y.atan2(way.x))
        };
        let dt = 0.1;
        let ((_, _, before), (_, _, after)) = (pose_at(seconds - dt), pose_at(seconds + dt));
        let turn = (after - before).sin().atan2((after - before).cos());
        let (along, rear, heading) = pose_at(seconds);
        let speed = |t: f64| speed_at(self.along(t));
        Ego {
            pose: road::pose(rear, heading),
            heading,
            speed: speed(seconds),
            acceleration: (speed(seconds + dt) - speed(seconds - dt)) / (2.0 * dt),
            yaw_rate: turn / (2.0 * dt),
            distance: along,
        }
    }

    /// Everybody else.
    #[must_use]
    pub fn users(&self, seconds: f64) -> Vec<RoadUser> {
        self.actors.iter().enumerate().map(|(id, actor)| self.user(id, actor, seconds)).collect()
    }

    fn user(&self, id: usize, actor: &Actor, seconds: f64) -> RoadUser {
        let (at, heading, speed) = match actor.motion {
            Motion::Driving { pace, ahead, against } => {
                let along = self.along(seconds * pace + ahead);
                let place = if against { road::length() - along } else { along };
                let (at, heading) = road::place(place, actor.left);
                let heading = if against { heading + std::f64::consts::PI } else { heading };
                (at, heading, speed_at(along) * pace)
            }
            Motion::Walking { from, reach, phase } => {
                let angle = seconds * 1.3 / reach + phase;
                let (at, heading) = road::place(from + reach * angle.sin(), actor.left);
                let heading = if angle.cos() < 0.0 { heading + std::f64::consts::PI } else { heading };
                (at, heading, 1.3 * angle.cos().abs())
            }
        };
        RoadUser { id, kind: actor.kind, pose: road::pose(at, heading), speed, look: actor.look }
    }
}

fn actors(noise: Noise, lap: f64) -> Vec<Actor> {
    let mut actors = Vec::new();
    let mut lane = |left: f64, pace: f64, against: bool, aheads: &[f64]| {
        for &ahead in aheads {
            let look = noise.bits(actors.len() as u64);
            let kind = match look % 9 {
                0 => UserKind::Truck,
                1 => UserKind::Bus,
                _ => UserKind::Car,
            };
            let jitter = noise.at(1).between(look % 1000, -0.4, 0.4);
            actors.push(Actor { kind, motion: Motion::Driving { pace, ahead: ahead + jitter, against }, left, look });
        }
    };
    // The ego vehicle's own lane, the one right of it, and both on the other side.
    lane(EGO_LEFT, 1.0, false, &[2.6, 6.5, lap * 0.45, lap - 3.4]);
    lane(EGO_LEFT - LANE, 0.86, false, &[1.8, 5.0, 13.0, lap * 0.5, lap - 7.0]);
    lane(-EGO_LEFT, 0.95, true, &[4.0, 11.0, 19.0, lap * 0.55, lap * 0.8]);
    lane(LANE - EGO_LEFT, 0.8, true, &[7.0, 16.0, lap * 0.4, lap * 0.7]);
    for i in 0..8 {
        let place = noise.at(2);
        let side = if i % 2 == 0 { 1.0 } else { -1.0 };
        let motion = Motion::Walking {
            from: place.between(i, 0.0, road::length()),
            reach: place.between(i + 8, 6.0, 20.0),
            phase: place.between(i + 16, 0.0, 6.0),
        };
        let left = side * (2.0 * LANE + 2.4);
        actors.push(Actor { kind: UserKind::Pedestrian, motion, left, look: place.bits(i + 24) });
    }
    actors
}

fn fixtures(noise: Noise) -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    let mut along = 0.0;
    while along < road::length() - 12.0 {
        for side in [1.0, -1.0] {
            let index = (along * 2.0 + side) as u64;
            let n = noise.at(index);
            let (length, width) = (n.between(0, 10.0, 20.0), n.between(1, 9.0, 14.0));
            let (at, heading) = road::place(
                along + n.between(2, 0.0, 6.0),
                side * (2.0 * LANE + 7.5 + width / 2.0 + n.between(3, 0.0, 5.0)),
            );
            // Inside corners there is no room for houses of both sides.
            if n.unit(4) < 0.72 && (road::locate(at.x, at.y).0.abs() - 14.0) > width / 2.0 - 2.0 {
                let size = [length, width, n.between(5, 5.0, 19.0)];
                fixtures.push(Fixture { is_tree: false, pose: road::pose(at, heading), size, look: n.bits(6) });
            }
            let (tree, _) = road::place(along + n.between(7, -3.0, 3.0), side * (2.0 * LANE + 4.6));
            let spread = n.between(8, 2.4, 3.6);
            let size = [spread, spread, n.between(9, 4.5, 7.0)];
            fixtures.push(Fixture {
                is_tree: true,
                pose: road::pose(tree, n.between(10, 0.0, 1.5)),
                size,
                look: n.bits(11),
            });
        }
        along += 15.0;
    }
    fixtures
}

/// Corners of an upright box on the ground, in the map.
#[must_use]
pub fn corners(pose: &Isometry3<f64>, size: [f64; 3]) -> [Point3<f64>; 8] {
    let [l, w, h] = [size[0] / 2.0, size[1] / 2.0, size[2]];
    std::array::from_fn(|i| {
        let sign = |bit: usize, v: f64| if i & bit == 0 { -v } else { v };
        pose * Point3::from(Vector3::new(sign(1, l), sign(2, w), if i & 4 == 0 { 0.0 } else { h }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ego_vehicle_drives_like_a_person() {
        let traffic = Traffic::new(1);
        let mut last = traffic.ego(0.0);
        for step in 1..4000 {
            let ego = traffic.ego(f64::from(step) * 0.05);
            let moved = (ego.pose.translation.vector - last.pose.translation.vector).norm();
            assert!((moved / 0.05 - ego.speed).abs() < 1.0, "{step}: {} against {}", moved / 0.05, ego.speed);
            assert!(ego.acceleration.abs() < 3.5, "{step}: {}", ego.acceleration);
            assert!(ego.road_wheel_angle().abs() < 0.2 && (7.0..15.0).contains(&ego.speed), "{step}");
            last = ego;
        }
    }

    #[test]
    fn nobody_drives_into_anybody() {
        let traffic = Traffic::new(1);
        for step in 0..1500 {
            let seconds = f64::from(step) * 0.31;
            let ego = traffic.ego(seconds);
            let ego_middle = ego.pose * Point3::new(1.4, 0.0, 0.0);
            let users = traffic.users(seconds);
            for user in users.iter().filter(|u| u.kind != UserKind::Pedestrian) {
                let gap = (user.pose.translation.vector - ego_middle.coords).norm();
                assert!(gap > 3.0, "{seconds}: {} at {gap}", user.id);
            }
        }
    }
}
