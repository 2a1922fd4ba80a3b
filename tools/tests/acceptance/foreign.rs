//! Other tools' logs by the command: each is recognised, and what it tells is in the profile; what is none is called by
//! its name.

use crate::support::{Lab, json, list, processes};

/// What `input` teaches, as `program: what` of each file, socket, capability and system call, less the host's own.
fn learned(lab: &Lab, input: &str) -> Vec<String> {
    lab.feed(&["replay", "--host", "--strict", "-"], input.as_bytes()).expect(0);
    let mut all = Vec::new();
    for name in lab.names("profiles") {
        for (_, process) in processes(&json(&lab.text(&format!("profiles/{name}")))) {
            let text = |value: &sonic_rs::Value| sonic_rs::to_string(value).unwrap().replace('"', "");
            let program = text(&process["path"]);
            all.push(program.clone());
            for file in list(&process, "files") {
                all.push(format!("{program}: {} {}", text(&file["access"]), text(&file["path"])));
            }
            for capability in list(&process, "capabilities") {
                all.push(format!("{program}: {}", text(&capability["name"])));
            }
        }
    }
    all.sort();
    all
}

const AUDIT: &str = r#"type=SYSCALL msg=audit(1700000000.243:1): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=2 ppid=6 pid=7 euid=0 egid=0 comm="cat" exe="/usr/bin/cat" key=(null)
type=EXECVE msg=audit(1700000000.243:1): argc=2 a0="cat" a1="hosts"
type=CWD msg=audit(1700000000.243:1): cwd="/etc"
type=PATH msg=audit(1700000000.243:1): item=0 name="/usr/bin/cat" nametype=NORMAL
type=PROCTITLE msg=audit(1700000000.243:1): proctitle=00
type=SYSCALL msg=audit(1700000000.300:2): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=2 a2=0 a3=0 items=1 ppid=6 pid=7 euid=0 egid=0 comm="cat" exe="/usr/bin/cat" key=(null)
type=CWD msg=audit(1700000000.300:2): cwd="/etc"
type=PATH msg=audit(1700000000.300:2): item=0 name="hosts" nametype=NORMAL
"#;

const GADGET: &str = r#"{"args":"cat /etc/hosts","comm":"cat","error":"","exepath":"/usr/bin/cat","pid":7,"ppid":6,"tid":7,"mntns_id":4,"runtime":{"containerId":"c","containerImageName":"alpine:3.20"},"timestamp":"2026-07-01T10:00:00Z"}
{"comm":"cat","error":"","fd":3,"flags":"O_RDONLY","fname":"/etc/hosts","pid":7,"tid":7,"ppid":6,"mntns_id":4,"runtime":{"containerId":"c","containerImageName":"alpine:3.20"},"timestamp":"2026-07-01T10:00:01Z"}
"#;

const KUNAI: &str = r#"{"data":{"command_line":"cat /etc/hosts","exe":{"path":"/usr/bin/cat"},"path":"/etc/hosts"},"info":{"host":{"container":null},"event":{"name":"read_config"},"task":{"pid":7,"tgid":7,"uid":0,"gid":0},"parent_task":{"pid":6,"tgid":6},"utc_time":"2026-07-01T10:00:00Z"}}
"#;

const TRACEE: &str = r#"{"timestamp":"2026-07-01T10:00:00.1Z","id":728,"name":"security_file_open","workload":{"process":{"executable":{"path":"/usr/bin/cat"},"host_pid":9,"pid":7,"thread":{"name":"cat","host_tid":9,"tid":7}},"container":{"id":"c","name":"c","image":{"id":"x","name":"alpine:3.20"},"started":true}},"data":[{"name":"pathname","str":"/etc/hosts"},{"name":"flags","int32":32768}]}
"#;

/// Without a line for a call's beginning, which would name the program's file.
const SYSDIG: &str = r#"{"container.id":"c","container.image":"web:1","evt.args":"res=0 exe=/usr/bin/cat args=hosts. tid=7(cat) pid=7(cat) ptid=1 cwd= comm=cat ","evt.dir":"<","evt.rawtime":1700000000000000000,"evt.type":"execve","fd.l4proto":null,"fd.name":null,"fd.num":null,"fd.type":null,"proc.cmdline":"cat hosts","proc.cwd":"","proc.exepath":"","proc.name":"cat","proc.pid":7,"proc.ppid":1,"thread.tid":7,"user.uid":0}
{"container.id":"c","container.image":"web:1","evt.args":"fd=3(<f>/etc/hosts) name=/etc/hosts flags=1(O_RDONLY) mode=0 ","evt.dir":"<","evt.rawtime":1700000000000000001,"evt.type":"open","fd.l4proto":"<NA>","fd.name":"/etc/hosts","fd.num":3,"fd.type":"file","proc.cmdline":"cat hosts","proc.cwd":"","proc.exepath":"","proc.name":"cat","proc.pid":7,"proc.ppid":1,"thread.tid":7,"user.uid":0}
"#;

