// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is done through io_uring, which never comes by as system calls: files opened and changed, sockets connected, bound
// and accepted, and messages with an address. A request is remembered when it is submitted and told when it has ended, since
// only then there is a result, an open file to walk up from, and a socket.
#pragma once
#include "requests.h"

// Whether the present task's request is to be told of. Puts whose it is to where any of them is told from. A function of
// its own, so that it takes no stack where it is told.
static __noinline int uring_wanted(struct scratch *s, __u32 class)
{
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 cgroup = cgroup_of(task);
    if (task->tgid == self)
        return false;
    struct process *p = process_of(task->group_leader, true);
    if (!p) {
        count_lost(cgroup, class, CAUSE_MAP_FULL);
        return false;
    }
    s->opening.cgroup = s->change.cgroup = s->socket.cgroup = cgroup;
    s->opening.lineage = s->change.lineage = s->socket.lineage = p->lineage;
    return in_scope(p, task->tgid, cgroup);
}

// Where the file is, the scratch's call says as a request does.
static __always_inline void told_accept(struct scratch *s, struct task_struct *task, __s64 ret)
{
    struct socket_call *c = &s->socket;
    __u32 slot = c->fd;
    if (ret < 0)
        return;
    c->marks = MARK_URING;
    if (slot)
        accepted(file_in_slot(s->answer.ring, slot == URING_SLOT_ANY ? ret : slot - 1));
    else
        accepted(file_at(task, ret));
}

// Whom a message was received from is where the request's header says.
static __always_inline void told_sender(struct scratch *s, __u64 header, __u64 file, __s64 ret)
{
    struct socket_call *c = &s->socket;
    if (ret < 0 || !message_named(c, header, true))
        return;
    c->file = file;
    c->copied = false;
    c->marks = MARK_URING;
    heard_from();
}

static __always_inline void told_whom(struct scratch *s, const struct uring_asked *asked, __u64 file, __s64 ret)
{
    struct socket_call *c = &s->socket;
    if (ret < 0 && !failure_told(ret))
        return;
    c->ret = ret;
    c->file = file;
    c->fd = -1;
    c->bytes = asked->bytes;
    c->flags = asked->flags;
    c->op = asked->opcode == URING_BIND ? OP_BIND : OP_CONNECT;
    c->sent = asked->opcode != URING_BIND && asked->opcode != URING_CONNECT;
    c->copied = true;
    __builtin_memset(&c->said, 0, sizeof(c->said));
    __u32 bytes = asked->bytes > SOCKADDR_UN_MAX ? SOCKADDR_UN_MAX : asked->bytes;
    bpf_probe_read_kernel(&c->said, BOUNDED(bytes, ADDRESS_BYTES - 1), asked->name);
    c->marks = MARK_URING;
    socket_called();
}

// Puts what was asked for to where a change is told from. A function of its own, so that it takes no stack meanwhile.
static __noinline int change_asked(const struct uring_asked *asked)
{
    struct scratch *s = my_scratch();
    if (!s)
        return 0;
    struct change *c = &s->change;
    c->marks = MARK_URING;
    c->kept = true;
    c->follow = false;
    c->from_follow = asked->opcode == URING_LINKAT && asked->flags & AT_SYMLINK_FOLLOW;
    c->from_is_text = asked->opcode == URING_SYMLINKAT;
    c->from = 0;
    c->from_file = 0;
    change_at(c, asked->base, KEPT_TEXT);
    switch (asked->opcode) {
    case URING_RENAMEAT:
        c->op = OP_RENAME;
        break;
    case URING_UNLINKAT:
        c->op = asked->flags & AT_REMOVEDIR ? OP_RMDIR : OP_DELETE;
        break;
    case URING_MKDIRAT:
        c->op = OP_MKDIR;
        break;
    case URING_SYMLINKAT:
        c->op = OP_SYMLINK;
        break;
    case URING_LINKAT:
        c->op = OP_LINK;
        break;
    default:
        c->op = OP_TRUNCATE;
        c->path = 0;
        return 0;
    }
    if (asked->name[URING_NAME_MAX - 2] || asked->from[URING_NAME_MAX - 2])
        c->marks |= MARK_CUT;
    bpf_probe_read_kernel_str(s->text + KEPT_TEXT, URING_NAME_MAX, asked->name);
    if (asked->from[0]) {
        change_from(c, asked->from_base, KEPT_FROM_TEXT);
        bpf_probe_read_kernel_str(s->text + KEPT_FROM_TEXT, URING_NAME_MAX, asked->from);
    }
    return 0;
}

