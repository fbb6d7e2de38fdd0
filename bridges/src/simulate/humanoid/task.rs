//! What the humanoid does: one hand after the other picks an object up and puts it into the empty place beside it.
//!
//! Everything is a function of the time since the start, for ever.

use nalgebra::{Isometry3, Point3, Translation3, Vector3};

use super::arm::{Arm, ArmAngles};

/// Length of one task, seconds.
pub const CYCLE: f64 = 8.0;
/// The torso's origin over the floor, metres.
pub const TORSO_HEIGHT: f64 = 0.80;
/// The table's top over the floor, metres.
pub const TABLE_HEIGHT: f64 = 0.77;
/// Half the height of every object, metres.
pub const OBJECT_HALF_HEIGHT: f64 = 0.05;

/// An object on the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Name in Korean, with its object particle.
    pub ko: &'static str,
    /// Name in English.
    pub en: &'static str,
    /// sRGB.
    pub color: [u8; 3],
    /// A cup is round, all others are boxes.
    pub round: bool,
}

/// The objects: two on the left, two on the right.
pub const OBJECTS: [Object; 4] = [
    Object { ko: "파란 상자를", en: "the blue box", color: [38, 92, 205], round: false },
    Object { ko: "노란 컵을", en: "the yellow cup", color: [240, 186, 28], round: true },
    Object { ko: "빨간 컵을", en: "the red cup", color: [214, 40, 40], round: true },
    Object { ko: "초록 상자를", en: "the green box", color: [36, 150, 72], round: false },
];

/// Places on each side of the table, from the middle outwards: names in Korean and English.
const PLACES: [(&str, &str); 3] = [("안쪽", "inner"), ("가운데", "middle"), ("바깥쪽", "outer")];
/// Forward, and away from the middle, metres.
const PLACE_AT: [[f64; 2]; 3] = [[0.37, 0.09], [0.40, 0.21], [0.35, 0.33]];

/// Where the phases of a cycle begin, seconds.
const PHASES: [f64; 11] = [0.0, 0.7, 1.9, 2.7, 3.2, 4.0, 5.1, 5.8, 6.3, 6.9, 8.0];

/// One task: which hand moves which object from where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Counted from 0.
    pub cycle: u64,
    /// The hand.
    pub arm: Arm,
    /// Index into [`OBJECTS`].
    pub object: usize,
    /// Places of the hand's side.
    pub from: usize,
    /// See `from`.
    pub to: usize,
}

impl Task {
    /// The task that begins at `cycle` times [`CYCLE`].
    #[must_use]
    pub fn of_cycle(cycle: u64, seed: u64) -> Self {
        let arm = if cycle.is_multiple_of(2) { Arm::Right } else { Arm::Left };
        let turn = cycle / 2;
        let [from, to] = move_of(turn, seed);
        let holder = layout(turn, seed).into_iter().position(|place| place == from).unwrap_or(0);
        Self { cycle, arm, object: arm.index() * 2 + holder, from, to }
    }

    /// The instruction in Korean.
    #[must_use]
    pub fn text_ko(&self) -> String {
        let hand = if self.arm == Arm::Left { "왼손" } else { "오른손" };
        format!("{hand}으로 {} 집어 {} 자리에 놓으세요", OBJECTS[self.object].ko, PLACES[self.to].0)
    }

    /// The instruction in English.
    #[must_use]
    pub fn text_en(&self) -> String {
        let hand = if self.arm == Arm::Left { "left" } else { "right" };
        let (object, place) = (OBJECTS[self.object].en, PLACES[self.to].1);
        format!("Pick up {object} with the {hand} hand and put it down at the {place} place")
    }

    /// Name of the place it goes to.
    #[must_use]
    pub fn place_en(&self) -> &'static str {
        PLACES[self.to].1
    }
}

/// The `turn`th move on one side: the object beside the empty place fills it.
fn move_of(turn: u64, seed: u64) -> [usize; 2] {
    let empty = ((turn + seed) % 3) as usize;
    [(empty + 1) % 3, empty]
}

/// Places of a side's two objects before its `turn`th move. Repeats after six moves.
fn layout(turn: u64, seed: u64) -> [usize; 2] {
    let [first, empty] = move_of(turn - turn % 6, seed);
    let mut places = [first, 3 - first - empty];
    for earlier in turn - turn % 6..turn {
        let [from, to] = move_of(earlier, seed);
        for place in &mut places {
            if *place == from {
                *place = to;
            }
        }
    }
    places
}

