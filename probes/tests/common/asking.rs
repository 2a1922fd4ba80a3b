//! A resolver asked for one container, and its answer: what the tests of every runtime do.
//!
//! Not here: the runtimes.

#![allow(dead_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use grove_probes::workload::{Answer, ContainerRef, Resolver, Runtime, Unresolved, Workload};

/// A container in no pod, and no user's own.
pub fn container(runtime: Runtime, id: &str) -> ContainerRef {
    ContainerRef { runtime, id: id.to_owned(), pod: None, user: None }
}

/// Who it is, whatever it takes.
pub fn ask(resolver: &Resolver, who: ContainerRef) -> Result<Workload, Unresolved> {
    assert!(resolver.ask(who.clone()));
    let Answer { container, result } = resolver.answers().recv_timeout(Duration::from_secs(20)).expect("an answer");
    assert_eq!(container, who);
    result
}

/// What a profile goes by.
pub fn image_and_tag(result: Result<Workload, Unresolved>) -> (String, String) {
    let workload = result.expect("a workload");
    (workload.image, workload.tag)
}

/// Who it is, asked as its cgroup is made, as the kernel's announcement has it; `start` starts it.
pub fn ask_at_its_beginning(
    resolver: &Resolver,
    who: ContainerRef,
    cgroup: &Path,
    start: impl FnOnce(),
) -> Result<Workload, Unresolved> {
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let began = Instant::now();
            while !cgroup.exists() {
                assert!(began.elapsed() < Duration::from_secs(20), "no cgroup");
                std::thread::yield_now();
            }
            ask(resolver, who)
        });
        start();
        seen.join().expect("an answer")
    })
}
