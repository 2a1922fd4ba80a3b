#!/bin/busybox sh
# The first program in the root file system of a virtual machine: what a host has, then the steps.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
ln -s /usr/bin/bash /bin/bash
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
echo 0 >/proc/sys/kernel/printk_ratelimit
for module in /modules/*.ko; do insmod "$module" 2>/dev/null; done
ip link set lo up
# What was on the line before is the firmware's.
echo
# Both come from the kernel's command line.
sh "$(dirname "$settings")/steps.sh" "$settings" "$steps" 2>&1
poweroff -f
