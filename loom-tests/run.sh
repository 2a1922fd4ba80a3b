#!/bin/sh
# Runs every model in both passes, without a bound, and counts. Fails if a model fails, is missing from a pass,
# or did not witness what it is about; and if there are none.
#
#   loom-tests/run.sh
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${LOOM_TARGET_DIR:-target/loom}"
unset LOOM_MAX_PREEMPTIONS LOOM_MAX_BRANCHES LOOM_MAX_PERMUTATIONS LOOM_MAX_DURATION LOOM_CHECKPOINT_FILE LOOM_RMW_LOADS

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
written=$(cat loom-tests/src/*.rs | grep -c '^ *#\[test\]' || true)
[ "$written" -gt 0 ] || { echo "no models" >&2; exit 1; }

LOOM=1 cargo test -p grove-loom-tests --lib --no-run >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
models=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/out")
# Every model that is written is there, and none is left out.
names=$("$models" --list --include-ignored | sed -n 's/^.*::\([^:]*\): test$/\1/p' | sort)
listed=$(printf '%s\n' "$names" | grep -c . || true)
[ "$listed" -eq "$written" ] || { echo "$listed models of the $written that are written" >&2; exit 1; }
ignored=$("$models" --list --ignored | sed -n 's/: test$//p')
[ -z "$ignored" ] || { printf 'ignored:\n%s\n' "$ignored" >&2; exit 1; }

executions=0
for pass in plain rmw_loads; do
    started=$(date +%s)
    [ $pass = plain ] || export LOOM_RMW_LOADS=1
    if ! "$models" --quiet --nocapture >"$work/out" 2>&1; then
        cat "$work/out" >&2
        echo "pass $pass: failed" >&2
        exit 1
    fi
    ran=$(sed -n 's/^model \([a-z_0-9]*\) executions .*/\1/p' "$work/out" | sort)
    if [ "$ran" != "$names" ]; then
        echo "pass $pass: the models that ran are not those that are written:" >&2
        printf '%s\n' "$ran" "$names" | sort | uniq -u >&2
        exit 1
    fi
    grep '^model ' "$work/out" | sort | sed "s/^/$pass: /"
    sum=$(sed -n 's/^model .* executions \([0-9]*\) .*/\1/p' "$work/out" | awk '{ n += $1 } END { print n }')
    echo "$pass: $written models, $sum executions, $(($(date +%s) - started)) s"
    executions=$((executions + sum))
done
echo "models $written, executions $executions, passes 2"
