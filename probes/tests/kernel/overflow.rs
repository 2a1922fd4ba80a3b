//! A ring that is too small: what finds no room is counted, exactly, by class, and processes are the last to be lost.

use std::time::Duration;

use grove::event::{Body, Dns, Open, Socket, Syscalls};
use grove_probes::kernel::{Cause, Class, Options};

use crate::support::*;

#[test]
fn with_a_small_ring_loss_is_exact_and_processes_are_lost_last() {
    const FILES: u64 = 20_000;
    // They fill half of what is kept for them: cgroups that anybody makes meanwhile are told there too.
    const FORKS: u64 = 100;
    let options = only_followed(Options { ring_bytes: 256 << 10, ..everything() });
    let Some(mut w) = watch(&options) else { return };
    run_unread(&mut w, &["flood", &FILES.to_string(), "/nowhere"]);
    // The ring is as full of opens as it gets; these find room all the same.
    run_unread(&mut w, &["fork", &FORKS.to_string()]);
    w.drain();
    let absent = |b: &Body<Vec<u8>>| matches!(b, Body::Open(Open { path, .. }) if text(path).starts_with("/nowhere/"));
    let told = delivered(&w, absent);
    let other_opens = delivered(&w, |b| matches!(b, Body::Open(Open { .. }))) - told;
    let lost = w.counted(Class::Open, Cause::Shed) + w.counted(Class::Open, Cause::RingFull);
    assert!(told > 0 && told < FILES, "{told}");
    // Opens of the loader are among the lost ones once the ring is full: its own and the second program's.
    let all_opens = FILES + opens_of_the_loader(&mut watch(&only_followed(everything())).unwrap());
    assert_eq!(told + other_opens + lost, all_opens, "{:?}", w.counts);
    assert_eq!(w.counted(Class::Open, Cause::RingFull), 0);
    assert_eq!(delivered(&w, |b| matches!(b, Body::Fork { .. })), FORKS);
    assert_eq!(delivered(&w, |b| matches!(b, Body::Exit)), FORKS + 2);
    assert!(w.counts.iter().all(|c| c.cgroup != 0), "every loss is of a known cgroup: {:?}", w.counts);
}

/// How many files the same two programs open that are not the flood's.
fn opens_of_the_loader(w: &mut Watch) -> u64 {
    run_unread(w, &["flood", "0", "/nowhere"]);
    run_unread(w, &["fork", "1"]);
    w.drain();
    assert!(w.counts.iter().all(|c| c.n == 0), "{:?}", w.counts);
    delivered(w, |b| matches!(b, Body::Open(Open { .. })))
}

#[test]
fn every_class_is_told_or_counted_when_several_are_lost_at_once() {
    const ROUNDS: u64 = 10_000;
    const FORKS: u64 = ROUNDS / 1000;
    let Some(mut w) = watch(&only_followed(Options { ring_bytes: 256 << 10, ..everything() })) else { return };
    run_program_unread(&mut w, static_child_path(), &["storm", &ROUNDS.to_string(), "/etc/hostname"]);
    w.drain();
    // What was before is of the shell that became it.
    let begin = format!("exec {}", static_child_path().display());
    w.seen.drain(..w.seen.iter().position(|s| line(s) == begin).unwrap());
    for (class, told, done, is_lost) in [
        (Class::Open, delivered(&w, |b| matches!(b, Body::Open(Open { .. }))), ROUNDS, true),
        // Each connects, and sends to an address.
        (Class::Socket, delivered(&w, |b| matches!(b, Body::Socket(Socket { .. }))), 2 * ROUNDS, true),
        (Class::Dns, delivered(&w, |b| matches!(b, Body::Dns(Dns { .. }))), ROUNDS, true),
        (Class::Syscalls, delivered(&w, |b| matches!(b, Body::Syscalls(Syscalls { .. }))), FORKS + 1, true),
        (Class::Exec, delivered(&w, |b| matches!(b, Body::Exec(_))), 1, false),
        (Class::Fork, delivered(&w, |b| matches!(b, Body::Fork { .. })), FORKS, false),
        (Class::Exit, delivered(&w, |b| matches!(b, Body::Exit)), FORKS + 1, false),
    ] {
        let lost = w.counted(class, Cause::Shed) + w.counted(class, Cause::RingFull);
        assert_eq!(told + lost, done, "{class:?}: {lost} lost; {:?}", w.counts);
        assert_eq!(lost > 0, is_lost, "{class:?}: {:?}", w.counts);
        assert!(told > 0, "{class:?}");
    }
}

