// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Processes: fork and exit. These, and exec, are the last to be left out when the ring fills.
#pragma once
#include "open.h"

enum {
    NR_EXIT = 60,
    NR_EXIT_GROUP = 231,
    THREADS_MAX = 65536, // that are looked at
};

struct fork_record {
    struct tail tail; // spare: the parent's process id, and above it the child's number in its own pid namespace
};

struct exit_record {
    struct tail tail; // spare: exit code as wait(2) has it
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
    r.tail.spare = (__u32)parent->tgid | (__u64)own_number(child) << 32;
    put(&r, sizeof(r), cgroup, CLASS_FORK);
    return 0;
}

// The threads of a process that ends, from one to the next.
struct threads {
    __u64 node;
    __u64 head;
    __u64 regs; // where a thread's registers are on its stack
    bool exits;
    bool exits_group;
};

static long look_at_thread(__u32 i, struct threads *t)
{
    struct task_struct *task = (struct task_struct *)(t->node - bpf_core_field_offset(struct task_struct, thread_node));
    __u64 stack = 0, nr = 0;
    __u32 status = 0;
    if (t->node == t->head)
        return 1;
    bpf_probe_read_kernel(&stack, 8, &task->stack);
    bpf_probe_read_kernel(&nr, 8, &((struct pt_regs *)(stack + t->regs))->orig_ax);
    bpf_probe_read_kernel(&status, 4, &task->thread_info.status);
    if (!(status & TASK_COMPAT)) {
        t->exits |= nr == NR_EXIT;
        t->exits_group |= nr == NR_EXIT_GROUP;
    }
    if (bpf_probe_read_kernel(&t->node, 8, (void *)t->node))
        return 1;
    return 0;
}

// Notes the calls by which other threads are on their way out and have not come by here: who waited for one may be
// quicker to end the process than that is to end, and the other way round.
static __noinline int note_exits(struct task_struct *task, struct process *p, struct pt_regs *regs)
{
    struct threads t = {};
    if (!p)
        return 0;
    struct signal_struct *signal = task->signal;
    __u64 at = 0, stack = (__u64)task->stack;
    // Pointers as numbers.
    bpf_probe_read_kernel(&at, 8, &regs);
    bpf_probe_read_kernel(&t.head, 8, &signal);
    t.regs = at - stack;
    t.head += bpf_core_field_offset(struct signal_struct, thread_head);
    if (bpf_probe_read_kernel(&t.node, 8, (void *)t.head))
        return 0;
    bpf_loop(THREADS_MAX, look_at_thread, &t, 0);
    if (t.exits)
        note_call(p, NR_EXIT);
    if (t.exits_group)
        note_call(p, NR_EXIT_GROUP);
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
        if (last && task->signal->nr_threads > 1)
            note_exits(task, p, regs);
        if (goes)
            flush_calls(p, leader, cgroup);
    }
    if (last)
        tell_flows_of(p, leader);
    if (!last || !wanted(CLASS_EXIT))
        return 0;
    struct exit_record r = {};
    tail_of(&r.tail, KIND_EXIT, leader, cgroup, bpf_ktime_get_boot_ns());
    __u32 code = task->signal->group_exit_code;
    r.tail.spare = code ? code : (__u32)task->exit_code;
    put(&r, sizeof(r), cgroup, CLASS_EXIT);
    return 0;
}
