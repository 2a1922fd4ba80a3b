//! Warnings of which there may be many: the first few are told one by one, and at the end how many more there were.
//!
//! Whoever makes containers by the thousand would fill the log otherwise. Not here: what is warned of.

/// How many are told one by one.
const TOLD: u64 = 10;

/// Counts the warnings of one kind.
#[derive(Debug, Default)]
pub(super) struct Few(u64);

impl Few {
    /// One more. Whether it is to be told.
    pub(super) fn tell(&mut self) -> bool {
        self.0 += 1;
        self.0 <= TOLD
    }

    /// How many were not told, once.
    pub(super) fn untold(&mut self) -> Option<u64> {
        std::mem::take(&mut self.0).checked_sub(TOLD).filter(|n| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_are_told_and_the_rest_counted_once() {
        let mut few = Few::default();
        assert_eq!((0..25).filter(|_| few.tell()).count(), 10);
        assert_eq!((few.untold(), few.untold()), (Some(15), None));
        (0..10).for_each(|_| assert!(few.tell()));
        assert_eq!(few.untold(), None);
    }
}
