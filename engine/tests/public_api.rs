//! The public API is what `public-api.txt` says, so that a change of it is made on purpose and seen by whoever reads the
//! change. After one that is meant: `UPDATE_SNAPSHOTS=1 cargo test -p grove --test public_api`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/skips.rs"]
mod skips;

use public_api::PublicApi;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its rustdoc makes the API's description: what another compiler writes is not what `public-api` is pinned to read.
const COMPILER: &str = env!("CARGO_PKG_RUST_VERSION");

/// What runs that compiler's cargo, if it is installed.
fn cargo() -> Option<Command> {
    let is_it = |command: &mut Command| {
        let version = command.arg("--version").output().ok()?;
        let version = String::from_utf8(version.stdout).ok()?;
        version.starts_with(&format!("cargo {COMPILER}.")).then_some(())
    };
    let rustup = |toolchain: &str| {
        let mut command = Command::new("rustup");
        command.args(["run", toolchain, "cargo"]);
        command
    };
    let own = || Command::new(env!("CARGO"));
    let (short, full) = (|| rustup(COMPILER), || rustup(&format!("{COMPILER}.0")));
    let candidates: [&dyn Fn() -> Command; 3] = [&own, &short, &full];
    candidates.into_iter().find(|candidate| is_it(&mut candidate()).is_some()).map(|candidate| candidate())
}

/// The library's description, by rustdoc.
fn description(mut cargo: Command) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("public-api");
    let done = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["rustdoc", "--package", "grove", "--lib", "--locked", "--quiet", "--target-dir"])
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json", "--document-hidden-items"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTDOCFLAGS")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut described = serde_json::from_slice(&std::fs::read(target.join("doc/grove.json")).unwrap()).unwrap();
    leave_out_hidden(&mut described);
    let path = target.join("doc/shown.json");
    std::fs::write(&path, described.to_string()).unwrap();
    path
}

