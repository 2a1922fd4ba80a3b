//! Any bytes as the lines of a log: none may panic, and each is counted exactly once.
#![no_main]

use grove::event::{EventRef, Sink};
use grove::trace::tracee::TraceeDecoder;
use grove::trace::{Decoder, Line};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Counting(usize);

impl Sink for Counting {
    fn event(&mut self, _event: EventRef<'_>) {
        self.0 += 1;
    }

    fn implied(&mut self, _event: EventRef<'_>) {}
}

fuzz_target!(|data: &[u8]| {
    let mut decoder = TraceeDecoder::new();
    for line in data.split(|byte| *byte == b'\n') {
        let mut sink = Counting::default();
        let fate = decoder.decode(line, &mut sink);
        assert_eq!(sink.0, usize::from(fate == Ok(Line::Event)));
    }
    decoder.finish(&mut Counting::default());
});
