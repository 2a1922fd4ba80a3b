// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is done through io_uring, which never comes by as system calls: files opened and changed, sockets connected and
// bound, and sends to an address. A request is remembered when it is submitted and told when it has ended, since only then
// there is a result, an open file to walk up from, and a socket.
#pragma once
#include "calls.h"

enum {
    URING_SENDMSG = 9,
    URING_CONNECT = 16,
    URING_OPENAT = 18,
    URING_SEND = 26,
    URING_OPENAT2 = 28,
    URING_SEND_ZC = 47,
    URING_SENDMSG_ZC = 48,
    URING_BIND = 56,
    URING_RENAMEAT = 35,
    URING_UNLINKAT = 36,
    URING_MKDIRAT = 37,
    URING_SYMLINKAT = 38,
    URING_LINKAT = 39,
    URING_FTRUNCATE = 55,
    URING_SKIP_SUCCESS = 1 << 6, // the request's flags begin with those of its submission
};

static __always_inline __u32 uring_class(__u8 opcode)
{
    switch (opcode) {
    case URING_OPENAT:
    case URING_OPENAT2:
        return CLASS_OPEN;
    case URING_CONNECT:
    case URING_BIND:
    case URING_SEND:
    case URING_SENDMSG:
    case URING_SEND_ZC:
    case URING_SENDMSG_ZC:
        return CLASS_SOCKET;
    case URING_RENAMEAT:
    case URING_UNLINKAT:
    case URING_MKDIRAT:
    case URING_SYMLINKAT:
    case URING_LINKAT:
    case URING_FTRUNCATE:
        return CLASS_CHANGE;
    }
    return CLASSES;
}

// Requests after which the same name may lead elsewhere.
static __always_inline bool moves_by_ring(__u8 opcode)
{
    return opcode == URING_RENAMEAT || opcode == URING_UNLINKAT || opcode == URING_SYMLINKAT || opcode == URING_LINKAT;
}

// Whose request this is; 0 if it is not to be told of. A function of its own, so that it takes no stack where it is told.
static __noinline struct process *uring_process(struct task_struct *task, __u64 cgroup, __u32 class)
{
    if (task->tgid == self)
        return 0;
    struct process *p = process_of(task->group_leader, true);
    if (!p) {
        count_lost(cgroup, class, CAUSE_MAP_FULL);
        return 0;
    }
    return in_scope(p, task->tgid, cgroup) ? p : 0;
}

// What an open asks for. This and the like are functions of their own, so that they take no stack where a request is told
// of at once.
static __noinline int asked_to_open(struct uring_asked *asked, __u64 request)
{
    struct io_open *open = (struct io_open *)request;
    struct filename *filename = 0;
    const char *name = 0;
    bpf_probe_read_kernel(&filename, 8, &open->filename);
    bpf_probe_read_kernel(&name, 8, &filename->name);
    bpf_probe_read_kernel(&asked->flags, 8, &open->how.flags);
    asked->flags = (__u32)asked->flags;
    bpf_probe_read_kernel(&asked->slot, 4, &open->file_slot);
    bpf_probe_read_kernel(&asked->base, 4, &open->dfd);
    bpf_probe_read_kernel_str(asked->name, sizeof(asked->name), name);
    return 0;
}

// Where a send says whom it goes to, on kernels that copy that later than this; false if it does not say.
static __always_inline bool sent_to(struct uring_asked *asked, struct io_sr_msg *send, void **address, int *bytes)
{
    // A message begins with the two. Not on the stack, of which there is little.
    struct {
        void *name;
        int bytes;
    } *said = (void *)asked->name;
    switch (asked->opcode) {
    case URING_SENDMSG:
    case URING_SENDMSG_ZC:
        bpf_probe_read_kernel(address, 8, &send->umsg);
        if (bpf_probe_read_user(said, sizeof(*said), *address))
            return false;
        *address = said->name;
        *bytes = said->bytes;
        break;
    case URING_SEND:
    case URING_SEND_ZC:
        if (!bpf_core_field_exists(send->addr))
            return false;
        bpf_probe_read_kernel(address, 8, &send->addr);
        bpf_probe_read_kernel(bytes, 2, &send->addr_len);
        break;
    }
    return *address;
}

