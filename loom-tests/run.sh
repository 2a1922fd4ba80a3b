#!/bin/sh
# Runs every model in both passes, without a bound, and counts. Fails if a model fails, is missing from a pass,
# or did not witness what it is about; and if there are none.
#
#   loom-tests/run.sh
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${LOOM_TARGET_DIR:-target/loom}"
unset LOOM_MAX_PREEMPTIONS LOOM_MAX_BRANCHES LOOM_MAX_PERMUTATIONS LOOM_MAX_DURATION LOOM_CHECKPOINT_FILE LOOM_MUTANTS LOOM_MUTANT

out=$(mktemp)
trap 'rm -f "$out"' EXIT
models=$(cat loom-tests/src/*.rs | grep -c '^ *#\[test\]' || true)
executions=0
passes=0

[ "$models" -gt 0 ] || { echo "no models" >&2; exit 1; }
for pass in plain rmw_loads; do
    LOOM_PASS=$pass cargo test --quiet -p grove-loom-tests --lib --no-run
    # Every model that is written is there, and none is left out.
    names=$(LOOM_PASS=$pass cargo test --quiet -p grove-loom-tests --lib -- --list --include-ignored |
        sed -n 's/^.*::\([^:]*\): test$/\1/p' | sort)
    listed=$(printf '%s\n' "$names" | grep -c . || true)
    [ "$listed" -eq "$models" ] || { echo "pass $pass: $listed models of the $models that are written" >&2; exit 1; }
    ignored=$(LOOM_PASS=$pass cargo test --quiet -p grove-loom-tests --lib -- --list --ignored | sed -n 's/: test$//p')
    [ -z "$ignored" ] || { printf 'pass %s: ignored:\n%s\n' "$pass" "$ignored" >&2; exit 1; }
    started=$(date +%s)
    if ! LOOM_PASS=$pass cargo test --quiet -p grove-loom-tests --lib -- --nocapture >"$out" 2>&1; then
        cat "$out" >&2
        echo "pass $pass: failed" >&2
        exit 1
    fi
    ran=$(sed -n 's/^model \([a-z_0-9]*\) executions .*/\1/p' "$out" | sort)
    if [ "$ran" != "$names" ]; then
        echo "pass $pass: the models that ran are not those that are written:" >&2
        printf '%s\n' "$ran" "$names" | sort | uniq -u >&2
        exit 1
    fi
    grep '^model ' "$out" | sort | sed "s/^/$pass: /"
    sum=$(sed -n 's/^model .* executions \([0-9]*\) .*/\1/p' "$out" | awk '{ n += $1 } END { print n }')
    echo "$pass: $models models, $sum executions, $(($(date +%s) - started)) s"
    executions=$((executions + sum))
    passes=$((passes + 1))
done
echo "models $models, executions $executions, passes $passes"