static __always_inline void told_change(struct scratch *s, const struct uring_asked *asked, __u64 request, __s64 ret)
{
    struct change *c = &s->change;
    __u64 file = 0;
    if (ret < 0 && !failure_told(ret))
        return;
    c->ret = ret;
    change_asked(asked);
    if (c->path) {
        changed();
    } else {
        bpf_probe_read_kernel(&file, 8, &((struct io_kiocb *)request)->file);
        changed_file(file);
    }
}

// An open whose end is not seen, or that has ended: what was asked for says what happened.
static __always_inline void told_open(struct scratch *s, struct task_struct *task, const struct uring_asked *asked,
                                      __u64 request, __s64 ret, bool ended)
{
    struct opening *o = &s->opening;
    o->flags = asked->flags;
    o->ret = ret;
    o->marks = asked->name[URING_NAME_MAX - 2] ? MARK_URING | MARK_CUT : MARK_URING;
    o->base = asked->base;
    bool told = ret < 0 && !failure_told(ret);
    if (ended && ret >= 0) {
        // In the ring's own table the result is where, if that was left to it.
        bool direct = asked->slot;
        __s32 number = direct && asked->slot != URING_SLOT_ANY ? (__s32)asked->slot - 1 : ret;
        __u64 ring = 0;
        if (direct)
            bpf_probe_read_kernel(&ring, 8, &((struct io_kiocb *)request)->ctx);
        __u64 file = direct ? file_in_slot(ring, number) : file_at(task, number);
        told = asked->told;
        if (!(told && asked->found == number) && (file || !direct)) {
            created(s, file);
            told = !opened(file);
        }
    }
    if (!told)
        open_said(bpf_probe_read_kernel_str(s->text, URING_NAME_MAX, asked->name));
}

static __always_inline int uring_begun(struct io_kiocb *req, __u64 key)
{
    __u8 opcode = req->opcode;
    __u32 class = uring_class(opcode);
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 cgroup = cgroup_of(task);
    settle_last();
    if (moves_by_ring(opcode)) {
        struct uring_last *last = begin_last(task, cgroup);
        if (last)
            last->moves = true;
    }
    if (class == CLASSES || !(wanted(class) || (class == CLASS_OPEN && wanted(CLASS_CHANGE))))
        return 0;
    struct scratch *s = my_scratch();
    if (!s || !uring_wanted(s, class))
        return 0;
    // Beyond where texts are put together.
    struct uring_asked *asked = (void *)(s->text + 2 * PATH_MAX);
    asked->flags = 0;
    asked->slot = 0;
    asked->bytes = 0;
    asked->opcode = opcode;
    asked->told = false;
    asked->base = AT_FDCWD;
    asked->name[URING_NAME_MAX - 2] = 0;
    asked->from[0] = 0;
    asked->from[URING_NAME_MAX - 2] = 0;
    if (class == CLASS_OPEN)
        asked_to_open(asked, key);
    else if (class == CLASS_CHANGE)
        asked_to_change(asked, key);
    else if (opcode == URING_ACCEPT || opcode == URING_RECVMSG)
        asked_for_peers(s, asked, req);
    else if (!asked_whom(asked, key))
        return 0;
    // Where no end will be seen, what was asked for is told at once, and what that led to if it can be found.
    bool silent = !control_value(CONTROL_URING) || req->flags & URING_SKIP_SUCCESS ||
                  bpf_map_update_elem(&uring_asked, &key, asked, BPF_ANY);
    if (class == CLASS_OPEN)
        begin_open(task, cgroup, key, (__u64)req->ctx, asked, silent);
    if (!silent)
        return 0;
    if (class == CLASS_OPEN)
        told_open(s, task, asked, key, 0, false);
    else if (class == CLASS_CHANGE)
        told_change(s, asked, key, 0);
    else if (opcode != URING_ACCEPT && opcode != URING_RECVMSG)
        told_whom(s, asked, 0, 0);
    return begun(s, task);
}