// Whom a request of a socket is about; false if it does not say.
static __noinline int asked_whom(struct uring_asked *asked, __u64 request)
{
    struct io_kiocb *req = (struct io_kiocb *)request;
    void *address = 0;
    int bytes = 0;
    if (asked->opcode == URING_CONNECT || !bpf_core_type_exists(struct io_bind)) {
        // Copied by the kernel later than this, so that is still the process's. Of sends up to Linux 6.10 or so.
        struct io_connect *connect = (struct io_connect *)req;
        if (asked->opcode == URING_CONNECT) {
            bpf_probe_read_kernel(&address, 8, &connect->addr);
            bpf_probe_read_kernel(&bytes, 4, &connect->addr_len);
        } else if (!sent_to(asked, (struct io_sr_msg *)req, &address, &bytes)) {
            return false;
        } else {
            bpf_probe_read_kernel(&asked->flags, 4, &((struct io_sr_msg *)req)->msg_flags);
        }
        asked->bytes = bytes;
        // No more than there is, of which the end of a page may be the end.
        __u32 len = bytes < 0 || bytes > SOCKADDR_UN_MAX ? SOCKADDR_UN_MAX : bytes;
        return !bpf_probe_read_user(asked->name, BOUNDED(len, ADDRESS_BYTES - 1), address);
    }
    struct io_async_msghdr *data = 0;
    bpf_probe_read_kernel(&data, 8, &req->async_data);
    address = &data->addr;
    if (asked->opcode == URING_BIND) {
        __u16 family = 0;
        bpf_probe_read_kernel(&bytes, 4, &((struct io_bind *)req)->addr_len);
        // Newer kernels keep nothing but the address. Older ones have a pointer there, which is no such number.
        bpf_probe_read_kernel(&family, 2, data);
        if (family == FAMILY_UNIX || family == FAMILY_INET || family == FAMILY_INET6)
            address = data;
    } else {
        void *name = 0;
        bpf_probe_read_kernel(&name, 8, &data->msg.msg_name);
        if (!name)
            return false; // to whom the socket is connected
        bpf_probe_read_kernel(&bytes, 4, &data->msg.msg_namelen);
        bpf_probe_read_kernel(&asked->flags, 4, &((struct io_sr_msg *)req)->msg_flags);
    }
    asked->bytes = bytes;
    return !bpf_probe_read_kernel(asked->name, SOCKADDR_UN_MAX, address);
}

static __always_inline void told_whom(struct scratch *s, struct process *p, __u64 cgroup, const struct uring_asked *asked,
                                      __u64 file, __s64 ret)
{
    struct socket_call *c = &s->socket;
    if (ret < 0 && !failed)
        return;
    c->cgroup = cgroup;
    c->lineage = p->lineage;
    c->ret = ret;
    c->file = file;
    c->fd = -1;
    c->bytes = asked->bytes;
    c->flags = asked->flags;
    c->connect = asked->opcode != URING_BIND;
    c->sent = asked->opcode != URING_BIND && asked->opcode != URING_CONNECT;
    c->copied = true;
    __builtin_memset(&c->said, 0, sizeof(c->said));
    __u32 bytes = asked->bytes > SOCKADDR_UN_MAX ? SOCKADDR_UN_MAX : asked->bytes;
    bpf_probe_read_kernel(&c->said, BOUNDED(bytes, ADDRESS_BYTES - 1), asked->name);
    c->marks = MARK_URING;
    socket_called();
}

// A name that the kernel has copied, and the directory that it begins at.
static __always_inline void name_asked(char *name, __s32 *base, void *at_base, void *at_filename)
{
    struct filename *kept = 0;
    const char *from = 0;
    bpf_probe_read_kernel(base, 4, at_base);
    bpf_probe_read_kernel(&kept, 8, at_filename);
    bpf_probe_read_kernel(&from, 8, &kept->name);
    bpf_probe_read_kernel_str(name, URING_NAME_MAX, from);
}

