//! How much is noted of one container: each sort of finding has room of its own, so that none takes another's.
//!
//! What is noted depends on the container's own events and on nothing else, unless there is no memory any more
//! ([`Room`]).

use crate::tree::Room;

/// Findings by what they are worth when not all of them can be told: the first are worth most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// A program without a file, or written after the image was built, run by a program of the profile.
    GraveExec,
    /// Any other program that no profile has, run by one of the profile.
    Exec,
    /// As whom a program of the profile was run, or by which interpreter.
    Manner,
    /// As [`GraveExec`](Self::GraveExec), run by a program that is told already, or came from one.
    GraveBelow,
    /// As [`Exec`](Self::Exec), likewise.
    Below,
    /// What a program of the profile did.
    Did,
    /// What another one did that a program of the profile ran.
    DidTopmost,
    /// What one below such a one did.
    DidBelow,
}

impl Sort {
    /// Whether it tells that a program was run.
    pub fn is_of_programs(self) -> bool {
        self <= Self::Below
    }

    const fn room(self) -> usize {
        match self {
            Self::GraveExec => 0,
            Self::Exec => 1,
            Self::Manner => 2,
            Self::GraveBelow => 3,
            Self::Below => 4,
            Self::Did => 5,
            Self::DidTopmost => 6,
            Self::DidBelow => 7,
        }
    }
}

/// What a container may have noted of one sort.
struct Limit {
    findings: usize,
    /// Behaviours beside them that may turn out to be findings when the workload is told.
    candidates: usize,
    /// Bytes of text in both together.
    text_bytes: usize,
    /// So many findings are kept whatever else takes the memory there is.
    always: usize,
}

const LIMITS: [Limit; 8] = [
    Limit { findings: 65_536, candidates: 16_384, text_bytes: 32 << 20, always: 256 },
    Limit { findings: 65_536, candidates: 16_384, text_bytes: 32 << 20, always: 256 },
    Limit { findings: 16_384, candidates: 16_384, text_bytes: 8 << 20, always: 64 },
    Limit { findings: 16_384, candidates: 0, text_bytes: 16 << 20, always: 64 },
    Limit { findings: 16_384, candidates: 0, text_bytes: 16 << 20, always: 64 },
    Limit { findings: 65_536, candidates: 16_384, text_bytes: 32 << 20, always: 0 },
    Limit { findings: 16_384, candidates: 16_384, text_bytes: 16 << 20, always: 0 },
    Limit { findings: 16_384, candidates: 0, text_bytes: 16 << 20, always: 0 },
];

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    findings: usize,
    candidates: usize,
    text_bytes: usize,
}

/// How much is noted of each sort.
#[derive(Clone, Debug, Default)]
pub(super) struct Rooms([Taken; LIMITS.len()]);

impl Rooms {
    /// Takes in one more, if it fits.
    pub fn take(&mut self, sort: Sort, is_finding: bool, text_bytes: usize, memory: &Room) -> bool {
        let (Some(taken), Some(limit)) = (self.0.get_mut(sort.room()), LIMITS.get(sort.room())) else { return false };
        let (count, max) = match is_finding {
            true => (&mut taken.findings, limit.findings),
            false => (&mut taken.candidates, limit.candidates),
        };
        let in_memory = *count < limit.always.min(max)
            || if sort.is_of_programs() { memory.is_left_for_programs() } else { memory.is_left() };
        let fits = in_memory && *count < max && taken.text_bytes + text_bytes <= limit.text_bytes;
        if fits {
            *count += 1;
            taken.text_bytes += text_bytes;
        }
        fits
    }

    /// So many findings of a sort were taken in: which round it is for the next.
    pub fn round(&self, sort: Sort) -> u32 {
        self.0.get(sort.room()).map_or(0, |taken| taken.findings as u32)
    }

    /// Text of something that was taken in is gone; it is one that was all the same.
    pub fn give_back(&mut self, sort: Sort, text_bytes: usize) {
        if let Some(taken) = self.0.get_mut(sort.room()) {
            taken.text_bytes -= text_bytes;
        }
    }

    /// Bytes of text of all that was taken in.
    pub fn text_bytes(&self) -> usize {
        self.0.iter().map(|taken| taken.text_bytes).sum()
    }
}

/// Findings that were counted and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Those that tell that a program was run.
    pub programs: u64,
    /// All others.
    pub others: u64,
}

impl Counted {
    /// So many more of this sort.
    pub fn add(&mut self, sort: Sort, more: u64) {
        *if sort.is_of_programs() { &mut self.programs } else { &mut self.others } += more;
    }

    pub fn total(self) -> u64 {
        self.programs + self.others
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, more: Self) {
        self.programs += more.programs;
        self.others += more.others;
    }
}
