#!/bin/sh
# Switches every fault of `engine/src/intern/sync.rs` on, one at a time, and sees that the models find it.
# A fault whose run takes too long is not killed.
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
unset LOOM_MAX_PREEMPTIONS LOOM_MAX_BRANCHES LOOM_MAX_PERMUTATIONS LOOM_MAX_DURATION LOOM_CHECKPOINT_FILE LOOM_MUTANT

list=$(sed -n '/^    faults! {/,/^    }/s/^        \([a-z_]*\),$/\1/p' engine/src/intern/sync.rs)
faults=${*:-$list}
for fault in $faults; do
    printf '%s\n' "$list" | grep -qx "$fault" || { echo "no such fault: $fault" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The models of a pass, with a fault if one is named. The build is the same for all.
models() {
    LOOM_PASS=$1 LOOM_MUTANTS=1 LOOM_MUTANT=${2:-} timeout 120 cargo test --quiet -p grove-loom-tests --lib >"$work/out" 2>&1
}

for pass in plain rmw_loads; do
    LOOM_PASS=$pass LOOM_MUTANTS=1 cargo test --quiet -p grove-loom-tests --lib --no-run
    # What follows is worth nothing if the models fail without a fault.
    models $pass || { cat "$work/out" >&2; echo "the models fail without a fault" >&2; exit 1; }
    for fault in $faults; do
        status=0
        models $pass "$fault" || status=$?
        # The first model that failed; the others then stop.
        by=$(sed -n "s/^thread '[a-z]*::\([a-z_]*\)'.* panicked at .*/\1/p" "$work/out" | head -1)
        case $status/$by in
            0/*) verdict=survives ;;
            124/*) verdict=too-long ;;
            101/?*) verdict=killed ;;
            *) verdict=broken ;;
        esac
        echo "$verdict" >"$work/$fault.$pass"
        [ -z "$by" ] || echo "$by" >"$work/$fault.by"
    done
done

all=0
killed=0
printf '%-24s %-10s %-10s %s\n' fault plain rmw_loads 'killed by'
for fault in $faults; do
    all=$((all + 1))
    plain=$(cat "$work/$fault.plain")
    rmw_loads=$(cat "$work/$fault.rmw_loads")
    case $fault in
        take_unsaid) expected=killed/survives ;;
        *) expected=killed/killed ;;
    esac
    [ "$plain/$rmw_loads" != $expected ] || killed=$((killed + 1))
    printf '%-24s %-10s %-10s %s\n' "$fault" "$plain" "$rmw_loads" "$(cat "$work/$fault.by" 2>/dev/null || true)"
done
echo "killed $killed of $all"
[ "$all" -gt 0 ] && [ "$killed" -eq "$all" ]
