//! What every simulated platform has: streams with a rhythm, and for each of them a source of payloads.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use prost::Message;
use sagwan_schemas::{
    profile::{Profile, Stream},
    proto,
    stream::Modality,
    time::Timestamp,
};

use foxglove::messages as fx;

use super::{
    pace::Rhythm,
    scene::{
        camera::Lens,
        canvas::Canvas,
        counter,
        jpeg::{JpegEncoder, JpegError},
    },
};

/// One sample to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Counts the samples of the stream from 0.
    pub index: u64,
    /// When the sensor captures it, in the platform's world: seconds since the start.
    pub seconds: f64,
    /// The same on the platform's clock.
    pub capture_time: Timestamp,
}

/// Makes the payloads of one stream.
///
/// The bytes depend on the moment, the seed and the platform alone, not on the moments asked for before.
pub trait Source: Send {
    /// The payload at a moment.
    ///
    /// # Errors
    /// When an image cannot be encoded.
    fn sample(&mut self, moment: &Moment) -> Result<Vec<u8>, JpegError>;
}

/// Any function is a source.
impl<F: FnMut(&Moment) -> Vec<u8> + Send> Source for F {
    fn sample(&mut self, moment: &Moment) -> Result<Vec<u8>, JpegError> {
        Ok(self(moment))
    }
}

/// A platform that can be asked for samples.
pub trait World: Send + Sync {
    /// The source of a stream of the profile; `None` when this platform cannot play it.
    fn source(&self, stream: &Stream) -> Option<Box<dyn Source>>;

    /// When a stream without a contracted rate has samples.
    fn rhythm(&self, stream: &Stream) -> Rhythm {
        match stream.rate_hz {
            Some(rate) => Rhythm::Rate(rate),
            None => Rhythm::Once,
        }
    }
}

/// Whether making a sample takes so long that the stream needs a thread of its own.
#[must_use]
pub fn is_heavy(stream: &Stream) -> bool {
    matches!(stream.modality, Modality::CompressedImage | Modality::PointCloud)
}

/// A camera that draws a scene.
pub struct ImageSource<D> {
    frame: String,
    canvas: Canvas,
    jpeg: Option<JpegEncoder>,
    draw: D,
}

impl<D> std::fmt::Debug for ImageSource<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSource").field("frame", &self.frame).finish_non_exhaustive()
    }
}

impl<D: FnMut(&mut Canvas, f64) + Send> ImageSource<D> {
    /// `draw(canvas, seconds)` paints the whole image.
    pub fn new(frame: &str, lens: Lens, draw: D) -> Self {
        let canvas = Canvas::new(lens.width, lens.height);
        Self { frame: frame.to_owned(), canvas, jpeg: None, draw }
    }
}

/// Quality of the JPEG images, 1…100.
const JPEG_QUALITY: u8 = 85;

impl<D: FnMut(&mut Canvas, f64) + Send> Source for ImageSource<D> {
    fn sample(&mut self, moment: &Moment) -> Result<Vec<u8>, JpegError> {
        (self.draw)(&mut self.canvas, moment.seconds);
        counter::draw(&mut self.canvas, moment.index);
        let encoder = match &mut self.jpeg {
            Some(encoder) => encoder,
            none => none.insert(JpegEncoder::new(self.canvas.width(), self.canvas.height(), JPEG_QUALITY)?),
        };
        let image = fx::CompressedImage {
            timestamp: Some(fx_time(moment.capture_time)),
            frame_id: self.frame.clone(),
            data: encoder.encode(&self.canvas)?.into(),
            format: "jpeg".to_owned(),
        };
        Ok(image.encode_to_vec())
    }
}

/// A time as Foxglove's messages hold it; times before 1970 become 1970.
#[must_use]
pub fn fx_time(time: Timestamp) -> fx::Timestamp {
    let nanos = time.to_mcap();
    fx::Timestamp::new(u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX), (nanos % 1_000_000_000) as u32)
}

