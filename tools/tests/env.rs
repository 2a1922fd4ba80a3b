//! What `grove env` prints, and that the documentation says the same.

mod common;

use common::{grove, run};
use grove::config::Config;
use grove::config::table::Settings as _;

/// Lines without alignment, so that only words count.
fn words(text: &str) -> String {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// The default of a variable whose default depends on the host.
fn default_here(name: &str) -> String {
    Config::default().describe().into_iter().find(|row| row.name == name).expect(name).default
}

#[test]
fn table() {
    let vars =
        [("GROVE_WORKERS", "3"), ("GROVE_TREE_BYTES", "65536"), ("GROVE_HOST", "on"), ("GROVE_PATH_PROTECT", "/srv")];
    let ended = run(&["env"], &vars);
    let expected = "\
VARIABLE VALUE ORIGIN DEFAULT RANGE MEANING
GROVE_WORKERS 3 environment {workers} 1 to 256 threads Worker threads; each is the only writer of the containers that fall to it
GROVE_QUEUE_BATCHES 64 default 64 2 to 65536 batches Batches that one worker's queue holds before senders wait or drop
GROVE_BATCH_EVENTS 256 default 256 1 to 65536 events Events handed to a worker at a time
GROVE_HOLD_EVENTS 16384 default 16384 0 to 1048576 events Events held for one container whose image is not known yet; 0 holds none
GROVE_HOLD_BYTES 8Mi default 8Mi 0 to 1Gi bytes Memory for the events held for one container
GROVE_HOLD_TOTAL_BYTES 64Mi default 64Mi 0 to 64Gi bytes Memory for all held events, at most 1/4 of GROVE_MEMORY_MAX; beyond it the longest wait is given up
GROVE_HOLD_TIME 30s default 30s 0s to 1h How long they are held, by the events' own clock
GROVE_PATH_FANOUT 16 default 16 1 to 65536 names Names of one shape in one directory beyond which they become a pattern
GROVE_PEER_FANOUT 16 default 16 1 to 65536 addresses Addresses for one port beyond which they become networks
GROVE_PATH_PROTECT /srv environment - absolute paths Paths whose names never become patterns, beside the built-in ones
GROVE_DIFFERENTIATE_ARGS false default false true or false Whether a program run with other arguments is another process node
GROVE_MEMORY_MAX {memory} default {memory} 1Mi to 64Ti bytes Memory for all that is known and held; near it only programs are new, and what is lost is counted
GROVE_RESIDENT_MAX {resident} default {resident} 1Mi to 64Ti bytes Memory of the whole command, as measured: near it as near GROVE_MEMORY_MAX; not for embedders
GROVE_TREE_BYTES 64Ki environment {tree} 64Ki to 64Gi bytes Memory for one container's activity tree; beyond it new behaviour is dropped and counted
GROVE_LINEAGE_DEPTH 256 default 256 2 to 1024 nodes Longest lineage in an activity tree, from its root down
GROVE_PROCESSES_MAX {processes} default {processes} 16 to 4194304 processes Running processes tracked in one container
GROVE_TAGS_MAX 1048576 default 1048576 1 to 16777216 tags Image tags known to the process at once; containers of further ones are not learned
GROVE_RECORD_BYTES {record} default {record} 1Ki to 1Gi bytes Longest record of a trace; longer ones are rejected
GROVE_PROFILE_READ_BYTES {read} default {read} 1Mi to 1Ti bytes Memory that reading one profile may take; a larger one is refused
GROVE_HOST true environment false true or false Whether the host itself is profiled, as the container with the empty name
GROVE_RING_BYTES 8Mi default 8Mi 64Ki to 1Gi bytes Memory of the kernel's ring of events; rounded up to a power of two
GROVE_DRAIN_INTERVAL 10ms default 10ms 1ms to 1s How often the ring is emptied
GROVE_SHED_PERCENT 75 default 75 10 to 100 percent How full the ring may get before repeatable events are shed, in percent of it
GROVE_DEDUP_WINDOW 5s default 5s 0s to 1h How long the kernel leaves out what the same program has just done; 0 leaves out nothing
GROVE_PROBE_OPEN true default true true or false Whether opened files, and those mapped to be executed, are observed
GROVE_PROBE_CHANGE true default true true or false Whether changes of files are observed: names that come to be or go, permissions, owners, sizes
GROVE_PROBE_MOUNT true default true true or false Whether mounted file systems are observed
GROVE_PROBE_SOCKET true default true true or false Whether sockets are observed: connected and bound ones, and who was let in
GROVE_PROBE_DNS true default true true or false Whether DNS questions are observed
GROVE_PROBE_FLOW true default true true or false Whether it is observed how much goes over TCP connections, if sockets are
GROVE_PROBE_IMDS true default true true or false Whether requests to cloud metadata services are observed
GROVE_PROBE_SYSCALLS true default true true or false Whether system calls are observed
GROVE_PROBE_CAPABILITY true default true true or false Whether uses of capabilities are observed
GROVE_PROBE_FAILED refused default refused refused, all, none, true, false Which failed attempts leave the kernel: those that were refused, all, or none
GROVE_SYSCALL_INTERVAL 5s default 5s 100ms to 1h How often the system calls of running processes, and what went over connections that go on, are told
GROVE_SNAPSHOT_PROCESSES 65536 default 65536 0 to 4194304 processes Running processes looked at in /proc at the start
GROVE_SNAPSHOT_RATE 20000 default 20000 1 to 1000000 processes Processes looked at in /proc in a second
GROVE_DOCKER_SOCKETS /run/docker.sock default /run/docker.sock absolute paths Sockets of Docker, asked which image a container runs
GROVE_PODMAN_SOCKETS /run/podman/podman.sock default /run/podman/podman.sock absolute paths Sockets of Podman's service
GROVE_CONTAINERD_SOCKETS {containerd} default {containerd} absolute paths Sockets of containerd
GROVE_CRI_SOCKETS {containerd}:/run/crio/crio.sock default {containerd}:/run/crio/crio.sock absolute paths Sockets of the container runtimes of Kubernetes (CRI)
GROVE_CONTAINER_STORAGE /var/lib/containers/storage default /var/lib/containers/storage absolute paths Storage of Podman and CRI-O, which tells where no service runs
GROVE_PROFILE_INTERVAL 1m default 1m 1s to 24h How often profiles are written while learning goes on
GROVE_LOG warn default warn off, error, warn, info, debug, trace What is logged to standard error: this level and graver
GROVE_LOG_FORMAT text default text text, json How log lines are written
"
    .replace("{workers}", &default_here("GROVE_WORKERS"))
    .replace(
        "{containerd}",
        "/run/containerd/containerd.sock:/run/k3s/containerd/containerd.sock:/var/snap/microk8s/common/run/containerd.sock",
    )
    .replace("{tree}", &default_here("GROVE_TREE_BYTES"))
    .replace("{memory}", &default_here("GROVE_MEMORY_MAX"))
    .replace("{resident}", &default_here("GROVE_RESIDENT_MAX"))
    .replace("{processes}", &default_here("GROVE_PROCESSES_MAX"))
    .replace("{record}", &default_here("GROVE_RECORD_BYTES"))
    .replace("{read}", &default_here("GROVE_PROFILE_READ_BYTES"));
    assert_eq!(words(&ended.stdout), expected);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn table_columns_are_aligned() {
    let ended = run(&["env"], &[("GROVE_PATH_PROTECT", "/a/rather/long/path/that/makes/the/column/wider")]);
    let header = ended.stdout.lines().next().expect("a header");
    for column in ["VALUE", "ORIGIN", "DEFAULT", "RANGE", "MEANING"] {
        let at = header.find(column).expect(column);
        for line in ended.stdout.lines() {
            let (before, from) = (&line[..at], &line[at..]);
            assert!(before.ends_with("  ") && !from.starts_with(' '), "{column}: {line}");
        }
    }
}

#[test]
fn json_is_an_array_of_rows() {
    let ended = run(&["env", "--format", "json"], &[("GROVE_HOLD_TIME", "1500ms"), ("GROVE_PATH_PROTECT", "/a\"\n")]);
    let start = format!(
        r#"[
  {{
    "name": "GROVE_WORKERS",
    "type": "count",
    "unit": "threads",
    "value": "{workers}",
    "origin": "default",
    "default": "{workers}",
    "default_rule": "the processors this process may use, at most 256",
    "range": "1 to 256",
    "meaning": "Worker threads; each is the only writer of the containers that fall to it"
  }},
"#,
        workers = default_here("GROVE_WORKERS")
    );
    assert!(ended.stdout.starts_with(&start), "{}", ended.stdout);

    let rows: Vec<std::collections::BTreeMap<String, String>> = sonic_rs::from_str(&ended.stdout).expect("JSON");
    let shown = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).expect(name);
        (row["value"].clone(), row["origin"].clone(), row["default"].clone())
    };
    let of = |value: &str, origin: &str, default: &str| (value.to_owned(), origin.to_owned(), default.to_owned());
    assert_eq!(shown("GROVE_HOLD_TIME"), of("1500ms", "environment", "30s"));
    assert_eq!(shown("GROVE_PATH_PROTECT"), of("/a\"\n", "environment", ""));
    assert_eq!(shown("GROVE_LOG"), of("warn", "default", "warn"));
}

