//! Runtimes that answer without end, too slowly or with nonsense: asked by a real resolver over real sockets, they cost
//! a bounded amount of memory, and what is wrong is said.

#[path = "common/asking.rs"]
mod asking;

use std::convert::Infallible;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use asking::{ask, container};
use grove_probes::workload::{LABEL_BYTES_MAX, LABELS_MAX, Options, Resolver, Runtime, Unresolved, Workload};
use hyper::body::{Body, Bytes, Frame};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// More than any of these may cost: a few answers at their longest, and what becomes of them.
const PEAK_KIB_MAX: u64 = 96 << 10;

fn options() -> Options {
    Options { patience: Duration::from_millis(300), request_timeout: Duration::from_secs(1), ..Options::none() }
}

/// For what ends by itself as long as it takes, and a second for what does not.
fn patience(said: &str) -> Duration {
    Duration::from_secs(if said.contains("within") { 1 } else { 20 })
}

/// What the process held at most since the last [`forget_peak`].
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Memory is the process's: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Asks, and says how much more than before the process held meanwhile.
fn measured(what: &str, options: Options, runtime: Runtime) -> Result<Workload, Unresolved> {
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    forget_peak();
    let before = peak_kib();
    let result = ask(&Resolver::start(options).unwrap(), container(runtime, ID));
    let grown = peak_kib().saturating_sub(before);
    println!("{what}: {grown} KiB more: {:?}", result.as_ref().map(|w| (&w.image, &w.tag)));
    assert!(grown < PEAK_KIB_MAX, "{what}: {grown} KiB");
    result
}

/// A socket at which every request is answered by `answer`, which may go on for as long as somebody listens.
fn serve(dir: &Path, answer: impl Fn(&mut UnixStream) -> std::io::Result<()> + Clone + Send + 'static) -> PathBuf {
    let socket = dir.join("sock");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = answer(&mut stream);
            });
        }
    });
    socket
}

/// `before`, then `again` for as long as somebody listens.
fn for_ever(before: String, again: &'static str) -> impl Fn(&mut UnixStream) -> std::io::Result<()> + Clone + Send {
    let again = again.repeat((64 << 10) / again.len());
    move |stream| {
        stream.write_all(before.as_bytes())?;
        loop {
            stream.write_all(again.as_bytes())?;
        }
    }
}

