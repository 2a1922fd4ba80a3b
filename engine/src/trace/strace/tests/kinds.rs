//! Changes of files, mappings, mounts, who was let in or heard from, volumes, requests to metadata services.

use super::*;

#[test]
fn names_that_come_and_go() {
    check(
        r#"
7 chdir("/srv") = 0
7 mkdir("a", 0755) = 0
7 mkdirat(AT_FDCWD, "/b", 0755) = -1 EEXIST (File exists)
7 mknod("f", S_IFIFO|0666) = 0
7 rename("a", "/b/c") = 0
7 renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_NOREPLACE) = 0
7 openat(AT_FDCWD, "/d", O_RDONLY|O_DIRECTORY) = 5
7 renameat(5, "x", AT_FDCWD</srv>, "y") = 0
7 link("x", "y") = 0
7 symlink("../x", "y") = 0
7 symlinkat("x", 5</d>, "y") = 0
7 unlink("y") = 0
7 unlinkat(5, "y", 0) = 0
7 unlinkat(5, "z", AT_REMOVEDIR) = 0
7 unlinkat(-100, "z", 0x200 /* AT_REMOVEDIR */) = 0
7 rmdir("/b") = -1 ENOTEMPTY (Directory not empty)
7 truncate("f", 0) = 0
7 chmod("f", 0600) = 0
7 fchmodat(AT_FDCWD, "f", 0600) = 0
7 fchmod(5, 0700) = 0
7 lchown("f", 0, 0) = 0
7 fchownat(5</d>, "", 0, 0, AT_EMPTY_PATH) = 0
7 fchown(9</tmp/x>, 0, 0) = 0
7 fchown(9, 0, 0) = 0
7 rename("/long"..., "y") = 0
"#,
        &[
            "7 mkdir /srv/a 0",
            "7 mkdir /b -17",
            "7 create /srv/f 0",
            "7 rename /srv/a -> /b/c 0",
            "7 rename /srv/x -> /srv/y 0",
            "7 open /d 0o200000 5",
            "7 rename /d/x -> /srv/y 0",
            "7 link /srv/x -> /srv/y 0",
            "7 symlink ../x -> /srv/y 0",
            "7 symlink x -> /d/y 0",
            "7 delete /srv/y 0",
            "7 delete /d/y 0",
            "7 rmdir /d/z 0",
            "7 rmdir /srv/z 0",
            "7 rmdir /b -39",
            "7 truncate /srv/f 0",
            "7 chmod /srv/f 0",
            "7 chmod /srv/f 0",
            "7 chmod /d 0",
            "7 chown /srv/f 0",
            "7 chown /d 0",
            "7 chown /tmp/x 0",
        ],
    );
}