#[test]
fn each_tool_s_log_is_recognised_and_learned() {
    for input in [AUDIT, GADGET, KUNAI, TRACEE, SYSDIG] {
        for mark in ["", "\u{feff}"] {
            let lab = Lab::new();
            assert_eq!(
                learned(&lab, &format!("{mark}{input}")),
                ["/usr/bin/cat", "/usr/bin/cat: r /etc/hosts"],
                "{input}"
            );
        }
    }
}

#[test]
fn a_file_policy_of_tetragon_tells_files_libraries_and_capabilities() {
    let process = r#""process":{"exec_id":"a","pid":7,"uid":0,"cwd":"/","binary":"/usr/bin/vi","arguments":"/etc/passwd","flags":"execve","start_time":"2026-04-14T02:18:02Z"}"#;
    let probe = |function: &str, args: &str| {
        format!(
            r#"{{"process_kprobe":{{{process},"function_name":"{function}","args":[{args}],"return":{{"int_arg":0}}}},"node_name":"n","time":"2026-04-14T02:18:14Z"}}"#
        ) + "\n"
    };
    let file = |path: &str| format!(r#"{{"file_arg":{{"path":"{path}"}}}}"#);
    let input = [
        probe("security_file_permission", &format!(r#"{},{{"int_arg":2}}"#, file("/etc/passwd"))),
        probe("security_mmap_file", &format!(r#"{},{{"uint_arg":1}}"#, file("/usr/lib/libc.so.6"))),
        probe("cap_capable", r#"{"capability_arg":{"value":34,"name":"CAP_SYSLOG"}}"#),
    ]
    .concat();
    let lab = Lab::new();
    let vi = "/usr/bin/vi";
    assert_eq!(
        learned(&lab, &input),
        [
            vi.to_owned(),
            format!("{vi}: CAP_SYSLOG"),
            format!("{vi}: r /usr/lib/libc.so.6"),
            format!("{vi}: w /etc/passwd")
        ]
    );
}

/// A program that is called by a relative path is known by that path, so that another one is another.
#[test]
fn a_program_by_a_relative_path_that_is_not_known_is_found() {
    let log = |program: &str| {
        format!(
            "7  execve(\"{program}\", [\"{program}\"], 0x7ff /* 3 vars */) = 0\n\
             7  openat(AT_FDCWD, \"/etc/web.conf\", O_RDONLY) = 3\n7  +++ exited with 0 +++\n"
        )
    };
    let lab = Lab::new();
    lab.feed(&["replay", "--image", "web", "-"], log("./start-web").as_bytes()).expect(0);
    let check = ["check", "--profile", "profiles/web.profile.json", "--image", "web", "-"];
    assert_eq!(lab.feed(&check, log("./start-web").as_bytes()).expect(0).stdout, "");
    let found = lab.feed(&check, log("./evil").as_bytes());
    found.expect(2);
    let first = json(found.stdout.lines().next().unwrap());
    let text = |field: &str| sonic_rs::to_string(&first[field]).unwrap();
    assert_eq!((text("kind"), text("subject")), ("\"exec\"".to_owned(), "\"./evil\"".to_owned()), "{}", found.stdout);
}

#[test]
fn what_is_no_log_of_processes_is_called_by_its_name() {
    let lab = Lab::new();
    let falco = r#"{"hostname":"h","output":"x","output_fields":{"container.id":"c"},"priority":"Notice","rule":"Terminal shell in container"}"#;
    for (bytes, what) in [
        (falco.as_bytes(), "alerts of Falco"),
        (b"\xfd7zXZ\0\0\x01", "compressed with xz"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0", "a capture of sysdig"),
        (b"% time     seconds  usecs/call     calls    errors syscall\n", "the summary of strace -c"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"time,pid,path\n1,2,/a\n", "a table (CSV)"),
    ] {
        lab.file("t", bytes);
        let ended = lab.run(&["replay", "t"]);
        ended.expect(3).said(&["t: it seems to be", what]);
        let lines = ended.stderr.lines().filter(|line| line.contains("t: ")).count();
        assert_eq!(lines, 1, "{}", ended.stderr);
    }
}
