// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System calls as they return: the sets of calls made, and the few calls that are events of their own. This
// runs after every call of every process, so the way out comes first.
#pragma once
#include "mount.h"
#include "ring.h"
#include "socket.h"

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define AT_REMOVEDIR 0x200

enum {
    NR32_SOCKETCALL = 102,
    SENDS_MAX = 64, // messages of one sendmmsg that are looked at
};

#define O_CREAT_FLAGS 01101 // O_CREAT | O_WRONLY | O_TRUNC: what creat(2) is short for

// A 64-bit process can make 32-bit calls too (int 0x80): they have other numbers, and their arguments elsewhere.
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
    case 11:
        call->nr = NR_SENDTO;
        break;
    case 16:
        call->nr = NR_SENDMSG;
        break;
    case 20:
        call->nr = NR_SENDMMSG;
        break;
    }
    for (int i = 0; i < 6; i++)
        call->a[i] = given[i];
}

static __always_inline void arguments_of(struct call *call, struct pt_regs *regs)
{
    call->a[0] = regs->di;
    call->a[1] = regs->si;
    call->a[2] = regs->dx;
    call->a[3] = regs->r10;
    call->a[4] = regs->r8;
    call->a[5] = regs->r9;
    call->wide = true;
}

static __always_inline int call_opened(struct scratch *s, struct task_struct *task)
{
    const struct call *call = &s->call;
    struct opening *o = &s->opening;
    __s64 ret = call->ret;
    __u64 name = call->a[0];
    if (ret < 0 && (!failed || restarts(ret)))
        return 0;
    o->ret = ret;
    o->marks = 0;
    o->base = AT_FDCWD;
    if (call->nr != NR_OPEN && call->nr != NR_CREAT) {
        o->base = call->a[0];
        name = call->a[1];
    }
    o->flags = 0;
    if (call->nr == NR_OPEN)
        o->flags = call->a[1];
    else if (call->nr == NR_OPENAT)
        o->flags = call->a[2];
    else if (call->nr == NR_CREAT)
        o->flags = O_CREAT_FLAGS;
    else
        bpf_probe_read_user(&o->flags, 8, (void *)call->a[2]);
    o->flags = (__u32)o->flags;
    if (ret >= 0) {
        created(s, file_at(task, ret));
        if (!opened(file_at(task, ret)))
            return 0;
    }
    return open_said(bpf_probe_read_user_str(s->text, PATH_MAX, (void *)name));
}

// A message's header begins with its address and the address's length.
static __always_inline void message_sent(struct socket_call *c, __u64 header, bool wide)
{
    struct {
        __u64 name;
        __u32 bytes;
        __u32 spare;
    } to = {};
    if (wide) {
        bpf_probe_read_user(&to, 12, (void *)header);
    } else {
        __u32 narrow[2] = {};
        bpf_probe_read_user(narrow, 8, (void *)header);
        to.name = narrow[0];
        to.bytes = narrow[1];
    }
    if (!to.name)
        return; // to whom the socket is connected
    c->address = to.name;
    c->bytes = to.bytes;
    socket_called();
}

// A call that says whom it is about: connect, bind, and sends with an address.
static __always_inline int call_addressed(struct scratch *s)
{
    const struct call *call = &s->call;
    struct socket_call *c = &s->socket;
    __s64 ret = call->ret;
    if ((ret < 0 && ret != -115 && !failed) || restarts(ret))
        return 0;
    c->ret = ret;
    c->connect = call->nr != NR_BIND;
    c->sent = false;
    c->copied = false;
    c->file = 0;
    c->fd = call->a[0];
    c->flags = 0;
    c->marks = 0;
    switch (call->nr) {
    case NR_CONNECT:
    case NR_BIND:
        c->address = call->a[1];
        c->bytes = call->a[2];
        return socket_called();
    case NR_SENDTO:
        c->sent = true;
        c->flags = call->a[3];
        c->address = call->a[4];
        c->bytes = call->a[5];
        return c->address ? socket_called() : 0;
    case NR_SENDMSG:
        c->sent = true;
        c->flags = call->a[2];
        message_sent(c, call->a[1], call->wide);
        return 0;
    case NR_SENDMMSG:
        c->sent = true;
        c->flags = call->a[3];
        // The first of them failed, or so many were sent.
        for (__u32 i = 0; i < SENDS_MAX && (i == 0 || i < ret); i++)
            message_sent(c, call->a[1] + i * (call->wide ? 64 : 32), call->wide);
        return 0;
    }
    return 0;
}

