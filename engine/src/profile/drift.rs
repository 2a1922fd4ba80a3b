//! Drift: what a container does that the profile of its image does not have.
//!
//! A [`Checker`] follows one container's processes by the very rules that learning uses, but its programs are those
//! of the profile; nothing is learned. Each distinct behaviour is one [`Finding`], counted.
//!
//! Here is what a finding says. Following and comparing is for `checker`, programs that no profile has are for
//! `programs`, and what can be found for `owned_behaviour`.

mod checker;
mod cutoff;
mod owned_behaviour;
mod programs;
mod quotas;
#[cfg(test)]
mod tests;

pub use checker::Checker;
pub(crate) use checker::Found;
pub(crate) use cutoff::Cutoff;
pub(crate) use quotas::{Counted, Sort};

use super::{Lineage, Profile};
use crate::behaviour::Value;
use crate::hash::{Map, Set};
use crate::tree::{Tree, TreeFull};
use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::sync::Arc;

/// The profiles to compare with, one an image.
///
/// ```
/// # use grove::{Config, Engine};
/// # use grove::profile::Baselines;
/// # let learned = Engine::start(&Config::default()).unwrap().shutdown();
/// let baselines = Baselines::of(learned.profiles.values())?;
/// let engine = Engine::builder().check(baselines).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Baselines(Map<String, Profile>);

impl Baselines {
    /// These profiles; those of one image are merged.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn of<P: AsRef<Profile>>(profiles: impl IntoIterator<Item = P>) -> Result<Self, TreeFull> {
        let mut all = Self::default();
        profiles.into_iter().try_for_each(|profile| all.add(profile.as_ref()))?;
        Ok(all)
    }

    /// Adds a profile; what is known of its image already stays known.
    ///
    /// # Errors
    /// More tags than one profile can bear; all is as it was.
    pub fn add(&mut self, profile: &Profile) -> Result<(), TreeFull> {
        match self.0.get_mut(profile.image()) {
            Some(known) => known.merge(profile),
            None => {
                self.0.insert(profile.image().to_owned(), profile.clone());
                Ok(())
            }
        }
    }

    /// The tree of an image, if there is a profile of it.
    pub(crate) fn tree(&self, image: &str) -> Option<&Arc<Tree>> {
        self.0.get(image).map(Profile::tree)
    }
}

/// A behaviour that the profile does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// When it was first done: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Container id.
    #[serde(serialize_with = "text")]
    pub container: Arc<str>,
    /// Image name.
    #[serde(serialize_with = "text")]
    pub image: Arc<str>,
    /// Image tag.
    #[serde(serialize_with = "text")]
    pub tag: Arc<str>,
    /// `exec`, `uid`, `interpreter`, or what the kind of behaviour calls it ([`Entry::CLASSES`](crate::behaviour::Entry::CLASSES)).
    pub kind: &'static str,
    /// The reason for the report.
    pub reason: Reason,
    /// The first process that did it.
    pub pid: u32,
    /// The programs that led there, the one that did it last. For an exec: those above the new program.
    pub lineage: Lineage,
    /// Path, name, `address:port`, or the name of the system call or capability.
    pub subject: String,
    /// What else is told, such as how a file was opened.
    #[serde(flatten)]
    pub details: Detail,
    /// How many events were of this finding.
    pub count: u64,
    /// The same for whatever tells of one behaviour of one container, however its count or details change meanwhile.
    /// Another process has other numbers.
    #[serde(skip)]
    pub id: u64,
}

fn text<S: Serializer>(text: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(text)
}

/// What a finding says beside its subject, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Detail(pub(crate) Vec<(&'static str, Value)>);

impl Detail {
    /// Names and values, in the order in which they are written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Why a behaviour is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// A known process did a new thing.
    NewBehaviour,
    /// The process is of a lineage that is not known.
    NewProcess,
    /// A program without a file was run.
    FilelessExec,
    /// A program was run that was written after the image was built.
    UpperLayerExec,
    /// A new thing was tried and refused.
    DeniedAttempt,
}

impl Finding {
    /// By time; what happened at one time by container, kind, subject and the rest. Equal are only findings that are the
    /// same in everything.
    #[doc(hidden)]
    pub fn cmp_order(&self, other: &Self) -> Ordering {
        fn key(f: &Finding) -> impl Ord + '_ {
            let what = (f.ts, &f.container, f.kind, &f.subject, &f.details, &f.lineage, f.reason);
            (what, &f.image, &f.tag, f.pid, f.count)
        }
        key(self).cmp(&key(other))
    }

    /// Bytes of memory it takes, about; of its lineage those names that it does not share with one that was asked
    /// before, which `named` remembers.
    pub(crate) fn bytes(&self, named: &mut Set<*const u8>) -> usize {
        let details: usize = self.details.0.iter().map(|(_, value)| value.bytes()).sum();
        let delta = self.lineage.from_within().take_while(|name| named.insert(name.as_ptr()));
        let lineage: usize = delta.map(|name| Lineage::LINK_BYTES + name.len()).sum();
        size_of::<Self>() + self.subject.len() + details + lineage
    }

    /// Bytes of text that it is about when it is written.
    pub(crate) fn text_bytes(&self) -> usize {
        let lineage: usize = self.lineage.from_within().map(|name| name.len() + 3).sum();
        256 + self.container.len() + self.image.len() + self.tag.len() + self.subject.len() + lineage
    }
}
