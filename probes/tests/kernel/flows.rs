//! How much goes over a connection: told when it ends, or its process does, and now and then while it goes on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use grove_probes::kernel::{Classes, Options};

use crate::accepts::exchange;
use crate::support::*;

/// Takes one connection, hears it to its end if it has one, and gives so many bytes before that.
fn server(bytes: usize, hears: bool) -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&vec![0; bytes]).unwrap();
        let mut heard = Vec::new();
        if hears {
            stream.read_to_end(&mut heard).ok();
        }
        heard.len()
    });
    (port, thread)
}

/// Everything but files, with the place of what is of interest among it.
fn of_sockets(seen: &[Seen]) -> Vec<String> {
    let named =
        |line: &String| ["accept", "connect", "bind", "flow", "exec", "exit"].iter().any(|k| line.starts_with(k));
    lines(seen).into_iter().filter(named).collect()
}

/// To the byte, whatever the size: neither the ends of both sides nor what was sent again counts.
#[test]
fn every_byte_of_a_connection_is_told_when_it_is_closed() {
    let Some(mut w) = watch(&everything()) else { return };
    for (sent, received) in [(0, 0), (1, 0), (0, 1), (1023, 1024), (100_000, 3), (5, 3_000_000)] {
        let (port, peer) = server(received, true);
        let seen =
            w.run(&mut child(&["connects-and", "close", "inet", "stream", "127.0.0.1", &port, &sent.to_string()]));
        assert_eq!(peer.join().unwrap(), sent);
        let lines = of_sockets(&seen);
        let expected = format!("flow connect 127.0.0.1 {port} tcp {sent} {received}");
        assert_eq!(lines.last().map(String::as_str), Some("exit 0"));
        assert_eq!(lines[lines.len() - 2], expected, "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("flow")).count(), 1, "{lines:#?}");
    }
}

#[test]
fn of_who_was_let_in_the_own_port_is_told_and_both_directions() {
    let Some(mut w) = watch(&everything()) else { return };
    for how in ["accept", "uring-accept", "uring-multishot"] {
        let port = free_port("::", "stream");
        let child = child(&["let-in", how, "inet6", "stream", "::", &port, "4000"]).spawn().unwrap();
        assert_eq!(exchange(&format!("127.0.0.1:{port}"), 70_000), 4000);
        let lines = of_sockets(&w.finish(child));
        let of_it: Vec<_> = lines.iter().filter(|line| line.contains("accept")).collect();
        let expected =
            [format!("accept Ip(127.0.0.1) {port} tcp 0"), format!("flow accept 127.0.0.1 {port} tcp 4000 70000")];
        assert_eq!(of_it, expected.iter().collect::<Vec<_>>(), "{how}: {lines:#?}");
    }
}

/// A connection that its process leaves open is told before its process's end; one that was cut is told too.
#[test]
fn a_flow_is_told_before_its_process_is_gone_or_another_program() {
    let Some(mut w) = watch(&everything()) else { return };
    for (how, sent, received) in [("leave", 300, 70), ("reset", 5000, 0), ("exec", 9, 10)] {
        let (port, peer) = server(received, how != "leave");
        let args = ["connects-and", how, "inet", "stream", "127.0.0.1", &port, &sent.to_string()];
        let seen = w.run(&mut child(&args));
        peer.join().unwrap();
        let lines = of_sockets(&seen);
        let flows: Vec<_> = lines.iter().enumerate().filter(|(_, line)| line.starts_with("flow")).collect();
        let [(at, flow)] = flows[..] else { panic!("{how}: {lines:#?}") };
        assert_eq!(*flow, format!("flow connect 127.0.0.1 {port} tcp {sent} {received}"), "{how}");
        // The last exec is what it has become.
        let ends =
            lines.iter().rposition(|line| line.starts_with(if how == "exec" { "exec" } else { "exit" })).unwrap();
        assert!(at < ends, "{how}: {lines:#?}");
    }
}

/// What was refused was no connection.
#[test]
fn over_a_refused_connection_nothing_goes() {
    let Some(mut w) = watch(&everything()) else { return };
    for kind in ["stream", "stream-nonblock"] {
        let seen = w.run(&mut child(&["connect", "inet", kind, "127.0.0.1", "1"]));
        let lines = of_sockets(&seen);
        assert!(lines.iter().any(|line| line.starts_with("connect")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.starts_with("flow")), "{lines:#?}");
    }
}

/// While it goes on, what has gone over it is told when sets of system calls are due: if it has come to be twice as much.
#[test]
fn a_connection_that_goes_on_is_told_now_and_then() {
    let Some(mut w) = watch(&everything()) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let args = ["connects-and", "hold", "inet", "stream", "127.0.0.1", &port, "600"];
    let mut child = child(&args).stdin(Stdio::null()).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 600]).unwrap();
    let pid = child.id();
    let flows = |w: &mut Watch| {
        w.probes.flush_syscalls().unwrap();
        w.drain();
        lines(&w.of(pid)).into_iter().filter(|line| line.starts_with("flow")).collect::<Vec<_>>()
    };
    let first = format!("flow connect 127.0.0.1 {port} tcp 600 0");
    assert_eq!(flows(&mut w), std::slice::from_ref(&first));
    assert_eq!(flows(&mut w), std::slice::from_ref(&first), "told again, though nothing has gone over it");
    let acknowledged = |stream: &mut TcpStream| {
        // It is in the other's queue once it is acknowledged.
        while rustix::io::ioctl_fionread(&*stream).is_err() {}
        std::thread::sleep(Duration::from_millis(50));
    };
    stream.write_all(&[0; 100]).unwrap();
    acknowledged(&mut stream);
    let second = format!("flow connect 127.0.0.1 {port} tcp 600 100");
    assert_eq!(flows(&mut w), [first.clone(), second.clone()]);
    // 110 is below the same power of two.
    stream.write_all(&[0; 10]).unwrap();
    acknowledged(&mut stream);
    assert_eq!(flows(&mut w), [first, second]);
    child.kill().unwrap();
    w.finish(child);
}

#[test]
fn without_the_class_no_volume_is_told() {
    let classes = Classes::ALL.without(grove_probes::kernel::Class::Flow);
    let Some(mut w) = watch(&Options { classes, ..everything() }) else { return };
    let (port, peer) = server(10, true);
    let seen = w.run(&mut child(&["connects-and", "close", "inet", "stream", "127.0.0.1", &port, "10"]));
    peer.join().unwrap();
    assert!(!lines(&seen).iter().any(|line| line.starts_with("flow")));
}
