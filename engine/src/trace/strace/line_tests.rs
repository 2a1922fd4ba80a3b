//! Lines as strace 4 to 6 writes them, taken apart.
use super::*;

fn call<'a>(name: &'a str, args: &'a str, value: Option<i64>, rest: &'a str) -> Body<'a> {
    let outcome = Outcome { value, rest: rest.as_bytes() };
    Body::Call(Call { name: name.as_bytes(), args: args.as_bytes(), outcome })
}

#[test]
fn bodies() {
    for (text, body) in [
        ("close(3) = 0", call("close", "3", Some(0), "")),
        ("exit_group(0)                     = ?", call("exit_group", "0", None, "")),
        ("brk(NULL) = 0x5611712cd000", call("brk", "NULL", Some(0x5611_712c_d000), "")),
        (
            r#"open("a) = 3", O_RDONLY) = -1 ENOENT (No such file or directory)"#,
            call("open", r#""a) = 3", O_RDONLY"#, Some(-1), "ENOENT (No such file or directory)"),
        ),
        (r#"open("\") = 0", 0) = 4</tmp/x)>"#, call("open", r#""\") = 0", 0"#, Some(4), "</tmp/x)>")),
        ("read(3<TCP:[10.0.0.1:5->10.0.0.2:80]>, \"\", 8) = 0", {
            call("read", "3<TCP:[10.0.0.1:5->10.0.0.2:80]>, \"\", 8", Some(0), "")
        }),
        ("ioctl(0</dev/pts/0<char 136:0>>, TCGETS, 0x7ffc) = 0", {
            call("ioctl", "0</dev/pts/0<char 136:0>>, TCGETS, 0x7ffc", Some(0), "")
        }),
        ("capset({x}, {effective=1<<CAP_CHOWN|1<<CAP_KILL}) = 0", {
            call("capset", "{x}, {effective=1<<CAP_CHOWN|1<<CAP_KILL}", Some(0), "")
        }),
        ("pause() = ? ERESTARTNOHAND (To be restarted)", call("pause", "", None, "ERESTARTNOHAND (To be restarted)")),
        ("futex(0x1 <unfinished ...>) = ?", call("futex", "0x1 <unfinished ...>", None, "")),
        ("close(3) = 0 <0.000012>", call("close", "3", Some(0), "<0.000012>")),
        ("wait4(-1,  <unfinished ...>", Body::Unfinished(b"wait4(-1,")),
        ("vfork( <unfinished ...>", Body::Unfinished(b"vfork(")),
        ("<... futex resumed>) = 0", Body::Resumed { name: b"futex", rest: b") = 0" }),
        ("<... futex resumed> ) = 0", Body::Resumed { name: b"futex", rest: b" ) = 0" }),
        ("vfork(strace: Process 12 attached", Body::Cut(b"vfork(")),
        ("rt_sigsuspend([], 8strace: Process 7 attached", Body::Cut(b"rt_sigsuspend([], 8")),
        ("strace: Process 12 attached", Body::Note),
        ("--- SIGCHLD {si_signo=SIGCHLD, si_pid=1} ---", Body::Note),
        ("--- stopped by SIGTSTP ---", Body::Note),
        ("+++ exited with 0 +++", Body::Gone),
        ("+++ killed by SIGSEGV (core dumped) +++", Body::Gone),
        ("+++ superseded by execve in pid 27 +++", Body::Superseded(27)),
    ] {
        assert_eq!(parse(text.as_bytes()), Some(Line { tid: None, time: None, body }), "{text}");
    }
}

#[test]
fn the_columns_before_the_call() {
    let day = |h: u64, m: u64, s: u64| (h * 3600 + m * 60 + s) * NANOS;
    for (prefix, tid, time) in [
        ("", None, None),
        ("1234 ", Some(1234), None),
        ("1234  ", Some(1234), None),
        ("[pid  1234] ", Some(1234), None),
        ("[pid 1234<sh>] ", Some(1234), None),
        ("1234<a b> ", Some(1234), None),
        ("1795397825.165576 ", None, Some(Time::Epoch(1_795_397_825_165_576_000))),
        ("1795397825 ", None, Some(Time::Epoch(1_795_397_825 * NANOS))),
        ("27308 1795397825.165576123 ", Some(27308), Some(Time::Epoch(1_795_397_825_165_576_123))),
        ("27308 12:34:56 ", Some(27308), Some(Time::OfDay(day(12, 34, 56)))),
        ("[pid 5] 12:34:56.5 ", Some(5), Some(Time::OfDay(day(12, 34, 56) + NANOS / 2))),
        ("     0.000123 ", None, Some(Time::Since(123_000))),
        ("7      0.000123 ", Some(7), Some(Time::Since(123_000))),
        ("7 1795397825.5 (+     0.000052) ", Some(7), Some(Time::Epoch(1_795_397_825_500_000_000))),
        ("7 [  39] ", Some(7), None),
        ("7 12:00:00 [00007f05e57fd2f0] ", Some(7), Some(Time::OfDay(day(12, 0, 0)))),
    ] {
        let text = format!("{prefix}getpid() = 7");
        let line = parse(text.as_bytes());
        assert_eq!(line, Some(Line { tid, time, body: call("getpid", "", Some(7), "") }), "{text}");
    }
}

#[test]
fn what_is_no_line_of_strace() {
    for text in [
        "",
        "hello",
        "open(",
        "open(\"x",
        "open(\"x\", 0)",
        "open(\"x\", 0) = ",
        "open(\"x\", 0) = x",
        "1234",
        "99999999999999999999999 getpid() = 1",
        "getpid() = 99999999999999999999999",
        "<... open",
        "(1) = 2",
        "+++ superseded by execve in pid x +++",
        "12:99:99 getpid() = 1",
    ] {
        assert_eq!(parse(text.as_bytes()), None, "{text}");
    }
}
