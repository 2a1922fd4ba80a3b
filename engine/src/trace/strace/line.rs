//! One line of an strace log, taken apart: whose it is, when it was written, and what it tells.
//!
//! Linear in the line's length. Not here: what the arguments mean (`value`), or which process a line belongs to
//! (`state`).

use super::scan;

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The pid column: a thread id. Absent while strace follows one thread only.
    pub(super) tid: Option<u32>,
    pub(super) time: Option<Time>,
    pub(super) body: Body<'a>,
}

/// A time stamp as written, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// `-ttt`: since the Unix epoch.
    Epoch(u64),
    /// `-t`, `-tt`: since midnight.
    OfDay(u64),
    /// `-r`: since the line before.
    Since(u64),
}

/// The content of a line: a call, a signal, an exit, or nothing to learn from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A call that returned.
    Call(Call<'a>),
    /// A call up to `<unfinished ...>`.
    Unfinished(&'a [u8]),
    /// The remainder of a call, after `resumed>`.
    Resumed { name: &'a [u8], rest: &'a [u8] },
    /// A call that a message of strace's own cut in two; the next line goes on with it.
    Cut(&'a [u8]),
    /// The thread is no more.
    Gone,
    /// The thread that leads the process was replaced by this one of its threads, which called execve.
    Superseded(u32),
    /// A signal, a message of strace's own, a frame of a stack, a call that strace did not wait for.
    Note,
    /// A line of the table that `-c` and `-C` write.
    Summary,
}

/// A system call and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub(super) name: &'a [u8],
    /// What stands between the parentheses.
    pub(super) args: &'a [u8],
    pub(super) outcome: Outcome<'a>,
}

/// What stands after the equals sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome<'a> {
    /// The result; `None` for `?`.
    pub(super) value: Option<i64>,
    /// What follows it: an error's name, or what `-y` says of a descriptor.
    pub(super) rest: &'a [u8],
}

const UNFINISHED: &[u8] = b"<unfinished ...>";
/// The end of a call that was under way when strace let go of the thread.
const DETACHED: &[u8] = b"<detached ...>";

/// Takes a line apart; `None` if it is no line of strace's.
pub(super) fn parse(text: &[u8]) -> Option<Line<'_>> {
    let text = text.trim_ascii_end();
    if text.starts_with(b" > ") {
        return Some(Line { tid: None, time: None, body: Body::Note });
    }
    if is_summary(text) {
        return Some(Line { tid: None, time: None, body: Body::Summary });
    }
    let (tid, time, text) = columns(text);
    Some(Line { tid, time, body: body(text)? })
}

/// The columns before the call, and what follows them.
fn columns(text: &[u8]) -> (Option<u32>, Option<Time>, &[u8]) {
    let (tid, text) = tid(text.trim_ascii_start());
    let (time, text) = time(text.trim_ascii_start());
    // -n and -i together, in this order; or the context of --secontext.
    (tid, time, skip_bracket(skip_bracket(skip_delta(text.trim_ascii_start()))))
}

/// Whether a line, or the beginning of one, looks like strace's: there is a column of strace's and a signal, an exit or
/// the rest of a call; or a call.
pub(super) fn is_likely(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let (tid, time, rest) = columns(text);
    let is_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b' ' | b'?');
    let bracket = text.strip_prefix(b"[").and_then(|inner| inner.get(..memchr::memchr(b']', inner)?));
    let marked = tid.is_some() || time.is_some();
    if !marked && bracket.is_some_and(|inner| !inner.iter().all(is_address)) {
        return false;
    }
    if marked && [b"+++ ".as_slice(), b"--- SIG", b"<... "].iter().any(|start| rest.starts_with(start)) {
        return true;
    }
    let len = name_len(rest).unwrap_or(0);
    let is_call = |name: &[u8]| name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
    (1..=40).contains(&len) && rest.get(..len).is_some_and(is_call)
}

