//! Adding a kind of behaviour takes a file of its own and rows in two tables, and whatever is left out does not compile.
//!
//! A toy kind is added to a copy of the engine, as `docs/add-an-event-kind.md` says. It works from a line of a trace to a
//! finding, and with any one of its pieces taken out the engine does not build.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const KIND: &str = include_str!("toy_kind/listen.rs");
const EXAMPLE: &str = include_str!("toy_kind/example.rs");

/// A line that is put into a file in front of another one.
struct Row {
    file: &'static str,
    before: &'static str,
    line: &'static str,
}

/// All that is changed of files that there are.
const ROWS: [Row; 4] = [
    Row { file: "behaviour/mod.rs", before: "mod mount;", line: "mod listen;" },
    Row {
        file: "behaviour/mod.rs",
        before: "            (Mount, mount,",
        line: "            (Listen, listen, ListenDoc, listens, listen_nodes),",
    },
    Row {
        file: "behaviour/mod.rs",
        before: "            (Mount<B>, mount,",
        line: "            (Listen<B>, listen, \"listen\"),",
    },
    Row {
        file: "behaviour/record/fields.rs",
        before: "    Provider = \"provider\"",
        line: "    Backlog = \"backlog\" u32 => backlog,",
    },
];

/// A copy of the engine in a workspace of its own, built into the directory that this test was built into.
struct Copy {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let (head, rest) = manifest.split_once("members = [").unwrap();
        let rest = rest.split_once(']').unwrap().1;
        fs::write(dir.path().join("Cargo.toml"), format!("{head}members = [\"engine\"]{rest}")).unwrap();
        fs::copy(root.join("Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
        let engine = dir.path().join("engine");
        copy(&root.join("engine/src"), &engine.join("src"));
        for file in ["Cargo.toml", "README.md"] {
            let _ = fs::copy(root.join("engine").join(file), engine.join(file));
        }
        fs::create_dir(engine.join("examples")).unwrap();
        fs::write(engine.join("examples/toy.rs"), EXAMPLE).unwrap();
        Self { dir, root }
    }

    fn source(&self, file: &str) -> PathBuf {
        self.dir.path().join("engine/src").join(file)
    }

    /// Writes the files of the kind: all rows but one of those that are changed, and its own.
    fn write(&self, without: Option<usize>, kind: &str) {
        for file in ["behaviour/mod.rs", "behaviour/record/fields.rs"] {
            let mut text = fs::read_to_string(self.root.join("engine/src").join(file)).unwrap();
            for (_, row) in ROWS.iter().enumerate().filter(|(i, row)| row.file == file && Some(*i) != without) {
                let at =
                    text.find(&format!("\n{}", row.before)).unwrap_or_else(|| panic!("no {} in {file}", row.before));
                text.insert_str(at + 1, &format!("{}\n", row.line));
            }
            fs::write(self.source(file), text).unwrap();
        }
        fs::write(self.source("behaviour/listen.rs"), kind).unwrap();
    }

    fn cargo(&self, args: &[&str]) -> Output {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(args).args(["--offline", "--quiet"]).current_dir(self.dir.path()).env("CARGO_TARGET_DIR", target);
        cargo.output().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The items of the kind's implementations, one after the other: what of them is taken out.
fn items() -> Vec<(String, String)> {
    let mut items = Vec::new();
    let lines: Vec<&str> = KIND.lines().collect();
    let mut inside = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        inside = match *line {
            "}" => false,
            line if line.starts_with("impl") => true,
            _ => inside,
        };
        let words = line.strip_prefix("    ").filter(|rest| inside && !rest.starts_with([' ', '}', 'w', 's', ')']));
        let Some(words) = words.filter(|words| !words.is_empty()) else {
            at += 1;
            continue;
        };
        // To the line that closes it, or this one alone.
        let closed = |line: &&&str| {
            **line == "    }" || line.ends_with(';') && line.starts_with("    ") && !line.starts_with("     ")
        };
        let len = lines.iter().skip(at).position(|line| closed(&line)).unwrap() + 1;
        let rest: Vec<&str> = lines.iter().take(at).chain(lines.iter().skip(at + len)).copied().collect();
        items.push((words.to_owned(), rest.join("\n")));
        at += len;
    }
    items
}

#[test]
fn a_kind_is_added_by_few_files_and_none_of_its_pieces_can_be_forgotten() {
    let files: std::collections::BTreeSet<&str> = ROWS.iter().map(|row| row.file).collect();
    assert!(files.len() < 5, "with its own file at most five");

    let engine = Copy::new();
    engine.write(None, KIND);
    let run = engine.cargo(&["run", "-p", "grove", "--example", "toy"]);
    let said = String::from_utf8_lossy(&run.stdout);
    assert_eq!(
        said.trim(),
        "learned, written, read, merged, compared, checked",
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(engine.cargo(&["check", "-p", "grove", "--lib"]).status.success());

    let builds = |what: &str| {
        let check = engine.cargo(&["check", "-p", "grove", "--lib"]);
        assert!(!check.status.success(), "it builds without `{what}`");
    };
    for (i, row) in ROWS.iter().enumerate() {
        engine.write(Some(i), KIND);
        builds(row.line);
    }
    let items = items();
    assert!(items.len() > 20, "{items:?}");
    for (what, rest) in items {
        engine.write(None, &rest);
        builds(&what);
    }
}
