//! Pure functions from profiles to other forms: for people and for other tools.
//!
//! Every function here writes text that traced processes chose so that it cannot act on what it is written into.
//! Nothing here reads files, environment or clocks.

mod changes;
mod dot;
mod json;
mod style;
mod tree;

pub use changes::changes;
pub use dot::dot;
pub use json::json_line;
pub use style::Palette;
pub use tree::tree;
