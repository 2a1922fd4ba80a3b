//! Any bytes as a log of strace: no panic, bounded memory, and each record counted exactly as its outcome says.
#![no_main]

use grove::trace::input::Framing;
use grove::trace::strace::{StraceDecoder, StraceOptions};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let options = StraceOptions { image: None, tag: "local".to_owned() };
    grove_fuzz::decode_all(StraceDecoder::new(options), Framing::Lines, data);
});
