//! Runtimes that answer without end.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, ok, processes, profile, text};

/// Far less than what such an answer would come to in the time that it is waited for.
const PEAK_KIB_MAX: u64 = 512 << 10;

#[test]
fn a_docker_socket_whose_answer_never_ends_leaves_the_container_without_a_name_and_nothing_else() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (socket, out) = (dir.path().join("sock"), dir.path().join("profiles"));
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let begun = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"Id\":\"");
                let more = [b'x'; 1 << 16];
                if begun.is_ok() {
                    while stream.write_all(&more).is_ok() {}
                }
            });
        }
    });
    let mut runc = Runc::with_usual_records();
    let docker_id = format!("{:064x}", std::process::id());
    let bundle = runc.bundle("endless", &["cat", "/proc/version"], &[], |spec| {
        spec["linux"]["cgroupsPath"] = json!(format!("/docker/{docker_id}"));
    });
    let id = format!("grove-endless-{}", std::process::id());
    let running = Running::start(grove().env("GROVE_DOCKER_SOCKETS", &socket).args(["run", "--output"]).arg(&out));
    runc.create(&bundle, &id);
    runc.go(&id);
    containers::wait_for("its end", || (!fs::exists(format!("/proc/{}", runc.pid(&id))).unwrap()).then_some(()));
    runc.delete(&id);
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let output = running.end();
    ok(&output);
    let told = text(&output.stderr);
    let why = told.lines().find(|line| line.contains(&docker_id)).unwrap_or_else(|| panic!("{told}"));
    assert!(why.contains("its answer is longer than 1048576 bytes") && why.contains(socket.to_str().unwrap()), "{why}");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let peak: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    println!("{peak} KiB at most");
    assert!(peak < PEAK_KIB_MAX, "{peak} KiB");
    let unnamed = profile(&out.join("<unknown>.profile.json"));
    assert!(processes(&unnamed).iter().any(|process| process["argv0"] == "cat"), "{unnamed}");
}
