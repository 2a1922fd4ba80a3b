// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Names that came to be or went, and files that were changed without being opened. A call that is given names leaves none
// behind in the kernel, so where they lead is sought when it has returned. What is given an open file is walked up from it.
#pragma once
#include "numbers.h"
#include "seek.h"

// Texts in this order: where it comes from, the name afterwards.
struct change_record {
    __s64 ret;
    __u16 from_bytes;
    __u8 from_marks;
    __u8 op;
    __u32 pad;
    struct tail tail;
};

enum {
    FMODE_CREATED = 0x100000, // of an open file: this open has made it
    TMPFILE_FLAG = 020000000, // O_TMPFILE
    AT_SYMLINK_NOFOLLOW = 0x100,
    AT_REMOVEDIR = 0x200,
    AT_SYMLINK_FOLLOW = 0x400,
    AT_EMPTY_PATH = 0x1000,
    FROM_TEXT = PATH_MAX, // where in the scratch the second name is, as it was said
    KEPT_TEXT = 4 * PATH_MAX, // and where names are put that are not in the process's memory
    KEPT_FROM_TEXT = 5 * PATH_MAX,
};

// Whether the dentry was never a name, or is none any more.
static __always_inline bool is_nameless(__u64 dentry)
{
    __u64 hashed = 0;
    bpf_probe_read_kernel(&hashed, 8, &((struct dentry *)dentry)->d_hash.pprev);
    return !hashed;
}

static __always_inline void print_change(struct hash *h, const struct change *c, bool said)
{
    print_begin(h);
    hash_add(h, c->cgroup);
    hash_add(h, c->lineage);
    hash_add(h, c->op | (__u64)(c->ret < 0) << 4 | (__u64)said << 5 | KIND_CHANGE << 8);
    hash_add(h, moves_until_now(c->cgroup));
}

// The place of a directory or file in its own one stands for it: its dentry may be made anew with each file.
static __always_inline void print_place(struct hash *h, struct walk *w)
{
    w->above.parent = 0;
    w->above.name.hash_len = 0;
    if (w->dentry)
        read_above(&w->above, w->dentry);
    hash_add(h, w->mnt);
    hash_add(h, w->root_mnt);
    hash_add(h, w->root_dentry);
    hash_add(h, w->above.parent);
    hash_add(h, w->above.name.hash_len);
}

static __always_inline bool admit_change(struct scratch *s)
{
    struct seen *slot;
    return admit(&s->print, bpf_ktime_get_boot_ns(), s->change.cgroup, CLASS_CHANGE, &slot) == DELIVER;
}

// Puts the record of the texts that begin at `begin` and `path`.
__noinline int put_change(__u32 begin, __u32 path, __u32 marks)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    if (!s)
        return 0;
    struct change *c = &s->change;
    struct change_record *r = (void *)s->fixed;
    __u32 index = s->print.a & (SEEN_SLOTS - 1);
    __u64 cgroup = c->cgroup;
    r->ret = c->ret;
    r->op = c->op;
    r->pad = 0;
    r->from_bytes = (path - begin) & TEXT_MASK;
    r->from_marks = c->from_marks;
    tail_of(&r->tail, KIND_CHANGE, task->group_leader, cgroup, bpf_ktime_get_boot_ns());
    r->tail.text = (TEXT_BYTES - path) & TEXT_MASK;
    r->tail.marks = marks | c->marks;
    if (put_text(s, begin & TEXT_MASK, sizeof(*r), cgroup, CLASS_CHANGE))
        remember(bpf_map_lookup_elem(&told, &index), &s->print, r->tail.at);
    return 0;
}

// A change of an open file. One that has no name, or has none any more, is nobody else's to find.
__noinline int changed_file(__u64 file)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    if (!s)
        return 0;
    struct walk *w = &s->walk;
    w->dentry = 0;
    if (file)
        path_numbers(&w->mnt, &((struct file *)file)->f_path);
    if (!w->dentry) {
        if (s->change.ret >= 0)
            count_lost(s->change.cgroup, CLASS_CHANGE, CAUSE_UNREADABLE);
        return 0;
    }
    if (is_nameless(w->dentry))
        return 0;
    walk_from(w, task);
    print_change(&s->hash, &s->change, false);
    print_place(&s->hash, w);
    end_print();
    if (!admit_change(s))
        return 0;
    __u64 begin = walk_up(TEXT_BYTES);
    s->change.from_marks = 0;
    return put_change(begin, begin, w->marks);
}

