//! What a container does inside: by every way there is to run a program, open a file or reach a peer. One container,
//! observed and at the same time followed by strace, from before its first program until after its last.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::containers::{self, Runc};
use crate::learned;
use crate::strace::{self, Did, Doings, Strace};
use crate::{Running, alone, grove, ok, processes, profile};

/// What is there to be seen of a doing: in the profile, but for failed attempts, which only traces have.
enum Shows {
    /// A file that a program opened, and how.
    File(&'static str, &'static str, &'static str),
    /// An attempt to open it that failed.
    Missed(&'static str),
    /// A program that another one started, or became if it was an exec without a fork; with no file, if so.
    Program { path: &'static str, by: &'static str, chain: bool, fileless: bool },
    /// A name that a program asked for.
    Question(&'static str, &'static str, &'static [&'static str]),
    /// A program's socket: operation, family, transport, address and port.
    Socket(&'static str, &'static str, &'static str, Option<&'static str>, &'static str, u16),
    /// What became of a name, by a program: its operation.
    Changed(&'static str, &'static str, &'static str),
    /// A file that a program mapped to be executed.
    Mapped(&'static str, &'static str),
    /// A file system that a program mounted: its type, where, and what.
    Mounted(&'static str, &'static str, &'static str, &'static str),
    /// How much went over a program's connections: operation, port, and the powers of two above what was sent and received.
    Volume(&'static str, &'static str, u16, [u8; 2]),
    /// A request to a metadata service: provider, kind of token, path.
    Metadata(&'static str, &'static str, &'static str, &'static str),
    /// A refused connect, in traces only.
    Refused(&'static str, u16),
    /// Never a file's name.
    NoFile(&'static str),
}

use Shows::{Changed, File, Mapped, Metadata, Missed, Mounted, NoFile, Program, Question, Refused, Socket, Volume};

const SH: &str = "/bin/busybox (sh)";
const CAT: &str = "/bin/busybox (cat)";
const NSLOOKUP: &str = "/bin/busybox (nslookup)";
const CHILD: &str = "/bin/child";

/// Each line of the container's script, and what it shows.
const TABLE: &[(&str, &[Shows])] = &[
    // Paths.
    ("(cd /srv/deep/er && cat ../../relative)", &[File(CAT, "/srv/relative", "r")]),
    ("cat /srv/link", &[File(CAT, "/srv/behind-the-link", "r"), NoFile("/srv/link")]),
    ("cat /bound/file", &[File(CAT, "/bound/file", "r"), NoFile("/file")]),
    ("echo x > /scratch/made", &[File(SH, "/scratch/made", "w")]),
    (
        "(cd /scratch && echo x > before && mv /scratch/before /scratch/after && cat after)",
        &[File(SH, "/scratch/before", "w"), File(CAT, "/scratch/after", "r")],
    ),
    (
        "(cd /scratch && mkdir /scratch/new && echo x > new/config && cat new/config && mv /scratch/new /scratch/app && cat app/config)",
        &[File(CAT, "/scratch/new/config", "r"), File(CAT, "/scratch/app/config", "r")],
    ),
    ("child openat /srv/deep er/leaf", &[File(CHILD, "/srv/deep/er/leaf", "r")]),
    ("child openat2 /scratch/made", &[File(CHILD, "/scratch/made", "rw")]),
    // Changes of names and files.
    (
        "mv /scratch/made /scratch/moved",
        &[Changed(SH, "/scratch/made", "rename"), Changed(SH, "/scratch/moved", "rename")],
    ),
    (
        "child calls mkdir /scratch/dir =0755 , creat /scratch/dir/file =0600 , mkdir /scratch/dir/gone =0700 , rmdir \
         /scratch/dir/gone",
        &[
            Changed(CHILD, "/scratch/dir", "mkdir"),
            Changed(CHILD, "/scratch/dir/file", "create"),
            Changed(CHILD, "/scratch/dir/gone", "rmdir"),
        ],
    ),
    (
        "child calls chdir /scratch/dir , chmod file =0644 , chown file =0 =0 , truncate file =7 , link file linked , \
         symlink file soft , unlink linked , mknod pipe =0010600 =0",
        &[
            Changed(CHILD, "/scratch/dir/file", "chmod"),
            Changed(CHILD, "/scratch/dir/file", "chown"),
            Changed(CHILD, "/scratch/dir/file", "truncate"),
            Changed(CHILD, "/scratch/dir/file", "link"),
            Changed(CHILD, "/scratch/dir/linked", "link"),
            Changed(CHILD, "/scratch/dir/linked", "delete"),
            Changed(CHILD, "/scratch/dir/soft", "symlink"),
            Changed(CHILD, "/scratch/dir/pipe", "create"),
        ],
    ),
    (
        "child calls open /scratch =020200002 =0600 , linkat =-100 /proc/self/fd/3 =-100 /scratch/named =0x400",
        &[Changed(CHILD, "/scratch/named", "link"), NoFile("/proc/self/fd/3")],
    ),
    ("child calls mmap 0 =4096 =5 =2 file:/scratch/moved =0", &[Mapped(CHILD, "/scratch/moved")]),
    ("child calls mount a-name /scratch/dir tmpfs =6", &[Mounted(CHILD, "tmpfs", "/scratch/dir", "a-name")]),
    ("child calls mkdir /srv/unmade =0755", &[NoFile("/srv/unmade")]),
    // Failures: there is none, a file where a directory should be, a root that nobody may write to.
    ("cat /srv/absent", &[Missed("/srv/absent"), NoFile("/srv/absent")]),
    ("cat /srv/relative/x", &[Missed("/srv/relative/x"), NoFile("/srv/relative/x")]),
    ("(echo x > /srv/unwritten)", &[Missed("/srv/unwritten"), NoFile("/srv/unwritten")]),
    // Programs.
    (
        "/srv/script",
        &[
            Program { path: "/srv/script", by: SH, chain: false, fileless: false },
            Program { path: CAT, by: "/srv/script", chain: false, fileless: false },
            File(CAT, "/srv/by-the-script", "r"),
        ],
    ),
    (
        "child exec /bin/second exec /bin/third exit 0",
        &[
            Program { path: CHILD, by: SH, chain: false, fileless: false },
            Program { path: "/bin/second", by: CHILD, chain: true, fileless: false },
            Program { path: "/bin/third", by: "/bin/second", chain: true, fileless: false },
        ],
    ),
    ("child memfd /bin/child", &[Program { path: "memfd:nameless", by: CHILD, chain: true, fileless: true }]),
    // Rings.
    ("child uring /srv/by-a-ring", &[File(CHILD, "/srv/by-a-ring", "r")]),
    (
        "child calls ring-mkdirat at:/scratch made-by-a-ring 0 =0755",
        &[Changed(CHILD, "/scratch/made-by-a-ring", "mkdir")],
    ),
    ("child uring /srv/not-by-a-ring", &[Missed("/srv/not-by-a-ring"), NoFile("/srv/not-by-a-ring")]),
    // Sockets.
    ("child serve unix stream /scratch/sock 0", &[Socket(CHILD, "bind", "unix", None, "/scratch/sock", 0)]),
    ("child connect unix stream /scratch/sock 0", &[Socket(CHILD, "connect", "unix", None, "/scratch/sock", 0)]),
    ("child serve unix dgram @abstract 0", &[Socket(CHILD, "bind", "unix", None, "@abstract", 0)]),
    ("child connect unix dgram @abstract 0", &[Socket(CHILD, "connect", "unix", None, "@abstract", 0)]),
    ("child serve inet stream 127.0.0.1 7000", &[Socket(CHILD, "bind", "inet", Some("tcp"), "127.0.0.1", 7000)]),
    ("child connect inet stream 127.0.0.1 7000", &[Socket(CHILD, "connect", "inet", Some("tcp"), "127.0.0.1", 7000)]),
    ("child connect inet stream 127.0.0.1 7001", &[Refused("127.0.0.1", 7001)]),
    ("child sendto inet dgram 127.0.0.2 9", &[Socket(CHILD, "connect", "inet", Some("udp"), "127.0.0.2", 9)]),
    ("child uring-connect inet stream 127.0.0.1 7002", &[Refused("127.0.0.1", 7002)]),
    // Who is let in, and how much goes over it.
    (
        "child let-in accept inet stream 127.0.0.1 7003 5 & until child connects-and close inet stream 127.0.0.1 7003 9; do \
         :; done",
        &[
            Socket(CHILD, "accept", "inet", Some("tcp"), "127.0.0.1", 7003),
            Volume(CHILD, "accept", 7003, [3, 4]),
            Volume(CHILD, "connect", 7003, [4, 3]),
        ],
    ),
    // A metadata service.
    ("child metadata inet stream 169.254.169.254 80", &[]),
    (
        "child says inet stream 169.254.169.254 80 \"$(printf 'GET /latest/meta-data/ami?s3cret HTTP/1.1\\r\\nx-aws-ec2-metadata-\
         token: s3cret\\r\\n\\r\\n')\"",
        &[Metadata(CHILD, "aws", "v2", "/latest/meta-data/ami")],
    ),
    // Names.
    ("child serve inet dgram 127.0.0.1 53", &[Socket(CHILD, "bind", "inet", Some("udp"), "127.0.0.1", 53)]),
    ("nslookup Inside.example.test 127.0.0.1", &[Question(NSLOOKUP, "inside.example.test", &["A", "AAAA"])]),
];

/// What strace saw and what was told of the container.
struct Observed {
    seen: Doings,
    told: Doings,
    profile: Value,
}

/// The one run that the tests here look at. `None` where it cannot be.
static OBSERVED: LazyLock<Option<Observed>> = LazyLock::new(|| {
    let needs = [Runc::NEEDS.as_slice(), &[Strace::NEEDS]].concat();
    containers::have(&needs).then(|| observe(Some("0s")))
});

/// The same with repeats left out, as they are unless one asks for them.
static WITHOUT_REPEATS: LazyLock<Option<Observed>> = LazyLock::new(|| OBSERVED.is_some().then(|| observe(None)));

fn furnish(rootfs: &Path) {
    for applet in ["mkdir", "mv", "nslookup"] {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    for name in ["child", "second", "third"] {
        fs::copy(containers::static_child(), rootfs.join("bin").join(name)).unwrap();
    }
    for dir in ["srv/deep/er", "bound", "scratch"] {
        fs::create_dir_all(rootfs.join(dir)).unwrap();
    }
    for file in ["relative", "behind-the-link", "deep/er/leaf", "by-the-script", "by-a-ring"] {
        fs::write(rootfs.join("srv").join(file), "x\n").unwrap();
    }
    symlink("behind-the-link", rootfs.join("srv/link")).unwrap();
    let script = rootfs.join("srv/script");
    // By its path: of a shell that runs itself for it, strace would have to know that it interprets a script.
    fs::write(&script, "#!/bin/sh\n/bin/cat /srv/by-the-script\n:\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
}

fn observe(window: Option<&str>) -> Observed {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut runc = Runc::with_usual_records();
    furnish(runc.rootfs());
    fs::create_dir(dir.path().join("bound")).unwrap();
    fs::write(dir.path().join("bound/file"), "x\n").unwrap();
    let script: String = TABLE.iter().map(|(line, _)| format!("{line}\n")).collect();
    // Like nobody else's: others may run containers on this host too.
    let id = format!("grove-inside-{}", std::process::id());
    let image = [("org.opencontainers.image.ref.name", &*format!("localhost/{id}:1"))];
    let bundle = runc.bundle("inside", &["sh", "-c", &(script + "exit 0")], &image, |spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        let bound = dir.path().join("bound");
        mounts.push(json!({"destination": "/bound", "type": "bind", "source": bound, "options": ["rbind", "ro"]}));
        mounts.push(json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}));
        for set in spec["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
            set.as_array_mut().unwrap().extend([json!("CAP_SYS_ADMIN"), json!("CAP_NET_ADMIN")]);
        }
    });

    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let mut run = grove();
    run.envs(window.map(|window| ("GROVE_DEDUP_WINDOW", window))).env("GROVE_PROBE_FAILED", "all");
    let running = Running::start(run.args(["run", "--output"]).arg(&out).arg("--record").arg(&trace));
    runc.create(&bundle, &id);
    let (strace, init) = (Strace::new(), runc.pid(&id));
    let mut following = strace.follow(init);
    runc.go(&id);
    // It ends with the last of the container's processes.
    following.wait().unwrap();
    runc.delete(&id);
    ok(&running.end());

    let real = |path: &str| {
        let path = runc.rootfs().join(path.trim_start_matches('/')).canonicalize().unwrap();
        format!("/{}", path.strip_prefix(runc.rootfs().canonicalize().unwrap()).unwrap().display())
    };
    Observed {
        seen: strace::of(&strace.doings(real), init),
        told: strace::of(&strace::told(&fs::read_to_string(&trace).unwrap()), init),
        profile: profile(&out.join(format!("localhost_{id}.profile.json"))),
    }
}

/// Whether a process of the profile goes by this name.
fn is(process: &Value, name: &str) -> bool {
    learned::program(process) == name
}

fn shows(of: &Observed, what: &Shows) -> bool {
    let all = processes(&of.profile);
    let told = |did: &dyn Fn(&Did) -> bool| of.told.values().flatten().any(did);
    let some = |who: &str, list: &str, holds: &dyn Fn(&Value) -> bool| {
        all.iter().filter(|process| is(process, who)).any(|process| process[list].as_array().unwrap().iter().any(holds))
    };
    match *what {
        File(who, path, access) => some(who, "files", &|file| file["path"] == path && file["access"] == access),
        NoFile(path) => {
            all.iter().all(|process| process["files"].as_array().unwrap().iter().all(|file| file["path"] != path))
        }
        Missed(path) => told(&|did| *did == Did::Missed(path.to_owned())),
        Program { path, by, chain, fileless } => all.iter().any(|child| {
            let fileless_there = child["fileless"].as_bool().unwrap_or(false);
            let is_below = child["parent"].as_u64().is_some_and(|parent| is(all[parent as usize], by));
            is_below && is(child, path) && child["exec_chain"] == chain && fileless_there == fileless
        }),
        Question(who, name, types) => some(who, "dns", &|dns| dns["name"] == name && dns["qtypes"] == json!(types)),
        Socket(who, op, family, proto, addr, port) => some(who, "sockets", &|socket| {
            let fields = ["op", "family", "proto", "addr", "port"].map(|field| socket[field].clone());
            fields == [json!(op), json!(family), json!(proto), json!(addr), json!(port)]
        }),
        Changed(who, path, op) => some(who, "files", &|file| {
            file["path"] == path && file["changes"].as_array().is_some_and(|ops| ops.iter().any(|one| one == op))
        }),
        Mapped(who, path) => some(who, "files", &|file| file["path"] == path && file["mapped"] == true),
        Mounted(who, fstype, path, source) => some(who, "mounts", &|mount| {
            mount["path"] == path && mount["fstype"] == fstype && mount["sources"] == json!([source])
        }),
        Volume(who, op, port, [sent, received]) => some(who, "sockets", &|socket| {
            let volume = json!({"sent": sent, "received": received});
            socket["op"] == op && socket["port"] == port && socket["volume"] == volume
        }),
        Metadata(who, provider, token, path) => {
            some(who, "imds", &|imds| imds["provider"] == provider && imds["token"] == token && imds["path"] == path)
        }
        Refused(to, at) => {
            told(&|did| matches!(did, Did::Socket { addr, port, ret: -111, .. } if addr == to && *port == at))
        }
    }
}

#[test]
fn what_each_line_does_is_learned() {
    for observed in [&OBSERVED, &WITHOUT_REPEATS] {
        each_line_is_learned(observed);
    }
}

fn each_line_is_learned(observed: &Option<Observed>) {
    let Some(observed) = observed else { return };
    let failed: Vec<_> = TABLE
        .iter()
        .filter(|(_, shown)| !shown.iter().all(|what| shows(observed, what)))
        .map(|(line, _)| line)
        .collect();
    assert!(failed.is_empty(), "{failed:#?} of {:#}", observed.profile);
}

#[test]
fn all_of_it_is_what_strace_saw() {
    let Some(Observed { seen, told, profile }) = &*OBSERVED else { return };
    let mut told = told.clone();
    told.values_mut().for_each(|did| did.retain(|did| !by_a_ring(did)));
    strace::compare(seen, &told);
    assert!(seen.len() > TABLE.len(), "each line is some process: {seen:#?}");
    compare_learned(seen, profile);
    if let Some(Observed { seen, profile, .. }) = &*WITHOUT_REPEATS {
        compare_learned(seen, profile);
    }
}

/// Said too, so that what is seen on one kernel can be compared with what is seen on another.
#[test]
fn it_is_of_every_kind() {
    let Some(observed) = &*OBSERVED else { return };
    let lines = learned::lines(&observed.profile);
    println!();
    lines.iter().for_each(|line| println!("seen {line}"));
    let kinds: BTreeSet<_> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(kinds, BTreeSet::from(["call", "capability", "file", "metadata", "mount", "name", "peer", "program"]));
}

/// What strace cannot see is done by a ring.
fn by_a_ring(did: &Did) -> bool {
    match did {
        Did::Open(path) | Did::Missed(path) | Did::Change { path, .. } => path.ends_with("by-a-ring"),
        Did::Socket { port, .. } => *port == 7002,
        _ => false,
    }
}

#[track_caller]
fn compare_learned(seen: &Doings, profile: &Value) {
    let mut learned = learned::by_program(profile);
    learned.retain(|(_, did)| !by_a_ring(did));
    learned::compare(&learned::expected(seen, "/"), &learned);
    assert_eq!(learned::programs(profile), strace::programs(seen));
}
