//! Point clouds: packed points with named fields.

use bytes::Bytes;
use foxglove::messages::{self as fx, packed_element_field::NumericType};

use super::{
    error::{Expected, Problem},
    geometry::Pose,
};
use crate::time::Timestamp;

/// Points of a lidar, radar or depth camera. The data is a whole number of points, and every field lies within one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointCloud {
    /// When the sweep was (begin or end: the sensor's choice), UTC.
    pub timestamp: Timestamp,
    /// Frame of reference.
    pub frame_id: String,
    /// Origin of the cloud in the frame of reference, m.
    pub pose: Pose,
    /// Bytes from one point to the next; not 0 if there is data.
    pub stride: u32,
    /// What a point holds.
    pub fields: Vec<PointField>,
    /// Numbers are stored high byte first (some ROS senders; never in `foxglove.PointCloud`).
    pub big_endian: bool,
    /// The points.
    pub data: Bytes,
}

/// One number of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointField {
    /// `x`, `y`, `z` (m), `intensity`, `red`…; any name.
    pub name: String,
    /// Where it starts in a point, bytes.
    pub offset: u32,
    /// How it is stored.
    pub number: NumberType,
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name is the type")]
pub enum NumberType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    F64,
}

impl NumberType {
    /// Its size in bytes.
    #[must_use]
    pub const fn size(self) -> u32 {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The number at the start of `bytes`; absent if they are too few.
    fn read(self, bytes: &[u8], big_endian: bool) -> Option<f64> {
        macro_rules! number {
            ($number:ty) => {{
                let raw = *bytes.first_chunk()?;
                f64::from(if big_endian { <$number>::from_be_bytes(raw) } else { <$number>::from_le_bytes(raw) })
            }};
        }
        Some(match self {
            Self::U8 => number!(u8),
            Self::I8 => number!(i8),
            Self::U16 => number!(u16),
            Self::I16 => number!(i16),
            Self::U32 => number!(u32),
            Self::I32 => number!(i32),
            Self::F32 => number!(f32),
            Self::F64 => number!(f64),
        })
    }
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Metres in the cloud's own frame (see [`PointCloud::pose`]).
    pub x: f64,
    /// Metres.
    pub y: f64,
    /// Metres; 0 for planar clouds.
    pub z: f64,
    /// Strength of the return, the sensor's own unit.
    pub intensity: Option<f64>,
}

impl PointCloud {
    pub(super) fn from_foxglove(m: fx::PointCloud, timestamp: Timestamp) -> Result<Self, Problem> {
        // A field of a type that is not known cannot be read, and is left out.
        let fields = m.fields.into_iter().filter_map(|field| {
            let number = match field.r#type() {
                NumericType::Unknown => return None,
                NumericType::Uint8 => NumberType::U8,
                NumericType::Int8 => NumberType::I8,
                NumericType::Uint16 => NumberType::U16,
                NumericType::Int16 => NumberType::I16,
                NumericType::Uint32 => NumberType::U32,
                NumericType::Int32 => NumberType::I32,
                NumericType::Float32 => NumberType::F32,
                NumericType::Float64 => NumberType::F64,
            };
            Some(PointField { name: field.name, offset: field.offset, number })
        });
        Self {
            timestamp,
            frame_id: m.frame_id,
            pose: m.pose.map(Pose::from).unwrap_or_default(),
            stride: m.point_stride,
            fields: fields.collect(),
            big_endian: false,
            data: m.data,
        }
        .checked()
    }

    /// Itself, if the data is a whole number of points and every field lies within one.
    pub(super) fn checked(self) -> Result<Self, Problem> {
        let whole = if self.stride == 0 { self.data.is_empty() } else { self.data.len().is_multiple_of(self.step()) };
        if !whole {
            return Err(Problem::Length {
                field: "data",
                expected: Expected::MultipleOf(u64::from(self.stride)),
                actual: self.data.len(),
            });
        }
        let outside = |f: &&PointField| u64::from(f.offset) + u64::from(f.number.size()) > u64::from(self.stride);
        match self.fields.iter().find(outside) {
            Some(field) if !self.data.is_empty() => {
                let values = format!("{:?} at {} in {} bytes", field.name, field.offset, self.stride);
                Err(Problem::Sizes { what: "a field's offset and the stride", values })
            }
            _ => Ok(self),
        }
    }

    fn step(&self) -> usize {
        self.stride as usize
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len().checked_div(self.step()).unwrap_or(0)
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&PointField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// One field of every point, as it was stored; absent if there is no such field.
    #[must_use]
    pub fn values(&self, name: &str) -> Option<impl ExactSizeIterator<Item = f64> + '_> {
        let field = self.field(name)?.clone();
        Some(self.raw_points().map(move |point| self.read(point, &field)))
    }

    /// Every point, invalid ones (not a number) too; absent if there is no `x` or no `y`.
    #[must_use]
    pub fn points(&self) -> Option<impl ExactSizeIterator<Item = Point> + '_> {
        let x = self.field("x")?.clone();
        let y = self.field("y")?.clone();
        let z = self.field("z").cloned();
        let intensity = ["intensity", "intensities", "reflectivity"].iter().find_map(|name| self.field(name)).cloned();
        Some(self.raw_points().map(move |point| Point {
            x: self.read(point, &x),
            y: self.read(point, &y),
            z: z.as_ref().map_or(0.0, |z| self.read(point, z)),
            intensity: intensity.as_ref().map(|i| self.read(point, i)),
        }))
    }

    fn raw_points(&self) -> std::slice::ChunksExact<'_, u8> {
        self.data.chunks_exact(self.step().max(1))
    }

    /// A field of one point. The fields are public, so that one may lie outside by now: then it is not a number.
    fn read(&self, point: &[u8], field: &PointField) -> f64 {
        let bytes = point.get(field.offset as usize..).unwrap_or_default();
        field.number.read(bytes, self.big_endian).unwrap_or(f64::NAN)
    }
}
