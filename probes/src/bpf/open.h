// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Opened files: by open, openat, openat2, creat, and io_uring.
#pragma once
#include "path.h"

#define MAX_ERRNO 4095

// What is left of `bytes` of text ending in the scratch's fixed part, as a record's size.
#define RECORD_BYTES(begin, fixed) (((TEXT_BYTES - (begin)) & TEXT_MASK) + sizeof(fixed))

struct opening {
    struct task_struct *task;
    struct task_struct *leader;
    struct process *process;
    __u64 cgroup;
    __u64 flags;
    __s64 ret;
    __u32 marks;
    __s32 base; // the directory that a relative name begins at
};

static __always_inline void print_opening(struct print *p, const struct opening *o)
{
    print_begin(p);
    print_add(p, o->cgroup);
    print_add(p, o->process->lineage);
    print_add(p, (o->flags & 3) | (o->ret < 0 ? 4 : 0));
    print_moves(p, o->cgroup);
}

static __always_inline void put_opening(const struct opening *o, struct scratch *s, __u32 begin, __u32 marks,
                                        __u64 now, struct seen *slot, const struct print *p)
{
    struct open_record *r = (void *)s->fixed;
    begin &= TEXT_MASK;
    r->ret = o->ret;
    tail_of(&r->tail, KIND_OPEN, o->leader, o->cgroup, now);
    r->tail.text = (TEXT_BYTES - begin) & TEXT_MASK;
    r->tail.marks = marks | o->marks;
    r->tail.spare = o->flags;
    if (put(s->text + begin, RECORD_BYTES(begin, *r), o->cgroup, CLASS_OPEN))
        remember(slot, p, now);
}

// An open that succeeded: `file` is what it led to. Returns 1, having told nothing, if that lies in no directory
// (a pipe or a namespace opened through /proc): then what the process said says more.
static __noinline int opened(struct opening *o, __u64 file)
{
    struct scratch *s = my_scratch();
    __u64 now = bpf_ktime_get_boot_ns();
    struct path path = {};
    struct above a = {};
    if (!s)
        return 0;
    if (!file || bpf_probe_read_kernel(&path, sizeof(path), &((struct file *)file)->f_path) ||
        read_above(&a, (__u64)path.dentry)) {
        count_lost(o->cgroup, CLASS_OPEN, CAUSE_UNREADABLE);
        return 0;
    }
    struct print p;
    struct seen *slot;
    struct walk w = {};
    walk_from(&w, o->task);
    w.dentry = (__u64)path.dentry;
    w.mnt = (__u64)path.mnt;
    print_opening(&p, o);
    // The dentry is the name in its directory, the mount and the root are the way there.
    print_add(&p, w.dentry);
    print_add(&p, w.mnt);
    print_add(&p, a.parent);
    print_add(&p, a.name.hash_len);
    print_add(&p, w.root_dentry);
    if (admit(&p, now, o->cgroup, CLASS_OPEN, &slot) == LEAVE)
        return 0;
    __u32 begin = walk_up(&w, TEXT_BYTES);
    if ((w.marks & MARK_DETACHED) && (begin >= TEXT_BYTES - 1 || s->text[begin & TEXT_MASK] != '/'))
        return 1;
    put_opening(o, s, begin, w.marks, now, slot, &p);
    return 0;
}

// An open that failed, or whose result cannot be had: `name` is what the process said, in its own memory
// or (`kernel`) in the kernel's copy. A relative one is told below where it begins.
static __noinline int open_said(struct opening *o, const void *name, bool kernel)
{
    struct scratch *s = my_scratch();
    __u64 now = bpf_ktime_get_boot_ns();
    if (!s)
        return 0;
    // Read to the front first: only then its length is known.
    long n = kernel ? bpf_probe_read_kernel_str(s->text, PATH_MAX, name)
                    : bpf_probe_read_user_str(s->text, PATH_MAX, name);
    if (n <= 0) {
        count_lost(o->cgroup, CLASS_OPEN, CAUSE_UNREADABLE);
        return 0;
    }
    __u32 len = (n - 1) & (PATH_MAX - 1);
    __u32 begin = (TEXT_BYTES - len) & TEXT_MASK;
    if (len)
        bpf_probe_read_kernel(s->text + begin, len, s->text);
    struct print p;
    struct seen *slot;
    print_opening(&p, o);
    print_add(&p, len);
    struct walk w = {};
    bool relative = len && s->text[0] != '/' && base_of(&w, o->task, o->base);
    if (!relative)
        walk_from(&w, o->task);
    print_base(&p, &w);
    print_text(&p, len);
    if (admit(&p, now, o->cgroup, CLASS_OPEN, &slot) == LEAVE)
        return 0;
    if (relative)
        begin = put_base(&w, s, begin);
    __u32 marks = MARK_USER_STRING | (n >= PATH_MAX ? MARK_CUT : 0);
    put_opening(o, s, begin, marks, now, slot, &p);
    return 0;
}
