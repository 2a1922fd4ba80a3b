#!/bin/sh
# Runs the interner's tests on real threads under AddressSanitizer and ThreadSanitizer: its unit tests and the stress
# test, which is shortened so that each runs for less than a minute. Needs a nightly toolchain.
#
#   engine/sanitize.sh [address | thread]...
#
# The standard library is not instrumented, as that would take its source: docs/interner.md says what is not seen then.
set -eu
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
ran=0

# Runs the tests that cargo names, under a limit of time.
tests() {
    timeout 300 cargo +nightly test --quiet --target "$target" --target-dir "target/sanitize-$sanitizer" -p grove "$@"
}

for sanitizer in ${*:-address thread}; do
    case $sanitizer in
        address) flags= ;;
        # The standard library's own share of what is inlined is instrumented, the rest of it is not; that is meant.
        thread) flags=-Cunsafe-allow-abi-mismatch=sanitizer ;;
        *) echo "usage: engine/sanitize.sh [address | thread]..." >&2; exit 2 ;;
    esac
    export RUSTFLAGS="-Zsanitizer=$sanitizer $flags"
    export ASAN_OPTIONS=detect_leaks=1 TSAN_OPTIONS=halt_on_error=1
    tests --lib -- intern::
    STRESS_OPERATIONS=2000000 tests --test interner_stress
    echo "$sanitizer: clean"
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ]
