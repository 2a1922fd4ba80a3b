// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System calls as they return: the sets of calls made, and the few calls that are events of their own. This
// runs after every call of every process, so the way out comes first.
#pragma once
#include "socket.h"

enum {
    NR_OPEN = 2,
    NR_CONNECT = 42,
    NR_BIND = 49,
    NR_EXECVE = 59,
    NR_CREAT = 85,
    NR_OPENAT = 257,
    NR_EXECVEAT = 322,
    NR_OPENAT2 = 437,
    NR_RT_SIGRETURN = 15,
};

#define O_CREAT_FLAGS 01101 // O_CREAT | O_WRONLY | O_TRUNC: what creat(2) is short for

// Restarted or interrupted by a signal: no result that the program sees, and the call comes again.
static __always_inline bool restarts(long ret)
{
    return ret <= -512 && ret >= -516;
}

static __always_inline int call_opened(struct task_struct *task, struct process *p, __u64 cgroup,
                                       struct pt_regs *regs, __u64 nr, long ret)
{
    if (ret < 0 && (!failed || restarts(ret)))
        return 0;
    struct opening o = {.task = task, .leader = task->group_leader, .process = p, .cgroup = cgroup, .ret = ret};
    __u64 name = nr == NR_OPEN || nr == NR_CREAT ? regs->di : regs->si;
    if (nr == NR_OPEN)
        o.flags = regs->si;
    else if (nr == NR_OPENAT)
        o.flags = regs->dx;
    else if (nr == NR_CREAT)
        o.flags = O_CREAT_FLAGS;
    else
        bpf_probe_read_user(&o.flags, 8, (void *)regs->dx);
    o.flags = (__u32)o.flags;
    if (ret >= 0 && !opened(&o, file_at(task, ret)))
        return 0;
    return open_said(&o, (void *)name, false);
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
    // 32-bit calls have other numbers and other arguments.
    if (task->thread_info.status & TASK_COMPAT)
        return 0;
    if (wanted(CLASS_SYSCALLS)) {
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
    switch (nr) {
    case NR_OPEN:
    case NR_CREAT:
    case NR_OPENAT:
    case NR_OPENAT2:
        if (wanted(CLASS_OPEN))
            call_opened(task, p, cgroup, regs, nr, ret);
        break;
    case NR_CONNECT:
    case NR_BIND:
        if (wanted(CLASS_SOCKET) && (ret >= 0 || ret == -115 || failed) && !restarts(ret)) {
            struct socket_call c = {.task = task,
                                    .leader = leader,
                                    .process = p,
                                    .cgroup = cgroup,
                                    .ret = ret,
                                    .address = regs->si,
                                    .fd = regs->di,
                                    .bytes = regs->dx,
                                    .connect = nr == NR_CONNECT};
            socket_called(&c);
        }
        break;
    }
    return 0;
}

// Every process's set is told now, and with it the call that each thread is in: one that waits for ever would
// not be seen at its return.
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
    if (task->pid == task->tgid) {
        p->flush_epoch = control_value(CONTROL_FLUSH);
        p->used = 0;
        p->refused = 0;
        flush_calls(p, leader, p->cgroup);
    }
    return 0;
}