// Calls after which the same name may lead elsewhere.
static __always_inline bool moves_names(__u64 nr, __u64 third)
{
    switch (nr) {
    case NR_UNLINKAT:
        return third & AT_REMOVEDIR;
    case NR_RMDIR:
    case NR_RENAME:
    case NR_RENAMEAT:
    case NR_RENAMEAT2:
    case NR_LINK:
    case NR_LINKAT:
    case NR_SYMLINK:
    case NR_SYMLINKAT:
    case NR_MOUNT:
    case NR_UMOUNT2:
    case NR_MOVE_MOUNT:
    case NR_PIVOT_ROOT:
    case NR_CHROOT:
        return true;
    }
    return false;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(grove_sys_exit, struct pt_regs *regs, long ret)
{
    struct task_struct *task = bpf_get_current_task_btf();
    int tgid = task->tgid;
    if (tgid == self)
        return 0;
    __u64 nr = regs->orig_ax;
    struct task_struct *leader = task->group_leader;
    struct process *p = process_of(leader, true);
    __u64 cgroup = cgroup_of(task);
    if (!p) {
        count_lost(cgroup, CLASS_SYSCALLS, CAUSE_MAP_FULL);
        return 0;
    }
    if (!in_scope(p, tgid, cgroup))
        return 0;
    struct scratch *s = my_scratch();
    if (!s)
        return 0;
    struct call *call = &s->call;
    call->nr = nr;
    call->ret = ret;
    call->wide = true;
    if (task->thread_info.status & TASK_COMPAT) {
        // Their numbers are not among the sets: there they would pass for other calls.
        call->nr = number_of_32(nr);
        if (call->nr == NR_NONE && nr != NR32_SOCKETCALL)
            return 0;
        arguments_of_32(call, regs);
    } else if (wanted(CLASS_SYSCALLS)) {
        __u32 epoch = control_value(CONTROL_FLUSH);
        if (p->flush_epoch != epoch) {
            p->flush_epoch = epoch;
            p->used = 0;
            p->refused = 0;
            flush_calls(p, leader, cgroup);
        }
        // sigreturn has put the interrupted call's registers in place of its own.
        if (nr == (__u64)-1)
            note_call(p, NR_RT_SIGRETURN);
        else if (!((nr == NR_EXECVE || nr == NR_EXECVEAT) && !ret))
            note_call(p, nr);
    }
    if (call->wide)
        call->a[2] = regs->dx;
    switch (call->nr) {
    case NR_OPEN:
    case NR_CREAT:
    case NR_OPENAT:
    case NR_OPENAT2:
        if (!wanted(CLASS_OPEN) && !wanted(CLASS_CHANGE))
            return 0;
        if (call->wide)
            arguments_of(call, regs);
        s->opening.cgroup = cgroup;
        s->opening.lineage = p->lineage;
        return call_opened(s, task);
    case NR_SENDTO:
        if (call->wide && !regs->r8)
            return 0; // the way that most send
    case NR_CONNECT:
    case NR_BIND:
    case NR_SENDMSG:
    case NR_SENDMMSG:
        if (!wanted(CLASS_SOCKET))
            return 0;
        if (call->wide)
            arguments_of(call, regs);
        s->socket.cgroup = cgroup;
        s->socket.lineage = p->lineage;
        return call_addressed(s);
    case NR_IO_URING_ENTER:
        return settle_last();
    case NR_MMAP:
    case NR_MPROTECT:
    case NR_PKEY_MPROTECT:
        if (!wanted(CLASS_OPEN) || !(call->a[2] & PROT_EXEC) || (ret < 0 && ret > -4096))
            return 0;
        if (call->wide)
            arguments_of(call, regs);
        s->opening.cgroup = cgroup;
        s->opening.lineage = p->lineage;
        if (call->nr != NR_MMAP)
            return mapped_at(s, task, call->a[0], 0);
        return call->a[3] & MAP_ANONYMOUS ? 0 : mapped(s, file_at(task, call->a[4]));
    }
    if (moves_names(call->nr, call->a[2]))
        moved(cgroup, ret);
    if (call->nr == NR_FSMOUNT && wanted(CLASS_MOUNT))
        return mount_made(task, ret);
    if (wanted(CLASS_MOUNT) && (call->nr == NR_MOUNT || call->nr == NR_MOVE_MOUNT)) {
        if (call->wide)
            arguments_of(call, regs);
        s->change.cgroup = cgroup;
        s->change.lineage = p->lineage;
        return call_mounted(s, task);
    }
    if (wanted(CLASS_CHANGE) && changes_files(call->nr)) {
        if (call->wide)
            arguments_of(call, regs);
        s->change.cgroup = cgroup;
        s->change.lineage = p->lineage;
        return call_changed(s, task);
    }
    return 0;
}

// Run twice: before the control is raised, when every thread notes the call that it is in, since one that waits for
// ever would not be seen at its return; and after it, when every process's set is told.
SEC("iter/task")
int grove_flush(struct bpf_iter__task *ctx)
{
    struct task_struct *task = ctx->task;
    if (!task || task->tgid == self || !task->mm)
        return 0;
    struct task_struct *leader = task->group_leader;
    struct process *p = bpf_task_storage_get(&processes, leader, 0, 0);
    // What no event has come from has no set either; its present call is of no known program.
    if (!p || !p->in_scope || p->own)
        return 0;
    struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
    __u64 nr = regs->orig_ax;
    if (!(task->thread_info.status & TASK_COMPAT))
        note_call(p, nr);
    __u32 epoch = control_value(CONTROL_FLUSH);
    // By whichever thread comes first: the leader may have ended before the others.
    if (p->flush_epoch != epoch) {
        p->flush_epoch = epoch;
        p->used = 0;
        p->refused = 0;
        flush_calls(p, leader, p->cgroup);
    }
    return 0;
}
