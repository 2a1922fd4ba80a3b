//! Who makes a cgroup.

use std::process::{Command, Stdio};

use crate::loss::Group;
use crate::support::*;

#[test]
fn a_cgroup_is_told_with_the_call_that_made_it() {
    let Some(mut w) = watch(&everything()) else { return };
    let group = Group::new("maker");
    let made = group.0.join("by a call");
    w.run(Command::new("mkdir").arg(&made).current_dir("/etc"));
    let id = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&made).unwrap());
    w.run(Command::new("rmdir").arg(&made));
    let of: Vec<_> = w.makers.iter().filter(|(g, _)| *g == id).map(|(_, maker)| maker.clone()).collect();
    let argv = format!("mkdir\0{}\0", made.display());
    assert_eq!(of, [["mkdir".into(), "0".into(), argv, "/etc".to_string()]]);
    // As many arguments as do not fit: the cgroup is told all the same.
    let many = "x".repeat(10_000);
    w.run(Command::new("mkdir").arg(&made).arg(format!("/proc/{many}")).stderr(Stdio::null()));
    let id = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&made).unwrap());
    std::fs::remove_dir(&made).unwrap();
    let of: Vec<_> = w.makers.iter().filter(|(g, _)| *g == id).map(|(_, maker)| maker[2].clone()).collect();
    assert_eq!(of, [""]);
}
