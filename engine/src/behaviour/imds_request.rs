//! What a request to a cloud's metadata service asks for, read from the first bytes that are sent.
//!
//! Linear in those bytes; a request that was cut short tells what it can. Not here: what becomes of it (`imds`).

use super::{Imds, Token};
use std::net::IpAddr;

/// Where metadata services listen, and whose each is; empty where several clouds share the address.
const SERVICES: [(&str, &str); 13] = [
    ("169.254.169.254", ""),
    ("fd00:ec2::254", "aws"),
    // Credentials of a task or pod.
    ("169.254.170.2", "aws"),
    ("169.254.170.23", "aws"),
    ("fd00:ec2::23", "aws"),
    ("fd20:ce::254", "gcp"),
    ("100.100.100.200", "alibaba"),
    ("168.63.129.16", "azure"),
    ("169.254.0.23", "tencent"),
    ("169.254.42.42", "scaleway"),
    ("fd00:42::42", "scaleway"),
    ("fd00:c1::a9fe:a9fe", "oracle"),
    // OpenStack's, which others build on.
    ("fe80::a9fe:a9fe", ""),
];

/// How paths begin that only one cloud has.
const PATHS: [(&str, &str); 12] = [
    ("/latest/", "aws"),
    ("/computeMetadata/", "gcp"),
    ("/opc/", "oracle"),
    ("/openstack", "openstack"),
    ("/hetzner/", "hetzner"),
    ("/metadata/v1", "digitalocean"),
    ("/metadata/instance", "azure"),
    ("/metadata/identity", "azure"),
    ("/metadata/attested", "azure"),
    ("/metadata/scheduledevents", "azure"),
    ("/metadata/loadbalancer", "azure"),
    ("/machine", "azure"),
];

/// Below it a task's credentials lie, under a name that is a credential itself.
const CREDENTIALS: &[u8] = b"/v2/credentials/";

/// Any of them.
const ANY_CREDENTIALS: &[u8] = b"/v2/credentials/00000000-0000-0000-0000-000000000000";

const METHODS: [&[u8]; 5] = [b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE "];

/// Headers whose value proves that the request may be made, in lower case. What they say is not looked at.
const TOKENS: [&[u8]; 4] =
    [b"x-aws-ec2-metadata-token", b"x-aliyun-ecs-metadata-token", b"x-metadata-token", b"authorization"];

/// The part of a request's path that is no secret: without a query, and without the name of credentials. All that is told
/// or kept of a path is this.
pub(super) fn without_secrets(path: &[u8]) -> &[u8] {
    let path = path.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
    let named = memchr::memmem::find(path, CREDENTIALS).is_some_and(|at| at + CREDENTIALS.len() < path.len());
    match path {
        _ if named => ANY_CREDENTIALS,
        b"" => b"/",
        path => path,
    }
}

/// Whether a metadata service listens at this address; not that there is one.
pub fn is_imds_address(ip: IpAddr) -> bool {
    service(ip).is_some()
}

/// Whose service listens at an address.
fn service(ip: IpAddr) -> Option<&'static str> {
    let ip = ip.to_canonical();
    SERVICES.iter().find(|(addr, _)| addr.parse() == Ok(ip)).map(|(_, provider)| *provider)
}

/// The request that begins with `head` and is sent to `ip`. `None` if no metadata service listens there, if it is no
/// request over HTTP, or if its path does not end within `head`: half a path is another path.
///
/// The token is `None` where `head` ends before the headers do and has none.
pub fn imds_request(ip: IpAddr, head: &[u8]) -> Option<Imds<&[u8]>> {
    let provider = service(ip)?;
    let method = METHODS.iter().find(|method| head.starts_with(method))?;
    let rest = head.get(method.len()..)?;
    let target = rest.get(..memchr::memchr(b' ', rest)?)?;
    let rest = rest.get(target.len()..)?.strip_prefix(b" HTTP/")?;
    // As it is given to a proxy.
    let path = match target.strip_prefix(b"http://") {
        Some(rest) => memchr::memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/"),
        None => target,
    };
    let path = path.starts_with(b"/").then(|| without_secrets(path))?;
    let (headers, whole) = match memchr::memmem::find(rest, b"\r\n\r\n") {
        Some(end) => (rest.get(..end)?, true),
        None => (rest, false),
    };
    let header = |name: &[u8]| {
        headers.split(|b| *b == b'\n').any(|line| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && line.get(name.len()) == Some(&b':')
        })
    };
    let by_path = PATHS.iter().find(|(start, _)| path.starts_with(start.as_bytes())).map(|(_, provider)| *provider);
    let provider = match (provider, by_path) {
        ("", _) if header(b"metadata-flavor") => Some("gcp"),
        ("", _) if header(b"metadata") => Some("azure"),
        ("", by_path) => by_path.or_else(|| is_dated(path).then_some("aws")),
        (provider, _) => Some(provider),
    };
    let asks_for_token = *method == b"PUT " && path.ends_with(b"/api/token");
    let token = if asks_for_token || path.starts_with(b"/opc/v2") || TOKENS.iter().any(|name| header(name)) {
        Some(Token::V2)
    } else if whole {
        Some(Token::V1)
    } else {
        None
    };
    Some(Imds { path, provider: provider.map(str::as_bytes), token })
}