#[test]
fn what_is_printed_can_be_set_again() {
    let first = run(&["env", "--format", "json"], &[("GROVE_HOLD_BYTES", "1000"), ("GROVE_LOG", "error")]);
    let rows: Vec<std::collections::BTreeMap<String, String>> = sonic_rs::from_str(&first.stdout).expect("JSON");
    let vars: Vec<_> = rows.iter().map(|row| (row["name"].as_str(), row["value"].as_str())).collect();
    let second = run(&["env", "--format", "json"], &vars);
    assert_eq!(second.stdout, first.stdout.replace("\"origin\": \"default\"", "\"origin\": \"environment\""));
}

#[test]
fn the_documentation_has_exactly_the_generated_table() {
    let page = include_str!("../../docs/tuning.md");
    let (_, rest) = page.split_once("<!-- begin: grove env --format markdown -->\n").expect("the table begins");
    let (table, _) = rest.split_once("<!-- end -->").expect("the table ends");
    let generated = run(&["env", "--format", "markdown"], &[("GROVE_WORKERS", "7"), ("GROVE_LOG", "error")]).stdout;
    assert_eq!(table, generated, "put the output of `grove env --format markdown` into docs/tuning.md");
}

#[test]
fn a_flag_overrides_a_variable() {
    let ended = run(&["--log", "error", "env"], &[("GROVE_LOG", "info")]);
    assert!(words(&ended.stdout).contains("\nGROVE_LOG error flag warn "), "{}", ended.stdout);
    let ended = run(&["env", "--log-format=json"], &[]);
    assert!(words(&ended.stdout).contains("\nGROVE_LOG_FORMAT json flag text "), "{}", ended.stdout);
}

