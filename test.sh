#!/usr/bin/env bash
# Runs all tests: formatting, lints, unit and integration tests, property tests, examples, documentation, the models
# of the interner, and that benches still build. Needs a Rust toolchain; installs the few packages that tests use where it can.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

# jq is the independent reader that the importers are compared with.
if ! command -v jq >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing jq"
        apt-get update -qq && apt-get install -y -qq jq >/dev/null
    else
        echo "jq is not installed: the tests that compare with it will say that they are skipped" >&2
    fi
fi

say "formatting"
cargo fmt --all -- --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "tests"
cargo test --workspace --locked
say "models of the interner, every interleaving"
loom-tests/run.sh
say "faults that the models must find"
loom-tests/kill.sh
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
say "the README's first command"
cargo run --release --locked --quiet -- replay --show --output "$(mktemp -d)" examples/shop.jsonl.zst >/dev/null
say "benches build"
cargo bench --workspace --locked --no-run --quiet
