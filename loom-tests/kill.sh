#!/bin/sh
# Switches every fault of `engine/src/intern/sync.rs` on, one at a time, and sees that the models find it.
# A fault whose run takes too long is not killed.
#
#   loom-tests/kill.sh [fault...]
#
# A fault must be found in both passes: in the plain one, in which loom skips the interleavings where a thread reads
# an atomic and then writes it, and in the one in which there are no plain reads (rmw_loads). A fault that lets a
# thread read an old value (take_unsaid) brings its plain reads with it: a read-modify-write reads the last value by
# definition.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${LOOM_TARGET_DIR:-target/loom}"
unset LOOM_MAX_PREEMPTIONS LOOM_MAX_BRANCHES LOOM_MAX_PERMUTATIONS LOOM_MAX_DURATION LOOM_CHECKPOINT_FILE LOOM_MUTANT

list=$(sed -n '/^    faults! {/,/^    }/s/^        \([a-z_0-9]*\),$/\1/p' engine/src/intern/sync.rs)
# None is passed over: those that the code asks for are those that the list was read as having.
used=$(grep -oh 'fault::[A-Za-z0-9_]*()' engine/src/intern/*.rs | sed 's/fault::\(.*\)()/\1/' | sort -u)
[ "$(printf '%s\n' "$list" | sort)" = "$used" ] || {
    echo "the faults that are listed are not those that the code asks for:" >&2
    printf '%s\n' "$list" "$used" | sort | uniq -u >&2
    exit 1
}
[ "$(printf '%s\n' "$list" | wc -l)" -ge 12 ] || { echo "there are to be twelve faults at least" >&2; exit 1; }
faults=${*:-$list}
for fault in $faults; do
    printf '%s\n' "$list" | grep -qx "$fault" || { echo "no such fault: $fault" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One build for each pass; a fault is named when it runs.
for pass in rmw_loads plain; do
    LOOM_PASS=$pass LOOM_MUTANTS=1 cargo test -p grove-loom-tests --lib --no-run >"$work/out" 2>&1 ||
        { cat "$work/out" >&2; exit 1; }
    cp "$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/out")" "$work/$pass.models"
done

# `$work/models PASS [FAULT]` writes its verdict and the first model that failed; the others then stop. Processes side
# by side, of one thread each: every execution maps and unmaps stacks, for which threads of one process wait for each
# other.
cat >"$work/models" <<'END'
#!/bin/sh
set -u
cd "$(dirname "$0")"
out=${2:-none}.$1.out
run() { LOOM_MUTANT=$fault timeout 200 "./$pass.models" --quiet --test-threads=1 "$@" >>"$out" 2>&1; }
pass=$1 fault=${2:-} status=0
: >"$out"
# Most faults are found by models that take a moment, so those that take long come last.
run --skip nobody_waits --skip a_guess_is_not --skip no_free_slot || status=$?
[ $status -ne 0 ] || run nobody_waits a_guess_is_not no_free_slot || status=$?
by=$(sed -n 's/^    [a-z]*::\([a-z_0-9]*\)$/\1/p' "$out" | head -1)
case $status in
    0) verdict=survives ;;
    124) verdict=too-long ;;
    101) verdict=killed ;;
    # A panic while another one unwinds ends the process.
    134) verdict=killed by=${by:-'(the process ends)'} ;;
    *) verdict=broken ;;
esac
[ $verdict != killed ] || grep -q ' panicked at ' "$out" || verdict=broken
echo "$verdict" >"${2:-none}.$1"
[ -z "$by" ] || echo "$by" >"${2:-none}.by"
END
chmod +x "$work/models"

# Those that take longest first.
for pass in rmw_loads plain; do
    echo $pass
    for fault in $faults; do
        echo "$pass $fault"
    done
done | xargs -P "$(nproc)" -L 1 "$work/models"

# What follows is worth nothing if the models fail without a fault.
for pass in plain rmw_loads; do
    [ "$(cat "$work/none.$pass")" = survives ] ||
        { cat "$work/none.$pass.out" >&2; echo "the models fail without a fault" >&2; exit 1; }
done

all=0
killed=0
printf '%-24s %-10s %-10s %s\n' fault plain rmw_loads 'killed by'
for fault in $faults; do
    all=$((all + 1))
    plain=$(cat "$work/$fault.plain")
    rmw_loads=$(cat "$work/$fault.rmw_loads")
    [ "$plain/$rmw_loads" != killed/killed ] || killed=$((killed + 1))
    printf '%-24s %-10s %-10s %s\n' "$fault" "$plain" "$rmw_loads" "$(cat "$work/$fault.by" 2>/dev/null || true)"
done
echo "killed $killed of $all"
[ "$all" -gt 0 ] && [ "$killed" -eq "$all" ]
