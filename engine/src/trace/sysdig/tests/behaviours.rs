//! What processes do: files, sockets, changes, mounts, requests.

use super::*;

#[test]
fn an_open_has_path_flags_and_result() {
    for (kind, args, fd_name, want) in [
        ("open", "fd=3(<f>/e/p) name=/e/p flags=4097(O_RDONLY|O_CLOEXEC) mode=0 ", "/e/p", "/e/p 2000000 ret=3"),
        ("open", "fd=-2(ENOENT) name=/e flags=1(O_RDONLY) mode=0 ", "/e", "/e 0 ret=-2"),
        ("open", "fd=3(<f>/t) name=t(/t) flags=14(O_APPEND|O_CREAT|O_WRONLY) mode=0 ", "", "/t 2101 ret=3"),
        ("open", "fd=3(<f>/t) name=/t(/t) flags=7(O_CREAT|O_RDWR) mode=0 dev=1 ", "", "/t(/t) 102 ret=3"),
        ("openat", "fd=3 dirfd=-100(AT_FDCWD) name=t flags=262 mode=0 ", "", "/srv/t 1101 ret=3"),
        ("openat", "fd=3 dirfd=-100(AT_FDCWD) name=t flags=3 mode=0 ", "", "/srv/t 2 ret=3"),
        ("open", "fd=3 name=/t flags=0(O_NONE) mode=0 ", "", "/t 3 ret=3"),
        ("openat2", "fd=3 dirfd=7(<d>/d) name=t flags=2(O_WRONLY) mode=0 ", "/d/t", "/d/t 1 ret=3"),
        ("creat", "fd=3(<f>/t) name=/t mode=0600 dev=1 ", "/t", "/t 1101 ret=3"),
        ("creat", "fd=3 name=/t mode=0600 dev=1 ", "", "/t 1101 ret=3"),
        ("open_by_handle_at", "fd=3(<f>/h) mountfd=4 flags=1(O_RDONLY) path=/h ", "", "/h 0 ret=3"),
        ("open", "name=/t flags=1(O_RDONLY) mode=0 ", "/t", "/t 0 ret=77"),
        // Names that look like sysdig's own text.
        (
            "open",
            "fd=3 name=/a flags=2(O_WRONLY) mode=0 flags=1(O_RDONLY) mode=0 ",
            "",
            "/a flags=2(O_WRONLY) mode=0 0 ret=3",
        ),
        ("open", "fd=3 name=x( flags=1(O_RDONLY) mode=0 ", "", "/srv/x( 0 ret=3"),
    ] {
        let name = format!("{fd_name:?}");
        let got = reported(&[exit_line(kind, args, &[("fd.name", &name), ("fd.num", "77")])]);
        assert_eq!(got, [APP, &format!("event c1/10 open {want}")], "{args}");
    }
}

#[test]
fn an_open_without_path_or_result_tells_nothing() {
    for args in [
        "",
        "fd=-14(EFAULT) name=NULL flags=1(O_RDONLY) ",
        "fd=3 name= flags=1(O_RDONLY) ",
        "fd= name=/t ",
        "fd=3 dirfd=5 name=t flags=1 mode=0 ",
    ] {
        check(&[exit_line("openat", args, &[])], &[]);
    }
}

#[test]
fn an_open_relative_to_a_descriptor_sysdig_does_not_know_is_a_relative_path() {
    let line = exit_line("openat", "fd=3 ", &[("fd.name", "\"<UNKNOWN>/t\"")]);
    let outcome = SysdigDecoder::new().decode(line.as_bytes(), &mut Reported::default());
    assert_eq!(outcome, Ok(Line::Ignored(Ignored::RelativePath)));
}

#[test]
fn a_relative_path_stays_so_where_the_working_directory_is_not_known() {
    let got = reported(&[exit_line("open", "fd=3 name=t flags=1(O_RDONLY) mode=0 ", &[("proc.cwd", "null")])]);
    assert_eq!(got.last().unwrap(), "event c1/10 open t 0 ret=3");
}

#[test]
fn a_socket_has_its_peer() {
    for (kind, args, fd_type, proto, want) in [
        (
            "connect",
            "res=0 tuple=127.0.0.1:4->127.0.0.1:8080 ",
            "ipv4",
            "tcp",
            "Connect 127.0.0.1 8080 Some(Tcp) ret=0",
        ),
        (
            "connect",
            "res=-115(EINPROGRESS) tuple=::1:4->2001:db8::8:53 fd=3 ",
            "ipv6",
            "udp",
            "Connect 2001:db8::8 53 Some(Udp) ret=-115",
        ),
        (
            "connect",
            "res=-2(ENOENT) tuple=0->ffff88003c420800 /run/a->b c ",
            "unix",
            "<NA>",
            "Connect /run/a->b c 0 None ret=-2",
        ),
        ("connect", "res=0 tuple=0->ffff88003c420800 @abs ", "", "<NA>", "Connect @abs 0 None ret=0"),
        ("connect", "res=0 tuple=0->ffff88003c420800 a:1 ", "unix", "<NA>", "Connect /srv/a:1 0 None ret=0"),
        ("bind", "res=0 addr=0.0.0.0:80 ", "ipv4", "tcp", "Bind 0.0.0.0 80 Some(Tcp) ret=0"),
        ("bind", "res=0 addr=:::80 ", "ipv6", "tcp", "Bind :: 80 Some(Tcp) ret=0"),
        ("bind", "res=0 addr=/run/s ", "unix", "<NA>", "Bind /run/s 0 None ret=0"),
        ("bind", "res=0 addr=s:x ", "unix", "<NA>", "Bind /srv/s:x 0 None ret=0"),
    ] {
        let (fd_type, proto) = (format!("{fd_type:?}"), format!("{proto:?}"));
        let got = reported(&[exit_line(kind, args, &[("fd.type", &fd_type), ("fd.l4proto", &proto)])]);
        assert_eq!(got, [APP, &format!("event c1/10 {want}")], "{args}");
    }
}

