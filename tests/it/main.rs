//! End-to-end tests: the recorder's promises, kept under faults.
#![expect(clippy::unwrap_used, reason = "tests")]

mod capture;
mod crash;
mod loss;
mod rig;
