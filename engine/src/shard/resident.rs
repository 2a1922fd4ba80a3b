//! What the process takes of memory, looked up now and then, and what that leaves for what the engine counts.
//!
//! Whatever nobody counts is in it: tables of decoders, buffers, what an allocator keeps, copies that arrays make as they
//! grow. A look costs some ten microseconds, and between two looks what is counted says by how much things change.
//!
//! Not here: what is counted, and what is done about it (`memory`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many times it is asked before it is looked up again.
const EVERY: usize = 64;

/// A process's memory against a bound.
#[derive(Debug)]
pub(super) struct Resident {
    max: usize,
    source: Source,
    /// What was taken beside what was counted, when it was last looked up, and what was counted then.
    beside: AtomicUsize,
    counted: AtomicUsize,
    asked: AtomicUsize,
}

#[derive(Debug)]
enum Source {
    /// `/proc/self/status`.
    Process(File),
    #[cfg(test)]
    Test(std::sync::Arc<AtomicUsize>),
}

impl Resident {
    /// This process's memory against `max` bytes.
    ///
    /// # Errors
    /// It cannot be looked up.
    pub fn new(max: usize) -> io::Result<Self> {
        Ok(Self::of(Source::Process(File::open("/proc/self/status")?), max))
    }

    fn of(source: Source, max: usize) -> Self {
        let [beside, counted, asked] = [const { AtomicUsize::new(0) }; 3];
        Self { max, source, beside, counted, asked }
    }

    /// What is left of the bound for what is counted, of which there is so much now.
    pub fn left(&self, counted: usize) -> usize {
        let changed = counted.abs_diff(self.counted.load(Ordering::Relaxed)) > self.max / 64;
        if self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY) || changed {
            if let Some(taken) = self.source.look() {
                self.beside.store(taken.saturating_sub(counted), Ordering::Relaxed);
            }
            self.counted.store(counted, Ordering::Relaxed);
        }
        // At the end what is known is merged, which takes as much again for a moment.
        self.max.saturating_sub(self.beside.load(Ordering::Relaxed)) / 2
    }
}

impl Source {
    /// Bytes that are resident and of no file: those of files the kernel can take back.
    fn look(&self) -> Option<usize> {
        match self {
            Self::Process(file) => {
                let mut text = [0; 4096];
                let len = file.read_at(&mut text, 0).ok()?;
                let text = String::from_utf8_lossy(text.get(..len)?);
                let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
                let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
                kib.checked_mul(1024)
            }
            #[cfg(test)]
            Self::Test(taken) => Some(taken.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    impl Resident {
        /// As [`new`](Self::new), with another's word for what is taken.
        pub fn reported(taken: &Arc<AtomicUsize>, max: usize) -> Self {
            Self::of(Source::Test(taken.clone()), max)
        }
    }

    #[test]
    fn what_nobody_counts_is_taken_off() {
        let taken = Arc::new(AtomicUsize::new(30));
        let resident = Resident::reported(&taken, 6400);
        assert_eq!(resident.left(10), 3200 - 10);
        // A small change is not worth a look; after some time there is one all the same.
        taken.store(1030, Ordering::Relaxed);
        assert_eq!(resident.left(10), 3200 - 10);
        assert!((0..EVERY).any(|_| resident.left(10) == 3200 - 510));
        // A large one is.
        taken.store(3000, Ordering::Relaxed);
        assert_eq!(resident.left(1000), 3200 - 1000);
        // What is counted and not yet touched is not resident.
        assert_eq!(resident.left(5000), 3200);
        taken.store(9000, Ordering::Relaxed);
        assert_eq!(resident.left(1000), 0);
    }

    #[test]
    fn memory_of_this_process_is_seen() {
        // Whatever other tests of this process take or give back meanwhile.
        const BYTES: usize = 64 << 20;
        let resident = Resident::new(usize::MAX).unwrap();
        let memory = std::hint::black_box(vec![1_u8; BYTES]);
        let taken = resident.source.look().unwrap();
        drop(memory);
        assert!((BYTES..BYTES << 16).contains(&taken), "{taken}");
    }
}
