// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// 32-bit calls, which a 64-bit process can make too (int 0x80): which of the 64-bit ones each is, and its arguments.
#pragma once
#include "numbers.h"

#define NR32_SOCKETCALL 102

static __always_inline __u64 number_of_32(__u64 nr)
{
    switch (nr) {
    case 5:
        return NR_OPEN;
    case 8:
        return NR_CREAT;
    case 295:
        return NR_OPENAT;
    case 437:
        return NR_OPENAT2;
    case 125:
        return NR_MPROTECT;
    case 192:
        return NR_MMAP;
    case 380:
        return NR_PKEY_MPROTECT;
    case 361:
        return NR_BIND;
    case 362:
        return NR_CONNECT;
    case 369:
        return NR_SENDTO;
    case 370:
        return NR_SENDMSG;
    case 345:
        return NR_SENDMMSG;
    case 364:
        return NR_ACCEPT4;
    case 371:
        return NR_RECVFROM;
    case 372:
        return NR_RECVMSG;
    case 337:
    case 417:
        return NR_RECVMMSG;
    case 9:
        return NR_LINK;
    case 10:
        return NR_UNLINK;
    case 14:
        return NR_MKNOD;
    case 15:
        return NR_CHMOD;
    case 38:
        return NR_RENAME;
    case 39:
        return NR_MKDIR;
    case 40:
        return NR_RMDIR;
    case 83:
        return NR_SYMLINK;
    case 92:
    case 193:
        return NR_TRUNCATE;
    case 93:
    case 194:
        return NR_FTRUNCATE;
    case 94:
        return NR_FCHMOD;
    case 95:
    case 207:
        return NR_FCHOWN;
    case 16:
    case 198:
        return NR_LCHOWN;
    case 182:
    case 212:
        return NR_CHOWN;
    case 296:
        return NR_MKDIRAT;
    case 297:
        return NR_MKNODAT;
    case 298:
        return NR_FCHOWNAT;
    case 301:
        return NR_UNLINKAT;
    case 302:
        return NR_RENAMEAT;
    case 303:
        return NR_LINKAT;
    case 304:
        return NR_SYMLINKAT;
    case 306:
        return NR_FCHMODAT;
    case 353:
        return NR_RENAMEAT2;
    case 452:
        return NR_FCHMODAT2;
    case 21:
        return NR_MOUNT;
    case 52:
        return NR_UMOUNT2;
    case 61:
        return NR_CHROOT;
    case 217:
        return NR_PIVOT_ROOT;
    case 429:
        return NR_MOVE_MOUNT;
    case 432:
        return NR_FSMOUNT;
    }
    return NR_NONE;
}

static __always_inline void arguments_of_32(struct call *call, struct pt_regs *regs)
{
    __u32 given[6] = {};
    call->a[0] = (__u32)regs->bx;
    call->a[1] = (__u32)regs->cx;
    call->a[2] = (__u32)regs->dx;
    call->a[3] = (__u32)regs->si;
    call->a[4] = (__u32)regs->di;
    call->a[5] = (__u32)regs->bp;
    call->wide = false;
    if (regs->orig_ax != NR32_SOCKETCALL)
        return;
    // One call for all of sockets, with the arguments in memory.
    if (bpf_probe_read_user(given, sizeof(given), (void *)call->a[1]))
        bpf_probe_read_user(given, 3 * 4, (void *)call->a[1]);
    switch (call->a[0]) {
    case 2:
        call->nr = NR_BIND;
        break;
    case 3:
        call->nr = NR_CONNECT;
        break;
    case 5:
    case 18:
        call->nr = NR_ACCEPT;
        break;
    case 11:
        call->nr = NR_SENDTO;
        break;
    case 12:
        call->nr = NR_RECVFROM;
        break;
    case 16:
        call->nr = NR_SENDMSG;
        break;
    case 17:
        call->nr = NR_RECVMSG;
        break;
    case 19:
        call->nr = NR_RECVMMSG;
        break;
    case 20:
        call->nr = NR_SENDMMSG;
        break;
    }
    for (int i = 0; i < 6; i++)
        call->a[i] = given[i];
}
