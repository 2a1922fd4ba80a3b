// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Paths as the process's own root has them: from a dentry upwards, over mounts, until that root. What the
// kernel holds is walked, so no other thread can change what is read in between.
#pragma once
#include "scratch.h"

#define AT_FDCWD (-100)

static __always_inline int read_above(struct above *a, __u64 dentry)
{
    struct dentry *d = (struct dentry *)dentry;
    // One read where the two fields are neighbours, as they are everywhere so far.
    if (bpf_core_field_offset(d->d_name) == bpf_core_field_offset(d->d_parent) + 8)
        return bpf_probe_read_kernel(a, sizeof(*a), &d->d_parent);
    if (bpf_probe_read_kernel(&a->parent, 8, &d->d_parent))
        return -1;
    return bpf_probe_read_kernel(&a->name, 16, &d->d_name);
}

static __always_inline void find_mount_root(struct walk *w)
{
    bpf_probe_read_kernel(&w->mnt_root, 8, &((struct vfsmount *)w->mnt)->mnt_root);
}

// Handed from one step to the next: its place is known, the rest is in the scratch.
struct climb {
    struct scratch *s;
};

static __always_inline long end_climb(struct walk *w, __u32 mark)
{
    w->marks |= mark;
    w->done = true;
    return 1;
}

static long step_up(__u32 i, struct climb *c)
{
    struct scratch *s = c->s;
    struct walk *w = &s->walk;
    if (w->dentry == w->root_dentry && w->mnt == w->root_mnt)
        return end_climb(w, 0);
    bool adrift = false;
    if (w->dentry == w->mnt_root) {
        struct mount *m = (struct mount *)(w->mnt - bpf_core_field_offset(struct mount, mnt));
        bpf_probe_read_kernel(&w->above.parent, 8, &m->mnt_parent);
        __u64 parent = w->above.parent;
        // The root of all mounts, but not the process's: outside its view.
        if (!parent || parent == (__u64)m) {
            if (w->names)
                return end_climb(w, MARK_DETACHED);
            // The file itself was mounted, as runc does with its own program: its name is all there is.
            adrift = true;
        } else {
            bpf_probe_read_kernel(&w->dentry, 8, &m->mnt_mountpoint);
            w->mnt = parent + bpf_core_field_offset(struct mount, mnt);
            find_mount_root(w);
            return 0;
        }
    }
    if (read_above(&w->above, w->dentry))
        return end_climb(w, MARK_CUT);
    __u64 len = w->above.name.hash_len >> 32;
    __u64 at = w->at;
    if (len > 255 || at < w->floor + 256 || w->names >= COMPONENTS_MAX)
        return end_climb(w, MARK_CUT);
    __u64 to = BOUNDED(at - len, TEXT_MASK);
    if (bpf_probe_read_kernel(s->text + to, BOUNDED(len, 255), w->above.name.name))
        return end_climb(w, MARK_CUT);
    w->names++;
    if (adrift || w->above.parent == w->dentry) {
        // A file that lies in no directory (pipe, memfd): its name is all there is. A pipe's is empty, and an empty
        // text that ends where the scratch does begins there too, not at 0 as masked.
        if (len)
            w->at = to;
        return end_climb(w, MARK_DETACHED);
    }
    to = BOUNDED(to - 1, TEXT_MASK);
    s->text[to] = '/';
    w->at = to;
    w->dentry = w->above.parent;
    return 0;
}

// Writes the path of the scratch's walk's (dentry, mnt) into the scratch so that it ends at `end`; returns where it
// begins. A function of its own to the verifier, which so looks at it once and not once for every caller.
__noinline __u32 walk_up(__u32 end)
{
    struct scratch *s = my_scratch();
    if (!s || end > TEXT_BYTES)
        return end;
    struct climb c = {.s = s};
    struct walk *w = &s->walk;
    find_mount_root(w);
    w->at = end;
    w->floor = end > PATH_MAX ? end - PATH_MAX : 0;
    w->names = 0;
    w->done = false;
    w->marks = 0;
    bpf_loop(2 * COMPONENTS_MAX, step_up, &c, 0);
    if (!w->done)
        w->marks |= MARK_CUT;
    __u32 at = w->at & (2 * TEXT_BYTES - 1);
    if (at == end && !w->marks) {
        at = (end - 1) & TEXT_MASK;
        s->text[at] = '/';
    } else if ((w->marks & MARK_CUT) && at < end && s->text[BOUNDED(at, TEXT_MASK)] == '/') {
        at++; // what is missing in front must not look like the root
    }
    return at;
}

