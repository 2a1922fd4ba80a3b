//! Which image a container of Docker runs, asked of a real Docker daemon.

#[path = "common/asking.rs"]
mod asking;
#[path = "common/containers.rs"]
mod containers;

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use asking::{ask, ask_at_its_beginning, container, image_and_tag};
use containers::Docker;
use grove_probes::workload::{self, ContainerRef, Options, Resolver, Runtime, Unresolved};

fn options() -> Options {
    Options { patience: Duration::from_secs(2), ..Options::none() }
}

#[test]
fn docker_names_the_image_of_its_containers() {
    if !containers::have(&Docker::NEEDS) {
        return;
    }
    let mut docker = Docker::new();
    let resolver = Resolver::start(Options { docker: vec![docker.socket()], ..options() }).unwrap();
    let run = |image: &str| docker.run(&["run", "-d", "--network=none", image, "sleep", "100"]);
    let bb = |tag: &str| ("localhost/bb".to_owned(), tag.to_owned());

    let checks = workload::checks(&Options { docker: vec![docker.socket()], ..options() });
    assert!(checks.iter().any(|check| check.ok && check.detail.starts_with("Docker ")), "{checks:?}");

    // By tag, whether the path names Docker or only an id, and in the order of asking or any other.
    let (one, two) = (run("localhost/bb:1"), run("localhost/bb:2"));
    assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Docker, &one))), bb("1"));
    assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Unknown, &two))), bb("2"));

    // By id, long or short: the image has a name all the same.
    let id = docker.run(&["image", "inspect", "-f", "{{.Id}}", "localhost/bb:2"]);
    for reference in [id.as_str(), &id[7..19]] {
        assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Docker, &run(reference)))), bb("2"), "{reference}");
    }

    // An image without a tag is its id.
    docker.run(&["tag", "localhost/bb:2", "localhost/gone"]);
    let tagless = docker.run(&["commit", &two]);
    let workload = ask(&resolver, container(Runtime::Docker, &run(&tagless))).unwrap();
    assert_eq!((workload.image.as_str(), workload.tag.as_str()), (tagless.as_str(), "latest"));
    assert_eq!(workload.image_id.as_deref(), Some(tagless.as_str()));

    // A tag that moved on after the start, and one that is gone, still name what was started.
    docker.run(&["tag", "localhost/bb:1", "localhost/moving:1"]);
    let moving = run("localhost/moving:1");
    docker.run(&["tag", "localhost/bb:2", "localhost/moving:1"]);
    let named = image_and_tag(ask(&resolver, container(Runtime::Docker, &moving)));
    assert_eq!(named, ("localhost/moving".to_owned(), "1".to_owned()));
    let gone = run("localhost/gone");
    docker.run(&["rmi", "localhost/gone"]);
    let named = image_and_tag(ask(&resolver, container(Runtime::Docker, &gone)));
    assert_eq!(named, ("localhost/gone".to_owned(), "latest".to_owned()));

    // Name and labels, the image's and the container's own.
    let labelled =
        docker.run(&["run", "-d", "--network=none", "--name=web", "--label=a=b", "localhost/bb:1", "sleep", "100"]);
    let workload = ask(&resolver, container(Runtime::Docker, &labelled)).unwrap();
    assert_eq!(workload.name.as_deref(), Some("web"));
    let labels: Vec<(&str, &str)> = workload.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "b"), ("n", "1")]);

    // A container that Docker still knows after it ended, one that it forgot but that was asked for in time, and one
    // that never was. A beginning of an id is no id, nor is a name.
    let ended = docker.run(&["run", "-d", "--network=none", "localhost/bb:1", "true"]);
    docker.run(&["wait", &ended]);
    assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Docker, &ended))), bb("1"));
    docker.run(&["rm", "-f", &one]);
    assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Docker, &one))), bb("1"));
    for unknown in ["0".repeat(64).as_str(), &two[..12], "web"] {
        assert_eq!(ask(&resolver, container(Runtime::Docker, unknown)), Err(Unresolved::NotKnown), "{unknown}");
    }

    // A user's own cgroup is not for the host's Docker to name.
    let posing = ContainerRef { user: Some(1000), ..container(Runtime::Docker, &two) };
    assert_eq!(ask(&resolver, posing), Err(Unresolved::NoRuntime));

    // Asked for while the daemon restarts.
    let patient = Resolver::start(Options {
        docker: vec![docker.socket()],
        patience: Duration::from_secs(20),
        ..Options::none()
    })
    .unwrap();
    docker.restart(|| {
        assert!(patient.ask(container(Runtime::Docker, &labelled)));
        assert!(patient.answers().recv_timeout(Duration::from_millis(300)).is_err());
    });
    let answer = patient.answers().recv_timeout(Duration::from_secs(20)).expect("an answer");
    assert_eq!(image_and_tag(answer.result), bb("1"));
    // And by the resolver that knew the daemon before.
    assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Unknown, &labelled))), bb("1"));
}

#[test]
fn a_container_of_fifty_milliseconds_is_named() {
    if !containers::have(&Docker::NEEDS) {
        return;
    }
    let docker = Docker::new();
    let resolver = Resolver::start(Options { docker: vec![docker.socket()], ..options() }).unwrap();
    for tag in ["1", "2"] {
        let image = format!("localhost/bb:{tag}");
        let id = docker.run(&["create", "--rm", "--network=none", &image, "sleep", "0.05"]);
        let cgroup = std::path::PathBuf::from(containers::cgroup_root()).join("docker").join(&id);
        let who = container(Runtime::Docker, &id);
        let answer = ask_at_its_beginning(&resolver, who, &cgroup, || drop(docker.run(&["start", &id])));
        assert_eq!(image_and_tag(answer), ("localhost/bb".to_owned(), tag.to_owned()));
        containers::wait_for("its end", || (!cgroup.exists()).then_some(()));
        assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Docker, &id))).1, tag, "and after it ended");
    }
}

#[test]
fn a_socket_that_never_answers_keeps_nobody_waiting() {
    if !containers::have(&Docker::NEEDS) {
        return;
    }
    let docker = Docker::new();
    let dir = tempfile::tempdir().unwrap();
    let hung = dir.path().join("sock");
    let _listener = UnixListener::bind(&hung).unwrap();
    let resolver = Resolver::start(Options {
        docker: vec![hung.clone(), docker.socket()],
        request_timeout: Duration::from_millis(500),
        ..options()
    })
    .unwrap();
    let id = docker.run(&["create", "localhost/bb:1", "true"]);
    let began = Instant::now();
    assert_eq!(image_and_tag(ask(&resolver, container(Runtime::Docker, &id))).1, "1");
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());

    let unknown = ask(&resolver, container(Runtime::Docker, &"0".repeat(64))).unwrap_err();
    let Unresolved::Unreachable(detail) = unknown else { panic!("{unknown:?}") };
    assert!(detail.contains(hung.to_str().unwrap()) && detail.contains("500ms"), "{detail}");
}
