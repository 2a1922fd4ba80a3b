//! Requests to a cloud's metadata service: a real one, in a network of its own, at the address that such services have.

use std::time::Duration;

use grove_probes::kernel::{Cause, Class, Classes, Options};

use crate::support::*;

/// No header's value, no query and no body may leave the kernel.
const SECRET: &str = "s3cr3t-of-the-session";

/// What was told of these being sent to a server at `at`, one after the other over one connection.
fn asked(w: &mut Watch, at: &str, texts: &[&str]) -> Vec<String> {
    let family = if at.contains(':') { "inet6" } else { "inet" };
    let seen = w.run(child(&["asks-metadata", family, "stream", at, "80"]).args(texts));
    assert_eq!(seen.last().map(line), Some("exit 0".into()), "{:#?}", lines(&seen));
    let all = format!("{:?}", w.seen);
    assert!(!all.contains(SECRET), "{all}");
    lines(&seen).into_iter().filter(|line| line.starts_with("imds")).collect()
}

#[test]
fn requests_are_told_by_path_provider_and_kind_of_token() {
    let Some(mut w) = watch(&everything()) else { return };
    let shared = "169.254.169.254";
    let with_token =
        format!("GET /latest/meta-data/iam/ HTTP/1.1\r\nUser-Agent: x\r\nX-aws-ec2-metadata-Token: {SECRET}\r\n\r\n");
    let azure = format!("GET /metadata/identity/oauth2/token?resource={SECRET} HTTP/1.1\r\nMetadata: true\r\n\r\n");
    let body = format!("POST /latest/x HTTP/1.1\r\nContent-Length: 99\r\n\r\nX-aws-ec2-metadata-token: {SECRET}\r\n");
    let credentials = format!("GET /v2/credentials/{SECRET} HTTP/1.1\r\nAuthorization: {SECRET}\r\n\r\n");
    let by_proxy = format!("GET http://{SECRET}@169.254.169.254/openstack HTTP/1.1\r\n\r\n");
    for (at, text, expected) in [
        (shared, "GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "imds aws v1 /latest/meta-data/"),
        (shared, &with_token, "imds aws v2 /latest/meta-data/iam/"),
        (
            shared,
            "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n",
            "imds aws v2 /latest/api/token",
        ),
        (
            shared,
            "GET /computeMetadata/v1/instance/ HTTP/1.1\r\nMetadata-Flavor: Google\r\n\r\n",
            "imds gcp v1 /computeMetadata/v1/instance/",
        ),
        (shared, &azure, "imds azure v1 /metadata/identity/oauth2/token"),
        (shared, &by_proxy, "imds openstack v1 /openstack"),
        // What is behind the headers is no header.
        (shared, &body, "imds aws v1 /latest/x"),
        // The headers go on in another segment: by which token, nobody knows.
        (shared, "GET /latest/x HTTP/1.1\r\nHost: y\r\n", "imds aws - /latest/x"),
        ("169.254.170.2", &credentials, "imds aws v2 /v2/credentials/00000000-0000-0000-0000-000000000000"),
        ("fd00:ec2::254", "GET /latest/user-data HTTP/1.1\r\n\r\n", "imds aws v1 /latest/user-data"),
        ("fd20:ce::254", "GET /x HTTP/1.1\r\n\r\n", "imds gcp v1 /x"),
        ("100.100.100.200", "GET /latest/x HTTP/1.1\r\n\r\n", "imds alibaba v1 /latest/x"),
    ] {
        assert_eq!(asked(&mut w, at, &[text]), [expected], "{at} {text}");
    }
}

#[test]
fn each_request_of_a_connection_is_told_and_what_is_no_request_is_not() {
    let Some(mut w) = watch(&everything()) else { return };
    let at = "169.254.169.254";
    let texts = ["PUT /latest/api/token HTTP/1.1\r\n\r\n", "GET /latest/dynamic HTTP/1.1\r\n\r\n"];
    assert_eq!(asked(&mut w, at, &texts), ["imds aws v2 /latest/api/token", "imds aws v1 /latest/dynamic"]);
    for text in ["\x16\x03\x01 a handshake", "GETTING /x HTTP/1.1\r\n\r\n", "x"] {
        assert_eq!(asked(&mut w, at, &[text]), [""; 0], "{text}");
    }
    // Anybody may have this address.
    assert_eq!(asked(&mut w, "10.1.2.3", &texts), [""; 0]);
}

/// Half a path would be another path.
#[test]
fn a_request_that_is_not_read_to_its_path_s_end_is_counted() {
    let Some(mut w) = watch(&everything()) else { return };
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(600));
    for text in [&long, "GET /latest/meta-da"] {
        let before = w.counted(Class::Imds, Cause::Unreadable);
        assert_eq!(asked(&mut w, "169.254.169.254", &[text]), [""; 0]);
        assert_eq!(w.counted(Class::Imds, Cause::Unreadable), before + 1, "{text}");
    }
}

#[test]
fn the_same_request_again_is_a_repeat_and_another_is_none() {
    let Some(mut w) = watch(&Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() }) else { return };
    let (a, b) = ("GET /latest/a HTTP/1.1\r\n\r\n", "GET /latest/b HTTP/1.1\r\n\r\n");
    let told = asked(&mut w, "169.254.169.254", &[a, a, b, a]);
    assert_eq!(told, ["imds aws v1 /latest/a", "imds aws v1 /latest/b"]);
    assert_eq!(w.counted(Class::Imds, Cause::Repeat), 2);
}

#[test]
fn without_the_class_no_request_is_told() {
    let Some(mut w) = watch(&Options { classes: Classes::ALL.without(Class::Imds), ..everything() }) else { return };
    assert_eq!(asked(&mut w, "169.254.169.254", &["GET /latest/a HTTP/1.1\r\n\r\n"]), [""; 0]);
}