// An open has made its file.
static __always_inline void created(struct scratch *s, __u64 file)
{
    const struct opening *o = &s->opening;
    struct change *c = &s->change;
    __u32 mode = 0;
    if (!wanted(CLASS_CHANGE) || !file || o->flags & TMPFILE_FLAG)
        return;
    bpf_probe_read_kernel(&mode, 4, &((struct file *)file)->f_mode);
    if (!(mode & FMODE_CREATED))
        return;
    c->op = OP_CREATE;
    c->ret = o->ret;
    c->cgroup = o->cgroup;
    c->lineage = o->lineage;
    c->marks = o->marks;
    changed_file(file);
}

static __always_inline long read_said(struct scratch *s, __u64 from)
{
    if (s->change.kept)
        return bpf_probe_read_kernel_str(s->text, PATH_MAX, s->text + BOUNDED(from, TEXT_MASK));
    return bpf_probe_read_user_str(s->text, PATH_MAX, (void *)from);
}

// Reads a name to the scratch's front and makes it part of the print, with the directory that it begins at. Returns its
// bytes, with the zero behind it; 0 or less if it cannot be read.
static __noinline long read_name(__u64 from, int base)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    if (!s)
        return 0;
    struct walk *w = &s->walk;
    long n = read_said(s, from);
    if (n <= 0)
        return n;
    if (s->text[0] == '/') {
        walk_from(w, task);
        w->mnt = 0;
        w->dentry = 0;
    } else {
        base_of(w, task, base);
    }
    print_place(&s->hash, w);
    print_text(BOUNDED(n - 1, PATH_MAX - 1));
    return n;
}

// Writes the path of what the `len` bytes of the scratch's text from `at` on name so that it ends at `end`; returns where it
// begins. The marks are in the scratch's walk.
__noinline __u32 put_name(__u32 at, __u32 len, __u32 end)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    if (!s || len >= PATH_MAX || at > FROM_TEXT || end > TEXT_BYTES)
        return end;
    struct walk *w = &s->walk;
    struct change *c = &s->change;
    bool relative = base_of(w, task, c->base) && s->text[BOUNDED(at, TEXT_MASK)] != '/';
    if (c->ret >= 0 && len && !seek(at, at + len, !c->follow)) {
        if (c->follow)
            return walk_up(end);
        len = s->seek.at - s->seek.name;
        __u64 name = BOUNDED(end - len, TEXT_MASK);
        bpf_probe_read_kernel(s->text + name, BOUNDED(len, 255), s->text + BOUNDED(s->seek.name, TEXT_MASK));
        __u64 slash = BOUNDED(name - 1, TEXT_MASK);
        __u32 begin = walk_up(slash);
        s->text[BOUNDED(slash, TEXT_MASK)] = '/';
        return begin + 1 == slash ? slash : begin; // the root is a slash itself
    }
    __u64 begin = BOUNDED(end - len, TEXT_MASK);
    if (len)
        bpf_probe_read_kernel(s->text + begin, BOUNDED(len, PATH_MAX - 1), s->text + BOUNDED(at, TEXT_MASK));
    relative = relative && base_of(w, task, c->base);
    if (relative)
        begin = put_base(s, begin);
    w->marks = MARK_USER_STRING | (len >= PATH_MAX - 1 ? MARK_CUT : 0);
    return begin;
}

