//! Who is let in, and who is heard from.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use grove_probes::kernel::{Cause, Class, Options};

use crate::support::*;

/// What `attempt` gives once it does.
#[track_caller]
pub fn soon<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < deadline, "nobody is there");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a child did but for files: while it runs, `meanwhile` is its peer.
fn told(w: &mut Watch, args: &[&str], dir: &Path, meanwhile: impl FnOnce(&mut Child)) -> Vec<String> {
    let mut child = child(args).current_dir(dir).spawn().unwrap();
    meanwhile(&mut child);
    let told = w.finish(child);
    assert_eq!(told.last().map(line), Some("exit 0".into()), "{args:?}: {:#?}", lines(&told));
    let named = |line: &str| ["accept", "connect", "bind", "flow"].iter().any(|kind| line.starts_with(kind));
    let dir = dir.canonicalize().unwrap();
    let told = lines(&told).into_iter().filter(|line| named(line));
    told.map(|line| line.replace(dir.to_str().unwrap(), "DIR")).collect()
}

/// Whoever connects to `at` from `from`, says nothing and hears all.
fn visit(from: &str, at: &str) {
    let at: SocketAddr = at.parse().unwrap();
    let from: SocketAddr = from.parse().unwrap();
    let mut stream = soon(|| {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &from).unwrap();
        connect(&socket, &at).is_ok().then(|| TcpStream::from(socket))
    });
    stream.shutdown(Shutdown::Write).ok();
    stream.read_to_end(&mut Vec::new()).ok();
}

/// Rings accept many times by one request since Linux 5.19.
const WAYS: [&str; 7] =
    ["accept", "accept4", "32-accept4", "32-socketcall-accept", "uring-accept", "uring-multishot", "uring-direct"];

#[test]
fn connections_are_let_in_by_every_way_there_is() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    for how in WAYS {
        let of_port = |told: Vec<String>| told.into_iter().filter(|l| l.starts_with("accept")).collect::<Vec<_>>();
        let port = free_port("127.0.3.1", "stream");
        let at = format!("127.0.3.1:{port}");
        let args = ["let-in", how, "inet", "stream", "127.0.3.1", &port, "0"];
        let lines = of_port(told(&mut w, &args, dir.path(), |_| visit("127.0.3.2:0", &at)));
        assert_eq!(lines, [format!("accept Ip(127.0.3.2) {port} tcp 0")], "{how}");

        let port = free_port("::1", "stream");
        let at = format!("[::1]:{port}");
        let args = ["let-in", how, "inet6", "stream", "::1", &port, "0"];
        let lines = of_port(told(&mut w, &args, dir.path(), |_| visit("[::1]:0", &at)));
        assert_eq!(lines, [format!("accept Ip(::1) {port} tcp 0")], "{how}");

        // Who comes by IPv4 to a socket of both is who it is.
        let port = free_port("::", "stream");
        let at = format!("127.0.3.1:{port}");
        let args = ["let-in", how, "inet6", "stream", "::", &port, "0"];
        let lines = of_port(told(&mut w, &args, dir.path(), |_| visit("127.0.3.2:0", &at)));
        assert_eq!(lines, [format!("accept Ip(127.0.3.2) {port} tcp 0")], "{how}");

        for (name, at) in [("door", "DIR/door"), ("@grove-kernel-door", "@grove-kernel-door")] {
            let args = ["let-in", how, "unix", "stream", name, "0", "0"];
            let lines = of_port(told(&mut w, &args, dir.path(), |_| {
                let mut stream = soon(|| to_unix(dir.path(), name));
                stream.shutdown(Shutdown::Write).ok();
                stream.read_to_end(&mut Vec::new()).ok();
            }));
            assert_eq!(lines, [format!("accept Unix({at}) 0 - 0")], "{how}");
            std::fs::remove_file(dir.path().join(name)).ok();
        }
    }
}

fn to_unix(dir: &Path, name: &str) -> Option<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    match name.strip_prefix('@') {
        Some(name) => {
            let name = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
            UnixStream::connect_addr(&name).ok()
        }
        None => UnixStream::connect(dir.join(name)).ok(),
    }
}

/// A client of a datagram server: sends until it is answered, or `child` has ended.
fn send_until_answered(to: &str, child: &mut Child) {
    let client = UdpSocket::bind(("127.0.4.2", 0)).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    soon(|| {
        client.send_to(b"x", to).unwrap();
        let answered = client.recv(&mut [0; 8]).is_ok();
        (answered || child.try_wait().unwrap().is_some()).then_some(())
    });
}

