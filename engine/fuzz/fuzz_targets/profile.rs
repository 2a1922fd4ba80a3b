//! Any bytes as a profile: no panic; and one that is taken in is written, read and taken in again as the same.
#![no_main]

use grove::intern::Interner;
use grove::profile::{Profile, decode, encode};
use grove::tree::Rules;
use std::sync::Arc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(doc) = decode(data) else { return };
    let interner = Interner::new();
    let rules = Arc::new(Rules::default());
    let Ok(profile) = Profile::from_doc(&doc, rules.clone(), &interner) else { return };
    assert_eq!(profile.tree().stats(), profile.tree().recount());
    let mut first = Vec::new();
    encode(&profile.to_doc(), &mut first).unwrap();
    let again = Profile::from_doc(&decode(&first).unwrap(), rules, &interner).unwrap();
    let mut second = Vec::new();
    encode(&again.to_doc(), &mut second).unwrap();
    assert_eq!(String::from_utf8(first), String::from_utf8(second));
});
