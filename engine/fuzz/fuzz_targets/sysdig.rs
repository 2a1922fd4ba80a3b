//! Any bytes as the lines of a sysdig recording: no panic, bounded memory, and each line counted as its outcome says.
#![no_main]

use grove::event::{EventRef, Sink};
use grove::trace::sysdig::SysdigDecoder;
use grove::trace::{Decoder, Line};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn event(&mut self, _: EventRef<'_>) {
        self.0 += 1;
    }

    fn implied(&mut self, _: EventRef<'_>) {}
}

fuzz_target!(|data: &[u8]| {
    let mut decoder = SysdigDecoder::new();
    let mut count = Count::default();
    for line in data.split(|b| *b == b'\n') {
        let before = count.0;
        let outcome = decoder.decode(line, &mut count);
        assert_eq!(count.0 - before, u64::from(matches!(outcome, Ok(Line::Event))));
    }
    decoder.finish(&mut count);
});
