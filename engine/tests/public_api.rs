//! The public API is what `public-api.txt` says, so that a change of it is made on purpose and seen by whoever reads the
//! change. After one that is meant: `UPDATE_SNAPSHOTS=1 cargo test -p grove --test public_api`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/skips.rs"]
mod skips;

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
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTDOCFLAGS")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    target.join("doc/grove.json")
}

#[test]
fn the_public_api_is_as_it_is_written_down() {
    let Some(cargo) = cargo() else {
        return skips::skipped(&format!("Rust {COMPILER} is not installed, which describes the public API"));
    };
    let api = public_api::Builder::from_rustdoc_json(description(cargo))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .unwrap()
        .to_string();
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
}
