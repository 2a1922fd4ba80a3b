//! Which image a container of Podman runs, asked of its service.

#[path = "common/containers.rs"]
mod containers;

use std::time::Duration;

use containers::Podman;
use grove_probes::workload::{Answer, ContainerRef, Options, Resolver, Runtime, Unresolved, Workload};

fn container(id: &str) -> ContainerRef {
    ContainerRef { runtime: Runtime::Podman, id: id.to_owned(), pod: None, user: None }
}

fn ask(resolver: &Resolver, who: ContainerRef) -> Result<Workload, Unresolved> {
    assert!(resolver.ask(who.clone()));
    let Answer { container, result } = resolver.answers().recv_timeout(Duration::from_secs(20)).expect("an answer");
    assert_eq!(container, who);
    result
}

fn image_and_tag(result: Result<Workload, Unresolved>) -> (String, String) {
    let workload = result.expect("a workload");
    (workload.image, workload.tag)
}

#[test]
fn podman_names_the_image_of_its_containers() {
    if !containers::have(&Podman::NEEDS) {
        return;
    }
    let mut podman = Podman::new();
    let socket = podman.serve();
    let resolver =
        Resolver::start(Options { podman: vec![socket], patience: Duration::from_secs(2), ..Options::none() }).unwrap();
    check(&podman, &resolver);
}

fn check(podman: &Podman, resolver: &Resolver) {
    let run = |image: &str| podman.run(&["run", "-d", "--network=none", image, "sleep", "100"]);
    let bb = |tag: &str| ("localhost/bb".to_owned(), tag.to_owned());
    for tag in ["1", "2"] {
        let id = run(&format!("localhost/bb:{tag}"));
        assert_eq!(image_and_tag(ask(resolver, container(&id))), bb(tag));
    }

    // By id the image still has its name.
    let id = podman.run(&["image", "inspect", "-f", "{{.Id}}", "localhost/bb:2"]);
    assert_eq!(image_and_tag(ask(resolver, container(&run(&id)))), bb("2"));

    // By digest.
    let digest = podman.run(&["image", "inspect", "-f", "{{.Digest}}", "localhost/bb:1"]);
    let by_digest = run(&format!("localhost/bb@{digest}"));
    assert_eq!(image_and_tag(ask(resolver, container(&by_digest))), bb(&digest));

    // An image without a tag is its id.
    let tagless = podman.run(&["commit", "--quiet", &by_digest]);
    let workload = ask(resolver, container(&run(&tagless))).unwrap();
    assert_eq!((workload.image, workload.tag.as_str()), (format!("sha256:{tagless}"), "latest"));

    // One that removes itself when it ends, and one that never was.
    let named = podman.run(&["run", "-d", "--rm", "--name=web", "--network=none", "localhost/bb:1", "sleep", "100"]);
    let workload = ask(resolver, container(&named)).unwrap();
    assert_eq!((workload.tag.as_str(), workload.name.as_deref()), ("1", Some("web")));
    assert_eq!(ask(resolver, container(&"0".repeat(64))), Err(Unresolved::NotKnown));
}