#[test]
fn a_socket_whose_arguments_are_missing_has_the_peer_of_its_descriptor() {
    let got = reported(&[exit_line("connect", "res=0 tuple=NULL ", &[("fd.name", "\"1.2.3.4:5->6.7.8.9:10\"")])]);
    assert_eq!(got.last().unwrap(), "event c1/10 Connect 6.7.8.9 10 None ret=0");
}

#[test]
fn a_socket_without_an_address_tells_nothing() {
    for (kind, args) in [
        ("bind", "res=0 addr=NULL "),
        ("bind", "res=0 "),
        ("bind", ""),
        ("connect", "res=0 tuple=NULL "),
        ("connect", "res=0 tuple=0->ffff88003c420800 "),
        ("connect", "tuple=1.2.3.4:5->6.7.8.9:10 "),
        ("sendto", "res=32 data=.............www.google.com..... "),
    ] {
        check(&[exit_line(kind, args, &[])], &[]);
    }
}

#[test]
fn changes_mounts_and_who_was_let_in() {
    for (kind, args, fields, want) in [
        ("unlinkat", "res=0 dirfd=-100(AT_FDCWD) name=x flags=0 ", &[][..], Some("delete ? /srv/x ret=0")),
        ("unlinkat", "res=0 dirfd=5 name=x flags=0 ", &[], None),
        ("renameat", "res=0 olddirfd=-100(AT_FDCWD) oldpath=a newdirfd=-100(AT_FDCWD) newpath=/b ", &[], {
            Some("rename /srv/a /b ret=0")
        }),
        ("symlink", "res=0 target=../a linkpath=b ", &[], Some("symlink ../a /srv/b ret=0")),
        ("mkdir", "res=-17(EEXIST) path=/a ", &[], Some("mkdir ? /a ret=-17")),
        ("mount", "res=0 dev=tmpfs dir=/mnt type=tmpfs ", &[], Some("mount tmpfs /mnt tmpfs ret=0")),
        (
            "accept",
            "fd=10(<4t>172.17.0.1:46512->172.17.0.4:80) tuple=172.17.0.1:46512->172.17.0.4:80 queuepct=0 ",
            &[("fd.l4proto", "\"tcp\"")],
            Some("Accept 172.17.0.1 80 Some(Tcp) ret=10"),
        ),
        ("accept4", "fd=-11(EAGAIN) tuple=NULL queuepct=0 ", &[], None),
        ("recvfrom", "res=9 data=x tuple=10.0.0.7:40000->10.0.0.1:53 ", &[("fd.l4proto", "\"udp\"")], {
            Some("Accept 10.0.0.7 53 Some(Udp) ret=9")
        }),
        ("recvfrom", "res=9 data=x tuple=10.0.0.7:53->10.0.0.1:40000 ", &[("fd.l4proto", "\"udp\"")], None),
    ] {
        let expected: Vec<String> =
            want.into_iter().flat_map(|want| [APP.to_owned(), format!("event c1/10 {want}")]).collect();
        assert_eq!(reported(&[exit_line(kind, args, fields)]), expected, "{kind} {args}");
    }
}

#[test]
fn a_request_to_a_metadata_service_is_told_by_its_path() {
    let to = |peer: &str| format!("\"10.0.0.1:40000->{peer}:80\"");
    let get = "res=60 data=GET /latest/meta-data/iam HTTP/1.1..Host: x..X-aws: y.... ";
    for (peer, args, expected) in [
        ("169.254.169.254", get, Some("event c1/10 imds aws /latest/meta-data/iam")),
        ("10.0.0.7", get, None),
        ("169.254.169.254", "res=-11(EAGAIN) data=GET /latest/x HTTP/1.1.. ", None),
        ("169.254.169.254", "res=9 data=GET /late ", None),
    ] {
        let line = exit_line("sendto", args, &[("fd.name", &to(peer)), ("fd.type", "\"ipv4\"")]);
        assert_eq!(
            reported(&[line]).last().filter(|line| line.contains("imds")).map(String::as_str),
            expected,
            "{peer}"
        );
    }
}

#[test]
fn a_file_that_an_open_made_or_a_mmap_runs_is_implied() {
    let args = "fd=3(<f>/t) name=/t flags=8196(O_CREAT|O_WRONLY|O_F_CREATED) mode=0 ";
    check(&[exit_line("open", args, &[])], &[APP, "implied c1/10 create ? /t ret=0", "event c1/10 open /t 101 ret=3"]);
    let args = "\"addr=0 length=8 prot=5(PROT_READ|PROT_EXEC) flags=2(MAP_PRIVATE) fd=3(<f>/l.so) offset=0 \"";
    check(
        &[line(&[("evt.type", "\"mmap\""), ("evt.args", args)])],
        &[APP, "implied c1/10 map /l.so", "event c1/10 syscalls [9]"],
    );
}
