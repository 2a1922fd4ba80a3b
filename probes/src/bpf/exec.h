// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exec: which program it is, by its own file, and whether a process came into a container to run it.
#pragma once
#include "open.h"
#include "overlay.h"

#define OPENED_TO_EXECUTE 0x20 // among a file's flags, where only the kernel can set it
#define LET_GO_MAX (1 << 20)

// Texts in this order: argv, interpreter, cwd, path. All but the interpreter is the program's own, a script's too.
struct exec_record {
    __u64 inode;
    __u64 entered; // the cgroup in which the process, or one that it comes from, came below the root that it has since;
                   // 0 if that is where the host's are
    __u32 ppid;
    __u32 uid;
    __u32 gid;
    __u16 cwd_bytes;
    __u16 interpreter_bytes; // 0 if it is no script
    __u32 argv_bytes;
    __u32 interpreter_marks; // of its path
    __u32 ns_pid;            // its number in its own pid namespace
    __u32 pad;
    struct tail tail;
};

// A task's files that have been let go of and are not closed yet, from the last to the first.
struct let_go {
    __u64 next;
    __u64 file; // the first so far that was opened to be executed
    __u64 upper; // 1 if one of those lies on an upper layer
};

static __always_inline __u64 offset_of_closing(void)
{
    if (bpf_core_field_exists(struct file, f_task_work))
        return bpf_core_field_offset(struct file, f_task_work);
    if (bpf_core_field_exists(struct file___before_6_5, f_rcuhead))
        return bpf_core_field_offset(struct file___before_6_5, f_rcuhead);
    return 0; // at the very front, in a union that has a name
}

static long look_at_let_go(__u32 i, struct let_go *l)
{
    struct callback_head work = {};
    struct path path = {};
    struct inode *inode = 0, *named = 0;
    __u32 flags = 0;
    if (!l->next)
        return 1;
    struct file *file = (struct file *)(l->next - offset_of_closing());
    if (bpf_probe_read_kernel(&work, sizeof(work), (void *)l->next))
        return 1;
    l->next = (__u64)work.next;
    // There is other work on the list, which is no file.
    bpf_probe_read_kernel(&flags, 4, &file->f_flags);
    bpf_probe_read_kernel(&inode, 8, &file->f_inode);
    bpf_probe_read_kernel(&path, sizeof(path), &file->f_path);
    bpf_probe_read_kernel(&named, 8, &path.dentry->d_inode);
    if (flags & OPENED_TO_EXECUTE && inode && inode == named) {
        l->file = (__u64)file;
        if (on_upper_layer(inode))
            l->upper = 1;
    }
    return 0;
}

// The file of a script that is being executed, as a number to read from; 0 if it is not to be found. The kernel has let
// go of it already, but what is let go of in a call is closed at the call's end, and until then on a list: last what was
// let go of first, which is the script, before its interpreter's own files and what closes on exec. The lowest bit, which
// no address has, says whether any of them lies on an upper layer.
static __noinline __u64 script_of(struct task_struct *task, struct linux_binprm *bprm)
{
    __u64 kept = 0;
    struct let_go l = {};
    bpf_probe_read_kernel(&kept, 8, &bprm->executable);
    if (kept)
        return kept; // for an interpreter that is handed it open
    bpf_probe_read_kernel(&l.next, 8, &task->task_works);
    bpf_loop(LET_GO_MAX, look_at_let_go, &l, 0);
    return (l.next ? 0 : l.file) | l.upper;
}

static __always_inline __u32 mount_namespace(struct task_struct *task)
{
    struct nsproxy *all = 0;
    struct mnt_namespace *ns = 0;
    __u32 number = 0;
    bpf_probe_read_kernel(&all, 8, &task->nsproxy);
    bpf_probe_read_kernel(&ns, 8, &all->mnt_ns);
    bpf_probe_read_kernel(&number, 4, &ns->ns.inum);
    return number;
}

