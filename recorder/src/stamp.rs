//! Times of the recorder's own messages.

use sagwan_schemas::time::Timestamp;

const NANOS_PER_SEC: i64 = 1_000_000_000;

/// Nanoseconds of one second.
pub(crate) const SEC: i64 = NANOS_PER_SEC;

/// The protobuf form of `time`; exact, also before 1970.
pub(crate) fn proto_time(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.as_nanos();
    prost_types::Timestamp {
        seconds: nanos.div_euclid(NANOS_PER_SEC),
        // A remainder below 10⁹ fits.
        nanos: i32::try_from(nanos.rem_euclid(NANOS_PER_SEC)).unwrap_or(0),
    }
}
