//! Connects, binds, DNS questions.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};

use grove_probes::kernel::Options;

use crate::support::*;

#[track_caller]
fn check(w: &mut Watch, args: &[&str], expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let _listening = UnixListener::bind(dir.path().join("listening")).unwrap();
    let _mailbox = UnixDatagram::bind(dir.path().join("mailbox")).unwrap();
    let at = dir.path().canonicalize().unwrap();
    let told = lines(&w.run(child(args).current_dir(&at)));
    let told = told.into_iter().filter(|line| !line.starts_with("open "));
    let told: Vec<_> = told.map(|line| line.replace(at.to_str().unwrap(), "DIR")).collect();
    assert!(told.contains(&expected.to_string()), "{args:?}: {expected} is not in {told:#?}");
}

#[test]
fn connect_and_bind_of_every_family() {
    let Some(mut w) = watch(&everything()) else { return };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp6 = TcpListener::bind("[::1]:0").unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let port6 = tcp6.local_addr().unwrap().port().to_string();
    let w = &mut w;
    check(w, &["connect", "inet", "stream", "127.0.0.1", &port], &format!("connect Ip(127.0.0.1) {port} tcp 0"));
    check(w, &["connect", "inet6", "stream", "::1", &port6], &format!("connect Ip(::1) {port6} tcp 0"));
    check(w, &["connect", "inet", "dgram", "127.0.0.2", "9"], "connect Ip(127.0.0.2) 9 udp 0");
    check(w, &["connect", "inet", "stream", "127.0.0.1", "1"], "connect Ip(127.0.0.1) 1 tcp -111");
    check(w, &["connect", "unix", "stream", "listening", "0"], "connect Unix(DIR/listening) 0 - 0");
    check(w, &["connect", "unix", "stream", "absent", "0"], "connect Unix(DIR/absent) 0 - -2");
    check(w, &["connect", "unix", "stream", "@nobody", "0"], "connect Unix(@nobody) 0 - -111");
    check(w, &["bind", "inet", "stream", "127.0.0.1", "0"], "bind Ip(127.0.0.1) 0 tcp 0");
    check(w, &["bind", "inet6", "dgram", "::1", "0"], "bind Ip(::1) 0 udp 0");
    check(w, &["bind", "unix", "dgram", "made", "0"], "bind Unix(DIR/made) 0 - 0");
    check(w, &["bind", "unix", "stream", "@made", "0"], "bind Unix(@made) 0 - 0");
    let long = "s".repeat(107);
    check(w, &["bind", "unix", "stream", &long, "0"], &format!("bind Unix(DIR/{long}) 0 - 0"));
}

/// Whoever sends without a connect has a peer all the same, by whatever call; and so has a connect that is none of the
/// usual calls.
#[test]
fn other_ways_to_a_peer() {
    let Some(mut w) = watch(&everything()) else { return };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let w = &mut w;
    for how in [
        "sendto",
        "sendmsg",
        "sendmmsg",
        "32-sendto",
        "32-sendmsg",
        "32-sendmmsg",
        "32-socketcall-sendto",
        "uring-sendmsg",
    ] {
        check(w, &[how, "inet", "dgram", "127.0.0.2", "9"], "connect Ip(127.0.0.2) 9 udp 0");
        check(w, &[how, "inet6", "dgram", "::1", "9"], "connect Ip(::1) 9 udp 0");
        check(w, &[how, "unix", "dgram", "mailbox", "0"], "connect Unix(DIR/mailbox) 0 - 0");
    }
    for how in ["32-connect", "32-socketcall-connect", "uring-connect", "fastopen"] {
        check(w, &[how, "inet", "stream", "127.0.0.1", &port], &format!("connect Ip(127.0.0.1) {port} tcp 0"));
    }
    for how in ["32-connect", "uring-connect"] {
        check(w, &[how, "inet", "stream", "127.0.0.1", "1"], "connect Ip(127.0.0.1) 1 tcp -111");
        check(w, &[how, "unix", "stream", "absent", "0"], "connect Unix(DIR/absent) 0 - -2");
    }
    for how in ["32-bind", "32-socketcall-bind", "uring-bind"] {
        if how == "uring-bind" && rings_cannot_bind(w) {
            continue;
        }
        check(w, &[how, "inet", "stream", "127.0.0.1", "0"], "bind Ip(127.0.0.1) 0 tcp 0");
        check(w, &[how, "unix", "dgram", "made", "0"], "bind Unix(DIR/made) 0 - 0");
    }
}

/// Before Linux 6.11 a ring has no such request: the helper says so, and nothing is told.
fn rings_cannot_bind(w: &mut Watch) -> bool {
    const EINVAL: u32 = 22 << 8;
    let told = w.run(&mut child(&["uring-bind", "inet", "stream", "127.0.0.1", "0"]));
    let refused = told.iter().any(|seen| seen.status == EINVAL);
    assert!(!refused || !lines(&told).iter().any(|line| line.starts_with("bind")), "{:#?}", lines(&told));
    refused
}

/// A stream has its peer already: an address in a send says nothing.
#[test]
fn an_address_that_counts_for_nothing_is_no_peer() {
    let Some(mut w) = watch(&everything()) else { return };
    let told = lines(&w.run(&mut child(&["sendto", "inet", "stream", "127.0.0.5", "9"])));
    assert!(!told.iter().any(|line| line.contains("127.0.0.5")), "{told:?}");
}