/// What everything does at one time.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The task at hand.
    pub task: Task,
    /// Angles of the left and right arm, rad.
    pub arms: [ArmAngles; 2],
    /// Their rates, rad/s.
    pub rates: [ArmAngles; 2],
    /// How far the left and right hand are closed, 0…1.
    pub closed: [f64; 2],
    /// The same, per second.
    pub closing: [f64; 2],
    /// The object in the left and right hand.
    pub held: [Option<usize>; 2],
    /// How hard the left and right hand press on the table through an object, 0…1.
    pub pressing: [f64; 2],
    /// Middle of each object in the world, upright.
    pub objects: [Isometry3<f64>; 4],
}

/// All poses of both arms, worked out once.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    home: [ArmAngles; 2],
    /// Per arm and place: in front of the object, at it, above the place.
    poses: [[[ArmAngles; 3]; 3]; 2],
}

/// Torso to world: the world's origin is on the floor below.
#[must_use]
pub fn world_from_torso() -> Isometry3<f64> {
    Translation3::new(0.0, 0.0, TORSO_HEIGHT).into()
}

/// Middle of an object that stands at a place of the table, in the world.
#[must_use]
pub fn place_in_world(arm: Arm, place: usize) -> Point3<f64> {
    let [x, y] = PLACE_AT[place];
    Point3::new(x, arm.side() * y, TABLE_HEIGHT + OBJECT_HALF_HEIGHT)
}

impl Plan {
    /// The plan that belongs to a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let reach = |arm: Arm, world: Point3<f64>| arm.reach(world_from_torso().inverse() * world);
        let home = Arm::BOTH.map(|arm| reach(arm, Point3::new(0.24, arm.side() * 0.24, TABLE_HEIGHT + 0.15)));
        let poses = Arm::BOTH.map(|arm| {
            [0, 1, 2].map(|place| {
                let at = place_in_world(arm, place);
                let before = at + Vector3::new(-0.08, arm.side() * 0.045, 0.015);
                [before, at, at + Vector3::new(-0.01, 0.0, 0.13)].map(|point| reach(arm, point))
            })
        });
        Self { seed, home, poses }
    }

    /// The task at a time.
    #[must_use]
    pub fn task(&self, seconds: f64) -> Task {
        Task::of_cycle((seconds.max(0.0) / CYCLE) as u64, self.seed)
    }

    /// Angles and rates of an arm.
    #[must_use]
    pub fn arm(&self, arm: Arm, seconds: f64) -> (ArmAngles, ArmAngles) {
        let task = self.task(seconds);
        let home = self.home[arm.index()];
        if task.arm != arm {
            // An idle arm is never quite still; at the ends of a cycle it is back.
            let angle = std::f64::consts::PI * seconds / CYCLE;
            let drift = ArmAngles::from([0.05, 0.03 * arm.side(), 0.0, -0.06, 0.04 * arm.side(), 0.03, 0.0]);
            let rate = std::f64::consts::PI / CYCLE * (2.0 * angle).sin();
            return (home + drift * angle.sin().powi(2), drift * rate);
        }
        let [before_a, at_a, above_a] = self.poses[arm.index()][task.from];
        let [before_b, at_b, above_b] = self.poses[arm.index()][task.to];
        let stops = [home, home, before_a, at_a, at_a, above_a, above_b, at_b, at_b, before_b, home];
        let (phase, share, length) = phase_of(seconds);
        let (at, rate) = minimum_jerk(share);
        let way = stops[phase + 1] - stops[phase];
        (stops[phase] + way * at, way * (rate / length))
    }

    /// How far a hand is closed, and how fast it closes.
    #[must_use]
    pub fn hand(&self, arm: Arm, seconds: f64) -> (f64, f64) {
        if self.task(seconds).arm != arm {
            return (0.15, 0.0);
        }
        let (phase, share, length) = phase_of(seconds);
        let (at, rate) = minimum_jerk(share);
        let (from, to) = match phase {
            0 => (0.15, 0.15),
            1 => (0.15, 0.0),
            2 | 8 => (0.0, 0.0),
            3 => (0.0, 0.72),
            4..=6 => (0.72, 0.72),
            7 => (0.72, 0.0),
            _ => (0.0, 0.15),
        };
        (from + (to - from) * at, (to - from) * rate / length)
    }

    /// Everything at a time.
    #[must_use]
    pub fn scene(&self, seconds: f64) -> Scene {
        let task = self.task(seconds);
        let [left, right] = Arm::BOTH.map(|arm| self.arm(arm, seconds));
        let [left_hand, right_hand] = Arm::BOTH.map(|arm| self.hand(arm, seconds));
        let mut scene = Scene {
            task,
            arms: [left.0, right.0],
            rates: [left.1, right.1],
            closed: [left_hand.0, right_hand.0],
            closing: [left_hand.1, right_hand.1],
            held: [None, None],
            pressing: [0.0, 0.0],
            objects: [Isometry3::identity(); 4],
        };
        for arm in Arm::BOTH {
            // The right side moves in even cycles, the left one in odd ones.
            let turn = if arm == Arm::Right && task.arm != arm { task.cycle.div_ceil(2) } else { task.cycle / 2 };
            for (nth, place) in layout(turn, self.seed).into_iter().enumerate() {
                let at = place_in_world(arm, place);
                scene.objects[arm.index() * 2 + nth] = Translation3::from(at.coords).into();
            }
        }
        self.carry(&mut scene, seconds);
        scene
    }

    fn carry(&self, scene: &mut Scene, seconds: f64) {
        let Task { arm, object, to, .. } = scene.task;
        let (phase, share, _) = phase_of(seconds);
        match phase {
            0..=2 => {}
            3 => scene.pressing[arm.index()] = (share * std::f64::consts::PI).sin() * 0.3,
            4..=6 => {
                let (_, _, wrist) = arm.forward(&scene.arms[arm.index()]);
                let at = world_from_torso() * wrist * arm.grasp_point();
                scene.objects[object] = Translation3::from(at.coords).into();
                scene.held[arm.index()] = Some(object);
                if phase == 6 {
                    scene.pressing[arm.index()] = ((share - 0.85) / 0.15).clamp(0.0, 1.0);
                }
            }
            _ => {
                scene.objects[object] = Translation3::from(place_in_world(arm, to).coords).into();
                if phase == 7 {
                    scene.pressing[arm.index()] = 1.0 - share;
                }
            }
        }
    }
}

