//! Prints of behaviours, as the kernel programs make them: the hash is the one it says it is, and no small difference
//! between two behaviours cancels. The very file that the programs are built from is compiled for this host.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Pairs that are tried.
const TRIES: u64 = 100_000_000;

fn prints(args: &[&str]) -> String {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let program = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prints");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-I"]).arg(root.join("src/bpf"));
        let built = cc.arg(root.join("tests/common/prints.c")).arg("-o").arg(&out).status().expect("a C compiler");
        assert!(built.success(), "prints.c does not compile");
        out
    });
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{args:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// How many pairs share both halves, and one.
fn search(what: &str) -> (u64, u64) {
    let out = prints(&["search", what, &TRIES.to_string(), "1"]);
    let (both, half) = out.trim().split_once(' ').unwrap();
    (both.parse().unwrap(), half.parse().unwrap())
}

#[test]
fn prints_are_siphash_1_3_in_128_bits() {
    let mut word = 0x0123_4567_89ab_cdef_u64;
    for n in 0..40 {
        let key = [word.rotate_left(7), word.wrapping_mul(3)];
        let words: Vec<u64> = (0..n)
            .map(|_| {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word
            })
            .collect();
        let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
        words.iter().for_each(|word| hasher.write(&word.to_le_bytes()));
        let expected = hasher.finish128();
        let mut args = vec!["hash".to_owned()];
        args.extend(key.iter().chain(&words).map(|word| format!("{word:x}")));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        assert_eq!(prints(&args).trim(), format!("{:016x} {:016x}", expected.h1, expected.h2), "{n} words");
    }
}

#[test]
fn no_small_difference_cancels() {
    assert_eq!(search("siphash"), (0, 0));
}

/// What was there before lets bit 63 of one word cancel against bits 63 and 34 of the next, whatever the key.
#[test]
fn the_search_finds_differences_that_cancel_where_there_are_any() {
    assert!(search("multiplied").0 > 0);
}
