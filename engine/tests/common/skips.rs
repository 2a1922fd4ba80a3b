//! What a test says when this machine cannot run it. Every crate's tests say it here.

#![allow(dead_code)]

use std::io::Write;

/// Says that the test at hand is skipped, and why. Where `GROVE_TEST_NO_SKIPS` is set it fails instead; where
/// `GROVE_TEST_SKIPS` names a file, that gets a line as well.
#[track_caller]
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("GROVE_TEST_NO_SKIPS").is_none(),
        "{why}, and with GROVE_TEST_NO_SKIPS nothing is skipped"
    );
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Not by `eprint`: what a test that passes prints is not shown.
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
    if let Some(file) = std::env::var_os("GROVE_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file that GROVE_TEST_SKIPS names");
    }
}