// The file behind a name of the form /proc/self/fd/N, which a call has followed; 0 if it is another.
static __always_inline __u64 file_of_name(struct scratch *s, struct task_struct *task, __u32 at)
{
    const char before[] = "/proc/self/fd/";
    __u32 number = 0, i = 0;
    for (; i < sizeof(before) - 1; i++) {
        if (s->text[BOUNDED(at + i, TEXT_MASK)] != before[i])
            return 0;
    }
    for (; i < sizeof(before) + 9; i++) {
        __u8 digit = s->text[BOUNDED(at + i, TEXT_MASK)];
        if (!digit)
            return file_at(task, number);
        if (digit < '0' || digit > '9')
            return 0;
        number = number * 10 + digit - '0';
    }
    return 0;
}

// Puts where it comes from in front of the path at `end`; returns where that begins. A file that has had no name comes
// from none.
static __always_inline __u64 put_from(struct scratch *s, struct task_struct *task, __u32 len, __u32 end)
{
    struct change *c = &s->change;
    struct walk *w = &s->walk;
    __u64 file = c->from_file;
    c->from_marks = 0;
    if (c->from_is_text) {
        __u64 begin = BOUNDED(end - len, TEXT_MASK);
        if (len)
            bpf_probe_read_kernel(s->text + begin, BOUNDED(len, PATH_MAX - 1), s->text + FROM_TEXT);
        return begin;
    }
    if (!file && c->from_follow)
        file = file_of_name(s, task, FROM_TEXT);
    if (file) {
        walk_from(w, task);
        path_numbers(&w->mnt, &((struct file *)file)->f_path);
        if (is_nameless(w->dentry))
            return end;
        end = walk_up(end);
    } else {
        c->base = c->from_base;
        c->follow = c->from_follow;
        end = put_name(FROM_TEXT, len, end);
    }
    c->from_marks = w->marks;
    return end;
}

// A change of the present task's by name, as the scratch has it.
__noinline int changed(void)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    long n, from = 0;
    if (!s)
        return 0;
    struct change *c = &s->change;
    print_change(&s->hash, c, true);
    if (c->from) {
        from = read_name(c->from, c->from_base);
        if (from > 0)
            bpf_probe_read_kernel(s->text + FROM_TEXT, BOUNDED(from, 2 * PATH_MAX - 1), s->text);
    }
    hash_add(&s->hash, c->from_file);
    n = read_name(c->path, c->base);
    if (n <= 0 || from < 0) {
        if (c->ret >= 0)
            count_lost(c->cgroup, CLASS_CHANGE, CAUSE_UNREADABLE);
        return 0;
    }
    end_print();
    if (!admit_change(s))
        return 0;
    __u32 path = put_name(0, BOUNDED(n - 1, PATH_MAX - 1), TEXT_BYTES);
    __u32 marks = s->walk.marks, begin = path;
    if (c->from || c->from_file)
        begin = put_from(s, task, from > 0 ? BOUNDED(from - 1, PATH_MAX - 1) : 0, path);
    return put_change(begin, path, marks);
}

// A name of a call's: the directory that it begins at and where it is.
static __always_inline void change_at(struct change *c, __u64 base, __u64 path)
{
    c->base = base;
    c->path = path;
}

static __always_inline void change_from(struct change *c, __u64 base, __u64 path)
{
    c->from_base = base;
    c->from = path;
}

