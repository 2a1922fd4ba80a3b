//! What the fuzz targets have in common: a decoder is fed any bytes and held to its contract.

use std::io::Cursor;

use grove::event::{EventRef, Sink};
use grove::trace::input::{Framing, Records};
use grove::trace::{Decoder, Line};

/// The limit for one record: small, so that short inputs get beyond it.
const RECORD_MAX: usize = 1 << 16;

/// Counts what a decoder gives out, and looks at every byte of it.
#[derive(Default)]
struct Count {
    counted: usize,
    implied: usize,
    bytes: usize,
}

impl Count {
    fn look(&mut self, event: EventRef<'_>) {
        event.map(|text| self.bytes += std::hint::black_box(text).len());
    }
}

impl Sink for Count {
    fn event(&mut self, event: EventRef<'_>) {
        self.counted += 1;
        self.look(event);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.implied += 1;
        self.look(event);
    }
}

/// Feeds `data`, which may be compressed, to `decoder`, and checks that every record has exactly one fate.
pub fn decode_all(mut decoder: impl Decoder, framing: Framing, data: &[u8]) {
    let mut records = Records::new(Box::new(Cursor::new(data.to_vec())), framing, RECORD_MAX);
    let mut held = 0;
    // A small input may unpack to a very large one; the first so many records tell enough.
    for _ in 0..10_000 {
        let Ok(Some(record)) = records.next() else { break };
        let Ok(bytes) = record.bytes else { continue };
        let mut count = Count::default();
        let line = decoder.decode(bytes, &mut count);
        held += usize::from(line == Ok(Line::Held)) + usize::from(line == Ok(Line::Event));
        assert!(count.counted == 0 || count.counted == held, "{line:?}");
        held -= count.counted;
        assert!(line != Ok(Line::Event) || held == 0, "{line:?}");
    }
    let mut count = Count::default();
    decoder.finish(&mut count);
    assert_eq!(count.counted, held);
    let _ = decoder.recording();
}
