//! Which image a container of Podman runs, asked of its service.

#[path = "common/asking.rs"]
mod asking;
#[path = "common/containers.rs"]
mod containers;

use std::path::Path;
use std::time::Duration;

use asking::{ask, ask_at_its_beginning, container, image_and_tag};
use containers::Podman;
use grove_probes::workload::{self, ContainerRef, Options, Resolver, Runtime, Unresolved};

fn podmans(id: &str) -> ContainerRef {
    container(Runtime::Podman, id)
}

#[test]
fn podman_names_the_image_of_its_containers() {
    if !containers::have(&Podman::NEEDS) {
        return;
    }
    let mut podman = Podman::new();
    let patience = Duration::from_secs(1);
    // As a rule no service runs, and the storage has to tell.
    let storage = Options { storage: vec![podman.storage()], patience, ..Options::none() };
    check(&podman, &Resolver::start(storage).unwrap());
    podman.run(&["rm", "-fa", "-t", "0"]);
    let service = Options { podman: vec![podman.serve()], patience, ..Options::none() };
    let checks = workload::checks(&service);
    assert!(checks.iter().any(|check| check.ok && check.detail.starts_with("Podman ")), "{checks:?}");
    check(&podman, &Resolver::start(service).unwrap());
}

#[test]
fn a_container_of_fifty_milliseconds_is_named() {
    if !containers::have(&Podman::NEEDS) {
        return;
    }
    let podman = Podman::new();
    let options = Options { storage: vec![podman.storage()], patience: Duration::from_secs(5), ..Options::none() };
    let resolver = Resolver::start(options).unwrap();
    let parent = Path::new(&containers::cgroup_root()).join("libpod_parent");
    for tag in ["1", "2"] {
        let image = format!("localhost/bb:{tag}");
        let id = podman.run(&["create", "--rm", "--network=none", &image, "sleep", "0.05"]);
        let name = format!("libpod-{id}");
        let who = workload::container(format!("/libpod_parent/{name}")).unwrap();
        assert_eq!(who, podmans(&id));
        let start = || drop(podman.run(&["start", &id]));
        let answer = ask_at_its_beginning(&resolver, who, &parent.join(&name), start);
        assert_eq!(image_and_tag(answer), ("localhost/bb".to_owned(), tag.to_owned()));
    }
}

fn check(podman: &Podman, resolver: &Resolver) {
    let run = |image: &str| podman.run(&["run", "-d", "--network=none", image, "sleep", "100"]);
    let bb = |tag: &str| ("localhost/bb".to_owned(), tag.to_owned());
    for tag in ["1", "2"] {
        let id = run(&format!("localhost/bb:{tag}"));
        assert_eq!(image_and_tag(ask(resolver, podmans(&id))), bb(tag));
    }

    // By id the image still has its name.
    let id = podman.run(&["image", "inspect", "-f", "{{.Id}}", "localhost/bb:2"]);
    assert_eq!(image_and_tag(ask(resolver, podmans(&run(&id)))), bb("2"));

    // By digest.
    let digest = podman.run(&["image", "inspect", "-f", "{{.Digest}}", "localhost/bb:1"]);
    let by_digest = run(&format!("localhost/bb@{digest}"));
    assert_eq!(image_and_tag(ask(resolver, podmans(&by_digest))), bb(&digest));

    // An image without a tag is its id.
    let tagless = podman.run(&["commit", "--quiet", &by_digest]);
    let workload = ask(resolver, podmans(&run(&tagless))).unwrap();
    assert_eq!((workload.image, workload.tag.as_str()), (format!("sha256:{tagless}"), "latest"));

    // One that removes itself when it ends, and one that never was.
    let named = podman.run(&["run", "-d", "--rm", "--name=web", "--network=none", "localhost/bb:1", "sleep", "100"]);
    let workload = ask(resolver, podmans(&named)).unwrap();
    assert_eq!((workload.tag.as_str(), workload.name.as_deref()), ("1", Some("web")));
    assert_eq!(ask(resolver, podmans(&"0".repeat(64))), Err(Unresolved::NotKnown));
}
