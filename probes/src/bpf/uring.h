// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Files opened through io_uring, which never come by as system calls. A request is remembered when it is submitted
// and told when it has ended, since only then there is a result and an open file to walk up from.
#pragma once
#include "calls.h"

enum {
    URING_OPENAT = 18,
    URING_OPENAT2 = 28,
    URING_SKIP_SUCCESS = 1 << 6, // the request's flags begin with those of its submission
    URING_NAME_MAX = 256,
    URING_REQUESTS = 4096,
};

struct uring_open {
    __u64 flags;
    __u32 slot; // not 0: the file goes to the ring's own table, where it cannot be looked up
    __u32 spare;
    char name[URING_NAME_MAX];
};

// By the request's address, which is used again only after its end.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, URING_REQUESTS);
    __type(key, __u64);
    __type(value, struct uring_open);
} uring_opens SEC(".maps");

static __always_inline struct process *uring_process(struct task_struct *task, __u64 cgroup)
{
    if (task->tgid == self)
        return 0;
    struct process *p = process_of(task->group_leader, true);
    if (!p) {
        count_lost(cgroup, CLASS_OPEN, CAUSE_MAP_FULL);
        return 0;
    }
    return in_scope(p, task->tgid, cgroup) ? p : 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(grove_uring, struct io_kiocb *req)
{
    __u8 opcode = req->opcode;
    if (opcode != URING_OPENAT && opcode != URING_OPENAT2)
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 cgroup = cgroup_of(task);
    struct process *p = uring_process(task, cgroup);
    if (!p)
        return 0;
    struct io_open *open = (struct io_open *)req;
    struct filename *filename = 0;
    const char *name = 0;
    struct opening o = {
        .task = task, .leader = task->group_leader, .process = p, .cgroup = cgroup, .marks = MARK_URING};
    bpf_probe_read_kernel(&filename, 8, &open->filename);
    bpf_probe_read_kernel(&name, 8, &filename->name);
    bpf_probe_read_kernel(&o.flags, 8, &open->how.flags);
    o.flags = (__u32)o.flags;
    // Where no end will be seen, what was asked for is all there is.
    if (!control_value(CONTROL_URING) || (req->flags & URING_SKIP_SUCCESS))
        return open_said(&o, name, true);
    struct uring_open asked = {.flags = o.flags};
    __u64 key = 0;
    bpf_probe_read_kernel(&key, 8, &ctx[0]); // the pointer as a number
    bpf_probe_read_kernel(&asked.slot, 4, &open->file_slot);
    bpf_probe_read_kernel_str(asked.name, sizeof(asked.name), name);
    if (bpf_map_update_elem(&uring_opens, &key, &asked, BPF_ANY))
        count_lost(cgroup, CLASS_OPEN, CAUSE_MAP_FULL);
    return 0;
}

// In the middle of kernels' history this had other arguments; there it does not load, and is done without.
SEC("tp_btf/io_uring_complete")
int BPF_PROG(grove_uring_end, struct io_ring_ctx *of, void *req, struct io_uring_cqe *cqe)
{
    __u64 key = (__u64)req;
    struct uring_open *asked = bpf_map_lookup_elem(&uring_opens, &key);
    if (!asked)
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 cgroup = cgroup_of(task);
    struct process *p = uring_process(task, cgroup);
    if (p) {
        struct opening o = {.task = task,
                            .leader = task->group_leader,
                            .process = p,
                            .cgroup = cgroup,
                            .flags = asked->flags,
                            .ret = cqe->res,
                            .marks = MARK_URING};
        if (asked->name[URING_NAME_MAX - 2])
            o.marks |= MARK_CUT;
        bool told = o.ret < 0 && !failed;
        if (o.ret >= 0 && !asked->slot)
            told = !opened(&o, file_at(task, o.ret));
        if (!told)
            open_said(&o, asked->name, true);
    }
    bpf_map_delete_elem(&uring_opens, &key);
    return 0;
}