// Notes where the process's root is when it executes something. A container runtime executes what is its own below the
// root that it has always had, even in a mount namespace that it has just made for the container; the workload's first
// program is executed below another root, and all that comes from it has come in, wherever it goes from there.
// One whose past is not known has come in as well: better the runtime shown than a workload hidden.
static __always_inline void look_around(struct process *p, struct task_struct *task, __u64 cgroup)
{
    struct path root = {};
    bpf_probe_read_kernel(&root, sizeof(root), &task->fs->root);
    __u32 mnt_ns = mount_namespace(task);
    __u32 *mark = bpf_map_lookup_elem(&cgroups, &p->entered);
    if (mark && *mark == CGROUP_EXCLUDED)
        p->entered = 0; // it went elsewhere on the host, as services do
    // A container may have the host's own root directory for its root: then nobody who is in its mount namespace before
    // it runs had a part in making that.
    if (!p->root || p->root != (__u64)root.dentry ||
        (p->mnt_ns != mnt_ns && mount_namespace(task->real_parent) != mnt_ns))
        p->entered = cgroup;
    p->root = (__u64)root.dentry;
    p->mnt_ns = mnt_ns;
}

// The scratch's text, `len` bytes of it from `at` on, becomes part of its print.
static __always_inline void print_text_at(struct scratch *s, __u64 at, __u64 len)
{
    bpf_probe_read_kernel(s->text, BOUNDED(len, 2 * PATH_MAX - 1), s->text + BOUNDED(at, TEXT_MASK));
    print_text(len);
}

// Writes the path of `file` so that it ends at `end`, makes it part of the print, and returns where it begins.
static __always_inline __u64 put_program(struct scratch *s, __u64 file, __u64 end)
{
    struct walk *w = &s->walk;
    struct inode *inode = 0;
    struct super_block *sb = 0;
    unsigned long number = 0;
    __u32 device = 0;
    path_numbers(&w->mnt, &((struct file *)file)->f_path);
    __u64 begin = walk_up(end) & TEXT_MASK;
    bpf_probe_read_kernel(&inode, 8, &((struct file *)file)->f_inode);
    bpf_probe_read_kernel(&number, 8, &inode->i_ino);
    bpf_probe_read_kernel(&sb, 8, &inode->i_sb);
    bpf_probe_read_kernel(&device, 4, &sb->s_dev);
    hash_add(&s->hash, number);
    hash_add(&s->hash, device);
    __u64 len = (end - begin) & TEXT_MASK;
    print_text_at(s, begin, len > PATH_MAX ? PATH_MAX : len);
    return begin;
}

// The same for the string that was executed, which stands for a script of which the file is not to be found.
static __always_inline __u64 put_said(struct scratch *s, struct linux_binprm *bprm, __u64 end)
{
    long n = bpf_probe_read_kernel_str(s->text, PATH_MAX, bprm->filename);
    __u64 len = n > 1 ? BOUNDED(n - 1, PATH_MAX - 1) : 0;
    __u64 begin = BOUNDED(end - len, TEXT_MASK);
    if (len)
        bpf_probe_read_kernel(s->text + begin, BOUNDED(len, PATH_MAX - 1), s->text);
    print_text(len);
    return begin;
}

