// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Processes: fork, exec, exit. These are the last to be left out when the ring fills.
#pragma once
#include "open.h"

#define OVERLAYFS_MAGIC 0x794c7630

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

// Whether an overlay's file lies on its upper layer: written since the image was unpacked.
static __always_inline bool on_upper_layer(struct inode *inode)
{
    if (inode->i_sb->s_magic != OVERLAYFS_MAGIC)
        return false;
    __u64 upper = 0;
    // Where overlayfs is a module its types are not in the kernel's BTF; the field has always followed the inode.
    if (bpf_core_field_exists(struct ovl_inode, __upperdentry))
        bpf_probe_read_kernel(&upper, 8,
                              (void *)((__u64)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode) +
                                       bpf_core_field_offset(struct ovl_inode, __upperdentry)));
    else
        bpf_probe_read_kernel(&upper, 8, (void *)((__u64)inode + bpf_core_type_size(struct inode)));
    return upper;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(grove_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    struct task_struct *leader = task->group_leader;
    if (task->tgid == self)
        return 0;
    __u64 cgroup = cgroup_of(task);
    struct process *p = process_of(leader, true);
    struct scratch *s = my_scratch();
    if (!p || !s) {
        count_lost(cgroup, CLASS_EXEC, CAUSE_MAP_FULL);
        return 0;
    }
    bool own = p->own;
    p->own = 0;
    bool tell = in_scope(p, task->tgid, cgroup);
    if (tell && !own && wanted(CLASS_SYSCALLS)) {
        // The call belongs to the program that made it, which is over when it returns.
        struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
        if (!(task->thread_info.status & TASK_COMPAT))
            note_call(p, regs->orig_ax);
        flush_calls(p, leader, cgroup);
    }
    for (int i = 0; i < 8; i++)
        p->calls[i] = 0;
    p->used = 0;
    p->refused = 0;

    struct file *file = bprm->file;
    struct inode *inode = file->f_inode;
    struct exec_record *r = (void *)s->fixed;
    struct walk *w = &s->walk;
    walk_from(w, task);
    path_numbers(&w->dentry, &w->mnt, &file->f_path);
    __u32 begin = walk_up(TEXT_BYTES) & TEXT_MASK;
    tail_of(&r->tail, KIND_EXEC, leader, cgroup, bpf_ktime_get_boot_ns());
    r->tail.text = (TEXT_BYTES - begin) & TEXT_MASK;
    __u32 marks = w->marks;

    // Who it is from now on: what it was, whether it forked in between, and what it runs.
    struct print l;
    print_begin(&l);
    print_add(&l, p->lineage);
    print_add(&l, p->chained);
    print_add(&l, w->print.a);
    print_add(&l, inode->i_ino);
    print_add(&l, inode->i_sb->s_dev);

    __u32 end = begin;
    path_numbers(&w->dentry, &w->mnt, &task->fs->pwd);
    begin = walk_up(end) & TEXT_MASK;
    if (w->marks)
        begin = end; // no directory to resolve anything against
    r->cwd_bytes = (end - begin) & TEXT_MASK;

    r->script_bytes = 0;
    // Both are the same string until a script's first line, or binfmt_misc, puts another program in place.
    if (bprm->filename != bprm->interp) {
        long n = bpf_probe_read_kernel_str(s->text, PATH_MAX, bprm->filename);
        if (n > 1) {
            __u64 len = BOUNDED(n - 1, PATH_MAX - 1);
            begin = (begin - len) & TEXT_MASK;
            bpf_probe_read_kernel(s->text + BOUNDED(begin, TEXT_MASK), BOUNDED(len, PATH_MAX - 1), s->text);
            r->script_bytes = len;
            print_text(&l, len);
        }
    }

    struct mm_struct *mm = task->mm;
    __u64 from = mm->arg_start, have = mm->arg_end - from;
    __u64 argv = have;
    if (have > ARGV_MAX) {
        argv = ARGV_MAX;
        marks |= MARK_ARGV_CUT;
    }
    r->argv_bytes = 0;
    if (argv && argv <= ARGV_MAX) {
        __u64 to = BOUNDED(begin - argv, TEXT_MASK);
        if (!bpf_probe_read_user(s->text + to, BOUNDED(argv, 2 * ARGV_MAX - 1), (void *)from)) {
            begin = to;
            r->argv_bytes = argv;
            // The first tells the programs of a multi-call binary apart.
            __u32 len = argv < PATH_MAX ? argv : PATH_MAX;
            if (!arguments) {
                long n = bpf_probe_read_kernel_str(s->text, PATH_MAX, s->text + BOUNDED(to, TEXT_MASK));
                len = n > 0 ? n : 0;
            } else {
                bpf_probe_read_kernel(s->text, BOUNDED(len, 2 * PATH_MAX - 1), s->text + BOUNDED(to, TEXT_MASK));
                if (len < have) {
                    // Arguments beyond are not compared: this process shares its descent with nobody.
                    print_add(&l, leader->start_boottime);
                    print_add(&l, leader->tgid);
                }
            }
            print_text(&l, len);
        } else {
            marks |= MARK_ARGV_CUT;
        }
    }
    p->lineage = l.a | 1;
    p->chained = 1;
    if (!tell || !wanted(CLASS_EXEC))
        return 0;

    if (!inode->i_nlink)
        marks |= MARK_FILELESS;
    if (on_upper_layer(inode))
        marks |= MARK_UPPER;
    r->inode = inode->i_ino;
    r->device = inode->i_sb->s_dev;
    r->ppid = task->real_parent->tgid;
    r->uid = task->cred->euid.val;
    r->gid = task->cred->egid.val;
    r->tail.marks = marks;
    put_text(s, begin, sizeof(*r), cgroup, CLASS_EXEC);
    return 0;
}
