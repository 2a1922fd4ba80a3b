// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Opened files: by open, openat, openat2, creat, and io_uring; and what is mapped of them to be executed.
#pragma once
#include "change.h"

#define EBUSY 16

struct open_record {
    __s64 ret;
    struct tail tail; // spare: flags
};

// `said`: what follows is what was asked for, not what it led to.
static __always_inline void print_opening(struct hash *h, const struct opening *o, bool said)
{
    __u64 how = (o->flags & 3) | (o->ret < 0) << 2 | said << 3 | !!(o->marks & MARK_MAPPED) << 4 | KIND_OPEN << 8;
    how |= (__u64)moves_until_now(o->cgroup) << 32;
    print_begin(h);
    hash_add(h, o->cgroup);
    hash_add(h, o->lineage);
    hash_add(h, how);
}

static __always_inline void put_opening(struct scratch *s, struct task_struct *task, __u32 begin, __u32 marks, __u64 now,
                                        struct seen *slot, const struct print *p)
{
    const struct opening *o = &s->opening;
    struct open_record *r = (void *)s->fixed;
    __u64 cgroup = o->cgroup;
    begin &= TEXT_MASK;
    r->ret = o->ret;
    tail_of(&r->tail, KIND_OPEN, task->group_leader, cgroup, now);
    r->tail.text = (TEXT_BYTES - begin) & TEXT_MASK;
    r->tail.marks = marks | o->marks;
    r->tail.spare = o->flags;
    if (put_text(s, begin, sizeof(*r), cgroup, CLASS_OPEN))
        remember(slot, p, now);
}

// An open of the present task's that succeeded, as the scratch has it: `file` is what it led to. Returns 1, having told
// nothing, if that lies in no directory (a pipe or a namespace opened through /proc): then what the process said says
// more.
__noinline int opened(__u64 file)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 now = bpf_ktime_get_boot_ns();
    if (!s)
        return 0;
    const struct opening *o = &s->opening;
    struct walk *w = &s->walk;
    if (!wanted(CLASS_OPEN))
        return 0;
    w->dentry = 0;
    if (file)
        path_numbers(&w->mnt, &((struct file *)file)->f_path);
    if (!w->dentry || read_above(&w->above, w->dentry)) {
        count_lost(o->cgroup, CLASS_OPEN, CAUSE_UNREADABLE);
        return 0;
    }
    struct print *p = &s->print;
    struct seen *slot;
    walk_from(w, task);
    struct hash *h = &s->hash;
    print_opening(h, o, false);
    // The dentry is the name in its directory, the mount and the root are the way there.
    print_base(h, w);
    hash_add(h, w->above.parent);
    hash_add(h, w->above.name.hash_len);
    *p = hash_end(h);
    if (admit(p, now, o->cgroup, CLASS_OPEN, &slot) == LEAVE)
        return 0;
    __u32 begin = walk_up(TEXT_BYTES);
    if ((w->marks & MARK_DETACHED) && !(o->marks & MARK_MAPPED) && (begin >= TEXT_BYTES - 1 || s->text[BOUNDED(begin, TEXT_MASK)] != '/'))
        return 1;
    put_opening(s, task, begin, w->marks, now, slot, p);
    return 0;
}

// A file as the process knows it, to read its path from: where it stands for one of an overlay, that. Which bit of a file
// says so is another one on each kernel, but what an overlay's path leads to is of an overlay.
static __noinline __u64 as_it_is_named(__u64 file)
{
    struct path path = {};
    struct inode *inode = 0;
    struct super_block *sb = 0;
    unsigned long magic = 0;
    if (!bpf_core_field_exists(struct backing_file, user_path))
        return file;
    __u64 at = file + bpf_core_field_offset(struct backing_file, user_path);
    bpf_probe_read_kernel(&path, sizeof(path), (void *)at);
    bpf_probe_read_kernel(&inode, 8, &path.dentry->d_inode);
    bpf_probe_read_kernel(&sb, 8, &inode->i_sb);
    bpf_probe_read_kernel(&magic, 8, &sb->s_magic);
    return magic == OVERLAYFS_MAGIC ? at - bpf_core_field_offset(struct file, f_path) : file;
}

// A file that is mapped to be executed by the present task, as the scratch has it but for how: that is as it was opened.
// `name` is where its path is read.
static __always_inline int mapped(struct scratch *s, __u64 file, __u64 name)
{
    struct opening *o = &s->opening;
    o->marks = MARK_MAPPED;
    o->ret = 0;
    o->flags = 0;
    if (file)
        bpf_probe_read_kernel(&o->flags, 4, &((struct file *)file)->f_flags);
    o->flags &= 3;
    return opened(name);
}

// The same where that is the file itself.
static __always_inline int mapped_from(struct scratch *s, __u64 file)
{
    return mapped(s, file, file);
}

static long file_of_mapping(struct task_struct *task, struct vm_area_struct *vma, __u64 *file)
{
    bpf_probe_read_kernel(file, 8, &vma->vm_file);
    return 0;
}

// The same for what is at an address, if that is of another file than `but`.
static __always_inline int mapped_at(struct scratch *s, struct task_struct *task, __u64 address, __u64 but)
{
    struct dentry *name = 0, *own = 0;
    __u64 file = 0;
    // Busy: somebody is changing what is mapped.
    if (bpf_find_vma(task, address, file_of_mapping, &file, 0) == -EBUSY)
        return count_lost(s->opening.cgroup, CLASS_OPEN, CAUSE_UNREADABLE);
    if (!file)
        return 0;
    __u64 named = as_it_is_named(file);
    bpf_probe_read_kernel(&name, 8, &((struct file *)named)->f_path.dentry);
    bpf_probe_read_kernel(&own, 8, &((struct file *)but)->f_path.dentry);
    return name != own ? mapped(s, file, named) : 0;
}

// An open of the present task's that failed, or whose result cannot be had. What the process said is at the scratch's
// front, where it was read to: `n` is what the read returned. A relative name is told below where it begins.
__noinline int open_said(long n)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 now = bpf_ktime_get_boot_ns();
    if (!s || !wanted(CLASS_OPEN))
        return 0;
    const struct opening *o = &s->opening;
    if (n <= 0) {
        count_lost(o->cgroup, CLASS_OPEN, CAUSE_UNREADABLE);
        return 0;
    }
    __u64 len = BOUNDED(n - 1, PATH_MAX - 1);
    __u64 begin = BOUNDED(TEXT_BYTES - len, TEXT_MASK);
    if (len)
        bpf_probe_read_kernel(s->text + begin, BOUNDED(len, PATH_MAX - 1), s->text);
    struct print *p = &s->print;
    struct seen *slot;
    struct walk *w = &s->walk;
    print_opening(&s->hash, o, true);
    bool relative = len && s->text[0] != '/' && base_of(w, task, o->base);
    if (!relative) {
        walk_from(w, task);
        w->dentry = 0;
        w->mnt = 0;
    }
    print_base(&s->hash, w);
    print_text(len);
    *p = hash_end(&s->hash);
    if (admit(p, now, o->cgroup, CLASS_OPEN, &slot) == LEAVE)
        return 0;
    if (relative)
        begin = put_base(s, begin);
    __u32 marks = MARK_USER_STRING | (n >= PATH_MAX ? MARK_CUT : 0);
    put_opening(s, task, begin, marks, now, slot, p);
    return 0;
}
