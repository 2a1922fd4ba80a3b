// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which process this is, whether anybody wants to hear of it, and what is kept about it. A process is its
// thread-group leader: threads share one `struct process`.
#pragma once
#include "deliver.h"

#define TASK_COMPAT 0x2 // thread_info.status: in a 32-bit system call

struct syscalls_record {
    __u64 calls[8];
    struct tail tail;
};

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
    return task->cgroups->dfl_cgrp->kn->id;
}

// The process's number in its own pid namespace: what it is called in the `/proc` of that.
static __always_inline __u32 own_number(struct task_struct *leader)
{
    struct pid *pid = 0;
    __u32 level = 0, number = 0;
    bpf_probe_read_kernel(&pid, 8, &leader->thread_pid);
    bpf_probe_read_kernel(&level, 4, &pid->level);
    __u64 at = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
    bpf_probe_read_kernel(&number, 4, (void *)pid + at + bpf_core_field_offset(struct upid, nr));
    return number;
}

static __always_inline __u32 control_value(__u32 index)
{
    __u32 *v = bpf_map_lookup_elem(&control, &index);
    return v ? *v : 0;
}

static __always_inline bool cgroup_in_scope(__u64 cgroup)
{
    __u32 *mark = bpf_map_lookup_elem(&cgroups, &cgroup);
    if (scope == SCOPE_CGROUPS)
        return mark && *mark == CGROUP_INCLUDED;
    return !mark || *mark != CGROUP_EXCLUDED;
}

static __always_inline bool scope_covers(struct process *p, __u32 tgid, __u64 cgroup)
{
    if (scope == SCOPE_DESCENDANTS) {
        if (!p->followed && bpf_map_lookup_elem(&followed, &tgid))
            p->followed = 1;
        return p->followed;
    }
    return cgroup_in_scope(cgroup);
}

// Seen first in the middle of its life: nothing is known of a process's descent, so it shares it with nobody.
static __noinline __u64 lineage_of_its_own(__u64 start, __u64 tgid)
{
    struct hash h;
    print_begin(&h);
    hash_add(&h, start);
    hash_add(&h, tgid);
    return hash_end(&h).a | 1;
}

// What is known of `leader`'s process, made on first sight. None if there is no memory for it.
static __always_inline struct process *process_of(struct task_struct *leader, bool make)
{
    struct process *p = bpf_task_storage_get(&processes, leader, 0, make ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
    if (p && !p->lineage)
        p->lineage = lineage_of_its_own(leader->start_boottime, leader->tgid);
    return p;
}

// Whether `p` is to be told about. The answer is kept until a scope changes or the process changes cgroup.
static __always_inline bool in_scope(struct process *p, __u32 tgid, __u64 cgroup)
{
    __u32 epoch = control_value(CONTROL_SCOPE);
    if (p->cgroup != cgroup || p->scope_epoch != epoch) {
        p->in_scope = scope_covers(p, tgid, cgroup);
        p->cgroup = cgroup;
        p->scope_epoch = epoch;
    }
    return p->in_scope && !p->own;
}

static __always_inline void tail_of(struct tail *t, enum kind kind, struct task_struct *leader, __u64 cgroup,
                                    __u64 now)
{
    t->at = now;
    t->cgroup = cgroup;
    t->start = leader->start_boottime;
    t->pid = leader->tgid;
    t->text = 0;
    t->kind = kind;
    t->marks = 0;
    t->spare = 0;
}

// Tells the system calls gathered so far and begins a new set. A function of its own, so that its record takes no stack
// where others are called.
static __noinline int flush_calls(struct process *p, struct task_struct *leader, __u64 cgroup)
{
    struct syscalls_record r = {};
    __u64 any = 0;
    for (int i = 0; i < 8; i++) {
        // Other threads add to it meanwhile: what they add is in this set or in the next.
        if (p->calls[i])
            r.calls[i] = __sync_lock_test_and_set(&p->calls[i], 0);
        any |= r.calls[i];
    }
    if (!any)
        return 0;
    tail_of(&r.tail, KIND_SYSCALLS, leader, cgroup, bpf_ktime_get_boot_ns());
    if (admit_new(cgroup, CLASS_SYSCALLS) == DELIVER && put(&r, sizeof(r), cgroup, CLASS_SYSCALLS))
        return 0;
    // The set is lost, but not what is in it if there is another: some calls are made only once.
    for (int i = 0; i < 8; i++) {
        if (r.calls[i])
            __sync_fetch_and_or(&p->calls[i], r.calls[i]);
    }
    return 0;
}

static __always_inline void note_call(struct process *p, __u64 nr)
{
    __u64 bit = 1ull << (nr & 63);
    __u64 *word = &p->calls[(nr >> 6) & 7];
    if (nr < 512 && !(*word & bit))
        __sync_fetch_and_or(word, bit);
}
