// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// File systems that were mounted: by mount, and by move_mount, which puts in its place what fsmount or open_tree has made.
#pragma once
#include "change.h"

enum {
    FSTYPE_BYTES = 64,
    MS_RDONLY = 1,
    MS_NOSUID = 2,
    MS_NODEV = 4,
    MS_NOEXEC = 8,
    MS_REMOUNT = 32,
    MS_NOATIME = 1024,
    MS_NODIRATIME = 2048,
    MS_BIND = 4096,
    MS_MOVE = 8192,
    MS_UNBINDABLE = 1 << 17, // this and the next three change who hears of what is mounted below
    MS_PRIVATE = 1 << 18,
    MS_SLAVE = 1 << 19,
    MS_SHARED = 1 << 20,
    MS_RELATIME = 1 << 21,
    MNT_NOSUID = 1, // and the same of a mount
    MNT_NODEV = 2,
    MNT_NOEXEC = 4,
    MNT_NOATIME = 8,
    MNT_NODIRATIME = 16,
    MNT_RELATIME = 32,
    MNT_READONLY = 64,
    MOVE_MOUNT_F_EMPTY_PATH = 4,
    MADE_MOUNTS = 1024,
};

#define MS_MAGIC 0xc0ed0000 // in the upper half, flags mean nothing
#define MS_OF_NO_TYPE (MS_REMOUNT | MS_BIND | MS_MOVE | MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED)

// Texts in this order: what was mounted, where.
struct mount_record {
    __s64 ret;
    char fstype[FSTYPE_BYTES]; // ends with a zero; empty where there is none
    __u16 source_bytes;
    __u8 source_marks;
    __u8 pad[5];
    struct tail tail; // spare: flags
};

// Mounts that fsmount has made and move_mount has not put anywhere so far: those of open_tree show what is mounted already.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MADE_MOUNTS);
    __type(key, __u64);
    __type(value, __u32);
} made_mounts SEC(".maps");

static __always_inline __u64 mount_behind(struct task_struct *task, __u32 fd)
{
    __u64 file = file_at(task, fd), mnt = 0;
    if (file)
        bpf_probe_read_kernel(&mnt, 8, &((struct file *)file)->f_path.mnt);
    return mnt;
}

static __always_inline int mount_made(struct task_struct *task, __s64 fd)
{
    __u64 mnt = fd < 0 ? 0 : mount_behind(task, fd);
    __u32 made = 1;
    if (mnt)
        bpf_map_update_elem(&made_mounts, &mnt, &made, BPF_ANY);
    return 0;
}

static __always_inline __u32 flags_of_mount(__u32 mnt)
{
    return (mnt & MNT_NOSUID ? MS_NOSUID : 0) | (mnt & MNT_NODEV ? MS_NODEV : 0) | (mnt & MNT_NOEXEC ? MS_NOEXEC : 0) |
           (mnt & MNT_NOATIME ? MS_NOATIME : 0) | (mnt & MNT_NODIRATIME ? MS_NODIRATIME : 0) |
           (mnt & MNT_RELATIME ? MS_RELATIME : 0) | (mnt & MNT_READONLY ? MS_RDONLY : 0);
}

// What a mount itself says of its type, its source and its flags.
__noinline int read_mount(__u64 mnt)
{
    struct scratch *s = my_scratch();
    if (!s)
        return 0;
    struct mount_record *r = (void *)s->fixed;
    struct mount *m = mount_of(mnt);
    struct super_block *sb = 0;
    struct file_system_type *type = 0;
    const char *name = 0;
    __u32 flags = 0;
    bpf_probe_read_kernel(&flags, 4, &((struct vfsmount *)mnt)->mnt_flags);
    s->mount_flags = flags_of_mount(flags);
    if (!bpf_map_lookup_elem(&made_mounts, &mnt)) {
        s->mount_flags |= MS_BIND;
        return 0;
    }
    bpf_map_delete_elem(&made_mounts, &mnt);
    bpf_probe_read_kernel(&sb, 8, &((struct vfsmount *)mnt)->mnt_sb);
    bpf_probe_read_kernel(&type, 8, &sb->s_type);
    bpf_probe_read_kernel(&name, 8, &type->name);
    bpf_probe_read_kernel_str(r->fstype, FSTYPE_BYTES, name);
    bpf_probe_read_kernel(&name, 8, &m->mnt_devname);
    bpf_probe_read_kernel_str(s->text + KEPT_FROM_TEXT, PATH_MAX, name);
    s->change.from = KEPT_FROM_TEXT;
    return 0;
}

// Reads what was mounted to where the second name of a change is, and makes it part of the print; returns its bytes.
static __noinline __u32 read_source(void)
{
    struct scratch *s = my_scratch();
    if (!s || !s->change.from)
        return 0;
    long n = read_said(s, s->change.from);
    if (n <= 0)
        return 0;
    bpf_probe_read_kernel(s->text + FROM_TEXT, BOUNDED(n, 2 * PATH_MAX - 1), s->text);
    print_text(BOUNDED(n - 1, PATH_MAX - 1));
    return BOUNDED(n - 1, PATH_MAX - 1);
}

