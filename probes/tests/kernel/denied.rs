//! Attempts that were refused are told unless nothing is asked for; those that found nothing only if all are.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use grove_probes::kernel::{Cause, Class, Failures, Options};

use crate::support::*;

/// What nobody tries in vain in a directory that is root's, of files, names, mounts and peers; whose name, and its lines.
fn tried(options: &Options, times: usize) -> Option<(String, Vec<String>)> {
    let mut w = watch(&only_followed(options.clone()))?;
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().canonicalize().unwrap();
    std::fs::set_permissions(&at, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(at.join("secret"), "x").unwrap();
    std::fs::set_permissions(at.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    let at = at.to_str().unwrap().to_owned();
    // Where nobody may look for it.
    let outside = tempfile::tempdir().unwrap();
    std::fs::set_permissions(outside.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let helper = outside.path().join("helper").to_str().unwrap().to_owned();
    std::fs::copy(static_child_path(), &helper).unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let calls = [
        "open {at}/secret =0",
        "open {at}/absent =0",
        "open {at}/secret/below =0",
        "unlink {at}/secret",
        "unlink {at}/absent",
        "mkdir {at} =0755",
        "mount none {at} tmpfs =0 0",
        "chmod {at}/secret =0777",
    ];
    let calls =
        calls.map(|call| format!("calls {call}")).into_iter().chain(["connect inet stream 127.0.0.1 1".to_owned()]);
    for doing in calls.flat_map(|call| vec![call.replace("{at}", &at); times]) {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", &helper];
        let nobody: Vec<&str> = nobody.into_iter().chain(doing.split_whitespace()).collect();
        start_followed(&mut w, Path::new("/usr/bin/setpriv"), &nobody).wait().unwrap();
    }
    w.drain();
    let failed = |line: &String| line.contains(" -") && (line.contains(&at) || line.contains("127.0.0.1"));
    if options.dedup.is_some() {
        for class in [Class::Open, Class::Change, Class::Mount, Class::Socket] {
            assert!(w.counted(class, Cause::Repeat) > 0, "{class:?}: {:?}", w.counts);
        }
    }
    let told = lines(&w.seen).into_iter().filter(failed).collect();
    Some((at, told))
}

#[test]
fn what_was_refused_is_told_and_what_was_not_there_only_if_asked() {
    let Some((at, told)) = tried(&Options { failed: Failures::Refused, ..everything() }, 1) else { return };
    let refused = |at: &str| {
        [
            format!("open {at}/secret -13"),
            format!("delete {at}/secret -13"),
            format!("mount tmpfs none {at} 0x0 -1"),
            format!("chmod {at}/secret -1"),
            "connect Ip(127.0.0.1) 1 tcp -111".to_owned(),
        ]
    };
    assert_eq!(told, refused(&at));
    let (at, told) = tried(&Options { failed: Failures::All, ..everything() }, 1).unwrap();
    let others = ["open {at}/absent -2", "open {at}/secret/below -20", "delete {at}/absent -2", "mkdir {at} -17"];
    let others = others.map(|line| line.replace("{at}", &at));
    for line in others.iter().chain(&refused(&at)) {
        assert!(told.contains(line), "{line}: {told:#?}");
    }
    let (_, told) = tried(&Options { failed: Failures::None, ..everything() }, 1).unwrap();
    assert_eq!(told, [""; 0]);
}

/// A program may be refused all day: that leaves the kernel once.
#[test]
fn the_same_refusal_again_is_a_repeat() {
    let options = Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() };
    let Some((at, told)) = tried(&options, 3) else { return };
    for line in
        ["open {at}/secret -13", "delete {at}/secret -13", "chmod {at}/secret -1", "connect Ip(127.0.0.1) 1 tcp -111"]
    {
        let line = line.replace("{at}", &at);
        assert_eq!(told.iter().filter(|told| **told == line).count(), 1, "{line}: {told:#?}");
    }
}

#[test]
fn a_ring_that_is_refused_is_told_too() {
    let Some(mut w) = watch(&only_followed(Options { dedup: None, ..Options::default() })) else { return };
    for args in [["uring", "/nowhere/absent"].as_slice(), &["uring-connect", "inet", "stream", "127.0.0.1", "1"]] {
        start_followed(&mut w, child_path(), args).wait().unwrap();
    }
    w.drain();
    let failed: Vec<String> =
        lines(&w.seen).into_iter().filter(|line| line.contains(" -") && !line.contains(" - ")).collect();
    assert_eq!(failed, ["connect Ip(127.0.0.1) 1 tcp -111"]);
}
