// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Files opened through io_uring, which never come by as system calls.
#pragma once
#include "calls.h"

enum {
    URING_OPENAT = 18,
    URING_OPENAT2 = 28,
};

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(grove_uring, struct io_kiocb *req)
{
    __u8 opcode = req->opcode;
    if (opcode != URING_OPENAT && opcode != URING_OPENAT2)
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    if (task->tgid == self)
        return 0;
    struct task_struct *leader = task->group_leader;
    struct process *p = process_of(leader, true);
    if (!p)
        return 0;
    __u64 cgroup = cgroup_of(task);
    if (!in_scope(p, task->tgid, cgroup))
        return 0;
    __u64 name = 0, file_name = 0;
    struct io_open *open = (struct io_open *)req;
    struct opening o = {.task = task, .leader = leader, .process = p, .cgroup = cgroup, .marks = MARK_URING};
    bpf_probe_read_kernel(&file_name, 8, &open->filename);
    bpf_probe_read_kernel(&name, 8, &((struct filename *)file_name)->name);
    bpf_probe_read_kernel(&o.flags, 8, &open->how.flags);
    o.flags = (__u32)o.flags;
    open_said(&o, (void *)name, true);
    return 0;
}
