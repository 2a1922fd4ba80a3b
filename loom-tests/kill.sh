#!/bin/sh
# Plants every fault of `loom-tests/faults/`, one at a time, in a copy of the sources, and sees that the models find it.
#
#   loom-tests/kill.sh [fault...]
#
# A fault is a patch whose first line says what goes wrong. One that no longer applies, or does not compile, fails
# this script: whoever changes the protocol says anew where it could go wrong. A fault whose run takes too long is not
# killed.
#
# A fault must be found in both passes: in the plain one, in which loom skips the interleavings where a thread reads
# an atomic and then writes it, and in the one in which there are no plain reads (LOOM_RMW_LOADS).
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${LOOM_TARGET_DIR:-$PWD/target/loom}"
unset LOOM_MAX_PREEMPTIONS LOOM_MAX_BRANCHES LOOM_MAX_PERMUTATIONS LOOM_MAX_DURATION LOOM_CHECKPOINT_FILE LOOM_RMW_LOADS

list=$(cd loom-tests/faults && printf '%s\n' *.patch | sed 's/\.patch$//')
[ "$(printf '%s\n' "$list" | wc -l)" -ge 12 ] || { echo "there are to be twelve faults at least" >&2; exit 1; }
faults=${*:-$list}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Always in the same place, so that what is built the first time is built no more.
tree=$CARGO_TARGET_DIR/planted
rm -rf "$tree"
mkdir -p "$tree"
cp -R Cargo.toml Cargo.lock benches engine loom-tests probes tools "$tree"

# `build NAME` builds the models of the copy as `$work/NAME.models`.
build() {
    LOOM=1 cargo test --manifest-path "$tree/Cargo.toml" -p grove-loom-tests --lib --no-run >"$work/out" 2>&1 ||
        { cat "$work/out" >&2; echo "$1 does not compile" >&2; exit 1; }
    cp "$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/out")" "$work/$1.models"
}

build none
for fault in $faults; do
    [ -e "loom-tests/faults/$fault.patch" ] || { echo "no such fault: $fault" >&2; exit 2; }
    patch -d "$tree" -p1 -s --fuzz=0 --no-backup-if-mismatch <"loom-tests/faults/$fault.patch" ||
        { echo "$fault.patch does not apply: make it anew" >&2; exit 1; }
    build "$fault"
    # Newer than what was built last, or cargo would take it for that.
    cp -R engine/src/intern "$tree/engine/src"
done

# Most faults are found by models that take a moment, so those that take long come last.
long='nobody_waits|racing_interns|slots_outlive|no_free_slot|two_trees'
models=$("$work/none.models" --list | sed -n 's/: test$//p')
{ printf '%s\n' "$models" | grep -vE "$long"; printf '%s\n' "$models" | grep -E "$long"; } >"$work/order"

# `$work/run PASS FAULT` writes its verdict and the first model that failed. Processes side by side, of one thread each:
# every execution maps and unmaps stacks, for which threads of one process wait for each other.
cat >"$work/run" <<'END'
#!/bin/sh
set -u
cd "$(dirname "$0")"
[ "$1" = plain ] || export LOOM_RMW_LOADS=1
out=$2.$1.out verdict=survives by=
: >"$out"
for model in $(cat order); do
    status=0
    timeout 200 "./$2.models" --quiet --test-threads=1 --exact "$model" >>"$out" 2>&1 || status=$?
    [ $status -ne 0 ] || continue
    by=${model##*::}
    case $status in
        101) verdict=killed ;;
        # A panic while another one unwinds ends the process.
        134) verdict=killed by="$by (the process ends)" ;;
        124) verdict=too-long ;;
        *) verdict=broken ;;
    esac
    break
done
[ $verdict != killed ] || grep -q ' panicked at ' "$out" || verdict=broken
echo "$verdict" >"$2.$1"
echo "$by" >"$2.by"
END
chmod +x "$work/run"

# Those that take longest first.
for pass in rmw_loads plain; do
    for fault in none $faults; do
        echo "$pass $fault"
    done
done | xargs -P "$(nproc)" -L 1 "$work/run"

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
    printf '%-24s %-10s %-10s %s\n' "$fault" "$plain" "$rmw_loads" "$(cat "$work/$fault.by")"
done
echo "killed $killed of $all"
[ "$all" -gt 0 ] && [ "$killed" -eq "$all" ]