static __noinline int asked_to_change(struct uring_asked *asked, __u64 request)
{
    struct io_rename *rename = (struct io_rename *)request;
    struct io_link *link = (struct io_link *)request;
    struct io_unlink *unlink = (struct io_unlink *)request;
    struct io_mkdir *mkdir = (struct io_mkdir *)request;
    switch (asked->opcode) {
    case URING_RENAMEAT:
        name_asked(asked->name, &asked->base, &rename->new_dfd, &rename->newpath);
        name_asked(asked->from, &asked->from_base, &rename->old_dfd, &rename->oldpath);
        break;
    case URING_LINKAT:
        bpf_probe_read_kernel(&asked->flags, 4, &link->flags);
    case URING_SYMLINKAT:
        name_asked(asked->name, &asked->base, &link->new_dfd, &link->newpath);
        name_asked(asked->from, &asked->from_base, &link->old_dfd, &link->oldpath);
        break;
    case URING_UNLINKAT:
        bpf_probe_read_kernel(&asked->flags, 4, &unlink->flags);
        name_asked(asked->name, &asked->base, &unlink->dfd, &unlink->filename);
        break;
    case URING_MKDIRAT:
        name_asked(asked->name, &asked->base, &mkdir->dfd, &mkdir->filename);
        break;
    }
    return 0;
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

static __always_inline void told_change(struct scratch *s, struct process *p, __u64 cgroup, const struct uring_asked *asked,
                                        __u64 request, __s64 ret)
{
    struct change *c = &s->change;
    __u64 file = 0;
    if (ret < 0 && !failed)
        return;
    c->cgroup = cgroup;
    c->lineage = p->lineage;
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
static __always_inline void told_open(struct scratch *s, struct task_struct *task, struct process *p, __u64 cgroup,
                                      const struct uring_asked *asked, __u64 request, __s64 ret, bool ended)
{
    struct opening *o = &s->opening;
    o->cgroup = cgroup;
    o->lineage = p->lineage;
    o->flags = asked->flags;
    o->ret = ret;
    o->marks = asked->name[URING_NAME_MAX - 2] ? MARK_URING | MARK_CUT : MARK_URING;
    o->base = asked->base;
    bool told = ret < 0 && !failed;
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
    struct process *p = uring_process(task, cgroup, class);
    struct scratch *s = my_scratch();
    if (!p || !s)
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
        told_open(s, task, p, cgroup, asked, key, 0, false);
    else if (class == CLASS_CHANGE)
        told_change(s, p, cgroup, asked, key, 0);
    else
        told_whom(s, p, cgroup, asked, 0, 0);
    return 0;
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

static __always_inline int uring_ended(__u64 req, __s64 ret)
{
    __u8 opcode = 0;
    bpf_probe_read_kernel(&opcode, 1, &((struct io_kiocb *)req)->opcode);
    if (moves_by_ring(opcode))
        moved(cgroup_of(bpf_get_current_task_btf()), ret);
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_asked, &req);
    struct scratch *s = my_scratch();
    if (!asked || !s)
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 cgroup = cgroup_of(task);
    __u32 class = uring_class(asked->opcode);
    struct process *p = uring_process(task, cgroup, class);
    if (p && class == CLASS_CHANGE) {
        told_change(s, p, cgroup, asked, req, ret);
    } else if (p && class == CLASS_OPEN) {
        told_open(s, task, p, cgroup, asked, req, ret, true);
    } else if (p) {
        __u64 file = 0;
        bpf_probe_read_kernel(&file, 8, &((struct io_kiocb *)req)->file);
        told_whom(s, p, cgroup, asked, file, ret);
    }
    bpf_map_delete_elem(&uring_asked, &req);
    return 0;
}

// The result is an argument, up to Linux 6.14 or so. Where there are not so many, the verifier refuses this one: so it is
// to be tried before the next, which would load everywhere.
SEC("tp_btf/io_uring_complete")
int BPF_PROG(grove_uring_end_old, __u64 of, __u64 req, __u64 user_data, int ret)
{
    return uring_ended(req, ret);
}

// The result is in what the process is handed. That is no pointer to every verifier, so it is read as a number.
SEC("tp_btf/io_uring_complete")
int BPF_PROG(grove_uring_end, __u64 of, __u64 req, __u64 cqe)
{
    __s32 ret = 0;
    bpf_probe_read_kernel(&ret, 4, &((struct io_uring_cqe *)cqe)->res);
    return uring_ended(req, ret);
}
