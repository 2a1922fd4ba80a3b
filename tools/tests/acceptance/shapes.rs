//! Every type of event of the trace format, end to end into the profile, byte for byte.

use sonic_rs::JsonValueTrait;

use crate::support::{EXEC, Lab, START, open, trace};

const TIME: &str = "1970-01-01T00:00:01.0000000";
const NOTHING: &str = r#""files":[],"dns":[],"sockets":[],"syscalls":[],"capabilities":[]"#;

fn seen(first: &str, last: &str) -> String {
    format!(r#""seen":{{"1":["{TIME}{first}Z","{TIME}{last}Z"]}}"#)
}

#[test]
fn every_type_of_event_becomes_exactly_this() {
    let lab = Lab::new();
    let ledger = lab.learn(&trace(&[
        r#"{"type":"header","format":"grove-trace","version":1,"source":"t","recording":"rec","clock":"unix_ns"}"#,
        r#"{"ts":1000000000,"type":"container_start","container":"c","image":"docker.io/lib:5/web","tag":"1","labels":{"a":"b"},"cgroup_id":7,"runtime":"runc","pod":"p","namespace":"n"}"#,
        r#"{"ts":1000000001,"type":"exec","container":"c","pid":5,"ppid":1,"path":"/usr/bin/runc","argv":["runc"]}"#,
        r#"{"ts":1000000002,"type":"open","container":"c","pid":5,"path":"/x"}"#,
        r#"{"ts":1000000003,"type":"exec","container":"c","pid":5,"ppid":1,"path":"/usr/sbin//web/","argv":["web"],"uid":33,"gid":0,"cwd":"/srv","interpreter":"/lib/ld","inode":5,"fileless":false,"argv_truncated":false,"upper_layer":false}"#,
        r#"{"ts":1000000004,"type":"fork","container":"c","pid":6,"ppid":5,"uid":33}"#,
        r#"{"ts":1000000005,"type":"open","container":"c","pid":6,"path":"/etc/web.conf","flags":0,"mode":0,"ret":3}"#,
        r#"{"ts":1000000006,"type":"open","container":"c","pid":5,"path":"data/../log","flags":1}"#,
        r#"{"ts":1000000007,"type":"open","container":"c","pid":5,"path":"/etc/./web.conf","flags":2}"#,
        r#"{"ts":1000000008,"type":"open","container":"c","pid":5,"path":"/missing","flags":0,"ret":-2}"#,
        r#"{"ts":1000000009,"type":"connect","container":"c","pid":5,"family":"inet","addr":"10.0.0.1","port":5432,"proto":"tcp","ret":-115}"#,
        r#"{"ts":1000000010,"type":"connect","container":"c","pid":5,"family":"unix","addr":"/run/x.sock","port":0}"#,
        r#"{"ts":1000000011,"type":"bind","container":"c","pid":5,"family":"inet6","addr":"::","port":40000,"proto":"udp"}"#,
        r#"{"ts":1000000012,"type":"dns","container":"c","pid":5,"name":"Example.COM.","qtype":"AAAA","server":"8.8.8.8","rcode":0}"#,
        r#"{"ts":1000000013,"type":"dns","container":"c","pid":5,"name":"example.com","qtype":1}"#,
        r#"{"ts":1000000014,"type":"syscalls","container":"c","pid":5,"nrs":[1,0,1]}"#,
        r#"{"ts":1000000015,"type":"syscalls","container":"c","pid":5,"nrs":[63],"arch":"aarch64"}"#,
        r#"{"ts":1000000016,"type":"capability","container":"c","pid":5,"cap":"CAP_NET_BIND_SERVICE"}"#,
        r#"{"ts":1000000017,"type":"capability","container":"c","pid":5,"cap":21,"used":false}"#,
        r#"{"ts":1000000018,"type":"exec","container":"c","pid":6,"ppid":5,"path":"/bin/busybox","argv":["/bin/ls","-l"]}"#,
        r#"{"ts":1000000019,"type":"exec","container":"c","pid":6,"ppid":5,"path":"/bin/true","upper_layer":true,"fileless":true}"#,
        r#"{"ts":1000000020,"type":"exit","container":"c","pid":6,"code":0,"signal":0}"#,
        r#"{"ts":1000000021,"type":"frobnicate","container":"c"}"#,
        r#"{"ts":1000000022,"type":"container_stop","container":"c"}"#,
    ]));
    let counters = concat!(
        r#""applied_new":14,"applied_known":1,"lifecycle":4,"#,
        r#""ignored":{"failed":1,"host":0,"runtime_setup":2,"no_profile":0,"unknown_type":UNKNOWN,"relative_path":0,"no_behaviour":0},"#,
        r#""rejected":{"malformed":0,"missing_field":0,"wrong_type":0,"invalid_value":0,"duplicate_field":0,"too_long":0,"conflicting_workload":0},"#,
        r#""dropped":{"queue_full":0,"tree_full":0,"containers":0,"tags_full":0,"shard_failed":0,"shutdown":0},"held":0}"#,
    );
    assert_eq!(ledger.0, format!(r#"{{"received":23,{}"#, counters.replace("UNKNOWN", "1")));

    let learning =
        ["accept", "bind", "capability", "change", "connect", "dns", "exec", "imds", "mount", "open", "syscall"];
    let learning = learning.map(|kind| format!(r#""{kind}":{{"state":"learning"}}"#)).join(",");
    let leaf = |fields: &str, first, last| format!("{{{fields},{}}}", seen(first, last));
    let process = |fields: &str, first, last, rest: &str| {
        format!(r#"{{{fields},{},{rest},"mounts":[],"imds":[]}}"#, seen(first, last))
    };
    let exec_true = process(
        r#""parent":1,"path":"/bin/true","argv0":null,"argv":null,"exec_chain":true,"fileless":true,"upper_layer":true,"uids":[]"#,
        "19",
        "19",
        NOTHING,
    );
    let exec_ls = process(
        r#""parent":0,"path":"/bin/busybox","argv0":"ls","argv":null,"exec_chain":false,"uids":[]"#,
        "18",
        "19",
        NOTHING,
    );
    let rest = format!(
        r#""files":[{}],"dns":[{}],"sockets":[{}],"syscalls":[{}],"capabilities":[{}]"#,
        [
            leaf(r#""path":"/etc/web.conf","access":"rw","pattern":false"#, "05", "07"),
            leaf(r#""path":"/srv/log","access":"w","pattern":false"#, "06", "06"),
        ]
        .join(","),
        leaf(r#""name":"example.com","qtypes":["A","AAAA"]"#, "12", "13"),
        [
            leaf(r#""op":"bind","family":"inet6","proto":"udp","addr":"::","port":0"#, "11", "11"),
            leaf(r#""op":"connect","family":"inet","proto":"tcp","addr":"10.0.0.1","port":5432"#, "09", "09"),
            leaf(r#""op":"connect","family":"unix","proto":null,"addr":"/run/x.sock","port":0"#, "10", "10"),
        ]
        .join(","),
        [leaf(r#""name":"read","nr":0"#, "14", "15"), leaf(r#""name":"write","nr":1"#, "14", "14")].join(","),
        [
            leaf(r#""name":"CAP_NET_BIND_SERVICE","used":true"#, "16", "16"),
            leaf(r#""name":"CAP_SYS_ADMIN","used":false"#, "17", "17"),
        ]
        .join(","),
    );
    let web = process(
        r#""parent":null,"path":"/usr/sbin/web","argv0":null,"argv":null,"exec_chain":false,"interpreter":"/lib/ld","uids":[33]"#,
        "03",
        "19",
        &rest,
    );
    let expected = format!(
        concat!(
            r#"{{"format":"grove-profile","version":2,"image":"docker.io/lib:5/web","#,
            r#""tags":{{"1":{{"first_seen":"{0}03Z","last_seen":"{0}19Z","state":{{{1}}}}}}},"#,
            r#""stats":{{"process_nodes":3,"file_nodes":2,"dns_nodes":1,"socket_nodes":3,"syscalls":2,"capabilities":2,"mounts":0,"imds":0}},"#,
            r#""ledgers":{{"rec":{{"received":22,{2}}},"processes":[{3}]}}"#,
        ),
        TIME,
        learning,
        counters.replace("UNKNOWN", "0"),
        [web, exec_ls, exec_true].join(","),
    );
    assert_eq!(lab.names("profiles"), ["docker.io_lib_5_web~1e596d79.profile.json"]);
    assert_eq!(lab.profile_text("docker.io_lib_5_web~1e596d79").trim_end(), expected);
}

#[test]
fn what_a_process_does_ends_up_as_one_kind_of_leaf() {
    let socket = |rest: &str| format!(r#""type":"connect","container":"c","pid":10,{rest}"#);
    let open = |rest: &str| format!(r#""type":"open","container":"c","pid":10,{rest}"#);
    for (event, list, expected) in [
        (open(r#""path":"/a/b/../../c//d/.","flags":32768"#), "files", Some(r#""path":"/c/d","access":"r""#)),
        (open(r#""path":"/../../etc","flags":3"#), "files", Some(r#""path":"/etc","access":"rw""#)),
        (open(r#""path":"/proc/10/maps""#), "files", Some(r#""path":"/proc/self/maps","access":"r","pattern":false"#)),
        (open(r#""path":"/proc/11/maps""#), "files", Some(r#""path":"/proc/*/maps","access":"r","pattern":true"#)),
        (open(r#""path":"/a*b\\c""#), "files", Some(r#""path":"/a\\*b\\\\c","access":"r","pattern":false"#)),
        (open(r#""path_b64":"L2H/Yg==""#), "files", Some(r#""path":"/a\\xffb","access":"r""#)),
        (open(r#""path":"/new\nline","flags":0,"ret":9223372036854775807"#), "files", Some(r#""path":"/new\nline""#)),
        (open(r#""path":"/failed","ret":-9223372036854775808"#), "files", None),
        (open(r#""path":"relative""#), "files", None),
        (
            socket(r#""family":"inet","addr":"127.0.0.1","port":65535"#),
            "sockets",
            Some(r#""proto":null,"addr":"127.0.0.1","port":65535"#),
        ),
        (socket(r#""family":"inet6","addr":"0:0:0:0:0:0:0:1","port":1"#), "sockets", Some(r#""addr":"::1","port":1"#)),
        (socket(r#""family":"unix","addr":"@abstract","port":9"#), "sockets", Some(r#""addr":"@abstract","port":0"#)),
        (socket(r#""family":"inet","addr":"10.0.0.1","port":1,"ret":-111"#), "sockets", None),
        (
            r#""type":"capability","container":"c","pid":10,"cap":0"#.to_owned(),
            "capabilities",
            Some(r#""name":"CAP_CHOWN","used":true"#),
        ),
        (
            r#""type":"dns","container":"c","pid":10,"name":"A.b","qtype":65535"#.to_owned(),
            "dns",
            Some(r#""name":"a.b","qtypes":["TYPE65535"]"#),
        ),
        (r#""type":"syscalls","container":"c","pid":10,"nrs":[]"#.to_owned(), "syscalls", None),
    ] {
        let lab = Lab::new();
        let ledger = lab.learn(&trace(&[START, EXEC, &format!(r#"{{"ts":3,{event}}}"#)]));
        let leaves = lab.profile("web")["processes"][0][list].clone();
        match expected {
            Some(expected) => {
                assert!(leaves.to_string().contains(expected), "{event}\nexpected {expected}\nfound {leaves}");
                assert_eq!(ledger.nonzero(), "received=3 applied_new=2 lifecycle=1", "{event}");
            }
            None => assert_eq!(leaves.to_string(), "[]", "{event}"),
        }
        assert_eq!(ledger.get("rejected.invalid_value"), 0, "{event}");
    }
}

/// The hull of what was seen does not depend on the order in which it came.
#[test]
fn time_may_go_backwards() {
    let (a, b) = (open(9, "/late"), open(1, "/early"));
    let whole = |lines: &[&str]| {
        let lab = Lab::new();
        lab.learn(&trace(lines));
        lab.profile_text("web")
    };
    assert_eq!(whole(&[START, EXEC, &a, &b]), whole(&[START, EXEC, &b, &a]));
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC, &a, &b]));
    let process = lab.profile("web")["processes"][0].clone();
    let expected = r#"{"1":["1970-01-01T00:00:00.000000001Z","1970-01-01T00:00:00.000000009Z"]}"#;
    assert_eq!(process["seen"].to_string(), expected);
}

#[test]
fn the_first_and_the_last_nanosecond_have_a_date() {
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC, &open(0, "/first"), &open(u64::MAX, "/last")]));
    let expected = r#"{"1":["1970-01-01T00:00:00.000000000Z","2554-07-21T23:34:33.709551615Z"]}"#;
    assert_eq!(lab.profile("web")["processes"][0]["seen"].to_string(), expected);
    lab.run(&["inspect", "profiles/web.profile.json"]).expect(0);
    lab.run(&["merge", "--output", "merged.json", "profiles/web.profile.json"]).expect(0);
    assert_eq!(lab.text("merged.json"), lab.profile_text("web"));
    assert!(lab.profile("web")["format"].is_str());
}

#[test]
fn arguments_are_identity_only_when_asked_for() {
    let lab = Lab::new();
    let input = trace(&[
        START,
        r#"{"ts":2,"type":"exec","container":"c","pid":10,"ppid":1,"path":"/bin/sh","argv":["sh","-c","a"]}"#,
        r#"{"ts":3,"type":"exec","container":"c","pid":11,"ppid":1,"path":"/bin/sh","argv_b64":["c2g=","/w=="]}"#,
    ]);
    lab.learn(&input);
    assert_eq!(lab.profile("web")["stats"]["process_nodes"].as_u64(), Some(1));
    lab.file("t.jsonl", &input);
    let output = lab.command(&["replay", "t.jsonl"]).env("GROVE_DIFFERENTIATE_ARGS", "true").output().unwrap();
    crate::support::Ended::of(output).expect(0);
    let profile = lab.profile_text("web");
    for argv in [r#""argv":["sh","-c","a"]"#, r#""argv":["sh","\\xff"]"#] {
        assert!(profile.contains(argv), "{argv}: {profile}");
    }
}