/// A time as our messages hold it.
#[must_use]
pub fn proto_time(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.as_nanos();
    prost_types::Timestamp { seconds: nanos.div_euclid(1_000_000_000), nanos: nanos.rem_euclid(1_000_000_000) as i32 }
}

/// A vector as our messages hold it.
#[must_use]
pub fn vector(v: [f64; 3]) -> proto::Vector3 {
    proto::Vector3 { x: v[0], y: v[1], z: v[2] }
}

/// A pose as our messages hold it.
#[must_use]
pub fn pose(pose: &Isometry3<f64>) -> proto::Pose {
    let (t, q) = (pose.translation.vector, pose.rotation.coords);
    proto::Pose {
        position: Some(vector([t.x, t.y, t.z])),
        orientation: Some(proto::Quaternion { x: q.x, y: q.y, z: q.z, w: q.w }),
    }
}

/// A vector as Foxglove's messages hold it.
#[must_use]
pub fn fx_vector(v: [f64; 3]) -> fx::Vector3 {
    fx::Vector3 { x: v[0], y: v[1], z: v[2] }
}

/// A pose as Foxglove's messages hold it.
#[must_use]
pub fn fx_pose(pose: &Isometry3<f64>) -> fx::Pose {
    let t = pose.translation.vector;
    fx::Pose { position: Some(fx_vector([t.x, t.y, t.z])), orientation: Some(fx_rotation(&pose.rotation)) }
}

fn fx_rotation(rotation: &UnitQuaternion<f64>) -> fx::Quaternion {
    let q = rotation.coords;
    fx::Quaternion { x: q.x, y: q.y, z: q.z, w: q.w }
}

/// Where a frame of the profile is in its parent; the identity when it is not declared.
#[must_use]
pub fn mount(profile: &Profile, frame: &str) -> Isometry3<f64> {
    let Some(spec) = profile.frames.iter().find(|spec| spec.name == frame) else { return Isometry3::identity() };
    let [x, y, z, w] = spec.rotation;
    let rotation = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z));
    Isometry3::from_parts(Translation3::from(spec.translation), rotation)
}

/// The profile's frames that have a parent, as one message.
#[must_use]
pub fn static_transforms(profile: &Profile) -> impl Source + 'static {
    let fixed: Vec<_> = profile.frames.iter().filter(|frame| !frame.parent.is_empty()).cloned().collect();
    let poses: Vec<_> = fixed.iter().map(|frame| mount(profile, &frame.name)).collect();
    move |moment: &Moment| {
        let transforms = fixed.iter().zip(&poses).map(|(frame, pose)| fx::FrameTransform {
            timestamp: Some(fx_time(moment.capture_time)),
            parent_frame_id: frame.parent.clone(),
            child_frame_id: frame.name.clone(),
            translation: Some(fx_vector(frame.translation)),
            rotation: Some(fx_rotation(&pose.rotation)),
        });
        fx::FrameTransforms { transforms: transforms.collect() }.encode_to_vec()
    }
}

/// The calibration of a camera without distortion.
#[must_use]
pub fn calibration(frame: &str, lens: Lens) -> impl Source + use<> {
    let frame = frame.to_owned();
    move |moment: &Moment| {
        let k = lens.intrinsics();
        fx::CameraCalibration {
            timestamp: Some(fx_time(moment.capture_time)),
            frame_id: frame.clone(),
            width: lens.width as u32,
            height: lens.height as u32,
            distortion_model: "plumb_bob".to_owned(),
            d: vec![0.0; 5],
            k: k.to_vec(),
            r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: vec![k[0], 0.0, k[2], 0.0, 0.0, k[4], k[5], 0.0, 0.0, 0.0, 1.0, 0.0],
        }
        .encode_to_vec()
    }
}

/// A diagonal 3×3 covariance, row-major.
#[must_use]
pub fn diagonal(variance: [f64; 3]) -> Vec<f64> {
    vec![variance[0], 0.0, 0.0, 0.0, variance[1], 0.0, 0.0, 0.0, variance[2]]
}
