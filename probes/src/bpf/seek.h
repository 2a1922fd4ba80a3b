// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where a name leads: from a directory downwards through what the kernel keeps of its tree, over mounts and symbolic
// links, as the call has gone that has just returned. For calls that leave nothing behind to walk up from.
// A directory's entries are a list, so this is for what is not told already. It can fail: of a directory that much is
// kept of, and of links whose text is on disk only. Then the name as it was said is all there is.
#pragma once
#include "overlay.h"
#include "path.h"

enum {
    SEEK_STEPS = 16384, // letters, entries and mounts that are looked at
    LINKS_MAX = 40,
    LINK_TEXTS = 2 * PATH_MAX, // where names with a link in them are put together: two places of the same size
    LINK_TEXT_BYTES = 2 * PATH_MAX,
    MAY_BE_MOUNTED_ON = 0x18000, // of a dentry's flags: which of the two it is depends on the kernel, and so the other's
    MODE_TYPE = 0170000,
    MODE_LINK = 0120000,
    MODE_DIRECTORY = 0040000,
};

enum seeking {
    SEEK_TRIM,   // slashes at the end
    SEEK_BEGIN,  // the next name's first letter
    SEEK_NAME,   // and its end
    SEEK_ENTRY,  // the directory's entry of that name
    SEEK_UP,     // the directory above
    SEEK_MOUNTS, // what is mounted there
    SEEK_MOUNT,
};

// Reads a pointer, or as much, to where there is room for it.
static __always_inline __u64 read_word(struct seek *k, const void *from)
{
    k->read = 0;
    bpf_probe_read_kernel(&k->read, 8, from);
    return k->read;
}

static __always_inline long found(struct seek *k, bool lost)
{
    k->lost = lost;
    return 1;
}

static __always_inline bool same_name(const struct seek *k, __u32 len)
{
    for (__u32 i = 0; i < 32; i++) {
        __u32 left = len - 8 * i;
        if (8 * i >= len)
            return true;
        __u64 differ = k->wanted[i] ^ k->entry[i];
        if (left < 8)
            differ &= (1ull << ((left & 7) * 8)) - 1;
        if (differ)
            return false;
    }
    return true;
}

// The first entry of the directory's list.
static __always_inline __u64 first_entry(struct seek *k, __u64 directory)
{
    if (bpf_core_field_exists(struct dentry, d_children))
        return read_word(k, &((struct dentry *)directory)->d_children.first);
    return read_word(k, &((struct dentry___before_6_8 *)directory)->d_subdirs.next);
}

// The dentry of an entry of its directory's list.
static __always_inline __u64 dentry_of(__u64 node)
{
    return bpf_core_field_exists(struct dentry, d_children)
               ? node - bpf_core_field_offset(struct dentry, d_sib)
               : node - bpf_core_field_offset(struct dentry___before_6_8, d_child);
}

// The name's last letter is known: what it stands for, or which entry to look for.
static __always_inline long enter(struct scratch *s, struct seek *k, struct walk *w)
{
    __u64 name = BOUNDED(k->name, TEXT_MASK);
    __u32 len = k->at - k->name;
    k->state = SEEK_BEGIN;
    if (s->text[name] == '.' && len == 1)
        return 0;
    if (len == 2 && s->text[name] == '.' && s->text[BOUNDED(name + 1, TEXT_MASK)] == '.') {
        k->state = SEEK_UP;
        return 0;
    }
    if (k->above_last && k->at >= k->end)
        return found(k, false);
    if (len > 255)
        return found(k, true);
    bpf_probe_read_kernel(k->wanted, BOUNDED(len, 255), s->text + name);
    k->node = first_entry(k, w->dentry);
    k->state = SEEK_ENTRY;
    return 0;
}

// The name goes on where the link leads, and then with what was behind it.
static __always_inline long follow(struct scratch *s, struct seek *k, struct walk *w)
{
    __u64 at = k->at, left = k->end - at;
    __u64 to = LINK_TEXTS + (k->links & 1) * LINK_TEXT_BYTES;
    shown_by_overlay(&k->inode);
    const char *link = (const char *)read_word(k, &((struct inode *)k->inode)->i_link);
    if (!link || ++k->links > LINKS_MAX || left >= PATH_MAX)
        return found(k, true);
    long n = bpf_probe_read_kernel_str(s->text + to, PATH_MAX, link);
    if (n <= 1)
        return found(k, true);
    __u64 rest = BOUNDED(to + n - 1, TEXT_MASK);
    if (left)
        bpf_probe_read_kernel(s->text + rest, BOUNDED(left, PATH_MAX - 1), s->text + BOUNDED(at, TEXT_MASK));
    k->at = to;
    k->end = rest + left;
    if (s->text[BOUNDED(to, TEXT_MASK)] == '/') {
        w->mnt = w->root_mnt;
        w->dentry = w->root_dentry;
    }
    k->state = SEEK_BEGIN;
    return 0;
}