/// Whether a line is of the table of calls and times that `-c` and `-C` write.
fn is_summary(text: &[u8]) -> bool {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let has_decimals = |word: &[u8], decimals: usize| {
        memchr::memchr(b'.', word).is_some_and(|at| word.len() == at + 1 + decimals)
            && word.iter().all(|b| b.is_ascii_digit() || *b == b'.')
    };
    match words.next() {
        Some(b"%") => words.next() == Some(b"time"),
        Some(word) if word.iter().all(|b| *b == b'-') => word.len() > 3 && words.all(|w| w.iter().all(|b| *b == b'-')),
        Some(word) => has_decimals(word, 2) && words.next().is_some_and(|seconds| has_decimals(seconds, 6)),
        None => false,
    }
}

/// Whether a line goes on with a call that was [cut](Body::Cut).
pub(super) fn continues(text: &[u8]) -> bool {
    [b" <unfinished".as_slice(), b" => ", b", ", b")"].iter().any(|start| text.starts_with(start))
}

/// What the line tells, given what follows its time stamp.
pub(super) fn body(text: &[u8]) -> Option<Body<'_>> {
    if text.starts_with(b"--- ") || text.starts_with(b"strace: ") || is_message(text) || text.ends_with(DETACHED) {
        return Some(Body::Note);
    }
    if let Some(end) = text.strip_prefix(b"+++ ") {
        return Some(match end.strip_prefix(b"superseded by execve in pid ") {
            Some(tid) => Body::Superseded(scan::leading_number(tid)?.0.try_into().ok()?),
            None if end.starts_with(b"exited") || end.starts_with(b"killed") => Body::Gone,
            None => Body::Note,
        });
    }
    if let Some(resumed) = text.strip_prefix(b"<... ") {
        let end = memchr::memmem::find(resumed, b" resumed>")?;
        let (name, rest) = resumed.split_at_checked(end)?;
        return Some(Body::Resumed { name, rest: rest.strip_prefix(b" resumed>")? });
    }
    let open = name_len(text)?;
    if let Some(head) = text.strip_suffix(UNFINISHED) {
        return Some(Body::Unfinished(head.trim_ascii_end()));
    }
    match call(text) {
        Some(call) => Some(Body::Call(call)),
        None => cut(text).filter(|head| head.len() > open).map(Body::Cut),
    }
}

/// What a message of strace's own cut off, if one ends the line: `strace: Process 7 attached`, or without the program's
/// name before strace 4.11.
fn cut(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_suffix(b" (waiting for parent)").unwrap_or(text).strip_suffix(b" attached")?;
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let head = text.get(..text.len() - digits)?.strip_suffix(b"Process ").filter(|_| digits > 0)?;
    Some(head.strip_suffix(b"strace: ").unwrap_or(head))
}

/// Whether it is a message such as `Process 7 attached`, as strace before 4.11 wrote them.
fn is_message(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"Process ").and_then(scan::leading_number).map(|(_, rest)| rest);
    let verbs = [b" attached".as_slice(), b" detached", b" suspended", b" resumed", b" created"];
    rest.is_some_and(|rest| verbs.iter().any(|verb| rest.starts_with(verb)))
}

/// A whole call: name, arguments, result.
pub(super) fn call(text: &[u8]) -> Option<Call<'_>> {
    let (name, text) = text.split_at_checked(name_len(text)?)?;
    let text = text.strip_prefix(b"(")?;
    let (args, text) = text.split_at_checked(scan::closing(text)?)?;
    let outcome = text.strip_prefix(b")")?.trim_ascii_start().strip_prefix(b"=")?;
    Some(Call { name, args, outcome: self::outcome(outcome.trim_ascii_start())? })
}

fn outcome(text: &[u8]) -> Option<Outcome<'_>> {
    if let Some(rest) = text.strip_prefix(b"?") {
        return Some(Outcome { value: None, rest: rest.trim_ascii_start() });
    }
    if let Some(hex) = text.strip_prefix(b"0x") {
        let digits = hex.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (hex, rest) = hex.split_at_checked(digits)?;
        let value = u64::from_str_radix(str::from_utf8(hex).ok()?, 16).ok()?;
        return Some(Outcome { value: Some(value.cast_signed()), rest: rest.trim_ascii_start() });
    }
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (value, rest) = scan::leading_number(digits)?;
    let value = i64::try_from(value).ok()?;
    Some(Outcome { value: Some(if negative { -value } else { value }), rest: rest.trim_ascii_start() })
}