/// Whether a path begins with a version of the first such service: `/2021-07-15/` or `/1.0/`.
fn is_dated(path: &[u8]) -> bool {
    let version = path.split(|b| *b == b'/').nth(1).unwrap_or_default();
    version == b"1.0" || (version.len() == 10 && version.iter().all(|b| b.is_ascii_digit() || *b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_path_is_no_secret() {
        let any = "/v2/credentials/00000000-0000-0000-0000-000000000000";
        for (path, kept) in [
            ("/latest/meta-data/?token=s3cret", "/latest/meta-data/"),
            ("/a#s3cret", "/a"),
            ("?s3cret", "/"),
            ("/v2/credentials/s3cret", any),
            ("/v2/credentials/s3cret/more?x", any),
            ("/v2/credentials/", "/v2/credentials/"),
            ("/v2/credentials", "/v2/credentials"),
        ] {
            assert_eq!(without_secrets(path.as_bytes()), kept.as_bytes(), "{path}");
        }
    }

    #[test]
    fn a_request_tells_its_path_whose_service_it_is_and_how_it_proves_itself() {
        let shared = "169.254.169.254";
        for (ip, head, expected) in [
            (shared, "GET /latest/meta-data/ HTTP/1.1\r\nHost: x\r\n\r\n", Some("aws v1 /latest/meta-data/")),
            (
                shared,
                "GET /latest/meta-data/iam/ HTTP/1.1\r\nX-AWS-EC2-Metadata-Token: s3cret\r\n\r\n",
                Some("aws v2 /latest/meta-data/iam/"),
            ),
            (shared, "PUT /latest/api/token HTTP/1.1\r\n", Some("aws v2 /latest/api/token")),
            (shared, "GET /2021-07-15/user-data HTTP/1.1\r\n\r\n", Some("aws v1 /2021-07-15/user-data")),
            (
                shared,
                "GET /computeMetadata/v1/?recursive=true HTTP/1.1\r\nMetadata-Flavor: Google\r\n\r\n",
                Some("gcp v1 /computeMetadata/v1/"),
            ),
            (
                shared,
                "GET /metadata/identity/oauth2/token?resource=x HTTP/1.1\r\nMetadata: true\r\n\r\n",
                Some("azure v1 /metadata/identity/oauth2/token"),
            ),
            (shared, "GET /opc/v2/instance/ HTTP/1.1\r\n\r\n", Some("oracle v2 /opc/v2/instance/")),
            (shared, "GET http://169.254.169.254/openstack HTTP/1.1\r\n\r\n", Some("openstack v1 /openstack")),
            (shared, "GET / HTTP/1.0\r\n\r\n", Some("? v1 /")),
            (
                "169.254.170.2",
                "GET /v2/credentials/1 HTTP/1.1\r\n\r\n",
                Some("aws v1 /v2/credentials/00000000-0000-0000-0000-000000000000"),
            ),
            ("fd00:ec2::254", "GET /x HTTP/1.1\r\n\r\n", Some("aws v1 /x")),
            ("::ffff:169.254.169.254", "GET /latest/x HTTP/1.1\r\n\r\n", Some("aws v1 /latest/x")),
            ("169.254.0.23", "GET /latest/x HTTP/1.1\r\n\r\n", Some("tencent v1 /latest/x")),
            ("169.254.42.42", "GET /conf HTTP/1.1\r\n\r\n", Some("scaleway v1 /conf")),
            ("fd00:42::42", "GET /conf HTTP/1.1\r\n\r\n", Some("scaleway v1 /conf")),
            ("fd00:c1::a9fe:a9fe", "GET /opc/v1/x HTTP/1.1\r\n\r\n", Some("oracle v1 /opc/v1/x")),
            ("fe80::a9fe:a9fe", "GET /openstack/x HTTP/1.1\r\n\r\n", Some("openstack v1 /openstack/x")),
            (shared, "GET /latest/x HTTP/1.1\r\nX-Metadata-Token: s3cret\r\n\r\n", Some("aws v2 /latest/x")),
            // Cut short: by which token nobody knows, or by which path.
            (shared, "GET /latest/x HTTP/1.1\r\nHo", Some("aws ? /latest/x")),
            (shared, "GET /latest/meta-da", None),
            (shared, "{\"a\":1}", None),
            (shared, "GET x HTTP/1.1\r\n\r\n", None),
            ("10.0.0.1", "GET /latest/x HTTP/1.1\r\n\r\n", None),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            let reported = imds_request(ip, head.as_bytes()).map(|request| {
                let provider = request.provider.map_or("?", |p| str::from_utf8(p).unwrap());
                format!("{provider} {} {}", request.token.map_or("?", Token::name), request.path.escape_ascii())
            });
            assert_eq!(reported.as_deref(), expected, "{ip} {head}");
            assert!(reported.is_none() || is_imds_address(ip));
        }
    }
}
