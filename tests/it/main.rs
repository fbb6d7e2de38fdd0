//! End-to-end tests: the recorder's promises, kept under faults, and the rules of the house.
#![expect(clippy::unwrap_used, reason = "tests")]

mod capture;
mod crash;
mod layering;
mod loss;
mod process;
mod rig;
mod tidy;
