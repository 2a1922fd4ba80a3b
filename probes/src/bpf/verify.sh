#!/usr/bin/env bash
# Rebuilds the kernel programs and compares them, byte for byte, with the object that is committed.
set -euo pipefail
cd "$(dirname "$0")"
built=$(mktemp)
trap 'rm -f "$built"' EXIT
./build.sh "$built"
cmp "$built" grove.bpf.o && echo "grove.bpf.o is what its sources say"
