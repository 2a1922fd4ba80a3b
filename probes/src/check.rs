//! One line of what a host can do: what was looked for, whether it is there, and what to do if it is not.
//!
//! Not here: how checks are shown.

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name of the requirement.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether live profiling cannot work without it.
    pub required: bool,
    /// What was found on this host.
    pub detail: String,
    /// What to do about it; empty if it is well.
    pub remedy: String,
}

impl Check {
    /// What was `found`, or what is wrong; the remedy only if something is.
    pub(crate) fn new(
        name: impl Into<String>,
        required: bool,
        found: Result<String, String>,
        remedy: impl Into<String>,
    ) -> Self {
        let ok = found.is_ok();
        let detail = found.unwrap_or_else(|e| e);
        Self { name: name.into(), ok, required, detail, remedy: if ok { String::new() } else { remedy.into() } }
    }
}
