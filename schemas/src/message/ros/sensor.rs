//! ROS messages of cameras, lidars, receivers, joints, batteries, gamepads and logs.

use bytes::{Bytes, BytesMut};

use crate::{
    message::{
        BatteryState, CameraCalibration, CompressedImage, GnssFix, JointStates, LaserScan, Log, Message, PointCloud,
        RawImage, TeleoperationInput,
        battery::BatteryStatus,
        check::{array, covariance, parallel},
        error::{Expected, Problem},
        fields::{Fields, flag},
        geometry::Pose,
        gnss::FixStatus,
        joint::JointState,
        log::LogLevel,
        point_cloud::{NumberType, PointField},
        teleoperation::{Axis, Button},
    },
    time::Timestamp,
    value::Value,
};

use super::header;

pub(super) fn image(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    RawImage {
        timestamp,
        frame_id,
        width: m.u32("width")?,
        height: m.u32("height")?,
        encoding: m.text("encoding")?,
        step: m.u32("step")?,
        big_endian: m.flag("is_bigendian")?,
        data: m.bytes("data")?,
    }
    .checked()
    .map(Message::of_image)
}

pub(super) fn compressed_image(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let (format, data) = (m.text("format")?, m.bytes("data")?);
    Ok(Message::CompressedImage(CompressedImage { timestamp, frame_id, format, data }))
}

pub(super) fn camera_info(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    // All zero says "not calibrated".
    let calibrated = |values: &Vec<f64>| values.iter().any(|x| *x != 0.0);
    let matrix = |path: &str| Ok::<_, Problem>(Some(m.floats(path)?).filter(calibrated).unwrap_or_default());
    Ok(Message::CameraCalibration(CameraCalibration {
        timestamp,
        frame_id,
        width: m.u32("width")?,
        height: m.u32("height")?,
        distortion_model: m.text("distortion_model")?,
        d: m.floats("d")?,
        k: array("k", &matrix("k")?)?,
        r: array("r", &matrix("r")?)?,
        p: array("p", &matrix("p")?)?,
    }))
}

pub(super) fn point_cloud(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let mut fields = Vec::new();
    for field in m.list("fields")? {
        fields.extend(point_field(Fields(field)).map_err(|problem| problem.under("fields"))?);
    }
    PointCloud {
        timestamp,
        frame_id,
        pose: Pose::default(),
        stride: m.u32("point_step")?,
        fields,
        big_endian: m.flag("is_bigendian")?,
        data: packed_rows(m)?,
    }
    .checked()
    .map(Message::PointCloud)
}

/// Absent for a type that is not known, which nobody could read. Of several numbers under one name, the first.
fn point_field(m: Fields<'_>) -> Result<Option<PointField>, Problem> {
    let number = match m.u32("datatype")? {
        1 => NumberType::I8,
        2 => NumberType::U8,
        3 => NumberType::I16,
        4 => NumberType::U16,
        5 => NumberType::I32,
        6 => NumberType::U32,
        7 => NumberType::F32,
        8 => NumberType::F64,
        _ => return Ok(None),
    };
    Ok(Some(PointField { name: m.text("name")?, offset: m.u32("offset")?, number }))
}

/// The points of all rows without what fills up the rows.
fn packed_rows(m: Fields<'_>) -> Result<Bytes, Problem> {
    let data = m.bytes("data")?;
    let (width, height) = (u64::from(m.u32("width")?), u64::from(m.u32("height")?));
    let (stride, step) = (u64::from(m.u32("point_step")?), u64::from(m.u32("row_step")?));
    let row = width * stride;
    if row == 0 || height == 0 {
        return Ok(Bytes::new());
    }
    // A single row needs no step, and some senders leave it 0.
    let step = if height == 1 { row } else { step };
    if step < row {
        let values = format!("{width} points of {stride} bytes in {step}");
        return Err(Problem::Sizes { what: "width, point_step and row_step", values });
    }
    let needed = step.checked_mul(height - 1).and_then(|rows| rows.checked_add(row)).unwrap_or(u64::MAX);
    let (Ok(end), Ok(row), Ok(step)) = (usize::try_from(needed), usize::try_from(row), usize::try_from(step)) else {
        return Err(Problem::Length { field: "data", expected: Expected::AtLeast(needed), actual: data.len() });
    };
    if data.len() < end {
        return Err(Problem::Length { field: "data", expected: Expected::AtLeast(needed), actual: data.len() });
    }
    let data = data.slice(..end);
    if step == row {
        return Ok(data);
    }
    let mut packed = BytesMut::new();
    for padded in data.chunks(step) {
        packed.extend_from_slice(padded.get(..row).unwrap_or(padded));
    }
    Ok(packed.freeze())
}

pub(super) fn laser_scan(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let ranges = m.floats("ranges")?;
    let start_angle = m.f64("angle_min")?;
    #[expect(clippy::cast_precision_loss, reason = "a scan has fewer than 2⁵³ distances")]
    let steps = ranges.len().saturating_sub(1) as f64;
    LaserScan {
        timestamp,
        frame_id,
        pose: Pose::default(),
        start_angle,
        // What the increment says; drivers' angle_max is often one step off.
        end_angle: m.f64("angle_increment")?.mul_add(steps, start_angle),
        ranges,
        intensities: m.floats("intensities")?,
    }
    .checked()
    .map(Message::LaserScan)
}

