//! Each run hashes with a key of its own, and containers fall to workers by such a hash. Nobody is to notice.

use std::fmt::Write;

use crate::support::{Lab, names};

/// What three images do in 24 containers: names that become patterns, programs of one name at one time, containers that
/// are named late or never, tags, peers, and more names of one pattern than its sample keeps.
fn life(round: usize) -> String {
    let mut trace = String::new();
    let mut ts = 0;
    for at in 0..600 {
        let n = at * 7 % 24;
        let container = format!(r#""container":"c{n}""#);
        // Several events happen at one time.
        ts += usize::from(at % 5 == 0);
        let mut tell = |event: String| writeln!(trace, r#"{{"ts":{ts},{container},{event}}}"#).unwrap();
        if at / 24 == [0, 3, 20, 99][n % 4] {
            let (image, tag) = (["web", "db", "job"][n % 3], n % 5);
            tell(format!(r#""type":"container_start","image":"{image}","tag":"{tag}""#));
        }
        let pid = 10 + at % 3;
        match at / 24 % 6 {
            0 => {
                let applet = ["sh", "ls", "cat"][at % 3];
                tell(format!(
                    r#""type":"exec","pid":{pid},"ppid":1,"path":"/bin/busybox","argv":["{applet}"],"cwd":"/srv/{n}""#
                ));
            }
            1 => tell(format!(r#""type":"open","pid":{pid},"path":"/var/cache/{n}/sess-{round}{at}.tmp","flags":1"#)),
            2 => tell(format!(r#""type":"open","pid":{pid},"path":"conf/site.conf","flags":0"#)),
            3 => {
                let addr = format!("10.{}.{round}.{}", at % 7, at % 200);
                tell(format!(
                    r#""type":"connect","pid":{pid},"family":"inet","addr":"{addr}","port":443,"proto":"tcp""#
                ));
            }
            4 => tell(format!(r#""type":"dns","pid":{pid},"name":"host{at}.example.com","qtype":"A""#)),
            _ => tell(format!(r#""type":"syscalls","pid":{pid},"nrs":[0,1,{}]"#, at % 300)),
        }
        for extra in 0..at % 40 {
            tell(format!(r#""type":"open","pid":{pid},"path":"/tmp/{round}/job-{at}-{extra}.log","flags":2"#));
        }
    }
    trace
}

/// All that was written and said.
fn everything(lab: &Lab, stdout: &str) -> Vec<(String, String)> {
    let profiles = names(&lab.path("profiles")).into_iter().filter(|name| name.ends_with(".profile.json"));
    let profiles = profiles.map(|name| format!("profiles/{name}"));
    let files = profiles.chain(["stats.json".to_owned()]).map(|name| (name.clone(), lab.text(&name)));
    files.chain([("stdout".to_owned(), stdout.to_owned())]).collect()
}

#[test]
fn what_is_learned_does_not_depend_on_the_key_or_on_who_learns_it() {
    let mut first = None;
    for workers in ["1", "2", "3", "8", "1", "8"] {
        let lab = Lab::new();
        let args = ["replay", "--workers", workers, "--stats", "stats.json", "--show", "-"];
        let ended = lab.feed(&args, life(1).as_bytes());
        ended.expect(0);
        let all = everything(&lab, &ended.stdout);
        assert_eq!(all.len(), 6, "three images, the unknown one, the ledger and the picture");
        assert_eq!(*first.get_or_insert_with(|| all.clone()), all, "{workers} workers");
    }
}

#[test]
fn what_is_found_does_not_depend_on_the_key_or_on_who_finds_it() {
    let lab = Lab::new();
    lab.learn(&life(1));
    let mut first = None;
    for workers in ["1", "2", "3", "8", "1", "8"] {
        let profile = |image: &str| format!("profiles/{image}.profile.json");
        let (web, job) = (profile("web"), profile("job"));
        let args = ["check", "--workers", workers, "--stats", "stats.json", "--profile", &web, "--profile", &job, "-"];
        let ended = lab.feed(&args, life(2).as_bytes());
        let all = everything(&lab, &ended.stdout);
        assert!(ended.stdout.lines().count() > 100, "{}", ended.stdout);
        assert_eq!(*first.get_or_insert_with(|| all.clone()), all, "{workers} workers");
    }
}

/// What takes all the room there is for findings, of one container and of all: a chain of execs, containers that each run
/// and open much, a few of them at a time, names of any length, several events at one time.
fn flood() -> String {
    let mut trace = String::new();
    let mut ts = 0;
    let mut tell = |container: usize, event: String| {
        ts += container % 2;
        writeln!(trace, r#"{{"ts":{ts},"container":"c{container}",{event}}}"#).unwrap();
    };
    let exec =
        |pid: usize, path: &str, more: &str| format!(r#""type":"exec","pid":{pid},"ppid":10,"path":"{path}"{more}"#);
    for some in (0..40).step_by(4) {
        for c in some..some + 4 {
            tell(c, r#""type":"container_start","image":"web","tag":"1""#.to_owned());
            tell(c, exec(10, "/srv/app", ""));
        }
        for n in 0..if some == 0 { 5000 } else { 0 } {
            tell(0, exec(20, &format!("/t/{n:x}"), ""));
        }
        for n in 0..300 {
            for c in some..some + 4 {
                let name = format!("{:x<1$}", n * 40 + c, (n * 7 + c * 13) % 500);
                let more = if n % 50 == 49 { r#","upper_layer":true"# } else { "" };
                tell(c, exec(1000 + n, &format!("/t/{name}"), more));
                tell(c, format!(r#""type":"open","pid":10,"path":"/data/{name}","flags":0"#));
                tell(c, format!(r#""type":"exit","pid":{}"#, 1000 + n));
            }
        }
        // The last ones go on to the end.
        for c in some..if some < 36 { some + 4 } else { some } {
            tell(c, r#""type":"container_stop""#.to_owned());
        }
    }
    trace
}

/// Containers that all go on to the end, and find more than there is room for.
fn busy() -> String {
    let mut trace = String::new();
    for c in 0..12 {
        writeln!(trace, r#"{{"ts":1,"container":"c{c}","type":"container_start","image":"web","tag":"1"}}"#).unwrap();
        writeln!(trace, r#"{{"ts":2,"container":"c{c}","type":"exec","pid":10,"ppid":1,"path":"/srv/app"}}"#).unwrap();
    }
    for n in 0..4000 {
        for c in 0..12 {
            let path = format!("/data/{:x}", n * 7919 + c);
            writeln!(trace, r#"{{"ts":{n},"container":"c{c}","type":"open","pid":10,"path":"{path}","flags":0}}"#)
                .unwrap();
        }
    }
    trace
}

#[test]
fn what_is_told_of_more_than_there_is_room_for_does_not_depend_on_the_key_or_on_who_finds_it() {
    let lab = Lab::new();
    lab.learn(
        r#"{"ts":1,"container":"c","type":"container_start","image":"web","tag":"1"}
{"ts":2,"container":"c","type":"exec","pid":10,"ppid":1,"path":"/srv/app"}
"#,
    );
    for (trace, last) in [(flood(), r#""c39""#), (busy(), r#""c11""#)] {
        let mut first = None;
        lab.file("trace.jsonl", trace);
        for workers in ["1", "2", "4", "8", "1", "8"] {
            let args = ["check", "--workers", workers, "--profile", "profiles/web.profile.json", "trace.jsonl"];
            let mut command = lab.command(&args);
            // Of this 3/16 are for findings of programs that were run, and as much for others.
            command.env("GROVE_MEMORY_MAX", "16Mi");
            let ended = Lab::feed_to(command, b"");
            ended.expect(2);
            ended.said(&["more findings were only counted"]);
            // The first line says how long it took.
            let all = (ended.stdout.clone(), ended.stderr.lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
            let of = |container: &str| ended.stdout.lines().filter(|line| line.contains(container)).count();
            assert!(of(last) > 100 && of(r#""c0""#) > 100, "{} {}", of(last), of(r#""c0""#));
            assert!(*first.get_or_insert_with(|| all.clone()) == all, "{workers} workers: {}", ended.stderr);
        }
    }
}
