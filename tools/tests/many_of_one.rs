//! What a process did before does not make what it does next cost more.
//!
//! For everything that one process, one file or one name can do without end, the command is run on a trace that has it so
//! many times, and on one that has it four times as often: the second may take about four times as many instructions
//! beside those of an empty trace. If each looked at all before it, it would take sixteen times as many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/instructions.rs"]
mod instructions;
#[path = "../../engine/tests/common/skips.rs"]
mod skips;

use instructions::{can_count, instructions};

/// The shorter trace has so many lines of what a test is about, and the longer so many times more.
const FEW: usize = 800;
const MORE: usize = 4;

/// Four times as much may take so many times as many instructions: tables double, names get longer.
const LIMIT: f64 = 5.0;

const START: &str = "{\"ts\":1,\"type\":\"container_start\",\"container\":\"c\",\"image\":\"web\",\"tag\":\"1\"}\n\
                     {\"ts\":2,\"type\":\"exec\",\"container\":\"c\",\"pid\":10,\"ppid\":1,\"path\":\"/bin/web\",\"uid\":0}\n";

/// Letters alone, which no pattern takes in, and no two alike.
fn letters(mut n: usize) -> String {
    let mut name = *b"qaaaa";
    for byte in name[1..].iter_mut().rev() {
        *byte = b'a' + (n % 26) as u8;
        n /= 26;
    }
    String::from_utf8(name.to_vec()).unwrap()
}

#[track_caller]
fn costs_what_each_costs(what: impl Fn(usize) -> String) {
    if !can_count() {
        return;
    }
    let lab = tempfile::tempdir().unwrap();
    let trace = |many: usize| {
        let line = |n: usize| format!("{{\"ts\":{},\"container\":\"c\",{}}}\n", n + 3, what(n));
        START.to_owned() + &(0..many).map(line).collect::<String>()
    };
    for args in [&["replay"][..], &["check", "--profile", "profiles/web.profile.json"]] {
        let none = instructions(lab.path(), &["replay"], &trace(0), None);
        let none = if args[0] == "check" { instructions(lab.path(), args, &trace(0), None) } else { none };
        let [few, many] = [FEW, FEW * MORE].map(|many| instructions(lab.path(), args, &trace(many), None) - none);
        let ratio = many as f64 / few as f64;
        println!(
            "{}: {} instructions each of {FEW}, {ratio:.2} times as many for {MORE} times",
            args[0],
            few / FEW as u64
        );
        assert!(ratio <= LIMIT, "{}: {few} instructions for {FEW}, {many} for {MORE} times as many", args[0]);
    }
}

fn as_pid_10(rest: String) -> String {
    format!(r#""pid":10,"ppid":1,{rest}"#)
}

macro_rules! cases {
    ($($(#[$doc:meta])* $name:ident: |$n:ident| $what:expr;)*) => {
        $($(#[$doc])*
        #[test]
        fn $name() {
            costs_what_each_costs(|$n| $what);
        })*
    };
}

cases! {
    user_ids_of_a_program: |n| as_pid_10(format!(r#""type":"exec","path":"/bin/web","uid":{n}"#));
    programs: |n| as_pid_10(format!(r#""type":"fork"}},{{"ts":{},"container":"c","type":"exec","pid":{},"ppid":10,"path":"/opt/{}""#, n + 3, n + 20, letters(n))).replace("},{", "}\n{");
    a_chain_of_programs: |n| as_pid_10(format!(r#""type":"exec","path":"/opt/{}""#, letters(n)));
    interpreters_of_a_script: |n| format!(r#""type":"exec","pid":{},"ppid":10,"path":"/opt/script","interpreter":"/opt/{}""#, n + 20, letters(n));
    files_of_a_directory: |n| as_pid_10(format!(r#""type":"open","path":"/opt/{}","flags":0,"ret":3"#, letters(n)));
    changes_of_files: |n| as_pid_10(format!(r#""type":"change","op":"delete","path":"/opt/{}""#, letters(n)));
    names_asked_for: |n| as_pid_10(format!(r#""type":"dns","name":"{}.example","qtype":"A""#, letters(n)));
    kinds_of_queries_for_a_name: |n| as_pid_10(format!(r#""type":"dns","name":"www.example","qtype":"TYPE{}""#, n + 300));
    unix_sockets: |n| as_pid_10(format!(r#""type":"connect","family":"unix","addr":"/opt/{}","ret":0"#, letters(n)));
    peers: |n| as_pid_10(format!(r#""type":"connect","family":"inet","proto":"tcp","addr":"10.{}.{}.1","port":80,"ret":0"#, n / 250, n % 250));
    ports_that_are_bound: |n| as_pid_10(format!(r#""type":"bind","family":"inet","proto":"tcp","addr":"0.0.0.0","port":{},"ret":0"#, n + 1));
    mount_points: |n| as_pid_10(format!(r#""type":"mount","path":"/opt/{}","fstype":"tmpfs","flags":0,"source":"x","ret":0"#, letters(n)));
    sources_of_a_mount: |n| as_pid_10(format!(r#""type":"mount","path":"/opt","fstype":"tmpfs","flags":0,"source":"/opt/{}","ret":0"#, letters(n)));
}
