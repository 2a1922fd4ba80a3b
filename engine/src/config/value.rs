//! How the values of variables are spelled: parsing, printing and checking, one type of value after the other.
//!
//! What is printed parses back to the same value. Not here: which variables there are (`config`).

use std::time::Duration;

/// Why a text is no value of a variable, in words that follow the text: "`x` is not a boolean".
pub type Fault = &'static str;

const OUT_OF_RANGE: Fault = "is out of range";

/// A type that a variable's value can have.
pub trait Setting: Sized {
    /// What narrows the values of one variable down.
    type Limits;

    /// The type's name in `grove env`.
    fn kind(limits: &Self::Limits) -> &'static str;

    /// What one of it is, such as "events"; empty where the question makes no sense.
    fn unit(_limits: &Self::Limits) -> &'static str {
        ""
    }

    /// The allowed values in words.
    fn range(limits: &Self::Limits) -> String;

    /// How to spell one, for somebody who has just got it wrong.
    fn spelling(_limits: &Self::Limits) -> &'static str {
        ""
    }

    /// Reads a value; the result has been [checked](Self::check).
    fn parse(text: &str, limits: &Self::Limits) -> Result<Self, Fault>;

    /// Whether a value, wherever it is from, is an allowed one.
    fn check(&self, limits: &Self::Limits) -> Result<(), Fault>;

    /// Spells the value as [`parse`](Self::parse) reads it.
    fn show(&self, limits: &Self::Limits) -> String;
}

/// Limits of a number: a count of something, or a size in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    min: u64,
    max: u64,
    scale: Scale,
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    Count { unit: &'static str },
    Bytes,
}

/// A count of `unit`s, written in plain digits.
pub const fn count(min: u64, max: u64, unit: &'static str) -> Number {
    Number { min, max, scale: Scale::Count { unit } }
}

/// A size in bytes, written with or without a suffix.
pub const fn bytes(min: u64, max: u64) -> Number {
    Number { min, max, scale: Scale::Bytes }
}

/// Suffixes of sizes, the larger of each kind first, as printing tries them in this order.
const SIZES: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

/// Splits `text` into its leading digits, as a number, and the rest.
fn digits(text: &str, fault: Fault) -> Result<(u64, &str), Fault> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end).ok_or(fault)?;
    if number.is_empty() {
        return Err(fault);
    }
    // All digits and not empty: the only way left to fail is to be too large.
    number.parse().map(|n| (n, rest)).map_err(|_| OUT_OF_RANGE)
}

/// `n` in the largest unit that spells it exactly; in plain digits if none does.
fn in_units(n: u64, units: &[(&str, u64)]) -> String {
    match units.iter().find(|(_, size)| n >= *size && n.is_multiple_of(*size)) {
        Some((suffix, size)) => format!("{}{suffix}", n / size),
        None => n.to_string(),
    }
}

fn show_bytes(n: u64) -> String {
    in_units(n, &SIZES[..4])
}

impl Setting for usize {
    type Limits = Number;

