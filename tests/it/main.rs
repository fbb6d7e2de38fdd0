//! End-to-end tests, and the rules of the house.
#![expect(clippy::unwrap_used, reason = "tests")]

mod layering;
mod tidy;