pub(super) fn nav_sat_fix(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let status = match m.i64("status.status")? {
        -1 => FixStatus::None,
        0 => FixStatus::Autonomous,
        1 => FixStatus::Satellite,
        2 => FixStatus::Ground,
        _ => FixStatus::Unknown,
    };
    let known = m.i64("position_covariance_type")? != 0;
    let covariance = covariance("position_covariance", &m.floats("position_covariance")?)?;
    Ok(Message::Gnss(GnssFix {
        timestamp,
        frame_id,
        latitude: m.f64("latitude")?,
        longitude: m.f64("longitude")?,
        altitude: m.f64("altitude")?,
        status,
        covariance: covariance.filter(|_| known),
        heading: None,
        velocity: None,
    }))
}

/// Joints without names are named by their index: some grippers send a position alone.
pub(super) fn joint_state(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, _) = header(m)?;
    let (position, velocity, effort) = (m.floats("position")?, m.floats("velocity")?, m.floats("effort")?);
    let longest = position.len().max(velocity.len()).max(effort.len());
    let names = match m.list("name")? {
        [] => (0..longest).map(|index| index.to_string()).collect(),
        names => names.iter().map(joint_name).collect::<Result<Vec<_>, _>>()?,
    };
    for (field, values) in [("position", &position), ("velocity", &velocity), ("effort", &effort)] {
        parallel(field, values.len(), names.len())?;
    }
    let joint = |(index, name)| {
        let at = |values: &[f64]| values.get(index).copied();
        JointState { name, position: at(&position), velocity: at(&velocity), acceleration: None, effort: at(&effort) }
    };
    let joints = names.into_iter().enumerate().map(joint).collect();
    Ok(Message::JointStates(JointStates { timestamp, joints }))
}

fn joint_name(value: &Value) -> Result<String, Problem> {
    let wrong = || Problem::Type { field: "name".to_owned(), expected: "a list of texts" };
    value.as_str().map(str::to_owned).ok_or_else(wrong)
}

pub(super) fn battery_state(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, _) = header(m)?;
    // Not a number says "not measured".
    let measured = |path: &str| Ok::<_, Problem>(Some(m.f64(path)?).filter(|x| !x.is_nan()));
    let status = match m.i64("power_supply_status")? {
        1 => BatteryStatus::Charging,
        2 => BatteryStatus::Discharging,
        3 => BatteryStatus::NotCharging,
        4 => BatteryStatus::Full,
        _ => BatteryStatus::Unspecified,
    };
    let (faulty, fault) = match m.i64("power_supply_health")? {
        2 => (true, "overheat"),
        3 => (true, "dead"),
        4 => (true, "overvoltage"),
        5 => (true, "unspecified failure"),
        6 => (true, "cold"),
        7 => (true, "watchdog timer expired"),
        8 => (true, "safety timer expired"),
        _ => (false, ""),
    };
    Ok(Message::Battery(BatteryState {
        timestamp,
        name: m.text("location")?,
        voltage: measured("voltage")?,
        current: measured("current")?,
        state_of_charge: measured("percentage")?,
        state_of_health: None,
        charge: measured("charge")?,
        capacity: measured("capacity")?,
        // Not in every version of the message.
        temperature: m.find("temperature").map(|_| measured("temperature")).transpose()?.flatten(),
        status,
        cell_voltage: m.floats("cell_voltage")?,
        cell_temperature: m.find("cell_temperature").map_or(Ok(Vec::new()), |_| m.floats("cell_temperature"))?,
        faulty,
        fault: fault.to_owned(),
    }))
}

pub(super) fn joy(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let axes = m.floats("axes")?.into_iter().enumerate().map(|(n, value)| Axis { name: n.to_string(), value });
    let button = |(n, value): (usize, &Value)| {
        let pressed = flag(value).map_err(|problem| problem.under("buttons"))?;
        Ok(Button { name: n.to_string(), pressed, value: f64::from(u8::from(pressed)) })
    };
    Ok(Message::TeleoperationInput(TeleoperationInput {
        timestamp,
        frame_id,
        axes: axes.collect(),
        buttons: m.list("buttons")?.iter().enumerate().map(button).collect::<Result<_, Problem>>()?,
        ..TeleoperationInput::default()
    }))
}

pub(super) fn log(m: Fields<'_>) -> Result<Message, Problem> {
    let level = match m.i64("level")? {
        10 => LogLevel::Debug,
        20 => LogLevel::Info,
        30 => LogLevel::Warning,
        40 => LogLevel::Error,
        50 => LogLevel::Fatal,
        _ => LogLevel::Unknown,
    };
    Ok(Message::Log(Log {
        timestamp: m.time("stamp")?,
        level,
        name: m.text("name")?,
        message: m.text("msg")?,
        file: m.text("file")?,
        line: m.u32("line")?,
    }))
}

pub(super) fn string(m: Fields<'_>) -> Result<Message, Problem> {
    Ok(Message::Log(Log { timestamp: Timestamp::EPOCH, message: m.text("data")?, ..Log::default() }))
}
