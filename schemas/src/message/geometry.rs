//! Vectors, rotations and poses: right-handed frames, metres, radians.

use foxglove::messages as fx;

use crate::proto;

/// A vector in 3D space; unit and frame are those of the field that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each name is the axis")]
pub struct Vector3 {
    pub x: f64,
    pub y: f64,
    pub z: f64,
}

/// A rotation in 3D space as a unit quaternion.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each name is the component")]
pub struct Quaternion {
    pub x: f64,
    pub y: f64,
    pub z: f64,
    pub w: f64,
}

impl Quaternion {
    /// No rotation.
    pub const IDENTITY: Self = Self { x: 0.0, y: 0.0, z: 0.0, w: 1.0 };

    /// Whether it is a rotation at all: senders write all zeros for "not known".
    #[must_use]
    pub fn is_rotation(self) -> bool {
        let norm = self.x.mul_add(self.x, self.y.mul_add(self.y, self.z.mul_add(self.z, self.w * self.w)));
        norm.is_finite() && norm > 0.0
    }
}

impl Default for Quaternion {
    fn default() -> Self {
        Self::IDENTITY
    }
}

/// A position (m) and an orientation in a frame of reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// Origin of the posed body in the frame of reference, m.
    pub position: Vector3,
    /// Rotates vectors of the posed body's own frame into the frame of reference; identity where it was not sent.
    pub orientation: Quaternion,
}

macro_rules! from_generated {
    ($($source:ident),*) => {$(
        impl From<$source::Vector3> for Vector3 {
            fn from(v: $source::Vector3) -> Self {
                Self { x: v.x, y: v.y, z: v.z }
            }
        }

        impl From<$source::Quaternion> for Quaternion {
            fn from(q: $source::Quaternion) -> Self {
                Self { x: q.x, y: q.y, z: q.z, w: q.w }
            }
        }

        impl From<$source::Pose> for Pose {
            fn from(p: $source::Pose) -> Self {
                Self {
                    position: p.position.map(Vector3::from).unwrap_or_default(),
                    orientation: p.orientation.map(Quaternion::from).unwrap_or_default(),
                }
            }
        }
    )*};
}

from_generated!(fx, proto);
