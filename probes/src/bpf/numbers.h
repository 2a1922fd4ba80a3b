// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System calls by their numbers, those of 64-bit programs.
#pragma once
#include "scratch.h"

enum {
    NR_OPEN = 2,
    NR_MMAP = 9,
    NR_MPROTECT = 10,
    NR_CONNECT = 42,
    NR_ACCEPT = 43,
    NR_SENDTO = 44,
    NR_RECVFROM = 45,
    NR_SENDMSG = 46,
    NR_RECVMSG = 47,
    NR_BIND = 49,
    NR_EXECVE = 59,
    NR_TRUNCATE = 76,
    NR_FTRUNCATE = 77,
    NR_RENAME = 82,
    NR_MKDIR = 83,
    NR_RMDIR = 84,
    NR_CREAT = 85,
    NR_LINK = 86,
    NR_UNLINK = 87,
    NR_SYMLINK = 88,
    NR_CHMOD = 90,
    NR_FCHMOD = 91,
    NR_CHOWN = 92,
    NR_FCHOWN = 93,
    NR_LCHOWN = 94,
    NR_MKNOD = 133,
    NR_PIVOT_ROOT = 155,
    NR_CHROOT = 161,
    NR_MOUNT = 165,
    NR_UMOUNT2 = 166,
    NR_OPENAT = 257,
    NR_MKDIRAT = 258,
    NR_MKNODAT = 259,
    NR_FCHOWNAT = 260,
    NR_UNLINKAT = 263,
    NR_RENAMEAT = 264,
    NR_LINKAT = 265,
    NR_SYMLINKAT = 266,
    NR_FCHMODAT = 268,
    NR_ACCEPT4 = 288,
    NR_RECVMMSG = 299,
    NR_SENDMMSG = 307,
    NR_RENAMEAT2 = 316,
    NR_EXECVEAT = 322,
    NR_PKEY_MPROTECT = 329,
    NR_IO_URING_ENTER = 426,
    NR_MOVE_MOUNT = 429,
    NR_FSMOUNT = 432,
    NR_OPENAT2 = 437,
    NR_FCHMODAT2 = 452,
    NR_RT_SIGRETURN = 15,
};

#define NR_NONE (~0ull)

// Restarted or interrupted by a signal: no result that the program sees, and the call comes again.
static __always_inline bool restarts(long ret)
{
    return ret <= -512 && ret >= -516;
}

enum failures {
    FAILURES_NONE,
    FAILURES_ALL,
    FAILURES_REFUSED, // those that somebody or something refused
};

// Whether an attempt that ended so, below 0, is told.
static __always_inline bool failure_told(__s64 ret)
{
    if (failed != FAILURES_REFUSED)
        return failed && !restarts(ret);
    switch (ret) {
    case -1:   // EPERM
    case -13:  // EACCES
    case -30:  // EROFS
    case -100: // ENETDOWN
    case -101: // ENETUNREACH
    case -110: // ETIMEDOUT
    case -111: // ECONNREFUSED
    case -112: // EHOSTDOWN
    case -113: // EHOSTUNREACH
        return true;
    }
    return false;
}