    fn kind(limits: &Number) -> &'static str {
        match limits.scale {
            Scale::Count { .. } => "count",
            Scale::Bytes => "size",
        }
    }

    fn unit(limits: &Number) -> &'static str {
        match limits.scale {
            Scale::Count { unit } => unit,
            Scale::Bytes => "bytes",
        }
    }

    fn range(limits: &Number) -> String {
        match limits.scale {
            Scale::Count { .. } => format!("{} to {}", limits.min, limits.max),
            Scale::Bytes => format!("{} to {}", show_bytes(limits.min), show_bytes(limits.max)),
        }
    }

    fn spelling(limits: &Number) -> &'static str {
        match limits.scale {
            Scale::Count { .. } => "in plain digits",
            Scale::Bytes => "with k, M, G, T for powers of 1000 or Ki, Mi, Gi, Ti for powers of 1024",
        }
    }

    fn parse(text: &str, limits: &Number) -> Result<Self, Fault> {
        let n = match limits.scale {
            Scale::Count { .. } => match digits(text, "is not a whole number")? {
                (n, "") => n,
                _ => return Err("is not a whole number"),
            },
            Scale::Bytes => {
                let (n, suffix) = digits(text, "is not a size")?;
                let unit = match suffix.strip_suffix('B').unwrap_or(suffix) {
                    "" => 1,
                    suffix => SIZES.iter().find(|(s, _)| *s == suffix).ok_or("is not a size")?.1,
                };
                n.checked_mul(unit).ok_or(OUT_OF_RANGE)?
            }
        };
        let n = Self::try_from(n).map_err(|_| OUT_OF_RANGE)?;
        n.check(limits)?;
        Ok(n)
    }

    fn check(&self, limits: &Number) -> Result<(), Fault> {
        if (limits.min..=limits.max).contains(&(*self as u64)) { Ok(()) } else { Err(OUT_OF_RANGE) }
    }

    fn show(&self, limits: &Number) -> String {
        match limits.scale {
            Scale::Count { .. } => self.to_string(),
            Scale::Bytes => show_bytes(*self as u64),
        }
    }
}

/// Limits of a duration.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    min: Duration,
    max: Duration,
}

/// A duration, written as a whole number with a unit.
pub const fn span(min: Duration, max: Duration) -> Span {
    Span { min, max }
}

/// Units of durations in nanoseconds, the larger first.
const TIMES: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

fn show_duration(d: Duration) -> String {
    match u64::try_from(d.as_nanos()) {
        Ok(0) => "0s".to_owned(),
        Ok(ns) => in_units(ns, &TIMES),
        // Beyond 584 years: no variable allows it, yet a program may have put it into the field.
        Err(_) => format!("{}s", d.as_secs()),
    }
}

impl Setting for Duration {
    type Limits = Span;

    fn kind(_: &Span) -> &'static str {
        "duration"
    }

    fn range(limits: &Span) -> String {
        format!("{} to {}", show_duration(limits.min), show_duration(limits.max))
    }

    fn spelling(_: &Span) -> &'static str {
        "with its unit: ns, us, ms, s, m or h, such as 500ms"
    }

    fn parse(text: &str, limits: &Span) -> Result<Self, Fault> {
        const FAULT: Fault = "is not a duration";
        let (n, unit) = match digits(text, FAULT)? {
            (_, "") => return Err("has no unit"),
            (n, suffix) => (n, TIMES.iter().find(|(s, _)| *s == suffix).ok_or(FAULT)?.1),
        };
        let duration = Self::from_nanos(n.checked_mul(unit).ok_or(OUT_OF_RANGE)?);
        duration.check(limits)?;
        Ok(duration)
    }

    fn check(&self, limits: &Span) -> Result<(), Fault> {
        if (limits.min..=limits.max).contains(self) { Ok(()) } else { Err(OUT_OF_RANGE) }
    }

    fn show(&self, _: &Span) -> String {
        show_duration(*self)
    }
}

impl Setting for bool {
    type Limits = ();

    fn kind(_: &()) -> &'static str {
        "boolean"
    }

    fn range(_: &()) -> String {
        "true or false".to_owned()
    }

    fn spelling(_: &()) -> &'static str {
        "also 1, yes, on and 0, no, off"
    }

    fn parse(text: &str, _: &()) -> Result<Self, Fault> {
        let is = |words: [&str; 4]| words.iter().any(|w| w.eq_ignore_ascii_case(text));
        if is(["1", "true", "yes", "on"]) {
            Ok(true)
        } else if is(["0", "false", "no", "off"]) {
            Ok(false)
        } else {
            Err("is not a boolean")
        }
    }

    fn check(&self, _: &()) -> Result<(), Fault> {
        Ok(())
    }

    fn show(&self, _: &()) -> String {
        self.to_string()
    }
}

