// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Cgroups as they are made and removed, which is how containers are announced. Only the v2 hierarchy counts: its
// ids are what every other record bears.
#pragma once
#include "open.h"

// Texts in this order: argv and cwd of the process that made it, the path within the hierarchy. The tail's cgroup is the
// one made or removed.
struct cgroup_record {
    char by[16]; // the name of the thread that did it
    __u32 uid;   // its effective user
    __u32 argv_bytes;
    __u32 cwd_bytes;
    __u32 pad;
    struct tail tail;
};

// A cgroup made in an included one is included from its first event on.
static __always_inline void include_below(struct cgroup *group, __u64 id)
{
    struct cgroup_subsys_state *above = group->self.parent;
    if (!above)
        return;
    __u64 parent = above->cgroup->kn->id;
    __u32 *mark = bpf_map_lookup_elem(&cgroups, &parent);
    __u32 included = CGROUP_INCLUDED;
    if (mark && *mark == CGROUP_INCLUDED)
        bpf_map_update_elem(&cgroups, &id, &included, BPF_NOEXIST);
}

// Where the process that makes a cgroup is and how it was called: of a runtime that tells which container it makes, and
// from which bundle. By the time somebody reads this the runtime may be gone, and its records too.
static __always_inline __u64 add_maker(struct scratch *s, struct cgroup_record *r, __u64 begin)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct walk *w = &s->walk;
    r->uid = task->cred->euid.val;
    __u32 end = begin;
    walk_from(w, task);
    path_numbers(&w->mnt, &task->fs->pwd);
    begin = walk_up(end) & TEXT_MASK;
    if (w->marks)
        begin = end; // no directory to resolve anything against
    r->cwd_bytes = (end - begin) & TEXT_MASK;

    struct mm_struct *mm = task->mm;
    __u64 from = mm->arg_start, argv = mm->arg_end - from;
    if (argv && argv <= ARGV_MAX) {
        __u64 to = BOUNDED(begin - argv, TEXT_MASK);
        if (!bpf_probe_read_user(s->text + to, BOUNDED(argv, 2 * ARGV_MAX - 1), (void *)from)) {
            begin = to;
            r->argv_bytes = argv;
        }
    }
    return begin;
}

static __always_inline int group_changed(struct cgroup *group, const char *path, enum kind kind)
{
    struct scratch *s = my_scratch();
    if (group->root->hierarchy_id != 0 || !s)
        return 0;
    struct cgroup_record *r = (void *)s->fixed;
    __u64 id = group->kn->id;
    if (scope == SCOPE_CGROUPS && kind == KIND_CGROUP_NEW)
        include_below(group, id);
    long n = bpf_probe_read_kernel_str(s->text, PATH_MAX, path);
    __u64 len = n > 0 ? BOUNDED(n - 1, PATH_MAX - 1) : 0;
    __u64 begin = BOUNDED(TEXT_BYTES - len, TEXT_MASK);
    if (len)
        bpf_probe_read_kernel(s->text + begin, BOUNDED(len, PATH_MAX - 1), s->text);
    bpf_get_current_comm(r->by, sizeof(r->by));
    r->tail.at = bpf_ktime_get_boot_ns();
    r->tail.cgroup = id;
    r->tail.start = 0;
    r->tail.pid = 0;
    r->tail.text = len;
    r->tail.kind = kind;
    r->tail.marks = 0;
    r->tail.spare = 0;
    r->uid = 0;
    r->argv_bytes = 0;
    r->cwd_bytes = 0;
    r->pad = 0;
    if (kind == KIND_CGROUP_NEW)
        begin = add_maker(s, r, begin);
    put_text(s, begin, sizeof(*r), id, CLASS_CGROUP);
    return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(grove_cgroup_mkdir, struct cgroup *group, const char *path)
{
    return group_changed(group, path, KIND_CGROUP_NEW);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(grove_cgroup_rmdir, struct cgroup *group, const char *path)
{
    return group_changed(group, path, KIND_CGROUP_GONE);
}
