//! End-to-end tests: the recorder's promises, kept under faults.
#![expect(clippy::unwrap_used, reason = "tests")]

mod crash;
