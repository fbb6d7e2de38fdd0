//! Amounts as people write them: `"256 MiB"`, `"500 ms"`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes; written as `"512"`, `"64 KiB"`, `"1.5 GiB"`, `"4 GB"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A length of time; written as `"500 ms"`, `"2 s"`, `"10 min"`, `"8 h"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Nanoseconds, saturating at `i64::MAX` (292 years).
    #[must_use]
    pub fn nanos(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A text that is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// No number in front.
    #[error("expected a number followed by a unit, got {text:?}")]
    NoNumber {
        /// The text.
        text: String,
    },
    /// The unit is not one of those listed.
    #[error("unknown unit {unit:?}; use one of {known}")]
    UnknownUnit {
        /// The unit found.
        unit: String,
        /// The units known.
        known: &'static str,
    },
    /// Negative, not finite, or too large.
    #[error("{text:?} is out of range")]
    OutOfRange {
        /// The text.
        text: String,
    },
}

fn split(text: &str) -> Result<(f64, &str), QuantityError> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let number = text[..end].replace('_', "");
    let value = number.parse::<f64>().map_err(|_no_number| QuantityError::NoNumber { text: text.to_owned() })?;
    Ok((value, text[end..].trim()))
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (value, unit) = split(text)?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => {
                return Err(QuantityError::UnknownUnit {
                    unit: unit.to_owned(),
                    known: "B, KB, MB, GB, TB, KiB, MiB, GiB, TiB",
                });
            }
        };
        let bytes = value * factor as f64;
        // 2⁵³: beyond it a float no longer counts single bytes.
        if !(0.0..=9_007_199_254_740_992.0).contains(&bytes) {
            return Err(QuantityError::OutOfRange { text: text.to_owned() });
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (value, unit) = split(text)?;
        let secs_per_unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => {
                return Err(QuantityError::UnknownUnit { unit: unit.to_owned(), known: "ns, us, ms, s, min, h, d" });
            }
        };
        let secs = value * secs_per_unit;
        if !(0.0..=9.2e9).contains(&secs) {
            return Err(QuantityError::OutOfRange { text: text.to_owned() });
        }
        Ok(Self(Duration::from_nanos((secs * 1e9).round() as u64)))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor {
                return if self.0.is_multiple_of(factor) {
                    write!(f, "{} {unit}", self.0 / factor)
                } else {
                    write!(f, "{:.1} {unit}", self.0 as f64 / factor as f64)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (unit, factor) in
            [("h", 3_600_000_000_000), ("min", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)]
        {
            if nanos >= factor && nanos.is_multiple_of(factor) {
                return write!(f, "{} {unit}", nanos / factor);
            }
        }
        write!(f, "{nanos} ns")
    }
}

macro_rules! serde_as_text {
    ($quantity:ty) => {
        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $quantity {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

serde_as_text!(Bytes);
serde_as_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, bytes) in [("0", 0), ("64 KiB", 65536), ("1.5GiB", 1_610_612_736), ("4 GB", 4_000_000_000)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for (text, nanos) in [("500 ms", 500_000_000), ("2", 2_000_000_000), ("10 min", 600_000_000_000)] {
            assert_eq!(text.parse::<Span>().map(Span::nanos), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_an_error() {
        for text in ["", "MiB", "-1 MiB", "1 parsec", "1e300 TiB", "99999999999999 TiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["", "s", "-5 s", "3 weeks", "999999999999 d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
