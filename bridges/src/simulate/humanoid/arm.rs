//! Kinematics of an arm with seven joints, forwards and backwards. Frames: x forward, y left, z up, metres.

use nalgebra::{Isometry3, Matrix3, Point3, SMatrix, SVector, Translation3, UnitQuaternion, Vector3};

/// Angles of shoulder pitch, roll, yaw, elbow, wrist roll, pitch, yaw, rad.
pub type ArmAngles = SVector<f64, 7>;

/// Which arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// At +y.
    Left,
    /// At -y.
    Right,
}

const UPPER_ARM: f64 = 0.20;
const FOREARM: f64 = 0.21;
/// From the wrist's origin to the middle of a grasped object: forward, and towards the other hand.
const GRASP: [f64; 2] = [0.13, 0.035];

impl Arm {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// +1 for the left, -1 for the right.
    #[must_use]
    pub const fn side(self) -> f64 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }

    /// 0 for the left, 1 for the right.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }

    /// Origins of shoulder and elbow, and the wrist's frame, in the torso.
    #[must_use]
    pub fn forward(self, q: &ArmAngles) -> (Point3<f64>, Point3<f64>, Isometry3<f64>) {
        let shoulder = Translation3::new(0.0, self.side() * 0.12, 0.25);
        let turn = |axis, angle| UnitQuaternion::from_axis_angle(&axis, angle);
        let upper =
            shoulder * (turn(Vector3::y_axis(), q[0]) * turn(Vector3::x_axis(), q[1]) * turn(Vector3::z_axis(), q[2]));
        let elbow = upper * Translation3::new(0.0, 0.0, -UPPER_ARM) * turn(Vector3::y_axis(), q[3]);
        let wrist = elbow
            * Translation3::new(FOREARM, 0.0, 0.0)
            * (turn(Vector3::x_axis(), q[4]) * turn(Vector3::y_axis(), q[5]) * turn(Vector3::z_axis(), q[6]));
        (Point3::from(shoulder.vector), Point3::from(elbow.translation.vector), wrist)
    }

    /// Middle of an object in the hand, in the wrist's frame.
    #[must_use]
    pub fn grasp_point(self) -> Point3<f64> {
        Point3::new(GRASP[0], -self.side() * GRASP[1], 0.0)
    }

    /// Angles that bring the grasp point to `target` (in the torso) with the hand as level and as straight as can be.
    ///
    /// Damped least squares from a bent arm; the same in every run.
    #[must_use]
    pub fn reach(self, target: Point3<f64>) -> ArmAngles {
        let mut q = ArmAngles::from([0.2, self.side() * 0.15, 0.0, -0.2, 0.0, 0.0, 0.0]);
        let step = 1e-6;
        for _ in 0..80 {
            let error = self.error(&q, target);
            let mut jacobian = SMatrix::<f64, 9, 7>::zeros();
            for joint in 0..7 {
                let mut moved = q;
                moved[joint] += step;
                jacobian.set_column(joint, &((self.error(&moved, target) - error) / step));
            }
            let normal = jacobian.transpose() * jacobian + SMatrix::<f64, 7, 7>::identity() * 1e-4;
            let Some(solved) = normal.cholesky() else { break };
            q -= solved.solve(&(jacobian.transpose() * error));
        }
        q
    }

    /// Position, then weakly how far the hand is from level and from pointing forward.
    fn error(self, q: &ArmAngles, target: Point3<f64>) -> SVector<f64, 9> {
        let (_, _, wrist) = self.forward(q);
        let position = (wrist * self.grasp_point()) - target;
        let axes: Matrix3<f64> = wrist.rotation.to_rotation_matrix().into_inner();
        let inward = -self.side() * 0.35;
        let forward = axes.column(0) - Vector3::new(1.0, inward, -0.25).normalize();
        let up = axes.column(2) - Vector3::z();
        let mut error = SVector::<f64, 9>::zeros();
        error.fixed_rows_mut::<3>(0).copy_from(&(position * 10.0));
        error.fixed_rows_mut::<3>(3).copy_from(&(forward * 0.12));
        error.fixed_rows_mut::<3>(6).copy_from(&(up * 0.12));
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_reaches_the_whole_working_area() {
        for arm in Arm::BOTH {
            for (x, y, z) in [(0.30, 0.08, -0.02), (0.40, 0.20, 0.0), (0.36, 0.34, 0.12), (0.2, 0.25, 0.08)] {
                let target = Point3::new(x, arm.side() * y, z);
                let (_, _, wrist) = arm.forward(&arm.reach(target));
                let miss = (wrist * arm.grasp_point() - target).norm();
                assert!(miss < 0.01, "{arm:?} {target}: {miss}");
            }
        }
    }

    #[test]
    fn arms_mirror_each_other() {
        let left = Arm::Left.reach(Point3::new(0.35, 0.2, 0.0));
        let right = Arm::Right.reach(Point3::new(0.35, -0.2, 0.0));
        // Mirrored at the xz plane: rotations about x and z change sign.
        for (joint, sign) in [1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0].into_iter().enumerate() {
            assert!((left[joint] - sign * right[joint]).abs() < 0.02, "{joint}: {} {}", left[joint], right[joint]);
        }
    }
}
