//! Containers of Docker, by what its daemon says they were started from.

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
    let mut run = grove();
    run.env("GROVE_DOCKER_SOCKETS", docker.socket()).args(["run", "--output"]).arg(dir.path());
    let running = Running::start(&mut run);
    let container = |image: &str, script: &str| {
        docker.run(&["run", "--network=none", image, "sh", "-c", script]);
    };
    container("localhost/bb:1", "cat /etc/hosts; :");
    container("localhost/bb:2", "/bin/ls /tmp; :");
    container(&id, "cat /etc/hostname; :");
    container(&tagless, "sleep 0.05; :");
    container(&by_digest, "cat /etc/resolv.conf; :");
    // Who joins is the runtime's until it runs something.
    let joined = docker.run(&["run", "-d", "--network=none", "localhost/bb:1", "sleep", "100"]);
    docker.run(&["exec", &joined, "cat", "/etc/resolv.conf"]);
    docker.run(&["rm", "-f", &joined]);
    ok(&running.end());

    let mut files: Vec<String> =
        dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let names = ["localhost/bb", &registry.image(), &tagless].map(|name| name.replace(['/', ':'], "_"));
    let mut expected = names.clone().map(|name| format!("{name}.profile.json"));
    expected.sort();
    assert_eq!(files, expected);

    let learned = |name: &str| profile(&dir.path().join(format!("{name}.profile.json")));
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
