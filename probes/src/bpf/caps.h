// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Capabilities that were asked for. The kernel asks far more often than it acts, so each is told once for each
// program and flush, unless repeats are wanted.
#pragma once
#include "path.h"

struct user_namespace;

enum {
    CAP_SYS_ADMIN = 21,
    NEW_NAMESPACES = 0x7e020080, // CLONE_NEW*
    TMPFS_MAGIC = 0x01021994,
};

struct capability_record {
    struct tail tail; // spare: the capability
};

// Whether the open file `fd` takes memory as it grows: one of a tmpfs, or a memfd.
static __always_inline bool in_memory(struct task_struct *task, __u32 fd)
{
    struct inode *inode = 0;
    struct super_block *sb = 0;
    unsigned long magic = 0;
    bpf_probe_read_kernel(&inode, 8, &((struct file *)file_at(task, fd))->f_inode);
    bpf_probe_read_kernel(&sb, 8, &inode->i_sb);
    bpf_probe_read_kernel(&magic, 8, &sb->s_magic);
    return magic == TMPFS_MAGIC;
}

// Whenever memory is reserved, the kernel asks for CAP_SYS_ADMIN to know whether it may touch the last of it. That
// is no doing of the program's, and every program would have it. Told apart by the call that is under way. (Where the
// end of the function is the hook, many of these are not seen: the compiler has the function in its caller.)
static __always_inline bool about_memory(struct task_struct *task, int cap)
{
    if (cap != CAP_SYS_ADMIN)
        return false;
    struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
    __u64 flags = 0;
    switch (regs->orig_ax) {
    case (__u64)-1: // a page fault
    case 9:         // mmap
    case 10:        // mprotect
    case 12:        // brk
    case 25:        // mremap
    case 29:        // shmget
    case 57:        // fork
    case 58:        // vfork
    case 59:        // execve
    case 88:        // symlink, which a tmpfs keeps in memory
    case 266:       // symlinkat
    case 319:       // memfd_create
    case 322:       // execveat
        return true;
    case 1:   // write
    case 18:  // pwrite64
    case 20:  // writev
    case 40:  // sendfile
    case 285: // fallocate
    case 296: // pwritev
    case 328: // pwritev2
        return in_memory(task, regs->di);
    case 275: // splice
    case 326: // copy_file_range
        return in_memory(task, regs->dx);
    case 56: // clone
        return !(regs->di & NEW_NAMESPACES);
    case 435: // clone3
        bpf_probe_read_user(&flags, 8, (void *)regs->di);
        return !(flags & NEW_NAMESPACES);
    }
    return false;
}

// Whether these are the task's own credentials. An overlay checks with those of whoever mounted it, an NFS server with those
// of its client, and a file with those of whoever opened it: what those may do is no doing of the task's.
static __always_inline bool are_its_own(struct task_struct *task, __u64 credentials)
{
    __u64 own = 0;
    bpf_probe_read_kernel(&own, 8, &task->real_cred);
    return own == credentials;
}

static __always_inline int asked_for(__u64 credentials, int cap, int ret)
{
    struct task_struct *task = bpf_get_current_task_btf();
    if (task->tgid == self || cap < 0 || cap > 63 || !task->mm || !are_its_own(task, credentials) || about_memory(task, cap))
        return 0;
    struct task_struct *leader = task->group_leader;
    struct process *p = process_of(leader, true);
    __u64 cgroup = cgroup_of(task);
    if (!p) {
        count_lost(cgroup, CLASS_CAPABILITY, CAUSE_MAP_FULL);
        return 0;
    }
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

SEC("tp_btf/cap_capable")
int BPF_PROG(grove_cap_capable, const struct cred *cred, struct user_namespace *target,
             const struct user_namespace *holder, int cap, int ret)
{
    return asked_for((__u64)ctx[0], cap, ret);
}

// Before Linux 6.14 there is no such tracepoint, but the function has an end.
SEC("fexit/cap_capable")
int BPF_PROG(grove_cap_capable_old, const struct cred *cred, struct user_namespace *target, int cap,
             unsigned int options, int ret)
{
    return asked_for((__u64)ctx[0], cap, ret);
}
