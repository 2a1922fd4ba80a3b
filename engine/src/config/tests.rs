//! Tests of the table of settings as a whole.

use std::ffi::OsStr;

use super::table::Origin;
use super::*;

const HOST: Host = Host { cores: 4, memory_bytes: Some(8 << 30) };

fn set(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_vars(vars.iter().copied())
}

#[track_caller]
fn check_error(vars: &[(&str, &str)], expected: &str) {
    assert_eq!(set(vars).unwrap_err().to_string(), expected);
}

#[test]
fn names_are_those_of_the_fields() {
    let fields = format!("{:#?}", Config::for_host(HOST));
    for v in Config::TABLE {
        let field = v.name.strip_prefix("GROVE_").unwrap().to_lowercase();
        assert!(fields.contains(&format!("\n    {field}: ")), "{field}");
    }
}

#[test]
fn names_are_unique_and_meanings_are_one_line() {
    let names: std::collections::HashSet<_> = Config::TABLE.iter().map(|v| v.name).collect();
    assert_eq!(names.len(), Config::TABLE.len());
    for v in Config::TABLE {
        assert!(!v.meaning.is_empty() && v.meaning.len() <= 100 && !v.meaning.ends_with('.'), "{}", v.name);
    }
}

#[test]
fn defaults_are_allowed_on_any_host() {
    for cores in [1, 2, 256, 100_000] {
        for memory_bytes in [None, Some(0), Some(1 << 20), Some(1 << 30), Some(u64::MAX)] {
            Config::for_host(Host { cores, memory_bytes }).validate().unwrap();
        }
    }
}

#[test]
fn defaults_grow_with_the_host() {
    for (memory_bytes, expected) in [
        (None, 64 << 20),
        (Some(64 << 20), 4 << 20),
        (Some(256 << 20), 16 << 20),
        (Some(4 << 30), 128 << 20),
        (Some((4 << 30) + 12_345), 128 << 20),
        (Some(1 << 40), 1 << 30),
    ] {
        assert_eq!(Config::for_host(Host { cores: 1, memory_bytes }).tree_bytes, expected, "{memory_bytes:?}");
    }
    for (memory_bytes, expected) in [
        (None, (227 << 20, 65_536, 4 << 20)),
        (Some(1 << 20), (2 << 20, 1024, 256 << 10)),
        (Some(64 << 20), (7 << 20, 16_384, 1 << 20)),
        (Some(8 << 30), (910 << 20, 65_536, 4 << 20)),
    ] {
        let config = Config::for_host(Host { cores: 1, memory_bytes });
        assert_eq!((config.memory_max, config.processes_max, config.record_bytes), expected, "{memory_bytes:?}");
    }
    for (memory_bytes, expected) in [(None, 1536 << 20), (Some(1 << 20), 16 << 20), (Some(64 << 20), 48 << 20)] {
        assert_eq!(Config::for_host(Host { cores: 1, memory_bytes }).resident_max, expected, "{memory_bytes:?}");
    }
    assert_eq!(Config::for_host(Host { cores: 12, memory_bytes: None }).workers, 12);
    assert_eq!(Config::for_host(Host { cores: 1000, memory_bytes: None }).workers, 256);
}

#[test]
fn every_default_can_be_given_as_a_value() {
    for row in Config::for_host(HOST).describe() {
        let config = set(&[(row.name, &row.default)]).unwrap();
        let again = config.describe().into_iter().find(|r| r.name == row.name).unwrap();
        assert_eq!((again.value, again.origin), (row.default, Origin::Environment), "{}", row.name);
    }
}

#[test]
fn every_variable_reaches_its_field() {
    let config = set(&[
        ("GROVE_WORKERS", "3"),
        ("GROVE_QUEUE_BATCHES", "2"),
        ("GROVE_BATCH_EVENTS", "1"),
        ("GROVE_HOLD_EVENTS", "0"),
        ("GROVE_HOLD_BYTES", "1Mi"),
        ("GROVE_HOLD_TOTAL_BYTES", "2Mi"),
        ("GROVE_HOLD_TIME", "500ms"),
        ("GROVE_PATH_FANOUT", "5"),
        ("GROVE_PEER_FANOUT", "6"),
        ("GROVE_PATH_PROTECT", "/srv:/opt/keys"),
        ("GROVE_DIFFERENTIATE_ARGS", "yes"),
        ("GROVE_MEMORY_MAX", "1Mi"),
        ("GROVE_RESIDENT_MAX", "3Mi"),
        ("GROVE_TREE_BYTES", "64Ki"),
        ("GROVE_LINEAGE_DEPTH", "7"),
        ("GROVE_PROCESSES_MAX", "16"),
        ("GROVE_TAGS_MAX", "17"),
        ("GROVE_RECORD_BYTES", "1Gi"),
        ("GROVE_PROFILE_READ_BYTES", "2Mi"),
        ("GROVE_HOST", "on"),
    ])
    .unwrap();
    let expected = Config {
        workers: 3,
        queue_batches: 2,
        batch_events: 1,
        hold_events: 0,
        hold_bytes: 1 << 20,
        hold_total_bytes: 2 << 20,
        hold_time: Duration::from_millis(500),
        path_fanout: 5,
        peer_fanout: 6,
        path_protect: vec!["/srv".to_owned(), "/opt/keys".to_owned()],
        differentiate_args: true,
        memory_max: 1 << 20,
        resident_max: 3 << 20,
        tree_bytes: 64 << 10,
        lineage_depth: 7,
        processes_max: 16,
        tags_max: 17,
        record_bytes: 1 << 30,
        profile_read_bytes: 2 << 20,
        host: true,
        own_process: false,
        origins: config.origins.clone(),
    };
    assert_eq!(config, expected);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let config = set(&[
        ("GROVE_CAPTURES", "anywhere"),
        ("GROVE_TEST_X", "1"),
        ("PATH", "\u{1b}"),
        ("GROVEL", "1"),
        ("grove_log", "x"),
    ]);
    assert_eq!(config.unwrap(), Config::default());
}