// Programs whose names end in `_old` are for kernels where the hook before them is not to be had.

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(grove_uring, struct io_kiocb *req)
{
    __u64 key = 0;
    bpf_probe_read_kernel(&key, 8, &ctx[0]); // the pointer as a number
    return uring_begun(req, key);
}

// Its name before Linux 6.3.
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(grove_uring_old, struct io_kiocb *req)
{
    __u64 key = 0;
    bpf_probe_read_kernel(&key, 8, &ctx[0]);
    return uring_begun(req, key);
}

// Counts what a request has moved; returns what it was. A function of its own, for its stack.
static __noinline int uring_moved(__u64 req, __s64 ret)
{
    __u8 opcode = 0;
    bpf_probe_read_kernel(&opcode, 1, &((struct io_kiocb *)req)->opcode);
    if (moves_by_ring(opcode))
        moved(cgroup_of(bpf_get_current_task_btf()), ret);
    return opcode;
}

static __always_inline int uring_ended(__u64 ring, __u64 req, __u64 user_data, __s64 ret)
{
    __u8 opcode = uring_moved(req, ret);
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_asked, &req);
    struct scratch *s = my_scratch();
    if (!s)
        return 0;
    s->answer.ring = ring;
    s->answer.user_data = user_data;
    if (asked) {
        opcode = asked->opcode;
        s->socket.fd = asked->slot;
    } else {
        // One of the answers to a request that goes on: there is none with it, if that is to accept.
        __u32 *accepts = req ? 0 : bpf_map_lookup_elem(&uring_accepts, &s->answer);
        if (!accepts)
            return 0;
        opcode = URING_ACCEPT;
        s->socket.fd = *accepts;
    }
    struct task_struct *task = bpf_get_current_task_btf();
    __u32 class = uring_class(opcode);
    if (!uring_wanted(s, class)) {
        // Only forgotten.
    } else if (opcode == URING_ACCEPT) {
        told_accept(s, task, ret);
    } else if (asked && class == CLASS_CHANGE) {
        told_change(s, asked, req, ret);
    } else if (asked && class == CLASS_OPEN) {
        told_open(s, task, asked, req, ret, true);
    } else if (asked) {
        __u64 file = 0;
        bpf_probe_read_kernel(&file, 8, &((struct io_kiocb *)req)->file);
        if (opcode == URING_RECVMSG)
            told_sender(s, asked->flags, file, ret);
        else
            told_whom(s, asked, file, ret);
    }
    if (req && opcode == URING_ACCEPT)
        bpf_map_delete_elem(&uring_accepts, &s->answer);
    bpf_map_delete_elem(&uring_asked, &req);
    return begun(s, task);
}

// The result is an argument, up to Linux 6.14 or so. Where there are not so many, the verifier refuses this one: so it is
// to be tried before the next, which would load everywhere.
SEC("tp_btf/io_uring_complete")
int BPF_PROG(grove_uring_end_old, __u64 of, __u64 req, __u64 user_data, int ret)
{
    return uring_ended(of, req, user_data, ret);
}

// The result is in what the process is handed. That is no pointer to every verifier, so it is read as a number.
SEC("tp_btf/io_uring_complete")
int BPF_PROG(grove_uring_end, __u64 of, __u64 req, __u64 cqe)
{
    __s32 ret = 0;
    __u64 user_data = 0;
    bpf_probe_read_kernel(&ret, 4, &((struct io_uring_cqe *)cqe)->res);
    bpf_probe_read_kernel(&user_data, 8, &((struct io_uring_cqe *)cqe)->user_data);
    return uring_ended(of, req, user_data, ret);
}
