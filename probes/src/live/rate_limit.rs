//! Warnings of which there may be many: the first few are told one by one, then one each time their number has doubled,
//! and at the end how many were not told.
//!
//! Whoever makes containers by the thousand would fill the log otherwise. Not here: what is warned of.

/// How many are told one by one.
const FIRST: u64 = 10;

/// Counts the warnings of one kind.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    so_far: u64,
    allowed: u64,
}

impl RateLimit {
    /// One more. How many there were so far, if it is to be told.
    pub(super) fn allow(&mut self) -> Option<u64> {
        self.so_far += 1;
        let doubled = self.so_far.is_multiple_of(FIRST) && (self.so_far / FIRST).is_power_of_two();
        let allow = self.so_far <= FIRST || doubled;
        self.allowed += u64::from(allow);
        allow.then_some(self.so_far)
    }

    /// How many were not told, once.
    pub(super) fn suppressed(&mut self) -> Option<u64> {
        let Self { so_far, allowed } = std::mem::take(self);
        so_far.checked_sub(allowed).filter(|n| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_are_told_then_each_time_that_they_have_doubled_and_the_rest_is_counted_once() {
        let mut limit = RateLimit::default();
        let allowed: Vec<u64> = (0..100).filter_map(|_| limit.allow()).collect();
        assert_eq!(allowed, (1..=10).chain([20, 40, 80]).collect::<Vec<_>>());
        assert_eq!((limit.suppressed(), limit.suppressed()), (Some(87), None));
        assert!((0..10).all(|_| limit.allow().is_some()));
        assert_eq!(limit.suppressed(), None);
        assert!((0..8000).filter_map(|_| limit.allow()).count() < 25);
    }
}
