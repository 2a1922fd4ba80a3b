#!/bin/sh
# Runs a bench and writes what it measured as JSON to standard output.
#
#   benches/run.sh intern > benches/runs/intern.json
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
    intern) exec cargo bench --quiet -p grove-benches --bench intern -- --json ;;
    *) echo "usage: benches/run.sh intern" >&2; exit 2 ;;
esac
