//! `grove env`: every variable, and what it is set to.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use grove::config::table::{Origin, Row};

use crate::config::Config;
use crate::exit::{Error, Exit};
use crate::help::teach;
use crate::terminal;
use grove::text::escape;

/// The command line of `grove env`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "a row for each variable: its value, where the value is from (default, environment or flag), the default on this \
     host, the allowed values, and what it means. A variable that is unknown or has a bad value stops this command \
     like every other, and is named.",
    &[
        ("grove env", "what is in force here"),
        ("GROVE_WORKERS=2 grove env", "what would be, with a variable set"),
        ("grove env --format json | jq '.[] | select(.origin != \"default\")'", "what differs from the defaults"),
    ],
    &[(Exit::Done, "printed"), (Exit::BadInput, "a GROVE_* variable is unknown or has a bad value")],
))]
pub(crate) struct EnvArgs {
    /// The shape of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Columns, for people
    #[default]
    Table,
    /// An array of objects; values spelled as the variables take them
    Json,
    /// The reference table of the documentation: without what is particular to this host
    Markdown,
}

/// Prints the variables.
pub(crate) fn run(args: &EnvArgs, config: &Config) -> Result<Exit, Error> {
    let rows = config.describe();
    let text = match args.format {
        Format::Table => table(&rows),
        Format::Json => json(&rows)?,
        Format::Markdown => markdown(&rows),
    };
    terminal::print(&text)?;
    Ok(Exit::Done)
}

/// The allowed values with what they count.
fn allowed(row: &Row) -> String {
    if row.unit.is_empty() { row.range.clone() } else { format!("{} {}", row.range, row.unit) }
}

fn table(rows: &[Row]) -> String {
    let header = ["VARIABLE", "VALUE", "ORIGIN", "DEFAULT", "RANGE", "MEANING"].map(str::to_owned);
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { escape(text).into_owned() };
    let cells = rows.iter().map(|row| {
        let (value, default) = (or_dash(&row.value), or_dash(&row.default));
        [row.name.to_owned(), value, row.origin.name().to_owned(), default, allowed(row), row.meaning.to_owned()]
    });
    let styles = rows.iter().map(|row| match row.origin {
        Origin::Default => Style::new(),
        _ => AnsiColor::Green.on_default(),
    });
    let lines: Vec<_> = std::iter::once((Style::new().bold(), header)).chain(styles.zip(cells)).collect();
    let widths: [usize; 6] =
        std::array::from_fn(|i| lines.iter().map(|(_, cells)| cells[i].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for (style, cells) in &lines {
        let [columns @ .., last] = cells;
        let _ = write!(text, "{style}");
        for (cell, width) in columns.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{last}{style:#}");
    }
    text
}

fn json(rows: &[Row]) -> Result<String, Error> {
    let text = sonic_rs::to_string_pretty(rows)
        .map_err(|e| Error::failed(format_args!("cannot write JSON: {e}"), "please report this"))?;
    Ok(text + "\n")
}

fn markdown(rows: &[Row]) -> String {
    let mut text = "| Variable | Default | Allowed | Meaning |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let default = match (row.default_rule, row.default.as_str()) {
            ("", "") => "empty".to_owned(),
            ("", default) => format!("`{default}`"),
            (rule, _) => rule.to_owned(),
        };
        let _ = writeln!(text, "| `{}` | {default} | {} | {} |", row.name, allowed(row), row.meaning);
    }
    text
}
