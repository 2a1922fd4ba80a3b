//! Any head is of some format, in time.
#![no_main]

use std::io::Cursor;

use grove::trace::detect::{detect, detect_records};
use grove::trace::input::{Framing, Records};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    detect(data);
    let mut records = Records::new(Box::new(Cursor::new(data.to_vec())), Framing::Lines, 1 << 16);
    detect_records(&mut records);
    let _ = records.next();
});