// A path as plain numbers, to where there is room for both.
static __always_inline void path_numbers(__u64 *mnt_and_dentry, const struct path *path)
{
    bpf_probe_read_kernel(mnt_and_dentry, sizeof(struct path), path);
}

static __always_inline void walk_from(struct walk *w, struct task_struct *task)
{
    path_numbers(&w->root_mnt, &task->fs->root);
}

// The open file behind `fd`, as a number to read from; 0 if there is none.
static __always_inline __u64 file_at(struct task_struct *task, __u32 fd)
{
    struct fdtable *table = task->files->fdt;
    __u64 file = 0;
    if (fd < table->max_fds)
        bpf_probe_read_kernel(&file, 8, (void *)((__u64)table->fd + 8ull * fd));
    return file;
}

static __always_inline __u32 *moves_of(__u64 cgroup)
{
    __u32 index = (cgroup * 0x9e3779b97f4a7c15) >> 52;
    return bpf_map_lookup_elem(&moves, &index);
}

// Where a relative name begins: the open directory `fd`, or (AT_FDCWD) the working directory. False if there is none.
// Either way the walk leads to the process's root.
static __always_inline bool base_of(struct walk *w, struct task_struct *task, int fd)
{
    walk_from(w, task);
    w->dentry = 0;
    w->mnt = 0;
    if (fd == AT_FDCWD) {
        path_numbers(&w->mnt, &task->fs->pwd);
    } else {
        __u64 file = file_at(task, fd);
        if (file)
            path_numbers(&w->mnt, &((struct file *)file)->f_path);
    }
    return w->dentry;
}

// How often what names lead through was moved in `cgroup`: part of what a name or a directory's address stands for.
static __always_inline __u32 moves_until_now(__u64 cgroup)
{
    __u32 *n = moves_of(cgroup);
    return n ? *n : 0;
}

static __always_inline void print_base(struct hash *h, const struct walk *w)
{
    hash_add(h, w->dentry);
    hash_add(h, w->mnt);
    hash_add(h, w->root_dentry);
}

// Names may lead elsewhere from now on.
static __always_inline void moved(__u64 cgroup, long ret)
{
    __u32 *n = ret ? 0 : moves_of(cgroup);
    if (n && window_ns)
        __sync_fetch_and_add(n, 1);
}

// Puts the base in front of the relative name that begins at `begin`; returns where the text begins then. A base that
// no path leads to is left out.
static __always_inline __u32 put_base(struct scratch *s, __u32 begin)
{
    __u32 slash = BOUNDED(begin - 1, TEXT_MASK);
    __u32 at = walk_up(slash) & TEXT_MASK;
    if (s->walk.marks)
        return begin;
    slash = BOUNDED(slash, TEXT_MASK);
    s->text[slash] = '/';
    return at + 1 == slash ? slash : at; // the root is a slash itself
}

struct text_print {
    struct scratch *s;
    __u32 len;
};

static long print_word(__u32 i, struct text_print *t)
{
    const __u64 *words = (__u64 *)t->s->text;
    __u64 word = words[i & (PATH_MAX / 8 - 1)];
    __u32 left = t->len - i * 8;
    if (left < 8)
        word &= (1ull << ((left & 7) * 8)) - 1;
    hash_add(&t->s->hash, word);
    return 0;
}

// Adds the first `len` bytes of this CPU's scratch to its print. A function of its own to the verifier: see walk_up.
__noinline int print_text(__u32 len)
{
    struct scratch *s = my_scratch();
    if (!s || len > PATH_MAX)
        return 0;
    struct text_print t = {.s = s, .len = len};
    hash_add(&s->hash, len);
    bpf_loop((len + 7) / 8, print_word, &t, 0);
    return 0;
}
