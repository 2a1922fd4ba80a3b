//! Any bytes, compressed or not, are cut into records within bounds, and the same however they arrive.
#![no_main]

use std::io::Read;

use grove::trace::input::{Framing, Records};

const OUTPUT_MAX: usize = 1 << 18;

/// Gives its bytes in pieces of this size.
struct Pieces(std::io::Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = buf.len().min(self.1);
        self.0.read(&mut buf[..n])
    }
}

/// How a reading ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// There is more than anybody wants to compare.
    Capped,
    Failed,
}

type Seen = Vec<(u64, Option<Vec<u8>>)>;

/// The records, by line, those too long without bytes.
fn records(data: &[u8], piece: usize, framing: Framing, max: usize) -> (Seen, End) {
    let source = Pieces(std::io::Cursor::new(data.to_vec()), piece);
    let mut records = Records::new(Box::new(source), framing, max);
    let mut seen = Vec::new();
    let mut cost = 0;
    let mut line = 0;
    while cost < OUTPUT_MAX {
        match records.next() {
            Ok(Some(record)) => {
                let objects = framing == Framing::JsonObjects;
                assert!(record.line > line || objects && record.line == line);
                line = record.line;
                match record.bytes {
                    Ok(b) => assert!(b.len() <= max && (objects || !b.contains(&b'\n'))),
                    Err(too_long) => assert!(too_long.len_so_far > max as u64),
                }
                cost += record.bytes.map_or(max, <[u8]>::len) + 64;
                seen.push((line, record.bytes.ok().map(<[u8]>::to_vec)));
            }
            Ok(None) => return (seen, End::Whole),
            Err(_) => {
                assert!(matches!(records.next(), Ok(None)), "an error is the end");
                return (seen, End::Failed);
            }
        }
    }
    (seen, End::Capped)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([choice], data)) = data.split_first_chunk() else { return };
    let framing = if choice & 1 == 0 { Framing::Lines } else { Framing::JsonObjects };
    let max = usize::from(choice >> 1) * 8;
    let (whole, end) = records(data, usize::MAX, framing, max);
    for piece in [1, 37] {
        let (pieces, pieces_end) = records(data, piece, framing, max);
        assert_eq!(end, pieces_end);
        // How close a decompressor comes to the damage depends on how its input arrives.
        let common = if end == End::Failed { whole.len().min(pieces.len()) } else { usize::MAX };
        assert_eq!(whole.get(..common).unwrap_or(&whole), pieces.get(..common).unwrap_or(&pieces));
    }
});
