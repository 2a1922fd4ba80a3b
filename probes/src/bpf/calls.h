// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System calls as they return: the sets of calls made, and the few calls that are events of their own. This
// runs after every call of every process, so the way out comes first.
#pragma once
#include "accept.h"
#include "mount.h"
#include "narrow.h"
#include "ring.h"

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20

enum {
    SENDS_MAX = 64, // messages of one sendmmsg that are looked at
};

#define O_CREAT_FLAGS 01101 // O_CREAT | O_WRONLY | O_TRUNC: what creat(2) is short for

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
    if (ret < 0 && !failure_told(ret))
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

// A message's header begins with its address and the address's length. False if there is no address: it goes to whom the
// socket is connected to, or nobody asked whom it came from.
static __always_inline bool message_named(struct socket_call *c, __u64 header, bool wide)
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
    c->address = to.name;
    c->bytes = to.bytes;
    return to.name;
}

static __always_inline void message_sent(struct socket_call *c, __u64 header, bool wide)
{
    if (message_named(c, header, wide))
        socket_called();
}

// A call that says whom it is about: connect, bind, and sends with an address.
static __always_inline int call_addressed(struct scratch *s)
{
    const struct call *call = &s->call;
    struct socket_call *c = &s->socket;
    __s64 ret = call->ret;
    if (ret < 0 && ret != -115 && !failure_told(ret))
        return 0;
    c->ret = ret;
    c->op = call->nr == NR_BIND ? OP_BIND : OP_CONNECT;
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

// A call that says from whom it received something, if it was asked.
static __always_inline int call_received(struct scratch *s)
{
    const struct call *call = &s->call;
    struct socket_call *c = &s->socket;
    __s64 ret = call->ret;
    if (ret < 0)
        return 0;
    c->file = 0;
    c->fd = call->a[0];
    c->copied = false;
    c->marks = 0;
    switch (call->nr) {
    case NR_RECVFROM:
        c->address = call->a[4];
        c->bytes = 0;
        if (!c->address || bpf_probe_read_user(&c->bytes, 4, (void *)call->a[5]))
            return 0;
        return heard_from();
    case NR_RECVMSG:
        return message_named(c, call->a[1], call->wide) ? heard_from() : 0;
    case NR_RECVMMSG:
        for (__u32 i = 0; i < RECEIVES_MAX && i < ret; i++)
            if (message_named(c, call->a[1] + i * (call->wide ? 64 : 32), call->wide))
                heard_from();
        return 0;
    }
    return 0;
}

static __always_inline int call_accepted(struct scratch *s, struct task_struct *task)
{
    struct socket_call *c = &s->socket;
    if (s->call.ret < 0)
        return 0;
    c->marks = 0;
    accepted(file_at(task, s->call.ret));
    return begun(s, task);
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
        call_addressed(s);
        return begun(s, task);
    case NR_ACCEPT:
    case NR_ACCEPT4:
        if (!wanted(CLASS_SOCKET))
            return 0;
        s->socket.cgroup = cgroup;
        s->socket.lineage = p->lineage;
        return call_accepted(s, task);
    case NR_RECVFROM:
        if (call->wide && !regs->r8)
            return 0; // the way that most receive
    case NR_RECVMSG:
    case NR_RECVMMSG:
        if (!wanted(CLASS_SOCKET))
            return 0;
        if (call->wide)
            arguments_of(call, regs);
        s->socket.cgroup = cgroup;
        s->socket.lineage = p->lineage;
        return call_received(s);
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
        return call->a[3] & MAP_ANONYMOUS ? 0 : mapped_from(s, file_at(task, call->a[4]));
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
    if (task && task->pid == self)
        tell_flows(); // of everybody, once
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
