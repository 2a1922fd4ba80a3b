//! Drift: what a container does that the profile of its image does not have.
//!
//! A [`Checker`] follows one container's processes by the very rules that learning uses, but its programs are those
//! of the profile; nothing is learned. Each distinct behaviour is one [`Finding`], counted.
//!
//! Here is what a finding says. Following and comparing is for `checker`, programs that no profile has are for
//! `programs`, and what can be found for `what`.

mod checker;
mod programs;
#[cfg(test)]
mod tests;
mod what;

pub use checker::Checker;

use super::Lineage;
use crate::tree::{Flags, Tree};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// The profiles to compare with, by image.
pub type Baselines = HashMap<String, Arc<Tree>>;

/// A behaviour that the profile does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When it was first done: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Container id.
    pub container: String,
    /// Image name.
    pub image: String,
    /// Image tag.
    pub tag: String,
    /// `exec`, `uid`, `interpreter`, `open`, `connect`, `bind`, `dns`, `syscall` or `capability`.
    pub kind: &'static str,
    /// Why it is reported.
    pub reason: Reason,
    /// The first process that did it.
    pub pid: u32,
    /// The programs that led there, the one that did it last. For an exec: those above the new program.
    pub lineage: Lineage,
    /// Path, name, `address:port`, or the name of the system call or capability.
    pub subject: String,
    /// Of an open: `r`, `w` or `rw`. Of a connect or bind: the transport. Of a DNS question: its type.
    #[serde(flatten)]
    pub detail: Detail,
    /// How often.
    pub count: u64,
}

/// What a finding says beside its subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Detail {
    /// How a file was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<&'static str>,
    /// Transport of a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<&'static str>,
    /// Type of a DNS question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qtype: Option<String>,
    /// The name that a multi-call binary was called by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv0: Option<String>,
    /// The arguments, where they are identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
}

/// Why a behaviour is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A known process did a new thing.
    NewBehaviour,
    /// The process is of a lineage that is not known.
    NewProcess,
    /// A program without a file was run.
    FilelessExec,
    /// A program was run that was written after the image was built.
    UpperLayerExec,
}

impl Finding {
    /// By time; what happened at one time by container, kind, subject and the rest. Equal are only findings that are the
    /// same in everything.
    pub fn cmp_order(&self, other: &Self) -> Ordering {
        fn key(f: &Finding) -> impl Ord + '_ {
            let what = (f.ts, &f.container, f.kind, &f.subject, &f.detail, &f.lineage, f.reason);
            (what, &f.image, &f.tag, f.pid, f.count)
        }
        key(self).cmp(&key(other))
    }

    /// Whether it tells that a program was run.
    pub(crate) fn is_exec(&self) -> bool {
        self.kind == "exec"
    }

    /// Bytes of memory it takes, about, and no more if it shares its lineage with others.
    pub(crate) fn bytes(&self) -> usize {
        let detail = self.detail.argv.iter().flatten().chain(&self.detail.argv0).chain(&self.detail.qtype);
        let texts = [&self.container, &self.image, &self.tag, &self.subject];
        let texts = texts.into_iter().chain(detail).map(String::as_str).chain(self.lineage.from_within());
        size_of::<Self>() + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

/// As profiles write how a file was opened.
pub fn access_name(access: Flags) -> &'static str {
    match (access.has(Flags::READ), access.has(Flags::WRITE)) {
        (true, true) => "rw",
        (false, true) => "w",
        _ => "r",
    }
}
