//! Points in time as profiles write them.
//!
//! Not here: clocks. Where times come from is the event source's business.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Nanoseconds since the Unix epoch; written as RFC 3339 in UTC with exactly nine decimals.
///
/// The range of `u64` ends in the year 2554, so the written form always has the same length and sorts as the time does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// Why a text is no [`Time`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// It is not RFC 3339.
    #[error("not a time such as 2024-05-01T10:00:00.000000000Z")]
    Malformed,
    /// It cannot be told in nanoseconds since the epoch.
    #[error("not between the years 1970 and 2554")]
    OutOfRange,
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every u64 is within a timestamp's range.
        let time = Timestamp::from_nanosecond(i128::from(self.0)).map_err(|_| fmt::Error)?;
        write!(f, "{time:.9}")
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time: Timestamp = text.parse().map_err(|_| TimeError::Malformed)?;
        u64::try_from(time.as_nanosecond()).map(Self).map_err(|_| TimeError::OutOfRange)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_written_form() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (1_709_210_096_123_456_789, "2024-02-29T12:34:56.123456789Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(Time(ns).to_string(), text);
            assert_eq!(text.parse(), Ok(Time(ns)));
        }
    }

    #[test]
    fn other_spellings_are_read() {
        for text in ["2024-02-29T13:34:56+01:00", "2024-02-29T12:34:56Z", "2024-02-29t12:34:56.000z"] {
            assert_eq!(text.parse(), Ok(Time(1_709_210_096_000_000_000)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "2024-02-30T00:00:00Z", "2024-02-29T12:34:56", "2024-02-29T12:34:56.0000000001Z"]
        {
            assert_eq!(text.parse::<Time>(), Err(TimeError::Malformed), "{text}");
        }
        for text in ["1969-12-31T23:59:59.999999999Z", "2554-07-21T23:34:33.709551616Z", "9999-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<Time>(), Err(TimeError::OutOfRange), "{text}");
        }
    }
}
