//! Any line is an event that is written and read back the same, or something else, and never a panic.
#![no_main]

use grove::event::EventBuf;
use grove::trace::input::{Compression, Framing};
use grove::trace::native::NativeDecoder;
use grove::trace::write::{Header, Writer};
use grove::trace::{Decoder, Line, nesting};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    grove_fuzz::decode_all(NativeDecoder::new(), Framing::Lines, data);

    let mut events = EventBuf::new();
    let mut decoder = NativeDecoder::new();
    if !matches!(decoder.decode(data, &mut events), Ok(Line::Event)) {
        return;
    }
    nesting::validate(std::str::from_utf8(data).unwrap()).unwrap();
    let event = events.iter().next().unwrap().event;
    let mut writer = Writer::new(Vec::new(), Compression::Plain, Header::default()).unwrap();
    writer.event(event).unwrap();
    let trace = writer.finish().unwrap();
    let line = trace.split(|b| *b == b'\n').nth(1).unwrap();
    let mut again = EventBuf::new();
    assert_eq!(decoder.decode(line, &mut again), Ok(Line::Event));
    assert_eq!(again.iter().next().unwrap().event, event);
});