#[test]
fn what_a_docker_socket_answers_is_read_up_to_a_limit() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let json = format!(r#"{{"Id":"{ID}","Config":{{"Image":"web:1","Labels":{{"a":"#);
    let dir = tempfile::tempdir().unwrap();
    for (what, before, again, said) in [
        ("a body until the end", format!("{OK}\r\n{json}\""), "x", "longer than 1048576 bytes"),
        ("a length that never comes", format!("{OK}Content-Length: 1099511627776\r\n\r\n"), " ", "longer than"),
        ("chunks", format!("{OK}Transfer-Encoding: chunked\r\n\r\n"), "4\r\n    \r\n", "longer than"),
        ("one chunk", format!("{OK}Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"), " ", "longer than"),
        ("deep", format!("{OK}\r\n{{\"X\":"), "[", "longer than"),
        ("headers", OK.to_owned(), "X: y\r\n", "too large"),
        ("one header", format!("{OK}X: "), "y", "too large"),
        ("no line", String::new(), "y", "HTTP"),
        ("not yet", String::new(), "HTTP/1.1 100 Continue\r\n\r\n", "did not answer within 1s"),
        ("redirects", "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n".to_owned(), " ", "302"),
        ("no such status", "HTTP/1.1 500 No\r\n\r\n".to_owned(), " ", "500"),
    ] {
        let socket = serve(dir.path(), for_ever(before, again));
        let asked = Options { docker: vec![socket.clone()], request_timeout: patience(said), ..options() };
        let Err(Unresolved::Unreachable(why)) = measured(what, asked, Runtime::Docker) else { panic!("{what}: named") };
        assert!(why.contains(&*socket.to_string_lossy()) && why.contains(said), "{what}: {why}");
    }

    let slow = serve(dir.path(), |stream| {
        loop {
            stream.write_all(b"H")?;
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let slow = measured("a byte a second", Options { docker: vec![slow], ..options() }, Runtime::Docker);
    assert!(matches!(&slow, Err(Unresolved::Unreachable(why)) if why.contains("within 1s")), "{slow:?}");

    let nothing = Options { docker: vec![serve(dir.path(), |_| Ok(()))], ..options() };
    assert!(matches!(measured("nothing", nothing, Runtime::Docker), Err(Unresolved::Unreachable(_))));

    // A whole answer, as large as it may be.
    let labels: String = (0..50_000).map(|n| format!(r#""l{n:05}":"{n}","#)).collect();
    let body = format!(r#"{{"Id":"{ID}","Config":{{"Image":"web:1","Labels":{{{labels}"z":""}}}}}}"#);
    let answer = format!("{OK}Content-Length: {}\r\n\r\n{body}", body.len());
    let many = serve(dir.path(), move |stream| stream.write_all(answer.as_bytes()));
    let many = measured("labels", Options { docker: vec![many], ..options() }, Runtime::Docker).unwrap();
    let bytes: usize = many.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!((many.image.as_str(), many.labels.len()), ("web", LABELS_MAX));
    assert!(bytes <= LABEL_BYTES_MAX, "{bytes}");

    let long = format!("{OK}\r\n{}", json.replace("web:1", &"w".repeat(5000)).replace(r#","Labels":{"a":"#, "}}"));
    let long = serve(dir.path(), move |stream| stream.write_all(long.as_bytes()));
    let long = measured("a long name", Options { docker: vec![long], ..options() }, Runtime::Docker);
    assert!(matches!(&long, Err(Unresolved::Unreachable(why)) if why.contains("4096 bytes")), "{long:?}");
}

/// The head of an answer, then the rest for as long as somebody listens.
struct Endless(Option<Bytes>, Bytes);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.take().unwrap_or_else(|| self.1.clone());
        Poll::Ready(Some(Ok(Frame::data(next))))
    }
}

/// A socket that answers every call with `head` and then, for ever, `rest`; with a header of so many bytes.
fn serve_grpc(dir: &Path, head: Vec<u8>, rest: Vec<u8>, header: usize) -> PathBuf {
    let socket = dir.join("sock");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (head, rest) = (Bytes::from(head), Bytes::from(rest));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (head, rest) = (head.clone(), rest.clone());
                let service = hyper::service::service_fn(move |_: Request<hyper::body::Incoming>| {
                    let answer = Response::builder().header("content-type", "application/grpc");
                    let answer = answer.header("x", "y".repeat(header));
                    let body = Endless(Some(head.clone()), rest.clone());
                    async move { Ok::<_, Infallible>(answer.body(body).unwrap()) }
                });
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http2.serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    socket
}

/// A message as gRPC frames it, with a length that it may not have.
fn message(length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..], bytes].concat()
}

#[test]
fn what_a_grpc_socket_answers_is_read_up_to_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let spaces = vec![b' '; 16 << 10];
    let empty_name: Vec<u8> = [0x0a, 0x00].repeat(400 << 10);
    for (what, head, rest, header, said) in [
        ("a message of 4 GiB", message(u32::MAX, &[]), spaces.clone(), 1, "too large"),
        ("one beyond the limit", message((1 << 20) + 1, &[]), spaces.clone(), 1, "too large"),
        ("messages without end", message(0, &[]), message(0, &[]).repeat(3000), 1, "within 1s"),
        ("namespaces", message(empty_name.len() as u32, &empty_name), message(0, &[]).repeat(3000), 1, "within 1s"),
        ("a long header", message(0, &[]), spaces.clone(), 1 << 20, "transport error"),
    ] {
        for runtime in [Runtime::Containerd, Runtime::Crio] {
            let socket = serve_grpc(dir.path(), head.clone(), rest.clone(), header);
            let asked = match runtime {
                Runtime::Containerd => {
                    Options { containerd: vec![socket.clone()], request_timeout: patience(said), ..options() }
                }
                _ => Options { cri: vec![socket.clone()], request_timeout: patience(said), ..options() },
            };
            let Err(Unresolved::Unreachable(why)) = measured(what, asked, runtime) else { panic!("{what}: named") };
            assert!(why.contains(&*socket.to_string_lossy()) && why.contains(said), "{what}: {why}");
            assert!(why.len() < 1000, "{what}: {} bytes of reasons", why.len());
        }
    }
}

#[test]
fn a_list_of_a_million_containers_is_read_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("vfs-containers/containers.json");
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    // Just below the largest file that is read.
    let many = r#"{"id":""},"#.repeat((16 << 20) / 10 - 10);
    fs::write(&list, format!(r#"[{many}{{"id":"{ID}","image":"ee"}}]"#)).unwrap();
    let storage =
        Options { storage: vec![dir.path().to_owned()], request_timeout: Duration::from_secs(20), ..options() };
    assert_eq!(measured("a list", storage, Runtime::Podman).unwrap().image, "sha256:ee");
}