/// The same of changed names, mounts, connections with their volumes, and requests to a metadata service.
#[test]
fn changes_mounts_volumes_and_requests_are_told_or_counted_when_all_are_lost_at_once() {
    const ROUNDS: u64 = 3000;
    let Some(mut w) = watch(&only_followed(Options { ring_bytes: 256 << 10, ..everything() })) else { return };
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("made").to_str().unwrap().to_owned();
    let pid = run_program_unread(&mut w, static_child_path(), &["storm-of-names", &ROUNDS.to_string(), &name]);
    w.drain();
    // What was before is of the shell that became it.
    let begin = format!("exec {}", static_child_path().display());
    w.seen.drain(..w.seen.iter().position(|s| line(s) == begin).unwrap());
    for (class, told, done) in [
        // It is made and removed.
        (Class::Change, delivered(&w, |b| matches!(b, Body::Change(_))), 2 * ROUNDS),
        (Class::Mount, delivered(&w, |b| matches!(b, Body::Mount(_))), ROUNDS),
        // Both sides, of each round and of the one connection that requests go over; and two ports are bound.
        (Class::Flow, delivered(&w, |b| matches!(b, Body::Flow(_))), 2 * (ROUNDS + 1)),
        (Class::Socket, delivered(&w, |b| matches!(b, Body::Socket(_))), 2 * (ROUNDS + 1) + 2),
        (Class::Imds, delivered(&w, |b| matches!(b, Body::Imds(_))), ROUNDS),
    ] {
        let lost = w.counted(class, Cause::Shed) + w.counted(class, Cause::RingFull);
        assert_eq!(told + lost, done, "{class:?}: {lost} lost; {:?}", w.counts);
        assert!(told > 0 && lost > 0, "{class:?}: {told} told, {lost} lost");
    }
    assert_eq!(lines(&w.of(pid)).last().map(String::as_str), Some("exit 0"));
    assert!(w.counts.iter().all(|c| c.cgroup != 0), "every loss is of a known cgroup: {:?}", w.counts);
}

#[test]
fn a_full_ring_loses_processes_too_and_says_so() {
    const FORKS: u64 = 3000;
    let options = only_followed(Options { ring_bytes: 4096, ..everything() });
    let Some(mut w) = watch(&options) else { return };
    run_unread(&mut w, &["fork", &FORKS.to_string()]);
    w.drain();
    for (class, told) in [
        (Class::Fork, delivered(&w, |b| matches!(b, Body::Fork { .. }))),
        (
            Class::Exit,
            delivered(&w, |b| matches!(b, Body::Exit)) - u64::from(w.seen.iter().any(|s| line(s) == "never")),
        ),
    ] {
        let of_the_parent = u64::from(class == Class::Exit);
        assert_eq!(told + w.counted(class, Cause::RingFull), FORKS + of_the_parent, "{class:?}");
        assert!(w.counted(class, Cause::RingFull) > 0);
    }
}

/// A set that finds no room is counted; what is in it comes with the next.
#[test]
fn calls_of_a_set_that_is_lost_are_told_with_the_next() {
    // At the start of every program, with libraries or without.
    const BRK: u32 = 12;
    let Some(mut w) = watch(&only_followed(Options { ring_bytes: 4096, ..everything() })) else { return };
    run_unread(&mut w, &["fork", "300"]);
    let mut running = start_followed(&mut w, child_path(), &["pause"]);
    std::thread::sleep(Duration::from_millis(500));
    w.probes.flush_syscalls().unwrap();
    w.drain();
    let told = |w: &Watch| {
        let of = w.of(running.id()).into_iter();
        let sets =
            of.filter_map(|s| if let Body::Syscalls(Syscalls { nrs, .. }) = s.event.body { Some(nrs) } else { None });
        sets.flat_map(|nrs| grove::event::syscall_numbers(&nrs).collect::<Vec<_>>()).collect::<Vec<u32>>()
    };
    assert!(w.counted(Class::Syscalls, Cause::Shed) > 0 && told(&w).is_empty(), "{:?}", w.counts);
    w.probes.flush_syscalls().unwrap();
    w.drain();
    assert!(told(&w).contains(&BRK), "{:?}", told(&w));
    running.kill().unwrap();
    running.wait().unwrap();
}
