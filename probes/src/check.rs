//! One line of what a host can do: what was looked for, whether it is there, and what to do if it is not.
//!
//! Not here: how checks are shown.

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether live profiling cannot work without it.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty if it is well.
    pub remedy: String,
}
