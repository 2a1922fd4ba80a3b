#!/usr/bin/env bash
# Builds the kernel programs: build.sh [OUTPUT]. Needs Debian's clang-19, llvm-19 and libbpf-dev.
# The same sources give the same bytes in any directory; verify.sh compares them with the committed object.
set -euo pipefail
cd "$(dirname "$0")"
out=$(realpath -m "${1:-grove.bpf.o}")
clang-19 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
    -ffile-compilation-dir=. -ffile-prefix-map="$PWD=." -c grove.bpf.c -o "$out"
llvm-strip-19 --strip-debug "$out"
