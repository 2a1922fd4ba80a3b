//! Containers of plain runc: whose a cgroup is by runc's records, and which image by the bundle's annotations.

#[path = "common/containers.rs"]
mod containers;

use std::fs;
use std::time::Duration;

use containers::Runc;
use grove_probes::workload::{self, Bundles, Options, Resolver, Runtime, Unresolved};

#[test]
fn runc_names_what_its_annotations_name() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let mut runc = Runc::new();
    let name = |n: u32| format!("grove-test-{}-{n}", std::process::id());
    runc.start(&name(1), &["sleep", "100"], &[("org.opencontainers.image.ref.name", "localhost/bb:1")]);
    runc.start(&name(2), &["sleep", "100"], &[]);

    let bundles = Bundles::new([runc.records()], []);
    let options = Options { bundles: Some(bundles.clone()), patience: Duration::from_secs(1), ..Options::none() };
    let resolver = Resolver::start(options).unwrap();
    let ask = |n: u32| {
        let cgroup = fs::read(format!("/proc/{}/cgroup", runc.pid(&name(n)))).unwrap();
        let path = workload::process_path(&cgroup).expect("a path");
        assert_eq!(workload::container(path), None, "the path alone does not tell");
        let found = bundles.container(path).expect("runc's record tells");
        assert_eq!((found.runtime, &found.id), (Runtime::Runc, &name(n)));
        assert!(resolver.ask(found));
        resolver.answers().recv_timeout(Duration::from_secs(5)).expect("an answer").result
    };
    let workload = ask(1).unwrap();
    assert_eq!((workload.image.as_str(), workload.tag.as_str()), ("localhost/bb", "1"));
    assert_eq!(workload.name, Some(name(1)));
    assert_eq!(ask(2), Err(Unresolved::NoImage));

    // Another cgroup of that name is not the container's.
    let other = format!("/elsewhere/{}", name(1));
    assert_eq!(bundles.container(&other), None);
    runc.delete(&name(1));
    assert_eq!(bundles.container(format!("/{}", name(1))), None);
}
