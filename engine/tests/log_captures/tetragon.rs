//! Records of two intrusions into Kubernetes pods: lines in one file, pretty-printed objects in the others.

use grove::event::{Body, Peer, Socket};
use grove::trace::tetragon::TetragonDecoder;

use crate::{Decoded, capture, jq, lines, read, text};

#[test]
fn what_is_counted_is_what_jq_finds() {
    let Some(folder) = capture("tetragon") else { return };
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| read(path)).collect();
    let records = files.iter().flat_map(|file| {
        let pretty = file.starts_with(b"{\n");
        if pretty { vec![file.as_slice()] } else { lines(file).collect() }
    });
    let decoded = Decoded::of(&mut TetragonDecoder::new(), records);

    let filter = r#"
        def id(p): p.pod.container.id // p.docker // "" | sub("^[a-z]+://"; "");
        (.process_exec // empty | "\(id(.process)) exec \(.process.pid) \(.process.binary) \(.parent.pid) \(.process.cwd)"),
        (.process_exit // empty | "\(id(.process)) exit \(.process.pid)"),
        (.process_connect // empty | "\(id(.process)) connect \(.process.pid) \(.destination_ip) \(.destination_port)")
    "#;
    let Some(expected) = jq(filter, &files.concat()) else { return };
    let told = |counted: bool| {
        decoded.iter().filter(move |stored| stored.counted == counted).map(|stored| {
            let event = stored.event;
            let (container, pid) = (text(event.container), event.pid);
            match event.body {
                Body::Exec(e) => {
                    let cwd = text(e.cwd.unwrap_or_default());
                    format!("{container} exec {pid} {} {} {cwd}", text(e.path), e.ppid)
                }
                Body::Exit => format!("{container} exit {pid}"),
                Body::Socket(Socket { peer: Peer::Ip(ip), port, .. }) => {
                    format!("{container} connect {pid} {ip} {port}")
                }
                Body::ContainerStart { image, tag } => format!("{container} start {} {}", text(image), text(tag)),
                other => format!("{other:?}"),
            }
        })
    };
    assert_eq!(told(true).collect::<Vec<_>>(), expected);
    assert_eq!((expected.len(), decoded.no_behaviour), (20, 2));

    let Some(mut images) = jq(
        r#"..|objects|select(has("image")) | "\(.id|sub("^[a-z]+://"; "")) start \(.image.name|sub(":latest";" latest"))""#,
        &files.concat(),
    ) else {
        return;
    };
    // A container is described with its process and again with the parent.
    images.dedup();
    let starts: Vec<String> = told(false).filter(|line| line.contains(" start ")).collect();
    assert_eq!(starts, images);
}
