#!/bin/busybox sh
# The first program of a virtual machine: goes on in a file system that can be left.
/bin/busybox mount -t tmpfs -o size=90% tmpfs /new
/bin/busybox tar -xzf /root.tar.gz -C /new
exec /bin/busybox switch_root /new /sbin/init
