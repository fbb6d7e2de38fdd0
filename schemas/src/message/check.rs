//! Checks that every view makes before it trusts a message: times in range, lists of the length that belongs.

use super::error::{Expected, Problem};
use crate::time::Timestamp;

/// The time of seconds and nanoseconds since 1970; any sign, nanoseconds beyond a second carry over.
pub(super) fn time_of(secs: i64, nanos: i64) -> Result<Timestamp, Problem> {
    secs.checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(nanos))
        .map(Timestamp::from_nanos)
        .ok_or(Problem::Time { secs, nanos })
}

/// The time of a protobuf timestamp; [`Timestamp::EPOCH`] where it is not set.
pub(super) fn time(stamp: Option<prost_types::Timestamp>) -> Result<Timestamp, Problem> {
    stamp.map_or(Ok(Timestamp::EPOCH), |t| time_of(t.seconds, i64::from(t.nanos)))
}

/// `length` must be 0 or that of the list it runs in parallel to.
pub(super) fn parallel(field: &'static str, length: usize, to: usize) -> Result<(), Problem> {
    if length == 0 || length == to {
        return Ok(());
    }
    Err(Problem::Length { field, expected: Expected::NoneOr(to as u64), actual: length })
}

/// An array of a fixed length, absent when the list is empty.
pub(super) fn array<const N: usize>(field: &'static str, list: &[f64]) -> Result<Option<[f64; N]>, Problem> {
    if list.is_empty() {
        return Ok(None);
    }
    list.try_into().map(Some).map_err(|_wrong_length| Problem::Length {
        field,
        expected: Expected::NoneOr(N as u64),
        actual: list.len(),
    })
}

/// A covariance: absent when the list is empty, all zero (the ROS and Foxglove convention for "not known"), or begins
/// with -1 (the ROS convention for "not measured").
pub(super) fn covariance<const N: usize>(field: &'static str, list: &[f64]) -> Result<Option<[f64; N]>, Problem> {
    #[expect(clippy::float_cmp, reason = "-1 is written as such")]
    let unknown = |m: &[f64; N]| m[0] == -1.0 || m.iter().all(|x| *x == 0.0);
    Ok(array::<N>(field, list)?.filter(|m| !unknown(m)))
}

/// `length` must be the product of `sizes`, which must not overflow.
pub(super) fn product(field: &'static str, length: usize, sizes: &[u32]) -> Result<(), Problem> {
    let expected = sizes.iter().try_fold(1_u64, |total, size| total.checked_mul(u64::from(*size)));
    match expected {
        Some(expected) if expected == length as u64 => Ok(()),
        expected => {
            Err(Problem::Length { field, expected: Expected::Exactly(expected.unwrap_or(u64::MAX)), actual: length })
        }
    }
}