#[test]
fn hostile_values_are_escaped_and_colour_is_as_asked_for() {
    let vars = [("GROVE_PATH_PROTECT", "/a\x1b]0;x\x07\u{202e}")];
    let escaped = r"/a\u{1b}]0;x\u{7}\u{202e}";
    let coloured = run(&["env", "--color", "always"], &vars).stdout;
    assert!(coloured.starts_with("\x1b[1mVARIABLE") && coloured.contains(escaped), "{coloured:?}");
    for args in [&["env"] as &[_], &["env", "--color=never"], &["--color=auto", "env"]] {
        let plain = run(args, &vars).stdout;
        assert!(plain.starts_with("VARIABLE") && plain.contains(escaped), "{plain:?}");
        assert!(!plain.contains('\x1b') && !plain.contains('\u{202e}'), "{plain:?}");
    }
}

#[test]
fn the_log_goes_to_standard_error_in_the_format_asked_for() {
    let quiet = run(&["env"], &[("GROVE_HOST", "1")]);
    assert_eq!(quiet.stderr, "");
    let text = run(&["env"], &[("GROVE_HOST", "1"), ("GROVE_LOG", "debug")]);
    assert!(text.stderr.contains("DEBUG") && text.stderr.contains("GROVE_HOST"), "{}", text.stderr);
    assert!(!text.stderr.contains('\x1b'), "{:?}", text.stderr);

    let json = run(&["env", "--log=debug", "--log-format=json"], &[("GROVE_HOST", "1"), ("RUST_LOG", "off")]);
    assert_eq!(json.stderr.lines().count(), 3, "{}", json.stderr);
    for line in json.stderr.lines() {
        let value: sonic_rs::Value = sonic_rs::from_str(line).expect("a JSON line");
        assert_eq!(sonic_rs::to_string(&value["level"]).expect("JSON"), "\"DEBUG\"");
    }
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_utf8_are_named() {
    use std::os::unix::ffi::OsStrExt;
    let hostile = std::ffi::OsStr::from_bytes(b"\xff\x1b[2J");
    let ended = common::end(grove(&["env"], &[]).env("GROVE_LOG", hostile).output().expect("the command runs"));
    let expected = "grove: GROVE_LOG: \"\\xFF\\u{1b}[2J\" is not valid UTF-8; \
                    allowed: off, error, warn, info, debug, trace\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), expected));
}
