// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Capabilities that were asked for. The kernel asks far more often than it acts, so each is told once for each
// program and flush, unless repeats are wanted.
#pragma once
#include "process.h"

struct user_namespace;

SEC("tp_btf/cap_capable")
int BPF_PROG(grove_cap_capable, const struct cred *cred, struct user_namespace *target,
             const struct user_namespace *holder, int cap, int ret)
{
    struct task_struct *task = bpf_get_current_task_btf();
    if (task->tgid == self || cap < 0 || cap > 63 || !task->mm)
        return 0;
    struct task_struct *leader = task->group_leader;
    struct process *p = process_of(leader, true);
    if (!p)
        return 0;
    __u64 cgroup = cgroup_of(task);
    if (!in_scope(p, task->tgid, cgroup))
        return 0;
    __u64 bit = 1ull << cap;
    __u64 *told_of = ret ? &p->refused : &p->used;
    if (window_ns && (*told_of & bit)) {
        count_lost(cgroup, CLASS_CAPABILITY, CAUSE_REPEAT);
        return 0;
    }
    if (admit_new(cgroup, CLASS_CAPABILITY) == LEAVE)
        return 0;
    struct capability_record r = {};
    tail_of(&r.tail, KIND_CAPABILITY, leader, cgroup, bpf_ktime_get_boot_ns());
    r.tail.marks = ret ? MARK_REFUSED : 0;
    r.tail.spare = cap;
    if (put(&r, sizeof(r), cgroup, CLASS_CAPABILITY))
        __sync_fetch_and_or(told_of, bit);
    return 0;
}
