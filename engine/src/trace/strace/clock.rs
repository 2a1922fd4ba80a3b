//! Nanoseconds since the Unix epoch from whatever time stamps a log has.

use super::line::Time;

/// What is remembered from line to line.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: u64,
    /// Days that ended since the log began, in nanoseconds; `-t` and `-tt` do not write the date.
    midnights: u64,
    last_of_day: u64,
}

const DAY: u64 = 86_400 * 1_000_000_000;

impl Clock {
    /// The time of the next line. Without a time stamp lines count up by one nanosecond.
    pub(super) fn stamp(&mut self, time: Option<Time>) -> u64 {
        self.last = match time {
            Some(Time::Epoch(ns)) => ns,
            Some(Time::OfDay(ns)) => {
                // Lines of different threads may be out of order by little; a jump back by hours is midnight.
                if ns + DAY / 2 < self.last_of_day {
                    self.midnights = self.midnights.saturating_add(DAY);
                }
                self.last_of_day = ns;
                self.midnights.saturating_add(ns)
            }
            Some(Time::Since(ns)) => self.last.saturating_add(ns),
            None => self.last.saturating_add(1),
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_time_stamp() {
        let hour = DAY / 24;
        for (times, stamps) in [
            (vec![Some(Time::Epoch(5)), Some(Time::Epoch(3))], vec![5, 3]),
            (vec![None, None, None], vec![1, 2, 3]),
            (vec![Some(Time::Since(0)), Some(Time::Since(7)), Some(Time::Since(3))], vec![0, 7, 10]),
            (vec![Some(Time::OfDay(23 * hour)), Some(Time::OfDay(hour)), Some(Time::OfDay(hour - 1))], {
                vec![23 * hour, DAY + hour, DAY + hour - 1]
            }),
        ] {
            let mut clock = Clock::default();
            let got: Vec<u64> = times.iter().map(|time| clock.stamp(*time)).collect();
            assert_eq!(got, stamps, "{times:?}");
        }
    }
}