/// Leaves out what is marked as hidden, and implementations of traits that are. What is shown under another name, as most
/// of a hidden module is, stays in: rustdoc itself would leave it out with its module, and tell nothing of it but its name.
fn leave_out_hidden(described: &mut Value) {
    let index = described["index"].as_object_mut().unwrap();
    let id = |id: &str| id.parse::<u64>().unwrap();
    let hidden = index.iter().filter(|(_, item)| is_hidden(item)).map(|(key, _)| id(key)).collect::<BTreeSet<_>>();
    assert!(!hidden.is_empty(), "what is hidden is marked in another way now");

    let mut shown = BTreeSet::new();
    let mut rest = vec![described["root"].as_u64().unwrap()];
    let index = described["index"].as_object_mut().unwrap();
    while let Some(id) = rest.pop() {
        let Some(item) = index.get(&id.to_string()).filter(|_| shown.insert(id)) else { continue };
        let items = item["inner"]["module"]["items"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        rest.extend(items.filter(|id| !hidden.contains(id)).chain(item["inner"]["use"]["id"].as_u64()));
    }

    let of_a_hidden_trait = |item: &Value| {
        let implemented = item["inner"]["impl"]["trait"]["id"].as_u64()?;
        let ours = index.get(&implemented.to_string())?["crate_id"] == 0;
        (ours && !shown.contains(&implemented)).then_some(())
    };
    let implementations = index.iter().filter(|(_, item)| of_a_hidden_trait(item).is_some());
    let left_out: BTreeSet<_> = implementations.map(|(key, _)| id(key)).chain(hidden).collect();
    for item in index.values_mut() {
        remove_ids(&mut item["inner"], &left_out);
    }
}

fn is_hidden(item: &Value) -> bool {
    let attributes = item["attrs"].as_array().into_iter().flatten();
    attributes.filter_map(|attribute| attribute["other"].as_str()).any(|text| text.contains("hidden"))
}

/// Takes `ids` out of the lists of what is in an item.
fn remove_ids(value: &mut Value, ids: &BTreeSet<u64>) {
    match value {
        Value::Array(list) => {
            list.retain(|entry| !entry.as_u64().is_some_and(|id| ids.contains(&id)));
            list.iter_mut().for_each(|entry| remove_ids(entry, ids));
        }
        Value::Object(map) => map.values_mut().for_each(|entry| remove_ids(entry, ids)),
        _ => {}
    }
}

/// The public API, if the compiler that it is made by is installed.
fn public_api() -> Option<PublicApi> {
    let Some(cargo) = cargo() else {
        skips::skipped(&format!("Rust {COMPILER} is not installed, which describes the public API"));
        return None;
    };
    let api = public_api::Builder::from_rustdoc_json(description(cargo))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    Some(api.unwrap())
}

#[test]
fn the_public_api_is_as_it_is_written_down() {
    let Some(api) = public_api() else { return };
    let api = api.to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("public-api.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &api).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if api != written {
        let (now, then): (BTreeSet<_>, BTreeSet<_>) = (api.lines().collect(), written.lines().collect());
        let changes = then.difference(&now).map(|line| format!("- {line}\n"));
        let changes: String = changes.chain(now.difference(&then).map(|line| format!("+ {line}\n"))).collect();
        panic!("engine/public-api.txt is not the public API; UPDATE_SNAPSHOTS=1 writes it anew:\n{changes}");
    }
    assert_eq!(unexplained(&written), Vec::<&str>::new(), "in no example and on no page, and nothing shown needs it");
    let hidden = ["behaviour", "files", "hash", "intern", "names", "path", "text", "trace", "tree"];
    for line in written.lines() {
        let hidden = hidden.iter().find(|module| line.contains(&format!("grove::{module}::")));
        assert!(hidden.is_none() && !line.contains("crate::"), "something hidden is in what is shown: {line}");
    }
}

/// Functions and constants that no example and no page has, and types that neither those have nor anything else that is
/// public. What a trait asks for needs no example.
fn unexplained(api: &str) -> Vec<&str> {
    let explained = examples_and_pages();
    let explained = words(&explained);
    let uses: Vec<BTreeSet<&str>> = api.lines().map(words).collect();
    let mut of_a_trait = false;
    let mut missing = Vec::new();
    for (at, line) in api.lines().enumerate() {
        let item = line.trim_start_matches("#[non_exhaustive] ");
        if item.starts_with("impl") {
            of_a_trait = item.contains(" for ");
            continue;
        }
        let item = item.trim_start_matches("pub ").replace("const fn ", "fn ");
        let Some((kind, item)) = item.split_once(' ') else { continue };
        let is_type = match kind {
            "fn" | "const" => false,
            "struct" | "enum" | "trait" | "type" => true,
            _ => continue,
        };
        of_a_trait &= kind != "struct" && kind != "enum";
        let name = name(item);
        let needed = || uses.iter().enumerate().any(|(other, names)| other != at && names.contains(&*name));
        if of_a_trait || explained.contains(&*name) || is_type && needed() {
            continue;
        }
        missing.push(line);
    }
    missing
}

/// The last name of the path that `item` begins with.
fn name(item: &str) -> String {
    let mut depth = 0;
    let mut path = String::new();
    for c in item.chars() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            '(' | ' ' if depth == 0 => break,
            c if depth == 0 => path.push(c),
            _ => {}
        }
    }
    path.trim_end_matches([':', '!']).rsplit("::").next().unwrap_or_default().to_owned()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect()
}

/// The programs in `examples/`, the examples in the documentation, its front page, and the pages of the repository.
fn examples_and_pages() -> String {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut all = String::new();
    for directory in ["examples", "../docs"] {
        for entry in std::fs::read_dir(engine.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                all += &read(&path);
            }
        }
    }
    let mut rest = vec![engine.join("src")];
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let mut is_example = false;
        for line in read(&path).lines() {
            let line = line.trim_start();
            let front = path.ends_with("src/lib.rs") && line.starts_with("//!");
            match line.strip_prefix("//!").or_else(|| line.strip_prefix("///")) {
                Some(text) if text.trim_start().starts_with("```") => is_example = !is_example,
                Some(text) if is_example || front => all.extend([text, "\n"]),
                Some(_) => {}
                None => is_example = false,
            }
        }
    }
    all
}
