//! Containers of Docker, by what its daemon says they were started from.

use std::collections::BTreeMap;
use std::fs;

use crate::containers::{self, Docker, Registry};
use crate::{Running, alone, grove, learned, ok, profile};

#[test]
fn every_way_to_name_an_image_leads_to_its_profile() {
    if !containers::have(&Docker::NEEDS) {
        return;
    }
    let _alone = alone();
    let docker = Docker::new();
    let registry = Registry::start();
    let by_digest = format!("{}@{}", registry.image(), registry.digest());
    docker.run(&["pull", "--quiet", &by_digest]);
    let made = docker.run(&["create", "--network=none", "localhost/bb:2", "true"]);
    let tagless = docker.run(&["commit", &made]);
    let id = docker.run(&["image", "inspect", "-f", "{{.Id}}", "localhost/bb:2"]);

    let dir = tempfile::tempdir().unwrap();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let mut run = grove();
    run.env("GROVE_DOCKER_SOCKETS", docker.socket()).args(["run", "--output"]).arg(&out).arg("--record").arg(&trace);
    let running = Running::start(&mut run);
    let tagged = |tag: &str| ("localhost/bb".to_owned(), tag.to_owned());
    let mut expected = BTreeMap::new();
    for (image, script, workload) in [
        ("localhost/bb:1", "cat /etc/hosts; :", tagged("1")),
        ("localhost/bb:2", "/bin/ls /tmp; :", tagged("2")),
        (&*id, "cat /etc/hostname; :", tagged("2")),
        (&*tagless, "sleep 0.05; :", (tagless.clone(), "latest".to_owned())),
        (&*by_digest, "cat /etc/resolv.conf; :", (registry.image(), registry.digest().to_owned())),
    ] {
        let container = docker.run(&["create", "--network=none", image, "sh", "-c", script]);
        docker.run(&["start", "--attach", &container]);
        expected.insert(container, workload);
    }
    // Who joins is the runtime's until it runs something.
    let joined = docker.run(&["run", "-d", "--network=none", "localhost/bb:1", "sleep", "100"]);
    docker.run(&["exec", &joined, "cat", "/etc/resolv.conf"]);
    docker.run(&["rm", "-f", &joined]);
    expected.insert(joined, tagged("1"));
    ok(&running.end());

    // Others may run containers on this host too.
    let mut named = learned::workloads(&fs::read_to_string(&trace).unwrap());
    named.retain(|container, _| expected.contains_key(container));
    assert_eq!(named, expected);
    let names = ["localhost/bb", &registry.image(), &tagless].map(grove::profile::file_name);
    let learned = |name: &str| profile(&out.join(name));
    let tags = |profile: &serde_json::Value| profile["tags"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let [tagged, digested, nameless] = names.map(|name| learned(&name));
    let busybox = |names: &[&str]| names.iter().map(|name| format!("/bin/busybox ({name})")).collect();
    for (profile, image, tags_of, programs) in [
        (&tagged, "localhost/bb", vec!["1", "2"], &["cat", "ls", "sh", "sleep"][..]),
        (&digested, &*registry.image(), vec![registry.digest()], &["cat", "sh"]),
        (&nameless, &*tagless, vec!["latest"], &["sh", "sleep"]),
    ] {
        assert_eq!(
            (profile["image"].as_str(), tags(profile)),
            (Some(image), tags_of.iter().map(|t| (*t).to_owned()).collect())
        );
        assert_eq!(learned::programs(profile), busybox(programs), "{image}");
    }
    // Which of the two tags did what: the second by name and by id, the first also by who joined.
    let by_tag = |path: &str| -> Vec<String> {
        let all = crate::processes(&tagged).into_iter().flat_map(|process| process["files"].as_array().unwrap());
        let of = all.filter(|file| file["path"] == path);
        of.flat_map(|file| file["seen"].as_object().unwrap().keys().cloned()).collect()
    };
    let seen = ["/etc/hosts", "/tmp", "/etc/hostname", "/etc/resolv.conf"].map(by_tag);
    assert_eq!(seen, [["1"], ["2"], ["2"], ["1"]].map(|tags| tags.map(str::to_owned).to_vec()));
}
