// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Processes: fork and exit. These, and exec, are the last to be left out when the ring fills.
#pragma once
#include "open.h"

enum {
    NR_EXIT = 60,
    NR_EXIT_GROUP = 231,
};

SEC("tp_btf/sched_process_fork")
int BPF_PROG(grove_fork, struct task_struct *parent, struct task_struct *child)
{
    __u64 cgroup = cgroup_of(child);
    struct process *of = process_of(parent->group_leader, true);
    struct process *p = bpf_task_storage_get(&processes, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    bool thread = child->pid != child->tgid;
    if (!p || !of) {
        if (!thread)
            count_lost(cgroup, CLASS_FORK, CAUSE_MAP_FULL);
        return 0;
    }
    if (scope == SCOPE_DESCENDANTS)
        scope_covers(of, parent->tgid, cgroup);
    p->lineage = of->lineage;
    p->followed = of->followed;
    p->own = of->own || parent->tgid == self;
    p->flush_epoch = control_value(CONTROL_FLUSH);
    p->root = of->root;
    p->mnt_ns = of->mnt_ns;
    p->entered = of->entered;
    if (thread) {
        // No process of its own, but it becomes the leader if it is the one that executes a program.
        p->chained = of->chained;
        return 0;
    }
    if (scope == SCOPE_DESCENDANTS && p->followed) {
        __u32 tgid = child->tgid, one = 1;
        if (bpf_map_update_elem(&followed, &tgid, &one, BPF_ANY))
            count_lost(cgroup, CLASS_DNS, CAUSE_MAP_FULL); // all that it will ask
    }
    if (!wanted(CLASS_FORK) || !in_scope(p, child->tgid, cgroup))
        return 0;
    struct fork_record r = {};
    tail_of(&r.tail, KIND_FORK, child, cgroup, bpf_ktime_get_boot_ns());
    r.tail.spare = parent->tgid;
    put(&r, sizeof(r), cgroup, CLASS_FORK);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(grove_exit, struct task_struct *task)
{
    struct task_struct *leader = task->group_leader;
    // Only the last thread ends the process; the leader takes along what it kept, though. The others are of interest for
    // the call by which a thread ends, and a process: it does not return, so it is seen here.
    bool last = !task->signal->live.counter;
    bool goes = last || task == leader;
    struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
    __u64 nr = regs->orig_ax;
    bool called = !(task->thread_info.status & TASK_COMPAT) && (nr == NR_EXIT || nr == NR_EXIT_GROUP);
    if (task->tgid == self || !(goes || (called && wanted(CLASS_SYSCALLS))))
        return 0;
    __u64 cgroup = cgroup_of(task);
    struct process *p = process_of(leader, true);
    if (!p) {
        count_lost(cgroup, goes ? CLASS_EXIT : CLASS_SYSCALLS, CAUSE_MAP_FULL);
        return 0;
    }
    if (!in_scope(p, task->tgid, cgroup) || (last && __sync_lock_test_and_set(&p->ended, 1)))
        return 0;
    if (last && scope == SCOPE_DESCENDANTS) {
        __u32 tgid = task->tgid;
        bpf_map_delete_elem(&followed, &tgid);
    }
    if (wanted(CLASS_SYSCALLS)) {
        if (called)
            note_call(p, nr);
        if (goes)
            flush_calls(p, leader, cgroup);
    }
    if (!last || !wanted(CLASS_EXIT))
        return 0;
    struct exit_record r = {};
    tail_of(&r.tail, KIND_EXIT, leader, cgroup, bpf_ktime_get_boot_ns());
    __u32 code = task->signal->group_exit_code;
    r.tail.spare = code ? code : (__u32)task->exit_code;
    put(&r, sizeof(r), cgroup, CLASS_EXIT);
    return 0;
}