/// Phase, share of it that is over, and its length in seconds.
fn phase_of(seconds: f64) -> (usize, f64, f64) {
    let within = seconds.max(0.0) % CYCLE;
    let phase = PHASES.partition_point(|&begin| begin <= within).clamp(1, PHASES.len() - 1) - 1;
    let length = PHASES[phase + 1] - PHASES[phase];
    (phase, ((within - PHASES[phase]) / length).clamp(0.0, 1.0), length)
}

/// Position and rate on the smoothest way from 0 to 1 (Flash and Hogan, 1985).
fn minimum_jerk(share: f64) -> (f64, f64) {
    let t = share;
    (t.powi(3) * (10.0 - 15.0 * t + 6.0 * t * t), 30.0 * t * t * (1.0 - t).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_jumps() {
        let plan = Plan::new(3);
        let mut last = plan.scene(0.0);
        for step in 1..20_000 {
            let seconds = f64::from(step) * 0.01;
            let scene = plan.scene(seconds);
            for arm in [0, 1] {
                assert!((scene.arms[arm] - last.arms[arm]).amax() < 0.06, "arm at {seconds}");
            }
            for (a, b) in scene.objects.iter().zip(&last.objects) {
                let moved = (a.translation.vector - b.translation.vector).norm();
                assert!(moved < 0.03, "object at {seconds}: {moved}");
            }
            last = scene;
        }
    }

    #[test]
    fn rates_are_the_derivative_of_angles() {
        let plan = Plan::new(1);
        for step in 0..400 {
            let t = 0.013 + f64::from(step) * 0.041;
            let scene = plan.scene(t);
            let (before, after) = (plan.arm(Arm::Right, t - 1e-5).0, plan.arm(Arm::Right, t + 1e-5).0);
            assert!(((after - before) / 2e-5 - scene.rates[1]).amax() < 1e-2, "{t}");
        }
    }

    #[test]
    fn no_two_objects_share_a_place() {
        for seed in 0..3 {
            for turn in 0..30 {
                let [a, b] = layout(turn, seed);
                let [from, to] = move_of(turn, seed);
                assert!(a != b && to != a && to != b && (from == a || from == b), "{seed} {turn}");
            }
        }
    }
}