/// A relative path is another one in another directory, and no repeat there.
#[test]
fn a_unix_path_begins_at_the_working_directory_of_the_time() {
    let dedup = Some(std::time::Duration::from_secs(3600));
    let Some(mut w) = watch(&Options { dedup, ..everything() }) else { return };
    let told = lines(&w.run(&mut child(&["in-both", "connect", "/usr", "/", "absent"])));
    for expected in ["connect Unix(/usr/absent) 0 - -2", "connect Unix(/absent) 0 - -2"] {
        assert!(told.contains(&expected.to_owned()), "{told:#?}");
    }
}

/// With the hash that there was at first, one of these was a repeat of the other for every key.
#[test]
fn two_peers_that_differ_in_a_few_bits_are_both_told() {
    let dedup = Some(std::time::Duration::from_secs(3600));
    let Some(mut w) = watch(&Options { dedup, ..everything() }) else { return };
    let peers = ["2001:db8:1:2::10", "2001:db8:1:82::400:90"];
    let told = lines(&w.run(child(&["each", "connect", "inet6", "dgram", "9"]).args(peers)));
    for peer in peers {
        assert!(told.iter().any(|line| line.starts_with(&format!("connect Ip({peer}) 9 udp"))), "{told:#?}");
    }
}

#[test]
fn a_connect_under_way_is_told_with_its_result() {
    let Some(mut w) = watch(&everything()) else { return };
    // A queue of one that is never emptied: further connects have to wait.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let port = full.local_addr().unwrap().port().to_string();
    let args = ["connect", "inet", "stream-nonblock", "127.0.0.1", &port];
    check(&mut w, &args, &format!("connect Ip(127.0.0.1) {port} tcp -115"));
}

/// A question for `name`: the message, whoever it is sent to.
fn question(name: &str, qtype: u16) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// Sends `message` to port 53 from a child, by bash's own sockets, and returns what was told.
fn ask(w: &mut Watch, transport: &str, server: &str, message: &[u8]) -> Vec<String> {
    let bytes: String = message.iter().map(|b| format!("\\x{b:02x}")).collect();
    let script = format!("exec 3<>/dev/{transport}/{server}/53 && printf '{bytes}' >&3");
    let seen = w.run(std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!(seen.last().map(line), Some("exit 0".into()));
    lines(&seen)
}

#[test]
fn dns_questions_over_both_transports_and_families() {
    let Some(mut w) = watch(&everything()) else { return };
    for server in ["127.0.0.1", "::1"] {
        let udp = UdpSocket::bind((server, 53)).unwrap();
        let told = ask(&mut w, "udp", server, &question("www.Example.com", 28));
        assert!(told.contains(&"dns www.Example.com 28".into()), "{told:?}");
        udp.recv(&mut [0; 512]).unwrap();

        let tcp = TcpListener::bind((server, 53)).unwrap();
        let message = question("tcp.example.com", 1);
        let told = ask(&mut w, "tcp", server, &framed(&message));
        assert_eq!(told.iter().filter(|l| *l == "dns tcp.example.com 1").count(), 1, "{told:?}");
        let (mut stream, _) = tcp.accept().unwrap();
        stream.read_exact(&mut [0; 14]).unwrap();
        stream.flush().unwrap();
    }
}

/// With its length in front, as streams have it.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// The C library asks for both kinds of address at once, and nothing else is told of a segment than what it asks.
#[test]
fn every_message_of_a_segment_is_told_and_what_is_no_message_is_not() {
    let Some(mut w) = watch(&everything()) else { return };
    let _tcp = TcpListener::bind("127.0.0.7:53").unwrap();
    let (a, aaaa) = (question("both.example.test", 1), question("both.example.test", 28));
    let mut answer = question("answer.example.test", 1);
    answer[2] |= 0x80;
    let asked = ["dns both.example.test 1", "dns both.example.test 28"];
    for (segment, expected) in [
        ([framed(&a), framed(&aaaa)].concat(), &asked[..]),
        // The length has gone ahead.
        (a.clone(), &asked[..1]),
        // The end of a message that has begun elsewhere, and the beginning of one that ends elsewhere.
        ([framed(&a), framed(&aaaa)[..20].to_vec()].concat(), &asked[..1]),
        ([&a[9..], &framed(&aaaa)].concat(), &[]),
        (framed(&answer), &[]),
        (b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n".to_vec(), &[]),
        (vec![0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], &[]),
    ] {
        let told = ask(&mut w, "tcp", "127.0.0.7", &segment);
        let told: Vec<_> = told.iter().filter(|l| l.starts_with("dns")).collect();
        assert_eq!(told, expected, "{segment:?}");
    }
}

#[test]
fn packets_to_port_53_that_ask_nothing_are_left_alone() {
    let Some(mut w) = watch(&everything()) else { return };
    let udp = UdpSocket::bind("127.0.0.3:53").unwrap();
    let mut answer = question("answer.example.com", 1);
    answer[2] |= 0x80;
    for message in [&b"short"[..], &answer] {
        let told = ask(&mut w, "udp", "127.0.0.3", message);
        assert!(!told.iter().any(|l| l.starts_with("dns")), "{told:?}");
        udp.recv(&mut [0; 512]).unwrap();
    }
}
