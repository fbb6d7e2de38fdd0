//! Electrical energy store.

use super::{check::time, error::Problem};
pub use crate::proto::battery_state::Status as BatteryStatus;
use crate::{proto, time::Timestamp};

/// State of a battery, as its management system reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatteryState {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Name of the battery, unique on the platform.
    pub name: String,
    /// Voltage at the terminals, V.
    pub voltage: Option<f64>,
    /// Current, A; positive charges, negative discharges.
    pub current: Option<f64>,
    /// State of charge, 0 (empty) … 1 (full).
    pub state_of_charge: Option<f64>,
    /// State of health: capacity when full against the design's, 0 … 1.
    pub state_of_health: Option<f64>,
    /// Charge that is left, Ah.
    pub charge: Option<f64>,
    /// Charge when full, Ah.
    pub capacity: Option<f64>,
    /// Mean temperature, °C.
    pub temperature: Option<f64>,
    /// Mean temperature, °C.
    pub status: BatteryStatus,
    /// Voltage of each cell, V; empty where not known.
    pub cell_voltage: Vec<f64>,
    /// Temperature of each cell or probe, °C; empty where not known.
    pub cell_temperature: Vec<f64>,
    /// The management system reports a fault; `fault` is its text or code.
    pub faulty: bool,
    /// Text or code of the fault.
    pub fault: String,
}

impl TryFrom<proto::BatteryState> for BatteryState {
    type Error = Problem;

    fn try_from(m: proto::BatteryState) -> Result<Self, Problem> {
        let status = m.status();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            name: m.name,
            voltage: m.voltage,
            current: m.current,
            state_of_charge: m.state_of_charge,
            state_of_health: m.state_of_health,
            charge: m.charge,
            capacity: m.capacity,
            temperature: m.temperature,
            status,
            cell_voltage: m.cell_voltage,
            cell_temperature: m.cell_temperature,
            faulty: m.faulty,
            fault: m.fault,
        })
    }
}
