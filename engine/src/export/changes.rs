//! Differences between profiles for people.
//!
//! Not here: finding them (`profile::diff`).

use std::io::{self, Write};

use super::style::{Palette, paint};
use crate::profile::{Difference, Lineage, Side};
use crate::text::Visible;

/// How many processes of a lineage are named: the outermost and the innermost of a longer one.
const LINEAGE_MAX: usize = 8;

/// Writes one line for each difference under the lineage that it belongs to: `-` what only the first has, `+` what
/// only the second has, `~` what both have in different ways.
///
/// # Errors
/// Those of `out`.
pub fn changes(differences: &[Difference], palette: &Palette, out: &mut impl Write) -> io::Result<()> {
    let mut above: Option<&Lineage> = None;
    for difference in differences {
        if above != Some(&difference.lineage) {
            above = Some(&difference.lineage);
            let lineage = spelled(&difference.lineage);
            if !lineage.is_empty() {
                writeln!(out, "{}", paint(palette.heading, Visible(&lineage)))?;
            }
        }
        let indent = if difference.lineage.is_empty() { "" } else { "  " };
        let (sign, style) = match difference.side {
            Side::OnlyA => ('-', palette.removed),
            Side::OnlyB => ('+', palette.added),
            Side::Changed => ('~', palette.changed),
        };
        let subject = Visible(&difference.subject);
        let line = format!("{sign} {:<10} {subject}", difference.kind);
        let detail = match difference.detail.as_str() {
            "" => String::new(),
            detail => format!("  {}", paint(palette.label, Visible(detail))),
        };
        writeln!(out, "{indent}{}{detail}", paint(style, line))?;
    }
    Ok(())
}

fn spelled(lineage: &Lineage) -> String {
    let names = lineage.names();
    let Some(left_out) = names.len().checked_sub(LINEAGE_MAX).filter(|n| *n > 0) else { return names.join(" > ") };
    let (outer, rest) = names.split_at(LINEAGE_MAX / 2);
    let inner = rest.get(left_out..).unwrap_or_default();
    format!("{} > … {left_out} more … > {}", outer.join(" > "), inner.join(" > "))
}
