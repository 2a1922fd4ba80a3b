#!/usr/bin/env bash
# Runs all tests: formatting, lints, unit and integration tests, property tests, live tests with a real kernel and real
# containers, examples, documentation, the models of the lock-free parts and the faults that they must find, and that
# benches still build. Needs a Rust toolchain; installs the packages that tests use where it can.
# With --full, tests that are short by default take as long as they should (GROVE_TEST_FULL).
set -euo pipefail
cd "$(dirname "$0")"
full=""
[ "${1:-}" != --full ] || full=1

say() { printf '\n== %s\n' "$*"; }

# jq: the independent reader that importers are compared with. strace: the same for live events. python3: something with
# threads to look at. clang-19: rebuilds the kernel programs. The rest: real containers, and what looks at them.
packages="jq strace python3 clang-19 llvm-19 libbpf-dev bpftool util-linux busybox-static runc podman docker.io containerd"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing$missing"
        apt-get update -qq
        # Services stay off: tests start their own, and stop them.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
        # shellcheck disable=SC2086 # one word each
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
        rm -f /usr/sbin/policy-rc.d
    else
        echo "not installed:$missing; the tests that need them say that they are skipped" >&2
    fi
fi

say "formatting"
cargo fmt --all -- --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "tests"
${full:+env GROVE_TEST_FULL=1} cargo test --workspace --locked
if command -v clang-19 >/dev/null; then
    say "kernel programs, rebuilt and compared"
    probes/src/bpf/verify.sh
else
    echo "clang-19 is not installed: the kernel programs are not rebuilt and compared" >&2
    [ -z "${CI:-}" ]
fi
say "models of the lock-free parts, every interleaving"
loom-tests/run.sh
say "faults that the models must find"
loom-tests/kill.sh
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
say "the README's first command"
cargo run --release --locked --quiet -- replay --show --output "$(mktemp -d)" examples/shop.jsonl.zst >/dev/null
say "benches build"
cargo bench --workspace --locked --no-run --quiet
