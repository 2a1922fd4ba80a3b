#!/bin/sh
# Runs the interner's tests on real threads under AddressSanitizer and ThreadSanitizer: its unit tests and the stress
# test, which is shortened. Then, under ThreadSanitizer, the stress test again with one fault planted at a time: each
# must be reported, or the clean run before says nothing. Needs a nightly toolchain.
#
#   engine/sanitize.sh [address | thread]...
#
# The standard library is not instrumented, as that would take its source. `engine/tsan.supp` names what is taken for a
# race for that reason in code that is not Grove's; docs/interner.md says what is not seen.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
target=$(rustc -vV | sed -n 's/^host: //p')
# Seconds that one run of tests may take; what they are built in is not counted.
limit=900
# Faults of `loom-tests/faults` that are races of two threads for what is in a slot. The models find the others.
planted='release_relaxed last_without_acquire push_relaxed'
# What ThreadSanitizer exits with when it has reported something.
reported=66
# Where the manifest is that tests are built from: here, or in a copy with a fault.
tree=.

cargo_test() {
    cargo +nightly test --quiet --manifest-path "$tree/Cargo.toml" --target "$target" \
        --target-dir "$PWD/target/sanitize-$sanitizer" -p grove "$@"
}

build() {
    cargo_test --no-run "$@" || { echo "$sanitizer: the tests were not built" >&2; exit 1; }
}

# Runs the tests that cargo names, which are built, under the limit of time; what they print is in $out.
run() {
    code=0
    # One test at a time, on the main thread: libtest then has the least to do with other threads.
    timeout "$limit" cargo +nightly test --quiet --manifest-path "$tree/Cargo.toml" --target "$target" \
        --target-dir "$PWD/target/sanitize-$sanitizer" -p grove "$@" --test-threads=1 >"$out" 2>&1 || code=$?
}

must_pass() {
    run "$@"
    [ "$code" = 0 ] && return
    cat "$out" >&2
    [ "$code" = 124 ] && echo "$sanitizer: $* took more than $limit s" >&2
    echo "$sanitizer: $* failed (exit $code)" >&2
    exit 1
}

for sanitizer in ${*:-address thread}; do
    case $sanitizer in
        address) flags= ;;
        # The standard library's own share of what is inlined is instrumented, the rest of it is not; that is meant.
        thread) flags=-Cunsafe-allow-abi-mismatch=sanitizer ;;
        *) echo "usage: engine/sanitize.sh [address | thread]..." >&2; exit 2 ;;
    esac
    export RUSTFLAGS="-Zsanitizer=$sanitizer $flags"
    export ASAN_OPTIONS=detect_leaks=1
    export TSAN_OPTIONS="suppressions=$PWD/engine/tsan.supp"
    export STRESS_OPERATIONS=2000000
    tree=.
    build --lib --test interner_stress
    must_pass --lib -- intern::
    must_pass --test interner_stress --
    echo "$sanitizer: clean"
    [ "$sanitizer" = thread ] || continue
    tree=target/sanitize-thread/planted
    rm -rf "$tree"
    mkdir -p "$tree"
    cp -R Cargo.toml Cargo.lock benches engine loom-tests probes tools "$tree"
    export STRESS_OPERATIONS=400000
    for fault in $planted; do
        cp -R engine/src/intern "$tree/engine/src"
        patch -d "$tree" -p1 -s --fuzz=0 --no-backup-if-mismatch <"loom-tests/faults/$fault.patch"
        build --test interner_stress
        run --test interner_stress --
        races=$(grep -c 'SUMMARY: ThreadSanitizer: data race' "$out" || true)
        if ! grep -q "exit status: $reported" "$out" || ! grep -Eq 'grove::intern::(slots|tag)' "$out"; then
            cat "$out" >&2
            echo "thread: $fault is planted, and no race for a slot is reported" >&2
            exit 1
        fi
        echo "thread: $fault planted: $races races reported"
    done
done