static __always_inline long look_at_entry(struct scratch *s, struct seek *k, struct walk *w)
{
    __u64 node = k->node, dentry = dentry_of(node);
    __u32 len = k->at - k->name;
    // An entry that is another directory's by now leads elsewhere; so does the list's end, where it has one.
    if (!node || read_above(&w->above, dentry) || w->above.parent != w->dentry)
        return found(k, true);
    bpf_probe_read_kernel(&k->node, 8, (void *)node);
    if (w->above.name.hash_len >> 32 != len ||
        bpf_probe_read_kernel(k->entry, BOUNDED(len, 255), w->above.name.name) || !same_name(k, len))
        return 0;
    k->inode = read_word(k, &((struct dentry *)dentry)->d_inode);
    if (!k->inode || !read_word(k, &((struct dentry *)dentry)->d_hash.pprev))
        return 0; // there is none of that name, or was one
    if ((read_word(k, &((struct inode *)k->inode)->i_mode) & MODE_TYPE) == MODE_LINK)
        return follow(s, k, w);
    w->dentry = dentry;
    k->state = SEEK_MOUNTS;
    return 0;
}

static __always_inline struct mount *mount_of(__u64 mnt)
{
    return (struct mount *)(mnt - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline long go_up(struct seek *k, struct walk *w)
{
    k->state = SEEK_BEGIN;
    if (w->dentry == w->root_dentry && w->mnt == w->root_mnt)
        return 0;
    find_mount_root(w);
    if (w->dentry != w->mnt_root) {
        bpf_probe_read_kernel(&w->dentry, 8, &((struct dentry *)w->dentry)->d_parent);
        k->state = SEEK_MOUNTS;
        return 0;
    }
    struct mount *m = mount_of(w->mnt);
    __u64 parent = read_word(k, &m->mnt_parent);
    if (!parent || parent == (__u64)m)
        return 0;
    bpf_probe_read_kernel(&w->dentry, 8, &m->mnt_mountpoint);
    w->mnt = parent + bpf_core_field_offset(struct mount, mnt);
    k->state = SEEK_UP;
    return 0;
}

static __always_inline long look_at_mount(struct seek *k, struct walk *w)
{
    __u64 node = k->node;
    k->state = SEEK_BEGIN;
    if (!node || node == (__u64)&mount_of(w->mnt)->mnt_mounts)
        return 0;
    struct mount *m = (struct mount *)(node - bpf_core_field_offset(struct mount, mnt_child));
    if (read_word(k, &m->mnt_mountpoint) == w->dentry) {
        w->mnt = (__u64)m + bpf_core_field_offset(struct mount, mnt);
        find_mount_root(w);
        w->dentry = w->mnt_root;
        k->state = SEEK_MOUNTS;
        return 0;
    }
    k->state = SEEK_MOUNT;
    if (bpf_probe_read_kernel(&k->node, 8, (void *)node))
        return found(k, true);
    return 0;
}

static long step_down(__u32 i, struct climb *c)
{
    struct scratch *s = c->s;
    struct seek *k = &s->seek;
    struct walk *w = &s->walk;
    __u32 at = k->at;
    switch (k->state) {
    case SEEK_TRIM:
        if (k->end > at + 1 && s->text[BOUNDED(k->end - 1, TEXT_MASK)] == '/')
            k->end--;
        else
            k->state = SEEK_BEGIN;
        return 0;
    case SEEK_BEGIN:
        if (at >= k->end)
            return found(k, k->above_last);
        k->at = at + 1;
        if (s->text[BOUNDED(at, TEXT_MASK)] != '/') {
            k->name = at;
            k->state = SEEK_NAME;
        }
        return 0;
    case SEEK_NAME:
        if (at < k->end && s->text[BOUNDED(at, TEXT_MASK)] != '/') {
            k->at = at + 1;
            return 0;
        }
        return enter(s, k, w);
    case SEEK_ENTRY:
        return look_at_entry(s, k, w);
    case SEEK_UP:
        return go_up(k, w);
    case SEEK_MOUNTS:
        k->state = SEEK_BEGIN;
        if (read_word(k, &((struct dentry *)w->dentry)->d_flags) & MAY_BE_MOUNTED_ON) {
            bpf_probe_read_kernel(&k->node, 8, &mount_of(w->mnt)->mnt_mounts.next);
            k->state = SEEK_MOUNT;
        }
        return 0;
    case SEEK_MOUNT:
        return look_at_mount(k, w);
    }
    return found(k, true);
}

// Goes where the scratch's text from `begin` to `end` leads, from the directory that the scratch's walk is at, or from the
// root. Returns 0 if it came there: then the walk is at what is so named, or, if `above_last`, at the directory that has
// it, and the scratch's seek has the last name between `name` and `at`.
__noinline int seek(__u32 begin, __u32 end, __u32 above_last)
{
    struct scratch *s = my_scratch();
    if (!s || end >= TEXT_BYTES || begin >= end)
        return 1;
    struct climb c = {.s = s};
    struct seek *k = &s->seek;
    struct walk *w = &s->walk;
    k->at = begin;
    k->end = end;
    k->links = 0;
    k->above_last = above_last;
    k->state = SEEK_TRIM;
    k->lost = true;
    if (s->text[BOUNDED(begin, TEXT_MASK)] == '/') {
        w->mnt = w->root_mnt;
        w->dentry = w->root_dentry;
    }
    bpf_loop(SEEK_STEPS, step_down, &c, 0);
    return k->lost;
}
