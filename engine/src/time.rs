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
    /// The text is not in the form of RFC 3339.
    #[error("not a time such as 2024-05-01T10:00:00.000000000Z")]
    Malformed,
    /// It cannot be told in nanoseconds since the epoch.
    #[error("not between the years 1970 and 2554")]
    OutOfRange,
}

/// A time as it is written, each digit a zero.
const WRITTEN: [u8; 30] = *b"0000-00-00T00:00:00.000000000Z";

/// Where its digits are, eight at a time: of year, month and day; of hour, minute, second and the first two of the
/// nanoseconds; of all of those but the first.
const DATE: [usize; 8] = [0, 1, 2, 3, 5, 6, 8, 9];
const CLOCK: [usize; 8] = [11, 12, 14, 15, 17, 18, 20, 21];
const NANOS: [usize; 8] = [21, 22, 23, 24, 25, 26, 27, 28];

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
        let (seconds, nanos) = (self.0 / SECOND_NANOS, (self.0 % SECOND_NANOS) as u32);
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
        let clock = second / 3600 * 1_000_000 + second / 60 % 60 * 10_000 + second % 60 * 100 + nanos / 10_000_000;
        let mut text = WRITTEN;
        write_digits(&mut text, DATE, year * 10_000 + (month as u32) * 100 + day + 1);
        write_digits(&mut text, CLOCK, clock);
        write_digits(&mut text, NANOS, nanos % 100_000_000);
        text
    }

    /// The time that is written so, if it is just as [`written`](Self::written) writes it.
    fn from_written(text: &[u8]) -> Option<Self> {
        let text: &[u8; WRITTEN.len()] = text.try_into().ok()?;
        let is_separated = [4, 7, 10, 13, 16, 19, 29].iter().all(|at| text.get(*at) == WRITTEN.get(*at));
        let (date, clock, nanos) = (read_digits(text, DATE)?, read_digits(text, CLOCK)?, read_digits(text, NANOS)?);
        let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
        let (hour, minute, second) = (clock / 1_000_000, clock / 10_000 % 100, clock / 100 % 100);
        let nanos = clock / 10 % 10 * 100_000_000 + nanos;
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

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// Writes a number below 10^8, all of its digits at once: it is halved into numbers of four digits, of two, and of one,
/// each in its part of one word.
#[inline]
fn write_digits(text: &mut [u8; WRITTEN.len()], places: [usize; 8], number: u32) {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    // Below 10,000 that is a division by 100, and then, below 100, one by 10.
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0xf_000f_000f_000f;
    let digits = tens | (twos - tens * 10) << 8 | ZEROS;
    for (at, digit) in places.into_iter().zip(digits.to_le_bytes()) {
        if let Some(place) = text.get_mut(at) {
            *place = digit;
        }
    }
}

/// Reads what [`write_digits`] writes, unless not all of it are digits.
#[inline]
fn read_digits(text: &[u8; WRITTEN.len()], places: [usize; 8]) -> Option<u32> {
    let digits = u64::from_le_bytes(places.map(|at| text.get(at).copied().unwrap_or_default())) ^ ZEROS;
    // What is not below 10 has one of a byte's upper bits, or gets one by 6 more.
    if (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let twos = (digits * 10 + (digits >> 8)) & 0xff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0xffff_0000_ffff;
    Some((fours as u32 & 0xffff) * 10_000 + (fours >> 32) as u32)
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