impl Setting for Vec<String> {
    type Limits = ();

    fn kind(_: &()) -> &'static str {
        "paths"
    }

    fn range(_: &()) -> String {
        "absolute paths".to_owned()
    }

    fn spelling(_: &()) -> &'static str {
        "separated by `:`, or empty for none"
    }

    fn parse(text: &str, limits: &()) -> Result<Self, Fault> {
        if text.is_empty() {
            return Ok(Self::new());
        }
        let paths: Self = text.split(':').map(str::to_owned).collect();
        paths.check(limits)?;
        Ok(paths)
    }

    fn check(&self, _: &()) -> Result<(), Fault> {
        if self.iter().any(String::is_empty) {
            Err("has an empty entry")
        } else if self.iter().any(|p| p.contains(':')) {
            Err("has a path with `:` in it")
        } else if self.iter().all(|p| p.starts_with('/')) {
            Ok(())
        } else {
            Err("has a path that does not begin with `/`")
        }
    }

    fn show(&self, _: &()) -> String {
        self.join(":")
    }
}

/// A type whose values are words of a fixed list.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value with its word, in the order in which they are listed.
    const ALL: &'static [(Self, &'static str)];
}

impl<T: Choice> Setting for T {
    type Limits = ();

    fn kind(_: &()) -> &'static str {
        "choice"
    }

    fn range(_: &()) -> String {
        Self::ALL.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
    }

    fn parse(text: &str, _: &()) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, word)| word.eq_ignore_ascii_case(text));
        found.map(|(value, _)| *value).ok_or("is none of the choices")
    }

    fn check(&self, _: &()) -> Result<(), Fault> {
        Ok(())
    }

    fn show(&self, _: &()) -> String {
        Self::ALL.iter().find(|(value, _)| value == self).map_or("", |(_, word)| *word).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANY_COUNT: Number = count(0, u64::MAX, "things");
    const ANY_SIZE: Number = bytes(0, u64::MAX);
    const ANY_SPAN: Span = span(Duration::ZERO, Duration::MAX);

    #[test]
    fn counts_are_plain_digits() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("42", Ok(42)),
            ("007", Ok(7)),
            ("18446744073709551615", Ok(usize::MAX)),
            ("18446744073709551616", Err(OUT_OF_RANGE)),
            ("", Err("is not a whole number")),
            ("+1", Err("is not a whole number")),
            ("-1", Err("is not a whole number")),
            (" 1", Err("is not a whole number")),
            ("1.5", Err("is not a whole number")),
            ("1k", Err("is not a whole number")),
            ("0x10", Err("is not a whole number")),
            ("١", Err("is not a whole number")),
        ] {
            assert_eq!(usize::parse(text, &ANY_COUNT), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_suffixes() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("1000", Ok(1000)),
            ("1000B", Ok(1000)),
            ("1k", Ok(1000)),
            ("1kB", Ok(1000)),
            ("1Ki", Ok(1024)),
            ("1KiB", Ok(1024)),
            ("8Mi", Ok(8 << 20)),
            ("3M", Ok(3_000_000)),
            ("1Gi", Ok(1 << 30)),
            ("2T", Ok(2_000_000_000_000)),
            ("16777216Ti", Err(OUT_OF_RANGE)),
            ("99999999999999999999", Err(OUT_OF_RANGE)),
            ("", Err("is not a size")),
            ("Ki", Err("is not a size")),
            ("1K", Err("is not a size")),
            ("1ki", Err("is not a size")),
            ("1 Ki", Err("is not a size")),
            ("1.5Gi", Err("is not a size")),
            ("1BB", Err("is not a size")),
            ("-1", Err("is not a size")),
        ] {
            assert_eq!(usize::parse(text, &ANY_SIZE), expected, "{text:?}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = count(2, 4, "things");
        let allowed: Vec<_> = (0..7).filter(|n: &usize| n.check(&limits).is_ok()).collect();
        assert_eq!(allowed, [2, 3, 4]);
        assert_eq!(usize::parse("5", &limits), Err(OUT_OF_RANGE));
        let limits = span(Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(Duration::parse("2s", &limits), Ok(Duration::from_secs(2)));
        assert_eq!(Duration::parse("2001ms", &limits), Err(OUT_OF_RANGE));
    }

    #[test]
    fn durations_need_their_unit() {
        for (text, expected) in [
            ("500ms", Ok(Duration::from_millis(500))),
            ("10s", Ok(Duration::from_secs(10))),
            ("2m", Ok(Duration::from_secs(120))),
            ("1h", Ok(Duration::from_secs(3600))),
            ("0s", Ok(Duration::ZERO)),
            ("7us", Ok(Duration::from_micros(7))),
            ("10", Err("has no unit")),
            ("0", Err("has no unit")),
            ("", Err("is not a duration")),
            ("s", Err("is not a duration")),
            ("1S", Err("is not a duration")),
            ("1d", Err("is not a duration")),
            ("1m30s", Err("is not a duration")),
            ("-1s", Err("is not a duration")),
            ("99999999999h", Err(OUT_OF_RANGE)),
        ] {
            assert_eq!(Duration::parse(text, &ANY_SPAN), expected, "{text:?}");
        }
    }

    #[test]
    fn booleans_are_eight_words() {
        for text in ["1", "true", "yes", "on", "ON", "True"] {
            assert_eq!(bool::parse(text, &()), Ok(true), "{text:?}");
        }
        for text in ["0", "false", "no", "off", "OFF", "False"] {
            assert_eq!(bool::parse(text, &()), Ok(false), "{text:?}");
        }
        for text in ["", "2", "y", "t", "enabled", " true"] {
            assert_eq!(bool::parse(text, &()), Err("is not a boolean"), "{text:?}");
        }
    }

    #[test]
    fn paths_are_absolute_and_separated_by_colons() {
        let paths = |list: &[&str]| Ok(list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
        for (text, expected) in [
            ("", paths(&[])),
            ("/srv", paths(&["/srv"])),
            ("/srv:/opt/*/keys", paths(&["/srv", "/opt/*/keys"])),
            ("/srv:", Err("has an empty entry")),
            (":", Err("has an empty entry")),
            ("/srv::/opt", Err("has an empty entry")),
            ("srv", Err("has a path that does not begin with `/`")),
            ("/srv:~/x", Err("has a path that does not begin with `/`")),
        ] {
            assert_eq!(Vec::<String>::parse(text, &()), expected, "{text:?}");
        }
        assert_eq!(vec!["/a:b".to_owned()].check(&()), Err("has a path with `:` in it"));
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_back(n: usize, ns: u64) {
            prop_assert_eq!(usize::parse(&n.show(&ANY_COUNT), &ANY_COUNT), Ok(n));
            prop_assert_eq!(usize::parse(&n.show(&ANY_SIZE), &ANY_SIZE), Ok(n));
            let d = Duration::from_nanos(ns);
            prop_assert_eq!(Duration::parse(&d.show(&ANY_SPAN), &ANY_SPAN), Ok(d));
        }

        #[test]
        fn sizes_in_whole_units_are_shown_in_them(n in 1u64..1023, unit in 0usize..4) {
            let (suffix, size) = SIZES[unit];
            prop_assert_eq!(show_bytes(n * size), format!("{n}{suffix}"));
        }

        #[test]
        fn no_text_makes_parsing_panic(text: String) {
            let _ = usize::parse(&text, &ANY_COUNT);
            let _ = usize::parse(&text, &ANY_SIZE);
            let _ = Duration::parse(&text, &ANY_SPAN);
            let _ = bool::parse(&text, &());
            let _ = Vec::<String>::parse(&text, &());
        }
    }
}