static __noinline int put_mount(__u32 begin, __u32 path, __u32 marks)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    if (!s)
        return 0;
    struct change *c = &s->change;
    struct mount_record *r = (void *)s->fixed;
    __u32 index = s->print.a & (SEEN_SLOTS - 1);
    r->ret = c->ret;
    r->source_bytes = (path - begin) & TEXT_MASK;
    r->source_marks = c->from_marks;
    __builtin_memset(r->pad, 0, sizeof(r->pad));
    tail_of(&r->tail, KIND_MOUNT, task->group_leader, c->cgroup, bpf_ktime_get_boot_ns());
    r->tail.text = (TEXT_BYTES - path) & TEXT_MASK;
    r->tail.marks = marks;
    r->tail.spare = s->mount_flags;
    if (put_text(s, begin & TEXT_MASK, sizeof(*r), c->cgroup, CLASS_MOUNT))
        remember(bpf_map_lookup_elem(&told, &index), &s->print, r->tail.at);
    return 0;
}

static __noinline int print_mount(void)
{
    struct scratch *s = my_scratch();
    if (!s)
        return 0;
    const struct change *c = &s->change;
    const __u64 *type = (const __u64 *)((struct mount_record *)s->fixed)->fstype;
    struct hash *h = &s->hash;
    print_begin(h);
    hash_add(h, c->cgroup);
    hash_add(h, c->lineage);
    hash_add(h, (c->ret < 0) | KIND_MOUNT << 8 | (__u64)s->mount_flags << 32);
    hash_add(h, moves_until_now(c->cgroup));
    for (__u32 i = 0; i < FSTYPE_BYTES / 8; i++)
        hash_add(h, type[i]);
    return 0;
}

// A mount by the present task: the scratch has its names as a change's, `mnt` is what was put in its place, if that is known.
__noinline int mounted(__u64 mnt)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    struct seen *slot;
    __u32 marks, begin, path;
    long n = 0;
    if (!s)
        return 0;
    struct change *c = &s->change;
    struct walk *w = &s->walk;
    print_mount();
    __u32 source = read_source();
    if (mnt) {
        walk_from(w, task);
        w->mnt = mnt;
        find_mount_root(w);
        w->dentry = w->mnt_root;
        hash_add(&s->hash, mnt);
    } else {
        c->kept = false;
        n = read_name(c->path, c->base);
        if (n <= 0) {
            if (c->ret >= 0)
                count_lost(c->cgroup, CLASS_MOUNT, CAUSE_UNREADABLE);
            return 0;
        }
    }
    end_print();
    if (admit(&s->print, bpf_ktime_get_boot_ns(), c->cgroup, CLASS_MOUNT, &slot) == LEAVE)
        return 0;
    path = mnt ? walk_up(TEXT_BYTES) : put_name(0, BOUNDED(n - 1, PATH_MAX - 1), TEXT_BYTES);
    marks = w->marks;
    c->from_marks = 0;
    begin = source ? put_from(s, task, source, path) : path;
    return put_mount(begin, path, marks);
}

// A call that mounts something.
static __always_inline int call_mounted(struct scratch *s, struct task_struct *task)
{
    const struct call *call = &s->call;
    struct change *c = &s->change;
    struct mount_record *r = (void *)s->fixed;
    const __u64 *a = call->a;
    __u64 mnt = 0;
    if (call->ret < 0 && !failure_told(call->ret))
        return 0;
    c->ret = call->ret;
    c->kept = false;
    c->follow = true;
    c->from_follow = true;
    c->from_is_text = true;
    c->from_base = AT_FDCWD;
    c->from = 0;
    c->from_file = 0;
    __builtin_memset(r->fstype, 0, FSTYPE_BYTES);
    if (call->nr == NR_MOVE_MOUNT) {
        change_at(c, a[2], a[3]);
        if (!(a[4] & MOVE_MOUNT_F_EMPTY_PATH)) {
            s->mount_flags = MS_MOVE;
            change_from(c, a[0], a[1]);
            c->from_is_text = false;
            c->from_follow = false;
        } else {
            // Where it failed, the same mount may still be put in its place.
            mnt = call->ret < 0 ? 0 : mount_behind(task, a[0]);
            s->mount_flags = 0;
            c->kept = true;
            if (mnt)
                read_mount(mnt);
        }
        return mounted(mnt);
    }
    __u64 flags = a[3];
    if ((flags & 0xffff0000) == MS_MAGIC)
        flags &= 0xffff;
    s->mount_flags = flags;
    change_at(c, AT_FDCWD, a[1]);
    // A change of an existing mount has no source, whatever is said.
    if (!(flags & (MS_REMOUNT | MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED)))
        c->from = a[0];
    if (flags & MS_OF_NO_TYPE) {
        c->from_is_text = false;
        c->from_follow = !(flags & MS_MOVE);
    } else {
        bpf_probe_read_user_str(r->fstype, FSTYPE_BYTES, (void *)a[2]);
    }
    return mounted(0);
}
