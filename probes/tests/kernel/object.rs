//! The committed object and what is said about this host.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use grove_probes::kernel::{Requirements, doctor};

use crate::support::*;

#[test]
fn the_committed_object_is_what_its_sources_say() {
    if Command::new("clang-19").arg("--version").output().is_err() {
        skipped("clang-19 is not installed");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bpf/verify.sh");
    let out = Command::new(script).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn the_doctor_finds_this_host_fit() {
    if watch(&everything()).is_none() {
        return;
    }
    let checks = doctor::checks(&everything(), Requirements::of_containers(&everything(), true));
    for name in ["kernel", "btf", "CAP_BPF", "cgroups", "memory", "maps", "hook sys_exit", "hook cgroup_skb/egress"] {
        let check = checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name} is not among {checks:#?}"));
        assert!(check.ok && check.remedy.is_empty() && !check.detail.is_empty(), "{check:?}");
    }
}

#[test]
fn the_doctor_names_what_an_unprivileged_user_lacks() {
    if watch(&everything()).is_none() {
        return;
    }
    // A thread's capabilities are its own: this one gives up all it does not need, and then lacks them.
    let thread = std::thread::spawn(|| {
        let kept = grove_probes::kernel::drop_capabilities().unwrap();
        assert!(kept.contains(&"CAP_BPF") && !kept.contains(&"CAP_SYS_ADMIN"), "{kept:?}");
        doctor::checks(&everything(), Requirements::of_containers(&everything(), true))
    });
    let checks = thread.join().unwrap();
    let lacking: Vec<_> = checks.iter().filter(|c| !c.ok).collect();
    let required: Vec<_> = lacking.iter().filter(|c| c.required).map(|c| (&*c.name, c.remedy.is_empty())).collect();
    assert_eq!(required, [("CAP_NET_ADMIN", false)], "{lacking:#?}");
}

#[test]
fn attached_programs_work_on_after_capabilities_are_dropped() {
    let Some(mut w) = watch(&everything()) else { return };
    let thread = std::thread::spawn(move || {
        grove_probes::kernel::drop_capabilities().unwrap();
        let seen = lines(&w.run(&mut child(&["open", "/etc/passwd"])));
        assert!(seen.contains(&"open /etc/passwd".into()), "{seen:?}");
        w.probes.flush_syscalls().unwrap();
        w.probes.exclude_cgroup(1).unwrap();
        w.probes.follow(1).unwrap();
        w.drain();
    });
    thread.join().unwrap();
}

/// As in an agent that runs commands all the time: their ends are signals, which break a verifier off.
#[test]
fn programs_are_attached_whatever_signals_come() {
    if watch(&everything()).is_none() {
        return;
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                child(&["exit"]).status().unwrap();
            }
        });
        // Fails of itself if a hook is refused.
        (0..5).for_each(|_| drop(watch(&everything())));
        stop.store(true, Ordering::Relaxed);
    });
}
