//! Logs of other options and other versions: each a kind of log that was once misread.

use super::*;

#[test]
fn relative_first_program() {
    // Nothing tells where it is: it is known by the name that it was given.
    check(
        "7  execve(\"./start-web\", [\"./start-web\"], 0x7ff /* 3 vars */) = 0\n\
         7  openat(AT_FDCWD, \"/etc/web.conf\", O_RDONLY) = 3\n\
         7  +++ exited with 0 +++",
        &[
            "(0 start start-web:local)",
            "7 exec ./start-web [./start-web] ppid 0",
            "7 open /etc/web.conf 0o0 3",
            "7 exit",
        ],
    );
}

#[test]
fn relative_first_program_whose_directory_is_told_later() {
    let exec = "7 execve(\"./start-web\", [\"./start-web\"], 0x7ff) = 0\n7 openat(AT_FDCWD, \"/lib/x\", O_RDONLY) = 3";
    for (tells, open) in [
        ("getcwd(\"/srv/web\", 4096) = 9", None),
        ("openat(AT_FDCWD</srv/web>, \"a\", O_RDONLY) = 3</srv/web/a>", Some("7 open /srv/web/a 0o0 3")),
        ("open(\"conf/a\", O_RDONLY) = 3</srv/web/conf/a>", Some("7 open /srv/web/conf/a 0o0 3")),
    ] {
        let mut expected = vec![
            "(0 start start-web:local)",
            "7 exec ./start-web [./start-web] ppid 0 in /srv/web",
            "7 open /lib/x 0o0 3",
        ];
        expected.extend(open);
        check(&format!("{exec}\n7 {tells}"), &expected);
    }
    // Where it went does not say where it was.
    for moves in ["chdir(\"/tmp\") = 0", "fchdir(9</tmp>) = 0"] {
        check(
            &format!("{exec}\n7 {moves}\n7 getcwd(\"/tmp\", 4096) = 5"),
            &["(0 start start-web:local)", "7 exec ./start-web [./start-web] ppid 0", "7 open /lib/x 0o0 3"],
        );
    }
}

#[test]
fn a_relative_first_program_waits_for_a_while_only() {
    let mut decoder = StraceDecoder::new(StraceOptions::default());
    let mut sink = Written::default();
    assert_eq!(decoder.decode(b"7 execve(\"./x\", [\"x\"], 0x1) = 0", &mut sink), Ok(Line::Held));
    let mut held = 1;
    for n in 0..10_000 {
        let line = format!("7 openat(AT_FDCWD, \"/{n}\", O_RDONLY) = 3");
        match decoder.decode(line.as_bytes(), &mut sink) {
            Ok(Line::Held) => held += 1,
            reported => {
                assert_eq!(reported, Ok(Line::Event));
                break;
            }
        }
    }
    assert!((1000..5000).contains(&held), "{held}");
    assert_eq!(sink.counted, held + 1);
}

#[test]
fn a_file_opened_by_a_relative_path_is_named_by_the_result() {
    check(
        "7 execve(\"/bin/sh\", [\"sh\"], 0x7ff) = 0\n7 open(\"conf/web.conf\", O_RDONLY) = 3</srv/web/conf/web.conf>\n\
         7 open(\"x\", O_RDONLY) = 4",
        &[
            "(0 start sh:local)",
            "7 exec /bin/sh [sh] ppid 0",
            "7 open /srv/web/conf/web.conf 0o0 3",
            "7 open /srv/web/x 0o0 4",
        ],
    );
}

#[test]
fn on_a_terminal_the_end_of_the_only_child_is_not_its_parent_s() {
    check(
        r#"
execve("/usr/bin/perl", ["perl"], 0x7ff /* 3 vars */) = 0
clone(child_stack=NULL, flags=SIGCHLD) = 14625
wait4(14625,  <unfinished ...>
[pid 14625] openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3
[pid 14625] exit_group(0) = ?
[pid 14625] +++ exited with 0 +++
<... wait4 resumed>NULL, 0, NULL) = 14625
openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
exit_group(0) = ?
+++ exited with 0 +++
"#,
        &[
            "(0 start perl:local)",
            "1 exec /usr/bin/perl [perl] ppid 0",
            "14625 fork from 1",
            "14625 open /etc/hosts 0o0 3",
            "14625 exit",
            "1 open /etc/passwd 0o0 3",
            "1 exit",
        ],
    );
}