#[test]
fn an_unknown_variable_is_an_error() {
    check_error(&[("GROVE_WORKER", "3")], "unknown variable GROVE_WORKER; did you mean GROVE_WORKERS?");
    check_error(&[("GROVE_FROBNICATE", "3")], "unknown variable GROVE_FROBNICATE; `grove env` lists those there are");
    check_error(&[("GROVE_", "")], "unknown variable GROVE_; `grove env` lists those there are");
    check_error(&[("GROVE_\x1b[2J", "")], r"unknown variable GROVE_\u{1b}[2J; `grove env` lists those there are");
}

#[test]
fn a_bad_value_says_what_is_allowed() {
    check_error(
        &[("GROVE_WORKERS", "0")],
        r#"GROVE_WORKERS: "0" is out of range; allowed: 1 to 256 threads, in plain digits"#,
    );
    check_error(
        &[("GROVE_HOLD_BYTES", "2Gi")],
        "GROVE_HOLD_BYTES: \"2Gi\" is out of range; allowed: 0 to 1Gi bytes, \
         with k, M, G, T for powers of 1000 or Ki, Mi, Gi, Ti for powers of 1024",
    );
    check_error(
        &[("GROVE_HOLD_TIME", "30")],
        "GROVE_HOLD_TIME: \"30\" has no unit; allowed: 0s to 1h, with its unit: ns, us, ms, s, m or h, such as 500ms",
    );
    check_error(
        &[("GROVE_HOST", "")],
        r#"GROVE_HOST: "" is not a boolean; allowed: true or false, also 1, yes, on and 0, no, off"#,
    );
    check_error(
        &[("GROVE_PATH_PROTECT", "srv")],
        "GROVE_PATH_PROTECT: \"srv\" has a path that does not begin with `/`; \
         allowed: absolute paths, separated by `:`, or empty for none",
    );
}

#[test]
fn which_error_is_reported_does_not_depend_on_the_environments_order() {
    let expected = "GROVE_WORKERS: \"0\" is out of range; allowed: 1 to 256 threads, in plain digits";
    check_error(&[("GROVE_WORKERS", "0"), ("GROVE_HOST", "x"), ("GROVE_A", "")], expected);
    check_error(&[("GROVE_A", ""), ("GROVE_HOST", "x"), ("GROVE_WORKERS", "0")], expected);
}

#[test]
fn a_variable_given_twice_is_an_error() {
    check_error(
        &[("GROVE_HOST", "1"), ("GROVE_HOST", "1")],
        r#""GROVE_HOST" is set twice in the environment; set it once"#,
    );
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let error = |name: &[u8], value: &[u8]| {
        Config::from_vars([(OsStr::from_bytes(name), OsStr::from_bytes(value))]).unwrap_err().to_string()
    };
    assert_eq!(
        error(b"GROVE_WORKERS", b"3\xff"),
        r#"GROVE_WORKERS: "3\xFF" is not valid UTF-8; allowed: 1 to 256 threads, in plain digits"#
    );
    assert_eq!(error(b"GROVE_\xff", b""), r"unknown variable GROVE_\xFF; `grove env` lists those there are");
}

#[test]
fn a_flag_overrides_the_environment() {
    let mut config = set(&[("GROVE_WORKERS", "3")]).unwrap();
    config.set_flag("--workers", "GROVE_WORKERS", "5").unwrap();
    let row = config.describe().into_iter().find(|r| r.name == "GROVE_WORKERS").unwrap();
    assert_eq!((config.workers, row.value.as_str(), row.origin), (5, "5", Origin::Flag));

    let before = config.clone();
    let error = config.set_flag("--workers", "GROVE_WORKERS", "many").unwrap_err().to_string();
    assert_eq!(error, r#"--workers: "many" is not a whole number; allowed: 1 to 256 threads, in plain digits"#);
    assert_eq!(config, before);
}

#[test]
fn fields_set_by_the_program_are_checked_and_told_apart() {
    let config = Config { workers: 0, ..Config::for_host(HOST) };
    assert_eq!(
        config.validate().unwrap_err().to_string(),
        r#"GROVE_WORKERS: "0" is out of range; allowed: 1 to 256 threads, in plain digits"#
    );
    let origins: Vec<_> = config.describe().iter().map(|r| r.origin).collect();
    assert_eq!(origins[0], Origin::Program);
    assert!(origins[1..].iter().all(|o| *o == Origin::Default));
}
