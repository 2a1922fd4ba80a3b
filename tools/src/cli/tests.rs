//! The whole command line, parsed.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::{Cli, Command};
use crate::diff::TagRange;
use crate::input::Source;
use crate::inspect::InspectFormat;
use grove::config::Config;
use grove::trace::Format;

fn parse(line: &str) -> Result<Command, ErrorKind> {
    let cli = Cli::try_parse_from(["grove"].into_iter().chain(line.split_whitespace()));
    cli.map(|cli| cli.command).map_err(|e| e.kind())
}

#[test]
fn definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn replay_in_full() {
    let line =
        "replay --from sysdig --workers 2 --output out --stats ledger.json --strict --image i --tag t --host a -";
    let Ok(Command::Replay(args)) = parse(line) else { panic!("not a replay") };
    assert_eq!((args.input.read.from, args.input.read.strict), (Source::Format(Format::Sysdig), true));
    assert_eq!((args.input.read.image.as_deref(), args.input.read.tag.as_str()), (Some("i"), "t"));
    assert_eq!(args.input.read.traces, ["a".as_ref(), "-".as_ref()] as [&std::path::Path; 2]);
    assert_eq!((args.output, args.input.stats.clone()), ("out".into(), Some("ledger.json".into())));

    let mut config = Config::default();
    args.input.override_variables(&mut config).unwrap();
    assert_eq!((config.workers, config.host), (2, true));
}

#[test]
fn replay_by_default() {
    let Ok(Command::Replay(args)) = parse("replay trace.jsonl") else { panic!("not a replay") };
    assert_eq!((args.input.read.from, args.input.read.strict, args.input.stats.clone()), (Source::Auto, false, None));
    assert_eq!((args.input.read.image.clone(), args.input.read.tag.as_str()), (None, "local"));
    assert_eq!(args.output, std::path::Path::new("profiles"));

    let mut config = Config::from_vars([("GROVE_WORKERS", "3"), ("GROVE_HOST", "1")]).unwrap();
    let before = config.clone();
    args.input.override_variables(&mut config).unwrap();
    assert_eq!(config, before);
}

#[test]
fn workers_out_of_range_name_the_flag() {
    let Ok(Command::Replay(args)) = parse("replay --workers 0 t") else { panic!("not a replay") };
    let error = args.input.override_variables(&mut Config::default()).unwrap_err();
    assert!(error.to_string().starts_with(r#"--workers: "0" is out of range; allowed: 1 to 256"#), "{error}");
}

#[test]
fn every_source_of_the_contract_is_known() {
    for source in ["auto", "grove", "sysdig", "strace", "tetragon", "tracee", "audit", "inspektor-gadget", "kunai"] {
        assert!(parse(&format!("replay --from {source} t")).is_ok(), "{source}");
    }
}

#[test]
fn check_takes_profiles_and_what_replay_takes() {
    let line = "check --profile a --profile b --from strace --strict --workers 2 --stats s t u";
    let Ok(Command::Check(args)) = parse(line) else { panic!("not a check") };
    assert_eq!((args.profiles.len(), args.input.read.traces.len()), (2, 2));
    assert_eq!((args.input.read.from, args.output), (Source::Format(Format::Strace), "-".into()));
}

#[test]
fn inspect_shows_a_tree_by_default() {
    for (line, expected) in [
        ("inspect p", InspectFormat::Tree),
        ("inspect --format json p", InspectFormat::Json),
        ("inspect p --format dot", InspectFormat::Dot),
    ] {
        let Ok(Command::Inspect(args)) = parse(line) else { panic!("not an inspect") };
        assert_eq!((args.format, args.profile), (expected, "p".into()), "{line}");
    }
}

#[test]
fn diff_takes_two_profiles_or_two_tags() {
    let Ok(Command::Diff(args)) = parse("diff a b") else { panic!("not a diff") };
    assert_eq!((args.a, args.b, args.tags), ("a".into(), Some("b".into()), None));
    let Ok(Command::Diff(args)) = parse("diff a --tags 1.26..1.27") else { panic!("not a diff") };
    let tags = TagRange { old: "1.26".to_owned(), new: "1.27".to_owned() };
    assert_eq!((args.a, args.b, args.tags), ("a".into(), None, Some(tags)));
}

#[test]
fn tags_meet_at_the_only_two_dots() {
    let tags = |old: &str, new: &str| Ok(TagRange { old: old.to_owned(), new: new.to_owned() });
    for (text, expected) in [
        ("1..2", tags("1", "2")),
        ("v1.2.3..v1.2.4-rc.1", tags("v1.2.3", "v1.2.4-rc.1")),
        ("1.2", Err("expected OLD..NEW")),
        ("", Err("expected OLD..NEW")),
        ("..2", Err("a tag is missing; expected OLD..NEW")),
        ("1..", Err("a tag is missing; expected OLD..NEW")),
        ("1...2", Err("`..` is there more than once; expected OLD..NEW")),
        ("1..2..3", Err("`..` is there more than once; expected OLD..NEW")),
    ] {
        assert_eq!(text.parse::<TagRange>(), expected, "{text:?}");
    }
}

#[test]
fn merge_needs_an_output() {
    let Ok(Command::Merge(args)) = parse("merge --output o a b c") else { panic!("not a merge") };
    assert_eq!((args.output, args.profiles.len()), ("o".into(), 3));
}

#[test]
fn incomplete_or_wrong_lines_are_errors() {
    use ErrorKind::{ArgumentConflict, InvalidSubcommand, InvalidValue, MissingRequiredArgument, ValueValidation};
    for (line, expected) in [
        ("replay", MissingRequiredArgument),
        ("replay --from pcap t", InvalidValue),
        ("check t", MissingRequiredArgument),
        ("check --profile p", MissingRequiredArgument),
        ("diff a", MissingRequiredArgument),
        ("diff a b --tags 1..2", ArgumentConflict),
        ("diff a --tags 1", ValueValidation),
        ("merge a b", MissingRequiredArgument),
        ("merge --output o", MissingRequiredArgument),
        ("inspect p --format yaml", InvalidValue),
        ("env --format yaml", InvalidValue),
        ("completions tcsh", InvalidValue),
        ("graft", InvalidSubcommand),
    ] {
        assert_eq!(parse(line).err(), Some(expected), "{line}");
    }
}

#[test]
fn every_help_page_teaches() {
    for command in Cli::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        let help = command.render_long_help().to_string();
        for part in ["Prints: ", "Examples:\n  ", "Exit codes:\n  0  "] {
            assert!(help.contains(part), "{}: no {part:?}", command.get_name());
        }
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
    }
}
