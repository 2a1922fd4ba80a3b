// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which requests to a ring are told of, and what each asks for, as far as the kernel has it when they are submitted.
// Not here: what becomes of them (uring.h).
#pragma once
#include "calls.h"

enum {
    URING_SENDMSG = 9,
    URING_RECVMSG = 10,
    URING_ACCEPT = 13,
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
    case URING_ACCEPT:
    case URING_RECVMSG:
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

// Requests to accept, by what the process knows them by: one may be answered many times, and then nothing else tells which
// it was.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, URING_REQUESTS);
    __type(key, struct uring_answer);
    __type(value, __u32); // as uring_asked has the slot
} uring_accepts SEC(".maps");

// What a request to accept or to receive asks for. Nothing can be told of it without its end.
static __always_inline void asked_for_peers(struct scratch *s, struct uring_asked *asked, struct io_kiocb *req)
{
    if (asked->opcode == URING_RECVMSG) {
        bpf_probe_read_kernel(&asked->flags, 8, &((struct io_sr_msg *)req)->umsg);
        return;
    }
    struct uring_answer *answer = &s->answer;
    answer->ring = (__u64)req->ctx;
    bpf_probe_read_kernel(&asked->slot, 4, &((struct io_accept *)req)->file_slot);
    if (bpf_core_field_exists(req->cqe)) {
        bpf_probe_read_kernel(&answer->user_data, 8, &req->cqe.user_data);
        bpf_map_update_elem(&uring_accepts, answer, &asked->slot, BPF_ANY);
    }
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
