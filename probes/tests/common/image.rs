//! An image of one layer, as files; and a registry that has it, so that a daemon pulls it as it would any other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use super::{Rootfs, command, done, text};

/// Its layer and its configuration.
pub struct Image {
    pub layer: PathBuf,
    pub config: PathBuf,
    layer_digest: String,
}

impl Image {
    /// Written into `dir`.
    pub fn write(dir: &Path) -> Self {
        let (layer, config) = (dir.join("layer.tar"), dir.join("config.json"));
        Rootfs::new().tar(&layer);
        let layer_digest = digest(&layer);
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["/bin/sleep","100"]}},"rootfs":{{"type":"layers","diff_ids":["{layer_digest}"]}}}}"#
        );
        fs::write(&config, text).expect("a configuration");
        Self { layer, config, layer_digest }
    }
}

fn digest(file: &Path) -> String {
    let sum = text(&done(command("sha256sum").arg(file)));
    format!("sha256:{}", sum.split(' ').next().expect("a digest"))
}

/// A registry of one image, `bb`, for as long as the test process lives.
pub struct Registry {
    port: u16,
    digest: String,
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Registry {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let image = Image::write(dir.path());
        let size = |file: &Path| fs::metadata(file).expect("its size").len();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{}"}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":{},"digest":"{}"}}]}}"#,
            size(&image.config),
            digest(&image.config),
            size(&image.layer),
            image.layer_digest
        );
        let file = dir.path().join("manifest.json");
        fs::write(&file, &manifest).expect("a manifest");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let registry = Self { port: listener.local_addr().expect("an address").port(), digest: digest(&file) };
        let blob = |digest: &str, file: &Path| {
            (format!("/v2/bb/blobs/{digest}"), "application/octet-stream", fs::read(file).expect("a blob"))
        };
        let objects = [
            ("/v2/".to_owned(), "application/json", b"{}".to_vec()),
            (format!("/v2/bb/manifests/{}", registry.digest), MANIFEST, manifest.into_bytes()),
            blob(&digest(&image.config), &image.config),
            blob(&image.layer_digest, &image.layer),
        ];
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One request each; who speaks TLS first is cut off, and comes again without.
                let _ = answer(stream, &objects);
            }
        });
        registry
    }

    /// The image's name without its digest.
    pub fn image(&self) -> String {
        format!("localhost:{}/bb", self.port)
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// What it has: path, kind, bytes.
type Object = (String, &'static str, Vec<u8>);

fn answer(mut stream: TcpStream, objects: &[Object]) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = request.split(' ');
    let (Some(method @ ("GET" | "HEAD")), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (status, kind, body) = match objects.iter().find(|(name, ..)| name == path) {
        Some((_, kind, body)) => ("200 OK", *kind, body.as_slice()),
        None => ("404 Not Found", "application/json", b"{}".as_slice()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if method == "GET" { stream.write_all(body) } else { Ok(()) }
}
