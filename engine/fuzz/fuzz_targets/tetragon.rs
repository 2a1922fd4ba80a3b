//! Any bytes as a log of this tool: no panic, bounded memory, and each record counted exactly as its outcome says.
#![no_main]

use grove::trace::tetragon::TetragonDecoder;
use grove::trace::input::Framing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    grove_fuzz::decode_all(TetragonDecoder::new(), Framing::JsonObjects, data);
});
