//! How the command ends, and what it says then.

mod common;

use std::fs::File;

use common::{end, grove, run};

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"] as &[_], &["-h"], &["help"], &["help", "env"], &["env", "--help"], &["--version"]] {
        let ended = run(args, &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(!ended.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(run(&["--version"], &[]).stdout, format!("grove {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_works_whatever_the_environment() {
    assert_eq!(run(&["--help"], &[("GROVE_NONSENSE", "1")]).code, Some(0));
}

#[test]
fn the_help_lists_every_exit_code() {
    let help = run(&["--help"], &[]).stdout;
    for line in ["  0  done", "  1  the operation failed", "  2  drift", "  3  bad input or usage"] {
        assert!(help.contains(line), "{line}");
    }
}

#[test]
fn usage_errors_are_3() {
    for args in [
        &[] as &[_],
        &["graft"],
        &["env", "--frmat", "json"],
        &["env", "--format", "yaml"],
        &["env", "too", "much"],
        &["completions"],
        &["--color", "sometimes", "env"],
        &["run", "--"],
        &["record", "--output", "t", "--"],
        &["run", "--image", "", "--", "true"],
        &["run", "--tag", "", "--", "true"],
    ] {
        let ended = run(args, &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{args:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn bad_variables_are_3_and_one_line() {
    for (name, value, expected) in [
        ("GROVE_WORKERS", "0", "GROVE_WORKERS: \"0\" is out of range; allowed: 1 to 256 threads, in plain digits"),
        ("GROVE_LOGS", "warn", "unknown variable GROVE_LOGS; did you mean GROVE_LOG?"),
        ("GROVE_X\x1b[2J\n", "", r"unknown variable GROVE_X\u{1b}[2J\n; `grove env` lists those there are"),
    ] {
        for args in [&["env"] as &[_], &["completions", "bash"]] {
            let ended = run(args, &[(name, value)]);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{args:?} {name:?}");
            assert_eq!(ended.stderr, format!("grove: {expected}\n"));
        }
    }
}

#[test]
fn a_bad_flag_is_3_and_names_the_flag() {
    let ended = run(&["env", "--log", "loud"], &[]);
    let expected = "grove: --log: \"loud\" is none of the choices; allowed: off, error, warn, info, debug, trace\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), expected));
}

#[test]
fn the_tests_own_variable_is_let_through() {
    assert_eq!(run(&["env"], &[("GROVE_CAPTURES", "anywhere")]).code, Some(0));
}

const PRINTING: [&[&str]; 5] =
    [&["env"], &["env", "--format", "json"], &["--help"], &["--version"], &["completions", "bash"]];

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for args in PRINTING {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = end(grove(args, &[]).stdout(writer).output().expect("the command runs"));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_1_and_one_line() {
    for args in PRINTING {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let ended = end(grove(args, &[]).stdout(full).output().expect("the command runs"));
        let expected = "grove: cannot write to standard output: No space left on device (os error 28); \
                        check where it is redirected to\n";
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_error_that_takes_nothing_changes_no_code() {
    let full = || File::options().write(true).open("/dev/full").expect("/dev/full");
    for (args, vars, expected) in [
        (&["env"] as &[_], &[("GROVE_LOG", "debug")] as &[_], 0),
        (&["env"], &[("GROVE_LOG", "loud")], 3),
        (&["graft"], &[], 3),
    ] {
        let ended = end(grove(args, vars).stderr(full()).output().expect("the command runs"));
        assert_eq!(ended.code, Some(expected), "{args:?} {vars:?}");
    }
}
