#!/bin/sh
# Switches every fault of `engine/src/intern/sync.rs` on, one at a time, and sees that the models find it.
# A fault that does not build is not killed, nor is one whose run takes too long.
#
#   loom-tests/kill.sh [fault...]
#
# A fault must be found in both passes: in the plain one, in which loom skips the interleavings where a thread reads
# an atomic and then writes it, and in the one in which there are no plain reads (rmw_loads). One cannot be:
#
# take_unsaid   It lets a thread read an old value of a free list's head. A read-modify-write reads the last one by
#               definition, so where all reads are such the fault changes nothing. The plain pass must find it, and
#               the other must not.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${LOOM_TARGET_DIR:-target/loom}"
unset LOOM_MAX_PREEMPTIONS LOOM_MAX_BRANCHES LOOM_MAX_PERMUTATIONS LOOM_MAX_DURATION LOOM_CHECKPOINT_FILE

faults=${*:-$(sed -n 's/.*cfg!(mutant = "\([a-z_]*\)").*/\1/p' engine/src/intern/sync.rs)}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
all=0
killed=0

# What follows is worth nothing if the models fail without a fault.
for pass in plain rmw_loads; do
    LOOM_PASS=$pass cargo test --quiet -p grove-loom-tests --lib >"$out" 2>&1 ||
        { cat "$out" >&2; echo "the models fail without a fault" >&2; exit 1; }
done

printf '%-24s %-10s %-10s %s\n' fault plain rmw_loads 'killed by'
for fault in $faults; do
    all=$((all + 1))
    plain=- rmw_loads=- by=
    for pass in plain rmw_loads; do
        if ! LOOM_PASS=$pass LOOM_MUTANT=$fault cargo test --quiet -p grove-loom-tests --lib --no-run >"$out" 2>&1; then
            verdict=unbuilt
        elif LOOM_PASS=$pass LOOM_MUTANT=$fault timeout 120 cargo test --quiet -p grove-loom-tests --lib >"$out" 2>&1; then
            verdict=survives
        elif [ $? -eq 124 ]; then
            verdict=too-long
        else
            verdict=killed
            # The first model that failed; the others then stop.
            by=$(sed -n "s/^thread '[a-z]*::\([a-z_]*\)'.* panicked at .*/\1/p" "$out" | head -1)
        fi
        eval "$pass=$verdict"
    done
    case $fault in
        take_unsaid) expected=killed/survives ;;
        *) expected=killed/killed ;;
    esac
    [ "$plain/$rmw_loads" != $expected ] || killed=$((killed + 1))
    printf '%-24s %-10s %-10s %s\n' "$fault" "$plain" "$rmw_loads" "$by"
done
echo "killed $killed of $all"
[ "$all" -gt 0 ] && [ "$killed" -eq "$all" ]