// A call that changes a name, or a file without opening it.
static __always_inline int call_changed(struct scratch *s, struct task_struct *task)
{
    const struct call *call = &s->call;
    struct change *c = &s->change;
    const __u64 *a = call->a;
    __u64 flags = 0;
    if (call->ret < 0 && !failure_told(call->ret))
        return 0;
    c->ret = call->ret;
    c->marks = 0;
    c->kept = false;
    c->follow = false;
    c->from_follow = false;
    c->from_is_text = false;
    c->from = 0;
    c->from_file = 0;
    change_at(c, AT_FDCWD, a[0]);
    switch (call->nr) {
    case NR_MKNODAT:
        change_at(c, a[0], a[1]);
    case NR_MKNOD:
        c->op = OP_CREATE;
        break;
    case NR_MKDIRAT:
        change_at(c, a[0], a[1]);
    case NR_MKDIR:
        c->op = OP_MKDIR;
        break;
    case NR_RMDIR:
        c->op = OP_RMDIR;
        break;
    case NR_UNLINKAT:
        change_at(c, a[0], a[1]);
        c->op = a[2] & AT_REMOVEDIR ? OP_RMDIR : OP_DELETE;
        break;
    case NR_UNLINK:
        c->op = OP_DELETE;
        break;
    case NR_RENAME:
        change_from(c, AT_FDCWD, a[0]);
        change_at(c, AT_FDCWD, a[1]);
        c->op = OP_RENAME;
        break;
    case NR_RENAMEAT:
    case NR_RENAMEAT2:
        change_from(c, a[0], a[1]);
        change_at(c, a[2], a[3]);
        c->op = OP_RENAME;
        break;
    case NR_LINK:
        change_from(c, AT_FDCWD, a[0]);
        change_at(c, AT_FDCWD, a[1]);
        c->op = OP_LINK;
        break;
    case NR_LINKAT:
        change_from(c, a[0], a[1]);
        change_at(c, a[2], a[3]);
        c->from_follow = a[4] & AT_SYMLINK_FOLLOW;
        if (a[4] & AT_EMPTY_PATH)
            c->from_file = file_at(task, a[0]);
        c->op = OP_LINK;
        break;
    case NR_SYMLINK:
        change_from(c, AT_FDCWD, a[0]);
        change_at(c, AT_FDCWD, a[1]);
        c->from_is_text = true;
        c->op = OP_SYMLINK;
        break;
    case NR_SYMLINKAT:
        change_from(c, AT_FDCWD, a[0]);
        change_at(c, a[1], a[2]);
        c->from_is_text = true;
        c->op = OP_SYMLINK;
        break;
    case NR_TRUNCATE:
        c->follow = true;
        c->op = OP_TRUNCATE;
        break;
    case NR_FTRUNCATE:
        change_at(c, a[0], 0);
        c->op = OP_TRUNCATE;
        break;
    case NR_CHMOD:
        c->follow = true;
        c->op = OP_CHMOD;
        break;
    case NR_FCHMOD:
        change_at(c, a[0], 0);
        c->op = OP_CHMOD;
        break;
    case NR_FCHMODAT2:
        flags = a[3];
    case NR_FCHMODAT:
        change_at(c, a[0], a[1]);
        c->follow = !(flags & AT_SYMLINK_NOFOLLOW);
        c->op = OP_CHMOD;
        break;
    case NR_FCHOWN:
        change_at(c, a[0], 0);
        c->op = OP_CHOWN;
        break;
    case NR_CHOWN:
        c->follow = true;
    case NR_LCHOWN:
        c->op = OP_CHOWN;
        break;
    case NR_FCHOWNAT:
        flags = a[4];
        change_at(c, a[0], a[1]);
        c->follow = !(flags & AT_SYMLINK_NOFOLLOW);
        c->op = OP_CHOWN;
        break;
    default:
        return 0;
    }
    if (flags & AT_EMPTY_PATH) {
        __u8 first = 1;
        bpf_probe_read_user(&first, 1, (void *)c->path);
        if (!first)
            c->path = 0;
    }
    return c->path ? changed() : changed_file(file_at(task, c->base));
}

static __always_inline bool changes_files(__u64 nr)
{
    switch (nr) {
    case NR_TRUNCATE:
    case NR_FTRUNCATE:
    case NR_RENAME:
    case NR_MKDIR:
    case NR_RMDIR:
    case NR_LINK:
    case NR_UNLINK:
    case NR_SYMLINK:
    case NR_CHMOD:
    case NR_FCHMOD:
    case NR_CHOWN:
    case NR_FCHOWN:
    case NR_LCHOWN:
    case NR_MKNOD:
    case NR_MKDIRAT:
    case NR_MKNODAT:
    case NR_FCHOWNAT:
    case NR_UNLINKAT:
    case NR_RENAMEAT:
    case NR_RENAMEAT2:
    case NR_LINKAT:
    case NR_SYMLINKAT:
    case NR_FCHMODAT:
    case NR_FCHMODAT2:
        return true;
    }
    return false;
}
