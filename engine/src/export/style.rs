//! What the forms for people share: colours, and short ways to write numbers, times and lists.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

use crate::behaviour::{Kind, Stats};
use crate::profile::{Seen, Time};
use crate::text::Visible;

/// Colours by meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    pub(super) heading: Style,
    pub(super) process: Style,
    pub(super) label: Style,
    pub(super) pattern: Style,
    pub(super) tag: Style,
    pub(super) warning: Style,
    pub(super) added: Style,
    pub(super) removed: Style,
    pub(super) changed: Style,
}

impl Palette {
    /// No colours.
    pub fn plain() -> Self {
        Self::default()
    }

    /// The terminal's own sixteen colours, so that they fit its theme.
    pub fn colours() -> Self {
        let colour = |colour: AnsiColor| colour.on_default();
        Self {
            heading: Style::new().bold(),
            process: colour(AnsiColor::Green).bold(),
            label: Style::new().dimmed(),
            pattern: colour(AnsiColor::Cyan),
            tag: colour(AnsiColor::Yellow),
            warning: colour(AnsiColor::Red).bold(),
            added: colour(AnsiColor::Green),
            removed: colour(AnsiColor::Red),
            changed: colour(AnsiColor::Yellow),
        }
    }
}

/// `text` in a style. The style is taken off again at its end.
pub(super) fn paint(style: Style, text: impl Display) -> impl Display {
    fmt::from_fn(move |f| write!(f, "{style}{text}{style:#}"))
}

/// A number with its thousands set apart.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`.
pub(super) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

impl Display for Stats {
    /// As in `2 processes, 1 file`: programs, and whatever kinds of behaviour there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.process_nodes, "process", "processes"))?;
        for kind in Kind::ALL.iter().filter(|kind| self.of(**kind) > 0) {
            let [one, many] = kind.counted();
            write!(f, ", {}", count(self.of(*kind), one, many))?;
        }
        Ok(())
    }
}

/// A time to the second.
pub(super) fn second(time: Time) -> String {
    let text = time.to_string();
    text.split_once('.').map_or(text.clone(), |(second, _)| format!("{second}Z"))
}

/// Which tags, when they are not those that are around: at most four by name.
pub(super) fn tag_mark(seen: &Seen, around: &[&str]) -> Option<String> {
    const SHOWN_MAX: usize = 4;
    if seen.tags().eq(around.iter().copied()) {
        return None;
    }
    let names: Vec<String> = seen.tags().take(SHOWN_MAX).map(|tag| Visible(tag).to_string()).collect();
    let more = match seen.tags().len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    Some(format!("[{}{more}]", names.join(", ")))
}
