#!/usr/bin/env bash
# Runs all tests: formatting, lints, unit and integration tests, property tests, live tests with a real kernel and real
# containers, examples, documentation, the models of the lock-free parts and the faults that they must find, and that
# benches still build. Needs a Rust toolchain. As root on Debian it installs the packages that tests use, and says which.
#
#   ./test.sh [--full] [--no-install]
#
#   --full        also the long forms of tests (sets GROVE_TEST_FULL)
#   --no-install  installs nothing; the tests that need what is missing say that they are skipped
#
# With GROVE_TEST_NO_SKIPS set, a test that cannot run fails. .ci/run sets it.
set -euo pipefail
cd "$(dirname "$0")"

install=yes
for argument in "$@"; do
    case $argument in
    --full) export GROVE_TEST_FULL=1 ;;
    --no-install) install=no ;;
    *)
        sed -n '/^# *\.\/test\.sh/,/^# With/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
done

say() { printf '\n== %s\n' "$*"; }

scratch=$(mktemp -d)
export GROVE_TEST_SKIPS=$scratch/skips
policy=/usr/sbin/policy-rc.d
policy_set=no
end() {
    code=$?
    restore_policy
    if [ -s "$GROVE_TEST_SKIPS" ]; then
        say "skipped, not passed"
        sort -u "$GROVE_TEST_SKIPS"
    fi
    rm -rf "$scratch"
    exit "$code"
}
restore_policy() {
    [ $policy_set = yes ] || return 0
    rm -f $policy
    if [ -e "$policy.before-tests" ] || [ -L "$policy.before-tests" ]; then mv "$policy.before-tests" $policy; fi
    policy_set=no
}
trap end EXIT
trap 'exit 130' INT TERM

skipped() {
    echo "skipped: $*" | tee -a "$GROVE_TEST_SKIPS"
    [ -z "${GROVE_TEST_NO_SKIPS:-}" ]
}

# jq: the independent reader that importers are compared with. strace: the same for live events. python3: something with
# threads to look at. clang-19: rebuilds the kernel programs. qemu and cpio: other kernels, which the tests download.
# valgrind: counts instructions. patch: plants faults for the models. The rest: real containers, and what looks at them.
packages="jq strace python3 clang-19 llvm-19 libbpf-dev libelf-dev bpftool qemu-system-x86 cpio util-linux busybox-static"
packages="$packages valgrind patch runc podman docker.io containerd"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ] && [ $install = yes ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$missing (./test.sh --no-install does without)"
    apt-get update -qq
    # Services stay off: tests start their own, and stop them.
    if [ -e $policy ] || [ -L $policy ]; then mv $policy "$policy.before-tests"; fi
    policy_set=yes
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    # shellcheck disable=SC2086 # one word each
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    restore_policy
elif [ -n "$missing" ]; then
    echo "not installed:$missing; the tests that need them say that they are skipped" >&2
fi

have() {
    local program
    for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}

# Without the cgroups beside this command's own: whoever put it there puts others there as they come.
not_beside_ours() {
    awk -F: -v ours="$(cut -d: -f3- /proc/self/cgroup | sort -u | tr '\n' ':')" '
        BEGIN { n = split(ours, own, ":") }
        {
            for (i = 1; i <= n; i++) {
                parent = own[i]; sub("/[^/]*$", "", parent)
                if (parent == "") continue
                at = index($0 "/", parent "/")
                if (at && index(substr($0, at) "/", own[i] "/") != 1 && length($0) >= at + length(parent)) next
            }
            print
        }'
}

# What tests could leave behind: cgroups, mounts, network interfaces, what runtimes keep, temporary files, processes.
state() (
    set +eo pipefail       # much of it need not be there
    unset GROVE_TEST_SKIPS # all that tests start has it
    {
        find /sys/fs/cgroup -type d | not_beside_ours
        cut -d ' ' -f 2,3 /proc/self/mounts | sed 's/^/mounted: /'
        find /sys/class/net /dev/shm /run/runc /run/crun /run/containerd /run/containers /run/docker /run/libpod \
            /run/netns /etc/cni /var/lib/containers /var/lib/containerd /var/lib/docker /var/lib/cni
        find "${TMPDIR:-/tmp}" -maxdepth 1 \( -name '.tmp*' -o -name 'tmp.*' -o -name '*grove*' \)
        grep -lzsFx "GROVE_TEST_SKIPS=$scratch/skips" /proc/[0-9]*/environ | while read -r file; do
            echo "running: ${file%/environ}: $(tr '\0' ' ' <"${file%environ}cmdline")"
        done
    } 2>/dev/null | sort
)
state >"$scratch/before"

say "formatting"
cargo fmt --all -- --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "tests"
cargo test --workspace --locked
say "kernel programs, rebuilt and compared"
if command -v clang-19 >/dev/null; then
    probes/src/bpf/verify.sh
else
    skipped "the kernel programs are not rebuilt and compared: clang-19 is not installed"
fi
say "other kernels"
if [ "$(id -u)" = 0 ] && have qemu-system-x86_64 cpio apt-get runc strace; then
    probes/tests/vm/run.sh
else
    skipped "the tests do not run on other kernels: that needs root, Debian's apt, qemu-system-x86, cpio, runc and strace"
fi
say "models of the lock-free parts, every interleaving"
loom-tests/run.sh
say "faults that the models must find"
loom-tests/kill.sh
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
say "the README's first command"
cargo run --release --locked --quiet -- replay --show --output "$scratch/profiles" examples/shop.jsonl.zst >/dev/null
say "benches build"
cargo bench --workspace --locked --no-run --quiet
say "packages of all crates"
cargo package --workspace --allow-dirty --no-verify --locked --quiet --target-dir "$scratch/packages"
for crate in grove grove-probes grove-tools; do
    listed=$(tar tf "$scratch"/packages/package/$crate-[0-9]*.crate)
    for file in LICENSE README.md; do
        grep -q "/$file\$" <<<"$listed" || { echo "the package of $crate has no $file" >&2 && exit 1; }
    done
done
say "the oldest compiler"
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
for page in README.md CONTRIBUTING.md engine/README.md probes/README.md tools/README.md; do
    grep -Eq "Rust( toolchain \()? ?$oldest or later" $page || {
        echo "$page does not say that Rust $oldest or later is needed, as Cargo.toml does" >&2
        exit 1
    }
done
case $(rustc --version) in
"rustc $oldest."*) echo "all of the above was built by Rust $oldest" ;;
*)
    if rustc "+$oldest" --version >/dev/null 2>&1; then
        cargo "+$oldest" check --workspace --all-targets --locked --quiet
    else
        skipped "it is not checked that Rust $oldest builds everything: it is not installed"
    fi
    ;;
esac
say "what the tests left behind: nothing"
state >"$scratch/after"
diff "$scratch/before" "$scratch/after" || { echo "the tests left (>) or took away (<) the above" >&2 && exit 1; }
