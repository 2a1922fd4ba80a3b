//! The limits of a resolver, with runtimes that do not answer.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use grove_probes::workload::{ContainerRef, Options, Resolver, Runtime, Unresolved, checks};

fn container(n: u32) -> ContainerRef {
    ContainerRef { runtime: Runtime::Docker, id: format!("{n:064x}"), pod: None, user: None }
}

/// A socket at which nobody ever answers.
fn hung() -> (tempfile::TempDir, UnixListener, Options) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let options = Options { docker: vec![socket], request_timeout: Duration::from_millis(100), ..Options::none() };
    (dir, listener, options)
}

#[test]
fn no_more_are_asked_for_than_allowed_and_each_is_answered_once() {
    let (_dir, _listener, options) = hung();
    let resolver = Resolver::start(Options { asks_max: 2, patience: Duration::from_millis(300), ..options }).unwrap();
    // Two under way, one in hand and two in the queue are the most that can be taken of them.
    let began = Instant::now();
    let taken = (0..50u32).filter(|n| resolver.ask(container(n % 25))).count();
    assert!(began.elapsed() < Duration::from_millis(100), "asking waits for nobody");
    assert!((2..=5).contains(&taken), "{taken}");
    let mut answered = Vec::new();
    while let Ok(answer) = resolver.answers().recv_timeout(Duration::from_secs(1)) {
        assert!(matches!(answer.result, Err(Unresolved::Unreachable(_))), "{answer:?}");
        answered.push(answer.id().to_owned());
    }
    assert_eq!(answered.len(), taken);
    let stats = resolver.stats();
    assert_eq!((stats.asked, stats.refused), (50, 50 - taken as u64));
    assert_eq!((stats.unresolved, stats.resolved, stats.cached), (taken as u64, 0, 0));
}

#[test]
fn what_is_asked_for_twice_meanwhile_is_answered_once() {
    let (_dir, _listener, options) = hung();
    let resolver = Resolver::start(Options { patience: Duration::from_millis(300), ..options }).unwrap();
    assert!((0..10).all(|_| resolver.ask(container(1))));
    assert_eq!(resolver.answers().recv_timeout(Duration::from_secs(5)).unwrap().container, container(1));
    assert!(resolver.answers().recv_timeout(Duration::from_millis(200)).is_err());
    assert!(resolver.ask(container(1)));
    assert!(resolver.answers().recv_timeout(Duration::from_secs(5)).is_ok(), "asked anew after the answer");
}

#[test]
fn it_ends_at_once_with_requests_under_way() {
    let (_dir, _listener, options) = hung();
    let resolver = Resolver::start(Options { request_timeout: Duration::from_secs(60), ..options }).unwrap();
    assert!((0..100).all(|n| resolver.ask(container(n))));
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    drop(resolver);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn with_no_runtime_there_is_no_name() {
    let resolver = Resolver::start(Options { patience: Duration::ZERO, ..Options::none() }).unwrap();
    assert!(resolver.ask(container(1)));
    let answer = resolver.answers().recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(answer.result, Err(Unresolved::NoRuntime));
}

#[test]
fn a_socket_that_does_not_answer_fails_its_check_and_one_that_is_not_there_has_none() {
    let (dir, _listener, options) = hung();
    let gone = dir.path().join("gone");
    let found = checks(&Options { podman: vec![gone], ..options });
    let runtimes: Vec<_> = found.iter().filter(|check| check.name.starts_with("runtime ")).collect();
    let [only] = runtimes.as_slice() else { panic!("{found:?}") };
    assert!(!only.ok && !only.required && !only.remedy.is_empty(), "{only:?}");
    assert!(only.name.ends_with("/sock") && only.detail.ends_with("did not answer within 100ms"), "{only:?}");
    let together = found.last().unwrap();
    assert!(together.name == "container runtimes" && !together.ok && !together.required, "{together:?}");
}