// Puts the arguments in front of what begins at `begin`, and into the print as far as they are part of who it is;
// returns where the text begins then.
static __always_inline __u64 put_arguments(struct scratch *s, struct task_struct *task, __u64 begin, __u32 *marks)
{
    struct exec_record *r = (void *)s->fixed;
    struct mm_struct *mm = task->mm;
    __u64 from = mm->arg_start, have = mm->arg_end - from;
    __u64 argv = have;
    r->argv_bytes = 0;
    if (have > ARGV_MAX) {
        argv = ARGV_MAX;
        *marks |= MARK_ARGV_CUT;
    }
    if (!argv || argv > ARGV_MAX)
        return begin;
    __u64 to = BOUNDED(begin - argv, TEXT_MASK);
    if (bpf_probe_read_user(s->text + to, BOUNDED(argv, 2 * ARGV_MAX - 1), (void *)from)) {
        *marks |= MARK_ARGV_CUT;
        return begin;
    }
    r->argv_bytes = argv;
    if (!arguments) {
        // The first tells the programs of a multi-call binary apart.
        long n = bpf_probe_read_kernel_str(s->text, PATH_MAX, s->text + BOUNDED(to, TEXT_MASK));
        print_text(n > 0 ? n : 0);
        return to;
    }
    __u32 len = argv < PATH_MAX ? argv : PATH_MAX;
    print_text_at(s, to, len);
    if (len < have) {
        // Arguments beyond are not compared: this process shares its descent with nobody.
        hash_add(&s->hash, task->group_leader->start_boottime);
        hash_add(&s->hash, task->tgid);
    }
    return to;
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
    tell_flows_of(p, leader);
    look_around(p, task, cgroup);
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

    struct exec_record *r = (void *)s->fixed;
    struct walk *w = &s->walk;
    struct inode *inode = 0;
    __u64 runs = 0;
    __u32 marks = 0, links = 1;
    bpf_probe_read_kernel(&runs, 8, &bprm->file);
    // Both are the same string until a script's first line, or binfmt_misc, puts another program in place.
    bool script = bprm->filename != bprm->interp;
    __u64 file = script ? script_of(task, bprm) : runs;
    // Whoever writes what runs a script decides what the script does.
    bool upper = file & 1;
    file &= ~1ull;

    // Who it is from now on: what it was, whether it forked in between, and what it runs.
    print_begin(&s->hash);
    hash_add(&s->hash, p->lineage);
    hash_add(&s->hash, p->chained | script << 1 | KIND_EXEC << 8);
    walk_from(w, task);
    __u64 begin = TEXT_BYTES, end = TEXT_BYTES;
    tail_of(&r->tail, KIND_EXEC, leader, cgroup, bpf_ktime_get_boot_ns());
    if (file) {
        begin = put_program(s, file, end);
        marks = w->marks;
        bpf_probe_read_kernel(&inode, 8, &((struct file *)file)->f_inode);
        bpf_probe_read_kernel(&links, 4, &inode->i_nlink);
        if (!links)
            marks |= MARK_FILELESS;
        if (on_upper_layer(inode))
            marks |= MARK_UPPER;
    } else {
        begin = put_said(s, bprm, end);
        marks = MARK_USER_STRING;
    }
    r->tail.text = (end - begin) & TEXT_MASK;
    r->inode = 0;
    bpf_probe_read_kernel(&r->inode, 8, &inode->i_ino);

    end = begin;
    path_numbers(&w->mnt, &task->fs->pwd);
    begin = walk_up(end) & TEXT_MASK;
    if (w->marks)
        begin = end; // no directory to resolve anything against
    r->cwd_bytes = (end - begin) & TEXT_MASK;

    r->interpreter_bytes = 0;
    r->interpreter_marks = 0;
    if (script) {
        end = begin;
        begin = put_program(s, runs, end);
        r->interpreter_bytes = (end - begin) & TEXT_MASK;
        r->interpreter_marks = w->marks;
        bpf_probe_read_kernel(&inode, 8, &((struct file *)runs)->f_inode);
        if (upper || on_upper_layer(inode))
            marks |= MARK_UPPER;
    }
    begin = put_arguments(s, task, begin, &marks);
    p->lineage = hash_end(&s->hash).a | 1;
    p->chained = 1;
    if (!tell || !wanted(CLASS_EXEC))
        return 0;

    r->entered = p->entered;
    r->ppid = task->real_parent->tgid;
    r->ns_pid = own_number(leader);
    r->pad = 0;
    r->uid = task->cred->euid.val;
    r->gid = task->cred->egid.val;
    r->tail.marks = marks;
    put_text(s, begin, sizeof(*r), cgroup, CLASS_EXEC);
    if (wanted(CLASS_OPEN)) {
        // It begins in the ELF interpreter, if it has one: which the kernel has mapped.
        struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
        s->opening.cgroup = cgroup;
        s->opening.lineage = p->lineage;
        mapped_at(s, task, regs->ip, runs);
    }
    return 0;
}
