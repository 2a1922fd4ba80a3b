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
pub(super) enum LookupError {
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

impl LookupError {
    /// Of two, the one that leaves more hope.
    pub(super) fn or(self, other: Self) -> Self {
        let rank = |failure: &Self| match failure {
            Self::Absent => 0,
            Self::NotKnown => 1,
            Self::NoImage => 2,
            Self::Unusable(_) => 3,
            Self::Unreachable(_) => 4,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

impl From<LookupError> for Unresolved {
    fn from(failure: LookupError) -> Self {
        match failure {
            LookupError::Absent => Self::NoRuntime,
            LookupError::NotKnown => Self::NotKnown,
            LookupError::NoImage => Self::NoImage,
            LookupError::Unusable(detail) | LookupError::Unreachable(detail) => Self::Unreachable(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_goes_before_what_is_final() {
        let down = || LookupError::Unreachable("gone".to_owned());
        for (a, b, reported) in [
            (LookupError::Absent, LookupError::NotKnown, LookupError::NotKnown),
            (LookupError::NotKnown, down(), down()),
            (down(), LookupError::NoImage, down()),
            (down(), LookupError::Unusable("long".to_owned()), down()),
            (LookupError::NoImage, LookupError::Unusable("long".to_owned()), LookupError::Unusable("long".to_owned())),
            (LookupError::NotKnown, LookupError::NoImage, LookupError::NoImage),
            (LookupError::Absent, LookupError::Absent, LookupError::Absent),
        ] {
            assert_eq!(a.clone().or(b.clone()), reported);
            assert_eq!(b.or(a), reported);
        }
    }
}