#[test]
fn merged_by_strace_log_merge_what_a_child_did_stands_behind_its_parent_s_wait() {
    check(
        r#"
7  execve("/usr/bin/sh", ["sh"], 0x7ff /* 3 vars */) = 0
7  clone(child_stack=NULL, flags=SIGCHLD) = 8
8  execve("/usr/bin/cat", ["cat", "/etc/hostname"], 0x7ff /* 3 vars */) = 0
7  wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 8
8  openat(AT_FDCWD, "/etc/hostname", O_RDONLY) = 3
8  exit_group(0) = ?
8  +++ exited with 0 +++
"#,
        &[
            "(0 start sh:local)",
            "7 exec /usr/bin/sh [sh] ppid 0",
            "8 fork from 7",
            "8 exec /usr/bin/cat [cat /etc/hostname] ppid 7",
            "8 open /etc/hostname 0o0 3",
            "8 exit",
        ],
    );
}

#[test]
fn before_strace_4_11_messages_have_no_name_in_front() {
    check(
        r#"
execve("/bin/sh", ["sh"], [/* 10 vars */]) = 0
clone(Process 19998 attached
| <unfinished ...>
[pid 19998] execve("/bin/cat", ["cat"], [/* 10 vars */] <unfinished ...>
[pid 19997] <... clone resumed> child_stack=0, flags=SIGCHLD) = 19998
[pid 19998] <... execve resumed> )      = 0
[pid 19998] open("/etc/passwd", O_RDONLY) = 3
[pid 19998] exit_group(0) = ?
Process 19998 detached
open("/etc/group", O_RDONLY) = 3
exit_group(0) = ?
Process 19997 detached
"#,
        &[
            "(0 start sh:local)",
            "1 exec /bin/sh [sh] ppid 0",
            "(19998 fork from 1)",
            "19998 exec /bin/cat [cat] ppid 1",
            "19998 open /etc/passwd 0o0 3",
            "19998 exit",
            "1 open /etc/group 0o0 3",
            "1 exit",
        ],
    );
}

#[test]
fn names_comments_columns_and_the_last_line_of_a_detached_call() {
    for open in [
        "7  openat(-100 /* AT_FDCWD */, \"/e\", 0x80000 /* O_RDONLY|O_CLOEXEC */) = 3",
        "7  openat(-100, \"/e\", 0x80000) = 3",
        "7<a b> openat(AT_FDCWD, \"/e\", O_RDONLY|O_CLOEXEC) = 3",
        "7  [00007f3f0e5ddad7] openat(AT_FDCWD, \"/e\", O_RDONLY|O_CLOEXEC) = 3",
        "7  [ 257] [00007f3f0e5ddad7] openat(AT_FDCWD, \"/e\", O_RDONLY|O_CLOEXEC) = 3",
        "7  12:00:00.100000 (+     0.000000) openat(AT_FDCWD, \"/e\", O_RDONLY|O_CLOEXEC) = 3",
        "7       0.000012 openat(AT_FDCWD, \"/e\", O_RDONLY|O_CLOEXEC) = 3 <0.000009>",
        "7  [unconfined_t] openat(AT_FDCWD [unconfined_t], \"/e\" [etc_t], O_RDONLY|O_CLOEXEC) = 3 [etc_t]",
        "7  openat(AT_FDCWD, \"\\x2f\\x65\", O_RDONLY|O_CLOEXEC) = 3",
    ] {
        check(&format!("{open}\n7  read(0,  <detached ...>"), &["7 open /e 0o2000000 3"]);
    }
    // Of what was cut off when strace let go nothing is told, whichever half it was.
    check("7  read(0,  <unfinished ...>\n8  close(3) = 0\n7  <... read resumed> <detached ...>", &[]);
}

#[test]
fn a_thread_is_one_by_numbers_as_well() {
    for call in ["clone3({flags=0x3d0f00, exit_signal=0, stack=0x7f}, 88)", "clone(child_stack=0x7f, flags=0x3d0f00)"] {
        check(&format!("7 {call} = 8\n8 open(\"/a\", 0) = 3"), &["7 open /a 0o0 3"]);
        let head = call.strip_suffix(')').unwrap();
        check(
            &format!(
                "7 {head} <unfinished ...>\n8 open(\"/a\", 0) = 3\n7 <... {} resumed>) = 8",
                &call[..call.find('(').unwrap()]
            ),
            &["7 open /a 0o0 3"],
        );
    }
}

#[test]
fn a_table_of_times_is_no_log_and_behind_one_it_is_no_fault() {
    let table = [
        "% time     seconds  usecs/call     calls    errors syscall",
        "------ ----------- ----------- --------- --------- ----------------",
        " 51.61    0.000016           5         3         1 openat",
        "  0.00    0.000000           0         7           read",
        "100.00    0.000031                     4         1 total",
    ];
    check(&format!("7 close(3) = 0\n{}", table.join("\n")), &[]);
    for line in table {
        let fate = StraceDecoder::new(StraceOptions::default()).decode(line.as_bytes(), &mut Written::default());
        assert_eq!(fate.map_err(|reject| reject.reason), Err(Rejected::Malformed), "{line}");
    }
}
