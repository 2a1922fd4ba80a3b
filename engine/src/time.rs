//! Points in time as profiles write them.
//!
//! Not here: clocks. Where times come from is the event source's business.

use std::fmt;
use std::ops::Range;
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

/// A time as it is written, each digit a zero.
const WRITTEN: [u8; 30] = *b"0000-00-00T00:00:00.000000000Z";

/// Where year, month, day, hour, minute, second and nanoseconds are in it.
const YEAR: Range<usize> = 0..4;
const MONTH: Range<usize> = 5..7;
const DAY: Range<usize> = 8..10;
const HOUR: Range<usize> = 11..13;
const MINUTE: Range<usize> = 14..16;
const SECOND: Range<usize> = 17..19;
const NANOS: Range<usize> = 20..29;

/// Days of the months before each, in a year that begins in March: so a leap day comes last and moves none of them.
const DAYS_BEFORE: [u32; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];

/// Days from 1 March of the year 0 to 1970.
const EPOCH: u32 = 719_468;

const SECOND_NANOS: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 86_400;

impl Time {
    /// As it is written. A profile has two for each of its entries, so this does what [`jiff`] does for any format and
    /// time for this one alone; a test compares them.
    fn written(self) -> [u8; WRITTEN.len()] {
        let (seconds, nanos) = (self.0 / SECOND_NANOS, self.0 % SECOND_NANOS);
        let (days, second) = ((seconds / DAY_SECONDS) as u32 + EPOCH, (seconds % DAY_SECONDS) as u32);
        // A day of the calendar that repeats itself after 400 years; of its centuries the last has one day more.
        let (era, day) = (days / 146_097, days % 146_097);
        let century = (day / 36_524).min(3);
        let day = day - century * 36_524;
        let four_years = day / 1461;
        let day = day - four_years * 1461;
        let year = (day / 365).min(3);
        let day = day - year * 365;
        let year = era * 400 + century * 100 + four_years * 4 + year;
        let month = DAYS_BEFORE.iter().rposition(|before| *before <= day).unwrap_or(0);
        let day = day - DAYS_BEFORE.get(month).copied().unwrap_or(0);
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
        let mut text = WRITTEN;
        for (at, number) in [
            (YEAR, year),
            (MONTH, month as u32),
            (DAY, day + 1),
            (HOUR, second / 3600),
            (MINUTE, second / 60 % 60),
            (SECOND, second % 60),
            (NANOS, nanos as u32),
        ] {
            write_digits(text.get_mut(at).unwrap_or_default(), number);
        }
        text
    }

    /// The time that is written so, if it is just as [`written`](Self::written) writes it.
    fn from_written(text: &[u8]) -> Option<Self> {
        let text: &[u8; WRITTEN.len()] = text.try_into().ok()?;
        let is_separated = [4, 7, 10, 13, 16, 19, 29].iter().all(|at| text.get(*at) == WRITTEN.get(*at));
        let number = |at: Range<usize>| digits(text.get(at)?);
        let (year, month, day) = (number(YEAR)?, number(MONTH)?, number(DAY)?);
        let (hour, minute, second) = (number(HOUR)?, number(MINUTE)?, number(SECOND)?);
        let nanos = number(NANOS)?;
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let month_days = match month {
            2 => 28 + u32::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => 0,
        };
        // What is none of these may still be a time in another form: a leap second, say.
        let is_plain = is_separated && year >= 1970 && (1..=month_days).contains(&day);
        if !is_plain || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let before = DAYS_BEFORE.get(month as usize)?;
        let days = year * 365 + year / 4 - year / 100 + year / 400 + before + day - 1 - EPOCH;
        let seconds = u64::from(days) * DAY_SECONDS + u64::from(hour * 3600 + minute * 60 + second);
        seconds.checked_mul(SECOND_NANOS)?.checked_add(u64::from(nanos)).map(Self)
    }
}

fn write_digits(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The number that up to nine digits stand for.
fn digits(text: &[u8]) -> Option<u32> {
    let (mut number, mut all) = (0, true);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        all &= digit < 10;
        number = number * 10 + u32::from(digit & 0xf);
    }
    all.then_some(number)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.written()).unwrap_or_default())
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Some(time) = Self::from_written(text.as_bytes()) {
            return Ok(time);
        }
        let time: Timestamp = text.parse().map_err(|_| TimeError::Malformed)?;
        u64::try_from(time.as_nanosecond()).map(Self).map_err(|_| TimeError::OutOfRange)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(str::from_utf8(&self.written()).unwrap_or_default())
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
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = DAY_SECONDS * SECOND_NANOS;

    /// What jiff writes.
    fn by_jiff(time: Time) -> String {
        format!("{:.9}", Timestamp::from_nanosecond(i128::from(time.0)).unwrap())
    }

    #[test]
    fn every_day_is_written_and_read_as_jiff_does() {
        for day in 0..=u64::MAX / DAY {
            for time in [Time(day * DAY), Time((day * DAY).saturating_add(DAY - 1))] {
                let text = time.to_string();
                assert_eq!(text, by_jiff(time));
                assert_eq!(text.parse(), Ok(time));
            }
        }
    }

    proptest! {
        #[test]
        fn any_time_is_written_and_read_as_jiff_does(ns in any::<u64>()) {
            let text = Time(ns).to_string();
            assert_eq!(text, by_jiff(Time(ns)));
            assert_eq!(text.parse(), Ok(Time(ns)));
        }

        #[test]
        fn what_is_nearly_a_time_is_one_or_none_as_jiff_says(
            text in "(19|20|25)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9][.][0-9]{9}Z",
            at in 0..30_usize,
            byte in "[ -~]",
        ) {
            let mut changed = text.clone();
            changed.replace_range(at..=at, &byte);
            for text in [text, changed] {
                let expected = match text.parse::<Timestamp>() {
                    Ok(time) => u64::try_from(time.as_nanosecond()).map(Time).map_err(|_| TimeError::OutOfRange),
                    Err(_) => Err(TimeError::Malformed),
                };
                assert_eq!(text.parse::<Time>(), expected, "{text}");
            }
        }
    }

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