/// Whoever was heard from is told with the own port, and an answer is no connect.
#[test]
fn datagrams_are_heard_by_every_way_there_is_and_answers_are_no_connects() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let ways =
        ["recvfrom", "recvmsg", "recvmmsg", "32-recvfrom", "32-socketcall-recvfrom", "32-recvmsg", "uring-recvmsg"];
    for (i, how) in ways.iter().enumerate() {
        let port = free_port("127.0.4.1", "dgram");
        let args = ["hears", how, "inet", "dgram", "127.0.4.1", &port];
        let lines = told(&mut w, &args, dir.path(), |child| send_until_answered(&format!("127.0.4.1:{port}"), child));
        let expected = [format!("bind Ip(127.0.4.1) {port} udp 0"), format!("accept Ip(127.0.4.2) {port} udp 0")];
        assert_eq!(lines, expected, "{how}");

        let port = free_port("::", "dgram");
        let args = ["hears", how, "inet6", "dgram", "::", &port];
        let lines = told(&mut w, &args, dir.path(), |child| send_until_answered(&format!("127.0.4.1:{port}"), child));
        let expected = [format!("bind Ip(::) {port} udp 0"), format!("accept Ip(127.0.4.2) {port} udp 0")];
        assert_eq!(lines, expected, "{how}");

        let name = format!("mailbox-{i}");
        let args = ["hears", how, "unix", "dgram", &name, "0"];
        let lines = told(&mut w, &args, dir.path(), |_| {
            let own = dir.path().join(format!("client-{i}"));
            let client = UnixDatagram::bind(&own).unwrap();
            soon(|| client.send_to(b"x", dir.path().join(&name)).ok());
            client.recv(&mut [0; 8]).unwrap();
        });
        let expected = [format!("bind Unix(DIR/{name}) 0 - 0"), format!("accept Unix(DIR/{name}) 0 - 0")];
        assert_eq!(lines, expected, "{how}");
    }
}

/// Nobody asked whom it came from.
#[test]
fn who_does_not_ask_hears_from_nobody() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let port = free_port("127.0.4.1", "dgram");
    let args = ["hears", "recv", "inet", "dgram", "127.0.4.1", &port];
    let lines = told(&mut w, &args, dir.path(), |child| send_until_answered(&format!("127.0.4.1:{port}"), child));
    assert_eq!(lines, [format!("bind Ip(127.0.4.1) {port} udp 0")]);
}

/// Who has a port of its own and speaks first connects, and is answered: a client or a resolver, and no server.
#[test]
fn who_speaks_first_connects_though_it_has_a_port_of_its_own() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let answer = |server: &UdpSocket| {
        let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
        server.send_to(b"y", from).unwrap();
    };
    let server = UdpSocket::bind(("127.0.5.1", 0)).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let own = free_port("127.0.5.1", "dgram");
    let args = ["asks", "inet", "dgram", "127.0.5.1", &port, &own];
    let lines = told(&mut w, &args, dir.path(), |_| answer(&server));
    // Bound to where it sends to, which is this host's.
    assert_eq!(lines, [format!("bind Ip(127.0.5.1) {own} udp 0"), format!("connect Ip(127.0.5.1) {port} udp 0")]);

    let server = UnixDatagram::bind(dir.path().join("server")).unwrap();
    // By the name that its owner gave it: another one of the same would be another peer.
    let name = dir.path().join("server");
    let args = ["asks", "unix", "dgram", name.to_str().unwrap(), "0", "own"];
    let lines = told(&mut w, &args, dir.path(), |_| {
        server.recv(&mut [0; 8]).unwrap();
        server.send_to(b"y", dir.path().join("own")).unwrap();
    });
    assert_eq!(lines, ["bind Unix(DIR/own) 0 - 0", "connect Unix(DIR/server) 0 - 0"]);
}

/// A thousand visits from one place are one, and the rest is counted.
#[test]
fn repeated_visits_are_counted_and_left_out() {
    let Some(mut w) = watch(&Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() }) else { return };
    let told = w.run(&mut child(&["loop-accept", "300"]));
    let accepts = lines(&told).into_iter().filter(|line| line.starts_with("accept")).count();
    let flows = lines(&told).into_iter().filter(|line| line.starts_with("flow")).collect::<Vec<_>>();
    assert_eq!(accepts, 1);
    // Nothing went over them: one for each side.
    assert_eq!(flows.len(), 2, "{flows:#?}");
    assert!(w.counted(Class::Socket, Cause::Repeat) >= 2 * 299);
    assert!(w.counted(Class::Flow, Cause::Repeat) >= 2 * 299);
    let told = w.run(&mut child(&["loop-datagrams", "300"]));
    let lines = lines(&told);
    assert!(lines.iter().filter(|line| line.starts_with("connect")).count() <= 1, "{lines:#?}");
}

/// Whoever leaves sockets out is told of no visitor either.
#[test]
fn without_the_class_nobody_is_let_in() {
    let classes = grove_probes::kernel::Classes::ALL.without(Class::Socket);
    let Some(mut w) = watch(&Options { classes, ..everything() }) else { return };
    let dir = tempfile::tempdir().unwrap();
    let port = free_port("127.0.3.9", "stream");
    let args = ["let-in", "accept", "inet", "stream", "127.0.3.9", &port, "9"];
    let lines = told(&mut w, &args, dir.path(), |_| visit("127.0.3.2:0", &format!("127.0.3.9:{port}")));
    assert!(lines.is_empty(), "{lines:#?}");
}

/// The peer of a let-in that gives and hears, for what the streams of other tests carry.
pub fn exchange(at: &str, bytes: usize) -> usize {
    let mut stream = soon(|| TcpStream::connect(at).ok());
    stream.write_all(&vec![0; bytes]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard.len()
}
