#!/usr/bin/env bash
# The tests of live events on other kernels than this machine's, in virtual machines without hardware support:
# run.sh [verifier|doctor|inside|command|loss|own_pid|capabilities|denied|kernel...]: but for the last, all of them. Needs root, apt for the kernels,
# qemu-system-x86, cpio, busybox-static, libbpf-dev, libelf-dev, and what the tests need: runc, strace, bpftool.
#
# The same steps (steps.sh) run on Debian's 6.1 and 6.12 and on this machine's own kernel. What one workload was seen to
# do has to be the same on each. Ends with the first failure; all that was said is in target/vm/KERNEL.log.
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=probes/tests/vm
work=$PWD/target/vm
patterns=('^linux-image-6\.1\.0-[0-9]+-amd64(-unsigned)?$' '^linux-image-6\.12\.[0-9]+(\+deb[0-9]+)?-amd64(-unsigned)?$')
boot_seconds=${VM_SECONDS:-1800}
mkdir -p "$work"

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

newest() {
    apt-cache search --names-only "$1" | cut -d' ' -f1 | sort -V | tail -1
}

# The newest kernel of a pattern into $image, and beside it its overlayfs, which Debian has as a module: downloaded once.
kernel() {
    local package
    package=$(newest "$1")
    image=$work/$package
    if [ -n "$package" ] && [ -f "$image" ] && [ -f "$image.overlay.ko" ]; then
        return
    fi
    apt-get update -qq
    package=$(newest "$1")
    [ -n "$package" ] || fail "apt knows no package like $1: add the suite that has it to its sources"
    image=$work/$package
    mkdir -p "$work/download"
    (cd "$work/download" && apt-get download -qq -o APT::Sandbox::User=root "$package")
    dpkg-deb --fsys-tarfile "$work/download/$package"_*.deb | tar -xO --wildcards './boot/vmlinuz-*' >"$image.part"
    dpkg-deb --fsys-tarfile "$work/download/$package"_*.deb |
        tar -xO --wildcards './lib/modules/*/overlay.ko*' './usr/lib/modules/*/overlay.ko*' 2>/dev/null >"$image.module" || true
    case $(head -c 6 "$image.module" | od -An -c | tr -d ' ') in
    *7zXZ*) xz -dc "$image.module" >"$image.overlay.ko" ;;
    *) cp "$image.module" "$image.overlay.ko" ;;
    esac
    rm -rf "$work/download" "$image.module"
    mv "$image.part" "$image"
}

# Where cargo puts a test of the workspace, built as for all other tests.
test_binary() {
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/built" | grep "/deps/$1-"
}

# A copy without what is for debuggers, at the same path below the root.
put() {
    mkdir -p "$root$(dirname "$1")"
    strip -o "$root$1" "$1" 2>/dev/null || cp -L "$1" "$root$1"
    local library
    for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

say "building"
cargo test --workspace --locked --quiet --test live --test kernel --no-run --message-format=json >"$work/built"
live=$(test_binary live)
kernel_tests=$(test_binary kernel)
grove=$PWD/target/debug/grove
cc -O1 -Wall -Wextra -Wno-unused-parameter -static "$here/verifier.c" -o "$work/verifier" -lbpf -lelf -lz
cat probes/tests/common/{child,calls,peers}.c | cc -O1 -pthread -static -x c - -o "$work/child"
cp probes/src/bpf/grove.bpf.o "$here/steps.sh" "$work/"
cat >"$work/settings.sh" <<END
grove=$grove
live=$live
kernel_tests=$kernel_tests
work=$work
END

say "kernels"
images=()
for pattern in "${patterns[@]}"; do
    kernel "$pattern"
    images+=("$image")
done

say "a root file system"
root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,run,root,var/tmp,usr/bin,usr/sbin,sbin} "$PWD/target/tmp" "$root$PWD/target/tmp"
chmod 1777 "$root/tmp"
for program in "$grove" "$live" "$kernel_tests" "$work/verifier" /usr/bin/strace /usr/bin/bash /usr/bin/unshare \
    "$(command -v runc)" "$(command -v setpriv)" "$(command -v bpftool)"; do
    put "$program"
done
cp "$work"/{child,grove.bpf.o,steps.sh,settings.sh} "$root$work/"
cp /usr/bin/busybox "$root/bin/busybox"
cp "$here/init.sh" "$root/sbin/init"
mkdir "$root/modules"
for image in "${images[@]}"; do
    # Whichever is its own, the kernel takes.
    cp "$image.overlay.ko" "$root/modules/$(basename "$image").ko"
done
cp "$here/cc.sh" "$root/usr/bin/cc"
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
echo root:x:0: >"$root/etc/group"
echo vm >"$root/etc/hostname"
echo 127.0.0.1 localhost >"$root/etc/hosts"
# Unpacked into a tmpfs, since nobody may leave the file system that a kernel begins with, as runc does.
mkdir -p "$work/first/bin" "$work/first/new"
cp /usr/bin/busybox "$work/first/bin/busybox"
tar -C "$root" -c . | gzip -1 >"$work/first/root.tar.gz"
cp "$here/first.sh" "$work/first/init"
(cd "$work/first" && find . | cpio --quiet -o -H newc) >"$work/initrd"

# Runs the steps on a kernel, in a virtual machine. Without the check of timers, which a busy host lets fail; and a kernel
# that has not come as far as the steps is started again.
boot() {
    for _ in 1 2 3; do
        timeout "$boot_seconds" qemu-system-x86_64 -accel tcg -cpu max -m 2048 -smp 2 -nographic -no-reboot -net none \
            -kernel "$1" -initrd "$work/initrd" \
            -append "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init settings=$work/settings.sh steps=$2" \
            </dev/null 2>&1 |
            tr -d '\r' | tee "$3" | sed -un '/^== /,$p' | grep --line-buffered -v '^seen ' || true
        if grep -q '^== ' "$3"; then break; fi
    done
}

steps=$(IFS=,; echo "${*:-all}")
logs=()
for image in "${images[@]}"; do
    say "$(basename "$image")"
    log=$work/$(basename "$image").log
    boot "$image" "$steps" "$log"
    logs+=("$log")
done
say "this machine's own, $(uname -r)"
log=$work/own.log
sh "$work/steps.sh" "$work/settings.sh" "$steps" 2>&1 | tee "$log" | grep -v '^seen ' || true
logs+=("$log")

for log in "${logs[@]}"; do
    grep -q '^all steps passed' "$log" || fail "not all steps passed: see $log"
    # Ports that the kernel chooses differ, and clocks are read without a call where the processor's can be.
    sed -n 's/^seen //p' "$log" | awk '$1 == "peer" && $NF >= 32768 { $NF = "ephemeral" } { print }' |
        grep -v ': clock_gettime ' | sort -u >"${log%.log}.seen"
done
say "what the workload was seen to do"
first=${logs[0]%.log}.seen
for log in "${logs[@]}"; do
    seen=${log%.log}.seen
    printf '%-44s %s\n' "$(basename "${log%.log}")" "$(cut -d' ' -f1 "$seen" | sort | uniq -c | tr -s ' \n' ' ')"
    diff "$first" "$seen" || fail "the kernels differ in what was seen: $first and $seen"
done
[ -s "$first" ] || [ "$steps" != all ] || fail "nothing was seen"
[ -s "$first" ] || exit 0
echo "the same on each:"
grep -v '^call ' "$first"
echo "calls: $(sed -n 's/^call .*: \([^ ]*\) .*/\1/p' "$first" | sort -u | tr '\n' ' ')"
