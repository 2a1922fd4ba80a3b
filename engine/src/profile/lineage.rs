//! The programs that led to something, named: of thousands of findings or differences most have most of them in common.

use std::cmp::Ordering;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Names of processes from the outermost in. Lineages share what they have in common; written as an array.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Lineage(Option<Arc<Link>>);

#[derive(PartialEq, Eq)]
struct Link {
    name: String,
    above: Lineage,
}

impl Lineage {
    /// What a name takes beside its text.
    pub(crate) const LINK_BYTES: usize = size_of::<Link>() + 2 * size_of::<usize>();

    /// The names, outermost first.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.from_within().collect();
        names.reverse();
        names
    }

    /// The names, innermost first.
    #[doc(hidden)]
    pub fn from_within(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.0.as_deref(), |link| link.above.0.as_deref()).map(|link| link.name.as_str())
    }

    /// Whether there are no programs in it.
    #[doc(hidden)]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The lineage of what the last of these led to.
    pub(crate) fn with(&self, name: String) -> Self {
        Self(Some(Arc::new(Link { name, above: self.clone() })))
    }
}

impl PartialOrd for Lineage {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Lineage {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(&other.names())
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Serialize for Lineage {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.names())
    }
}
