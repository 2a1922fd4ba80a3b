#!/bin/sh
# Runs a bench and writes what it measured as JSON to standard output.
#
#   benches/run.sh intern > benches/runs/intern.json
#   benches/run.sh replay > benches/runs/replay.json
#   sudo benches/run.sh live > benches/runs/live.json
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
    intern) exec cargo bench --quiet -p grove-benches --bench intern -- --json ;;
    replay)
        cargo build --release --quiet -p grove-tools
        exec cargo bench --quiet -p grove-benches --bench replay -- --json
        ;;
    live)
        [ "$(id -u)" = 0 ] || { echo "benches/run.sh live: attaching to the kernel needs root" >&2; exit 1; }
        cargo build --release --quiet -p grove-tools
        exec cargo bench --quiet -p grove-benches --bench live -- --json
        ;;
    *) echo "usage: benches/run.sh intern|replay|live" >&2; exit 2 ;;
esac
