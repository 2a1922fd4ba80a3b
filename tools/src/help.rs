//! What every help page ends with.

use crate::exit::Exit;

/// The end of a help page: what is printed, examples, exit codes.
pub(crate) fn teach(prints: &str, examples: &[(&str, &str)], codes: &[(Exit, &str)]) -> String {
    let examples: String = examples.iter().map(|(line, what)| format!("\n  {line}\n      {what}")).collect();
    let codes: String = codes.iter().map(|(exit, what)| format!("\n  {}  {what}", *exit as u8)).collect();
    format!("Prints: {prints}\n\nExamples:{examples}\n\nExit codes:{codes}")
}