/// The length of the call's name, if `text` begins with one and a parenthesis.
fn name_len(text: &[u8]) -> Option<usize> {
    let len = text.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'?')).count();
    (len > 0 && text.get(len) == Some(&b'(')).then_some(len)
}

/// The pid column, in either of its forms: `1234 ` in a file, `[pid  1234] ` on a terminal.
fn tid(text: &[u8]) -> (Option<u32>, &[u8]) {
    let none = (None, text);
    let (number, end) = match text.strip_prefix(b"[pid ") {
        Some(number) => (number.trim_ascii_start(), b']'),
        None => (text, b' '),
    };
    let Some((tid, rest)) = scan::leading_number(number) else { return none };
    // With --decode-pids=comm the program's name follows in angle brackets.
    let rest = match rest.strip_prefix(b"<") {
        Some(comm) => match memchr::memchr(b'>', comm) {
            Some(at) => comm.get(at + 1..).unwrap_or_default(),
            None => return none,
        },
        None => rest,
    };
    match (u32::try_from(tid), rest.split_first()) {
        // A greater number is a time: -ttt without a fraction.
        (Ok(tid), Some((first, rest))) if *first == end && (1..=PID_MAX).contains(&tid) => (Some(tid), rest),
        _ => none,
    }
}

/// The kernel's PID_MAX_LIMIT on 64-bit machines.
const PID_MAX: u32 = 1 << 22;

/// The time column.
fn time(text: &[u8]) -> (Option<Time>, &[u8]) {
    parse_time(text).map_or((None, text), |(time, rest)| (Some(time), rest))
}

fn parse_time(text: &[u8]) -> Option<(Time, &[u8])> {
    let (first, rest) = scan::leading_number(text)?;
    if let Some(rest) = rest.strip_prefix(b":") {
        let (minutes, rest) = scan::leading_number(rest)?;
        let (seconds, rest) = scan::leading_number(rest.strip_prefix(b":")?)?;
        let (fraction, rest) = fraction(rest)?;
        if first > 24 || minutes > 60 || seconds > 60 {
            return None;
        }
        return Some((Time::OfDay((first * 3600 + minutes * 60 + seconds) * NANOS + fraction), rest));
    }
    let (fraction, rest) = fraction(rest)?;
    let nanos = first.checked_mul(NANOS)?.checked_add(fraction)?;
    // No log was written in the first months of 1970: so small a number is a difference.
    Some((if first < 10_000_000 { Time::Since(nanos) } else { Time::Epoch(nanos) }, rest))
}

const NANOS: u64 = 1_000_000_000;

/// An optional `.123456` in nanoseconds, and the space that has to follow.
fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text.strip_prefix(b" ")?)) };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(len)?;
    let nanos = digits.iter().chain(std::iter::repeat(&b'0')).take(9).fold(0, |n, b| n * 10 + u64::from(b - b'0'));
    Some((nanos, rest.strip_prefix(b" ")?))
}

/// Skips what `-r` adds to an absolute time: `(+     0.000052) `.
fn skip_delta(text: &[u8]) -> &[u8] {
    let end = text.strip_prefix(b"(+").and_then(|delta| Some((delta, memchr::memchr(b')', delta)?)));
    end.and_then(|(delta, at)| delta.get(at + 1..)).map_or(text, <[u8]>::trim_ascii_start)
}

/// Skips what `-n` and `-i` put before the call: `[ 257] `, `[00007f05e57fd2f0] `.
fn skip_bracket(text: &[u8]) -> &[u8] {
    let end = text.strip_prefix(b"[").and_then(|inner| Some((inner, memchr::memchr(b']', inner)?)));
    end.and_then(|(inner, at)| inner.get(at + 1..)).map_or(text, <[u8]>::trim_ascii_start)
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
