//! Why a container has no name: of one runtime that was asked, and of all of them together.

/// Why no runtime could say which image a container runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// Every runtime that could have made it answered that it has no such container.
    #[error("no container runtime knows it; it may have ended before it was asked for")]
    NotKnown,
    /// Its runtime knows it, and that it was made without an image.
    #[error("its runtime knows it, but not of an image: the bundle of a plain container names one in its annotations")]
    NoImage,
    /// A runtime could not be asked, or its answer not be used.
    #[error("its runtime could not be asked: {0}")]
    Unreachable(String),
    /// This host has no runtime that could be asked.
    #[error("no socket or storage of a container runtime was found for it")]
    NoRuntime,
}

/// Why one source of names had none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// This host does not have it.
    Absent,
    /// It does not know the container.
    NotKnown,
    /// It knows no image of the container.
    NoImage,
    /// What it told cannot be used, and it would tell the same again.
    Unusable(String),
    /// It could not be asked.
    Unreachable(String),
}

impl Miss {
    /// Of two, the one that leaves more hope.
    pub(super) fn or(self, other: Self) -> Self {
        let rank = |miss: &Self| match miss {
            Self::Absent => 0,
            Self::NotKnown => 1,
            Self::NoImage => 2,
            Self::Unusable(_) => 3,
            Self::Unreachable(_) => 4,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

impl From<Miss> for Unresolved {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Absent => Self::NoRuntime,
            Miss::NotKnown => Self::NotKnown,
            Miss::NoImage => Self::NoImage,
            Miss::Unusable(detail) | Miss::Unreachable(detail) => Self::Unreachable(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_goes_before_what_is_final() {
        let down = || Miss::Unreachable("gone".to_owned());
        for (a, b, told) in [
            (Miss::Absent, Miss::NotKnown, Miss::NotKnown),
            (Miss::NotKnown, down(), down()),
            (down(), Miss::NoImage, down()),
            (down(), Miss::Unusable("long".to_owned()), down()),
            (Miss::NoImage, Miss::Unusable("long".to_owned()), Miss::Unusable("long".to_owned())),
            (Miss::NotKnown, Miss::NoImage, Miss::NoImage),
            (Miss::Absent, Miss::Absent, Miss::Absent),
        ] {
            assert_eq!(a.clone().or(b.clone()), told);
            assert_eq!(b.or(a), told);
        }
    }
}
