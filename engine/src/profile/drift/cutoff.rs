//! From which round on no finding will be told: what certainly is not told need not be noted.
//!
//! Of all containers together as many rounds of findings are kept as fit (`shard/kept`): the first of each sort of each
//! container, then the second of each, and so on. So once what was noted up to a round takes all the room there is, later
//! rounds are out, whatever comes. To leave them out at once gives back memory and changes nothing of what is told: it
//! does not matter who looks at this when.
//!
//! A place for each round, or for some neighbours of the later ones, has the bytes noted of it in all workers. They only
//! grow. O(1) for a finding that is noted; to move the end is O(places), and it moves at most once a place.

use super::rooms::Sort;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Rounds that have a place each; of later ones the 32nd part of a doubling shares one.
const SINGLE: u32 = 64;
const STEPS: u32 = 32;

/// Enough for as many rounds as a container has findings of one sort.
const PLACES: usize = (SINGLE + 11 * STEPS) as usize;

/// The place of a round.
fn place(round: u32) -> usize {
    let place = if round < SINGLE {
        round
    } else {
        let doubling = round.ilog2();
        SINGLE + (doubling - SINGLE.ilog2()) * STEPS + ((round >> (doubling - STEPS.ilog2())) & (STEPS - 1))
    };
    (place as usize).min(PLACES - 1)
}

/// The first round behind those of a place.
fn behind(place: usize) -> u32 {
    let place = place as u32;
    match place.checked_sub(SINGLE) {
        None => place + 1,
        Some(_) if place as usize == PLACES - 1 => u32::MAX,
        Some(later) => (STEPS + later % STEPS + 1) << (later / STEPS + SINGLE.ilog2() - STEPS.ilog2()),
    }
}

/// Rounds of those findings that share their room.
#[derive(Debug)]
struct Rounds {
    /// Bytes that there is room for.
    room: usize,
    noted: Box<[AtomicUsize]>,
    /// Bytes noted before the last place that is not out, about: a reason to look.
    inner: AtomicUsize,
    /// The first round that is out.
    end: AtomicU32,
}

impl Rounds {
    fn new(room: usize) -> Self {
        let noted = (0..PLACES).map(|_| AtomicUsize::new(0)).collect();
        Self { room, noted, inner: AtomicUsize::new(0), end: AtomicU32::new(u32::MAX) }
    }

    fn end(&self) -> u32 {
        self.end.load(Ordering::Relaxed)
    }

    fn note(&self, round: u32, bytes: usize) {
        let place = place(round);
        if let Some(noted) = self.noted.get(place) {
            noted.fetch_add(bytes, Ordering::Relaxed);
        }
        let is_inner = behind(place) < self.end();
        if is_inner && self.inner.fetch_add(bytes, Ordering::Relaxed) + bytes > self.room {
            self.look();
        }
    }

    /// Moves the end to where it is by now.
    fn look(&self) {
        let mut sum = 0;
        for (place, noted) in self.noted.iter().enumerate() {
            let before = sum;
            sum += noted.load(Ordering::Relaxed);
            if sum > self.room {
                self.inner.store(before, Ordering::Relaxed);
                self.end.fetch_min(behind(place), Ordering::Relaxed);
                return;
            }
        }
    }
}

/// From which round on findings are not told, of programs that were run and of all else.
#[derive(Debug)]
pub(crate) struct Cutoff {
    programs: Rounds,
    others: Rounds,
    /// What each takes where it is kept, beside itself.
    entry_bytes: usize,
}

impl Cutoff {
    /// With room for so many bytes of either, where each takes so much beside itself.
    pub fn new(programs: usize, others: usize, entry_bytes: usize) -> Self {
        Self { programs: Rounds::new(programs), others: Rounds::new(others), entry_bytes }
    }

    fn of(&self, sort: Sort) -> &Rounds {
        if sort.is_of_programs() { &self.programs } else { &self.others }
    }

    /// Whether the finding of this round of a container's findings of one sort may be told, as far as is known.
    pub(super) fn may_be_told(&self, sort: Sort, round: u32) -> bool {
        round < self.of(sort).end()
    }

    /// One was noted that takes no less than this when it is kept.
    pub(super) fn note(&self, sort: Sort, round: u32, bytes: usize) {
        self.of(sort).note(round, self.entry_bytes + bytes);
    }

    /// The first rounds that are out: of programs, and of all else.
    pub fn ends(&self) -> [u32; 2] {
        [self.programs.end(), self.others.end()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_one_place_and_places_are_in_order() {
        let mut before = 0;
        for round in 0..1 << 18 {
            let at = place(round);
            assert!(at == before || at == before + 1, "{round}");
            assert!(round < behind(at) && (at == 0 || round >= behind(at - 1)), "{round} {at}");
            before = at;
        }
        assert_eq!((before, behind(before)), (PLACES - 1, u32::MAX));
        assert!(place(65_535) < PLACES - 1, "all that a container notes of a sort has a place of some neighbours");
    }

    #[test]
    fn a_round_is_out_once_those_before_it_take_all_the_room() {
        let cutoff = Cutoff::new(1000, 1000, 0);
        (0..1000).for_each(|round| cutoff.note(Sort::Did, round, 1));
        assert_eq!(cutoff.ends(), [u32::MAX; 2], "it is just enough");
        // Another container's.
        (0..30).for_each(|round| cutoff.note(Sort::DidBelow, round, 20));
        let [programs, others] = cutoff.ends();
        assert!((400..=416).contains(&others) && programs == u32::MAX, "{others}");
        assert!(cutoff.may_be_told(Sort::Did, others - 1) && !cutoff.may_be_told(Sort::Did, others));
        assert!(cutoff.may_be_told(Sort::Exec, others));
        // However much there is, the round that does not fit any more is in.
        (0..10).for_each(|_| cutoff.note(Sort::Did, 0, 2000));
        assert_eq!(cutoff.ends(), [u32::MAX, 1]);
    }

    #[test]
    fn where_the_end_is_does_not_depend_on_who_notes_when() {
        let ends = |threads: u32| {
            let cutoff = Cutoff::new(100_000, 100_000, 0);
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let cutoff = &cutoff;
                    scope.spawn(move || {
                        for container in (0..16).filter(|container| container % threads == thread) {
                            for round in (0..5000).take_while(|round| cutoff.may_be_told(Sort::Exec, *round)) {
                                cutoff.note(Sort::Exec, round, 10 + container as usize);
                            }
                        }
                    });
                }
            });
            cutoff.programs.look();
            cutoff.ends()
        };
        let first = ends(1);
        assert!((340..380).contains(&first[0]), "{first:?}");
        for threads in [2, 4, 8, 16] {
            assert_eq!(ends(threads), first, "{threads}");
        }
    }
}
