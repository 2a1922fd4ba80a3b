//! The name of a recording that does not name itself: a sum over its records that does not depend on their order.
//!
//! To hash a record so that nobody can aim takes a fourth of the work of reading and learning it. So a thread of its own
//! hashes what was read, a batch behind; what is small is hashed where it is.

use crate::hash::blake3_128;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread::JoinHandle;

/// Bytes of records that are hashed at a time. A larger record is hashed at once.
const BATCH_BYTES: usize = 256 << 10;

/// Batches on their way to the thread, beside the one that it hashes and the one that is filled.
const BATCHES: usize = 2;

/// The wrapping sum of the 128-bit hashes (the first half of BLAKE3, little-endian) of a recording's records, header
/// excluded. Written as 32 hexadecimal digits it names the recording; any order of the same records gives the same name.
///
/// A name is no proof of what a recording holds. To find one other record with the hash of a given one takes 2¹²⁸ tries;
/// but whoever writes thousands of the records can have their sum come to anything they want by generalised birthdays
/// (Wagner, 2002: 2ᵏ records in some 2^(k + 128/(k + 1)) tries, so 2²² for 1,024). Two recordings of one name count as
/// one: a profile that learned from both has all their behaviour, and in its ledger the larger of each counter.
#[derive(Debug, Default)]
pub struct LineHash {
    sum: u128,
    batch: Batch,
    helper: Option<Helper>,
}

/// Records, one behind the other.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// The thread that hashes.
#[derive(Debug)]
struct Helper {
    full: Sender<Batch>,
    empty: Receiver<Batch>,
    thread: JoinHandle<u128>,
}

impl LineHash {
    /// Adds one record.
    pub fn add(&mut self, record: &[u8]) {
        if record.len() >= BATCH_BYTES {
            self.sum = self.sum.wrapping_add(blake3_128(record));
            return;
        }
        self.batch.text.extend_from_slice(record);
        self.batch.ends.push(self.batch.text.len());
        if self.batch.text.len() + size_of_val(&*self.batch.ends) >= BATCH_BYTES {
            self.hand_over();
        }
    }

    /// The name of the recording so far, 32 hexadecimal digits. Waits until all is hashed.
    pub fn name(&mut self) -> String {
        self.sum = self.sum.wrapping_add(self.batch.take_sum());
        if let Some(Helper { full, thread, .. }) = self.helper.take() {
            drop(full);
            match thread.join() {
                Ok(sum) => self.sum = self.sum.wrapping_add(sum),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        format!("{:032x}", self.sum)
    }

    fn hand_over(&mut self) {
        if self.helper.is_none() {
            self.helper = Helper::start().ok();
        }
        if let Some(helper) = &self.helper {
            let empty = helper.empty.try_recv().unwrap_or_default();
            let full = std::mem::replace(&mut self.batch, empty);
            match helper.full.send(full) {
                Ok(()) => return,
                Err(unsent) => self.batch = unsent.into_inner(),
            }
        }
        // The system gave no thread.
        self.sum = self.sum.wrapping_add(self.batch.take_sum());
    }
}

impl Batch {
    /// The sum of its records' hashes; it is empty then.
    fn take_sum(&mut self) -> u128 {
        let mut sum = 0_u128;
        let mut from = 0;
        for end in self.ends.drain(..) {
            sum = sum.wrapping_add(blake3_128(self.text.get(from..end).unwrap_or_default()));
            from = end;
        }
        self.text.clear();
        sum
    }
}

impl Helper {
    fn start() -> std::io::Result<Self> {
        let (full, work) = bounded::<Batch>(BATCHES);
        let (done, empty) = bounded(BATCHES + 1);
        let hash = move || {
            work.into_iter().fold(0_u128, |sum, mut batch| {
                let sum = sum.wrapping_add(batch.take_sum());
                // Nobody may want it back any more.
                let _ = done.try_send(batch);
                sum
            })
        };
        let thread = std::thread::Builder::new().name("grove-name".to_owned()).spawn(hash)?;
        Ok(Self { full, empty, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut hash = LineHash::default();
        records.into_iter().for_each(|record| hash.add(record));
        hash.name()
    }

    #[test]
    fn the_name_is_part_of_the_format() {
        // Of BLAKE3 of nothing the first bytes are af 13 49 b9 f5 f9 a1 a6 a0 40 4d ea 36 dc c9 49.
        assert_eq!(name([]), "0".repeat(32));
        assert_eq!(name([&b""[..]]), "49c9dc36ea4d40a0a6a1f9f5b94913af");
        assert_eq!(name([&b""[..], b""]), "9393b86dd49a81414d43f3eb7292275e");
    }

    #[test]
    fn neither_the_order_nor_the_size_of_batches_counts() {
        // Several batches, and records too large for one among them.
        let record = |n: usize| n.to_string().repeat(if n % 1000 == 7 { 100_000 } else { n % 60 }).into_bytes();
        let mut records: Vec<Vec<u8>> = (0..20_000).map(record).collect();
        let bytes: usize = records.iter().map(Vec::len).sum();
        assert!(bytes > 4 * BATCH_BYTES && records.iter().any(|record| record.len() > BATCH_BYTES));
        let expected = records.iter().fold(0_u128, |sum, record| sum.wrapping_add(blake3_128(record)));
        assert_eq!(name(records.iter().map(Vec::as_slice)), format!("{expected:032x}"));
        records.reverse();
        assert_eq!(name(records.iter().map(Vec::as_slice)), format!("{expected:032x}"));
    }

    #[test]
    fn records_can_be_added_after_the_name_was_asked_for() {
        let mut hash = LineHash::default();
        (0..100_000_u32).for_each(|n| hash.add(&n.to_le_bytes()));
        let first = hash.name();
        assert_eq!(hash.name(), first);
        hash.add(b"more");
        assert_ne!(hash.name(), first);
    }
}
