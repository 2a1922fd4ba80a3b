//! The very run that strace follows, observed at the same time: nothing is left out, so both tell the same of every
//! process, call by call and in order; and what is learned of it is all of that, and nothing else. With repeats left out,
//! as they are unless one asks for them, the same is learned.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use crate::learned;
use crate::strace::{self, Did, Strace};
use crate::{alone, containers, grove, ok, profile};

#[test]
fn a_commands_programs_files_and_peers() {
    observed(Some("0s"));
}

#[test]
fn the_same_without_repeats() {
    observed(None);
}

/// With this window of repeats, or that which is usual.
fn observed(window: Option<&str>) {
    if !containers::have(&[Strace::NEEDS, ("/usr/bin/python3", "python3")]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().canonicalize().unwrap();
    let _unix = UnixListener::bind(at.join("listening")).unwrap();
    let port = |address: std::io::Result<SocketAddr>| address.unwrap().port();
    let (v4, v6) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0").unwrap());
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let (v4, v6, udp) = (port(v4.local_addr()), port(v6.local_addr()), port(udp.local_addr()));
    let script = format!(
        "cd {at}
         c=\"{child}\"
         $c connect inet stream 127.0.0.1 {v4}; $c connect inet6 stream ::1 {v6}
         $c connect inet stream 127.0.0.1 1; $c connect inet6 stream ::1 1
         $c connect inet6 stream ::ffff:127.0.0.1 {v4}; $c connect inet stream-nonblock 127.0.0.2 1
         $c connect inet dgram 127.0.0.3 9; $c connect inet6 dgram ::1 {udp}
         $c connect inet6 stream-nonblock 2001:db8::1 443
         $c connect unix stream {at}/listening 0; $c connect unix stream listening 0
         $c connect unix stream {at}/absent 0; $c connect unix stream @nobody 0
         $c bind inet stream 127.0.0.1 7070; $c bind inet6 dgram ::1 7071; $c bind inet stream 127.0.0.1 {v4}
         $c bind inet stream 127.0.0.1 0; $c bind inet dgram 127.0.0.1 45454
         $c bind unix stream {at}/made 0; $c bind unix dgram @made 0; $c bind unix dgram {at}/made 0
         for send in sendto sendmsg sendmmsg 32-sendto 32-socketcall-sendto; do
             $c $send inet dgram 127.0.0.5 9; $c $send inet6 dgram ::1 {udp}
             $c $send unix dgram {at}/made 0; $c $send unix dgram @nobody 0
         done
         $c fastopen inet stream 127.0.0.1 {v4}; $c sendto inet stream 127.0.0.6 9
         $c 32-connect inet stream 127.0.0.1 1; $c 32-bind inet dgram 127.0.0.1 7072; $c 32-open {at}/out
         exec 3<>/dev/udp/127.0.0.4/99; (exec 4<>/dev/tcp/127.0.0.1/{v4}); (cat absent {at}/absent 2>&1; cat out) > out
         $c memfd \"$c\"; $c exec \"$c\" exec \"$c\" exit; cat /proc/self/comm | cat; $c openat / etc/passwd
         cc -O0 -x c -o built - <<< 'int main(){{}}' && {at}/built
         /usr/bin/python3 -S -E -c '
import os, socket, threading
def reach(n):
    open(\"out\").close()
    for port in {v4}, 1:
        try: socket.create_connection((\"127.0.0.1\", port))
        except OSError: pass
    os.waitpid(os.posix_spawn(\"/bin/true\", [\"true\"], os.environ), 0)
threads = [threading.Thread(target=reach, args=(n,)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
try: socket.create_connection((\"localhost\", 1))
except OSError: pass'
         exit 0",
        at = at.display(),
        child = containers::child().display(),
    );
    let strace = Strace::new();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let mut run = grove();
    run.envs(window.map(|window| ("GROVE_DEDUP_WINDOW", window))).env("GROVE_PROBE_FAILED", "all");
    run.args(["run", "--image", "beside", "--output"]).arg(&out).arg("--record").arg(&trace).arg("--");
    run.arg(strace.command().get_program()).args(strace.command().get_args());
    ok(&run.args(["bash", "-c", &script]).output().unwrap());

    let seen = strace.doings(crate::real);
    if window.is_some() {
        strace::compare(&seen, &strace::told(&fs::read_to_string(&trace).unwrap()));
    }
    let rets = seen.values().flatten();
    let rets = rets.filter_map(|did| if let Did::Socket { ret, .. } = did { Some(*ret) } else { None });
    let rets: Vec<i64> = rets.collect();
    // Each of the script's, those of Python's threads and some of the C library's; of every outcome.
    assert!(rets.len() >= 55, "{rets:?}");
    assert!(BTreeSet::from_iter(rets).is_superset(&BTreeSet::from([0, -2, -98, -111, -115])), "{seen:#?}");

    let profile = profile(&out.join("beside.profile.json"));
    let mut learned = learned::by_program(&profile);
    learned.retain(|(program, _)| !program.ends_with("/strace"));
    learned::compare(&learned::expected(&seen, &at.to_string_lossy()), &learned);
    let mut programs = learned::programs(&profile);
    programs.retain(|program| !program.ends_with("/strace"));
    assert_eq!(programs, strace::programs(&seen));
}