#[test]
fn a_file_that_was_not_there_is_created() {
    check(
        r#"
7 openat(AT_FDCWD, "/a", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3
7 openat(AT_FDCWD, "/b", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 3
7 openat(AT_FDCWD, "/c", O_WRONLY|O_CREAT|O_EXCL, 0600) = -1 EEXIST (File exists)
"#,
        &["(7 create /a 0)", "7 open /a 0o301 3", "7 open /b 0o1101 3", "7 open /c 0o301 -17"],
    );
}

#[test]
fn a_file_without_a_name_that_is_linked_into_place_has_its_final_name() {
    for (open, from) in [
        ("openat(AT_FDCWD, \"/tmp\", O_RDWR|O_TMPFILE, 0600) = 3", "/tmp/#0"),
        ("openat(AT_FDCWD</>, \"/tmp\", O_RDWR|O_TMPFILE, 0600) = 3</tmp/#1234>(deleted)", "/tmp/#1234"),
    ] {
        for link in [
            r#"linkat(AT_FDCWD, "/proc/self/fd/3", AT_FDCWD, "/srv/x", AT_SYMLINK_FOLLOW) = 0"#,
            r#"linkat(3, "", AT_FDCWD, "/srv/x", AT_EMPTY_PATH) = 0"#,
        ] {
            check(&format!("7 {open}\n7 {link}"), &["7 open /tmp 0o20200002 3", &format!("7 link {from} -> /srv/x 0")]);
        }
    }
}

#[test]
fn what_is_mapped_to_be_executed() {
    check(
        r#"
7 openat(AT_FDCWD, "/lib/libc.so.6", O_RDONLY|O_CLOEXEC) = 3
7 mmap(NULL, 2125328, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 3, 0) = 0x7f0000000000
7 mmap(0x7f0000022000, 1527808, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x22000) = 0x7f0000022000
7 mmap(0x7f0000022000, 1527808, 0x5, 0x812, 3, 0x22000) = 0x7f0000022000
7 mmap(NULL, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE, 4</opt/plugin.so>, 0) = 0x7f0000022000
7 mmap(NULL, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000022000
7 mmap(NULL, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3, 0) = -1 EACCES (Permission denied)
"#,
        &["7 open /lib/libc.so.6 0o2000000 3", "7 map /lib/libc.so.6", "7 map /lib/libc.so.6", "7 map /opt/plugin.so"],
    );
}

#[test]
fn what_is_mounted() {
    check(
        r#"
7 mount("tmpfs", "/mnt/a", "tmpfs", MS_NOSUID|MS_NODEV, "size=1m") = 0
7 mount("/srv", "/mnt/b", NULL, MS_BIND|MS_REC, NULL) = -1 EPERM (Operation not permitted)
7 mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) = 0
7 fsopen("ext4", FSOPEN_CLOEXEC) = 3
7 fsmount(3, FSMOUNT_CLOEXEC, 0) = 4
7 move_mount(4, "", AT_FDCWD, "/mnt/c", MOVE_MOUNT_F_EMPTY_PATH) = 0
7 open_tree(AT_FDCWD, "/srv", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC) = 5
7 move_mount(5, "", AT_FDCWD, "/mnt/d", MOVE_MOUNT_F_EMPTY_PATH) = 0
7 move_mount(AT_FDCWD, "/mnt/a", AT_FDCWD, "/mnt/e", 0) = 0
"#,
        &[
            "7 mount tmpfs at /mnt/a as tmpfs 0x6 0",
            "7 mount /srv at /mnt/b as  0x5000 -1",
            "7 mount ? at / as  0x44000 0",
            "7 mount ? at /mnt/c as ext4 0x0 0",
            "7 mount ? at /mnt/d as  0x1000 0",
            "7 mount /mnt/a at /mnt/e as  0x2000 0",
        ],
    );
}

fn inet(port: u16, ip: &str) -> String {
    format!("{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"{ip}\")}}")
}

#[test]
fn who_is_let_in_is_told_with_the_own_port() {
    let (own, other) = (inet(80, "0.0.0.0"), inet(40_000, "10.0.0.7"));
    check(
        &format!(
            r#"
7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
7 bind(3, {own}, 16) = 0
7 listen(3, 511) = 0
7 accept4(3, {other}, [112 => 16], SOCK_CLOEXEC) = 4
7 accept(3, 0x7ffc, [16]) = -1 EAGAIN (Resource temporarily unavailable)
7 accept(3, NULL, NULL) = 5<TCP:[127.0.0.1:80->10.0.0.8:40000]>
7 accept(9, {other}, [16]) = 6
7 accept(9<TCP:[0.0.0.0:443]>, {other}, [16]) = 6
7 socket(AF_UNIX, SOCK_STREAM, 0) = 8
7 bind(8, {{sa_family=AF_UNIX, sun_path="/run/x"}}, 110) = 0
7 accept(8, {{sa_family=AF_UNIX}}, [110 => 2]) = 10
7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 11
7 listen(11, 1) = 0
7 accept(11, {other}, [16]) = 12
"#
        ),
        &[
            "7 Bind 0.0.0.0 80 Some(Tcp) 0",
            "7 Accept 10.0.0.7 80 Some(Tcp) 0",
            "7 Accept 10.0.0.8 80 Some(Tcp) 0",
            "7 Accept 10.0.0.7 443 Some(Tcp) 0",
            "7 Bind /run/x 0 None 0",
            "7 Accept /run/x 0 None 0",
            "7 Accept 10.0.0.7 0 Some(Tcp) 0",
        ],
    );
}

#[test]
fn an_answer_to_a_datagram_is_no_connect_and_who_was_heard_from_is_let_in() {
    let (own, other, third) = (inet(53, "0.0.0.0"), inet(40_000, "10.0.0.7"), inet(53, "10.0.0.9"));
    check(
        &format!(
            r#"
7 socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
7 bind(3, {own}, 16) = 0
7 recvfrom(3, "\1\2"..., 512, 0, {other}, [128 => 16]) = 40
7 sendto(3, "\1\2"..., 80, 0, {other}, 16) = 80
7 recvmsg(3, {{msg_name={other}, msg_namelen=128 => 16, msg_iov=[{{iov_base="a", iov_len=1}}], msg_iovlen=1, msg_controllen=0, msg_flags=0}}, 0) = 1
7 sendto(3, "q", 1, 0, {third}, 16) = 1
7 recvfrom(3, "a", 512, 0, {third}, [128 => 16]) = 1
7 recvfrom(3, 0x7f, 512, 0, 0x7f, [128]) = -1 EAGAIN (Resource temporarily unavailable)
"#
        ),
        &[
            "7 Bind 0.0.0.0 53 Some(Udp) 0",
            "7 Accept 10.0.0.7 53 Some(Udp) 0",
            "7 Accept 10.0.0.7 53 Some(Udp) 0",
            "7 Connect 10.0.0.9 53 Some(Udp) 1",
        ],
    );
}

#[test]
fn what_is_sent_to_an_address_is_a_connect() {
    let (a, b) = (inet(53, "10.0.0.1"), inet(53, "10.0.0.2"));
    check(
        &format!(
            r#"
7 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
7 sendto(3, "q", 1, MSG_NOSIGNAL, {a}, 16) = 1
7 recvfrom(3, "a", 512, 0, {a}, [128 => 16]) = 1
7 sendmmsg(3, [{{msg_hdr={{msg_name={a}, msg_namelen=16, msg_iov=[{{iov_base="q", iov_len=1}}], msg_iovlen=1, msg_controllen=0, msg_flags=0}}, msg_len=1}}, {{msg_hdr={{msg_name={b}, msg_namelen=16}}, msg_len=1}}], 2, 0) = 2
7 sendto(3, "q", 1, 0, {b}, 16) = -1 EPERM (Operation not permitted)
7 sendto(3, "q", 1, 0, NULL, 0) = 1
7 sendto(9, "q", 1, 0, {{sa_family=AF_UNIX, sun_path="/dev/log"}}, 110) = 1
"#
        ),
        &[
            "7 Connect 10.0.0.1 53 Some(Udp) 1",
            "7 Connect 10.0.0.1 53 Some(Udp) 2",
            "(7 Connect 10.0.0.2 53 Some(Udp) 2)",
            "7 Connect 10.0.0.2 53 Some(Udp) -1",
            "7 Connect /dev/log 0 None 1",
        ],
    );
}

#[test]
fn how_much_went_over_a_connection_is_told_when_it_ends_if_the_log_has_all_of_it() {
    let peer = inet(80, "10.0.0.7");
    let log = |calls: &str| {
        format!("7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n7 connect(3, {peer}, 16) = 0\n{calls}\n7 close(3) = 0")
    };
    let connect = "7 Connect 10.0.0.7 80 Some(Tcp) 0";
    let reading = "7 read(0, \"x\", 1) = 1\n7 write(1, \"x\", 1) = 1\n";
    for (calls, flow) in [
        ("7 sendto(3, \"x\", 100, 0, NULL, 0) = 100\n7 recvfrom(3, \"x\", 9, 0, NULL, NULL) = 9", None),
        ("7 read(3, \"x\", 9) = 9", Some("(7 flow Connect 10.0.0.7 80 None Some(9))")),
        ("7 write(3, \"x\", 9) = 7", Some("(7 flow Connect 10.0.0.7 80 Some(7) None)")),
        (
            &format!(
                "{reading}7 sendto(3, \"x\", 100, 0, NULL, 0) = 100\n7 recvmsg(3, {{msg_name=NULL, msg_iov=[]}}, 0) = 9\n\
                 7 sendfile(3, 4, NULL, 1000) = 500\n7 read(3, 0x1, 1) = -1 EAGAIN (Resource)"
            ),
            Some("(7 flow Connect 10.0.0.7 80 Some(600) Some(9))"),
        ),
    ] {
        check(&log(calls), &[Some(connect), flow].into_iter().flatten().collect::<Vec<_>>());
    }
    // Whose descriptor it is does not matter, nor that the process ends without closing it.
    check(
        &format!(
            "7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n7 connect(3, {peer}, 16) = 0\n7 fork() = 8\n\
             8 write(3, \"x\", 5) = 5\n8 dup2(3, 9) = 9\n8 write(9, \"x\", 5) = 5\n8 exit_group(0) = ?\n8 +++ exited with 0 +++"
        ),
        &[
            connect,
            "8 fork from 7",
            "(8 flow Connect 10.0.0.7 80 Some(10) None)",
            "(8 flow Connect 10.0.0.7 80 Some(10) None)",
            "8 exit",
        ],
    );
}

#[test]
fn a_request_to_a_metadata_service_is_told_without_its_secret() {
    let peer = inet(80, "169.254.169.254");
    let connect = format!("7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n7 connect(3, {peer}, 16) = 0");
    let request = r"GET /latest/meta-data/iam/?x=y HTTP/1.1\r\nX-aws-ec2-metadata-token: s3cret\r\n\r\n";
    for (send, reported) in [
        (format!("write(3, \"{request}\", 90) = 90"), Some("imds aws v2 /latest/meta-data/iam/")),
        (
            format!("sendto(3, \"{request}\", 90, MSG_NOSIGNAL, NULL, 0) = 90"),
            Some("imds aws v2 /latest/meta-data/iam/"),
        ),
        (
            format!("writev(3, [{{iov_base=\"{request}\", iov_len=90}}], 1) = 90"),
            Some("imds aws v2 /latest/meta-data/iam/"),
        ),
        (
            format!(
                "sendmsg(3, {{msg_name=NULL, msg_namelen=0, msg_iov=[{{iov_base=\"{request}\", iov_len=90}}]}}, 0) = 90"
            ),
            Some("imds aws v2 /latest/meta-data/iam/"),
        ),
        (
            "write(3, \"GET /opc/v1/instance/ HTTP/1.1\\r\\nHo\"..., 90) = 90".into(),
            Some("imds oracle ? /opc/v1/instance/"),
        ),
        // -s is too short to tell the path.
        ("write(3, \"GET /latest/meta-data/iam/secur\"..., 90) = 90".into(), None),
        (format!("write(4, \"{request}\", 90) = 90"), None),
    ] {
        let reported = reported.map(|reported| format!("7 {reported}"));
        let expected = [Some("7 Connect 169.254.169.254 80 Some(Tcp) 0"), reported.as_deref()];
        check(&format!("{connect}\n7 {send}"), &expected.into_iter().flatten().collect::<Vec<_>>());
    }
}
