// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Who was let in: connections as they are accepted, and datagrams as they are received from somebody who spoke first. A
// unix socket has one name for all whom it hears, its own.
#pragma once
#include "socket.h"

enum {
    OWN_NAME_MAX = 112, // an abstract name's bytes, in whole words
    OWN_NAME_MASK = 127,
    RECEIVES_MAX = 64, // messages of one recvmmsg that are looked at
};

// Who has come in, as the scratch's call has it: peer, own port or socket.
__noinline int let_in(void)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 now = bpf_ktime_get_boot_ns();
    if (!s)
        return 0;
    struct socket_record *r = (void *)s->fixed;
    struct socket_call *c = &s->socket;
    struct said_address *a = &c->said;
    struct walk *w = &s->walk;
    __u64 *address = (__u64 *)r->address;
    __u64 begin = TEXT_BYTES;
    struct print *p = &s->print;
    struct hash *h = &s->hash;
    struct seen *slot;
    address[0] = 0;
    address[1] = 0;
    r->said = 0;
    r->is_path = 0;
    r->family = a->family;
    r->proto = c->proto;
    r->port = c->port;
    r->op = OP_ACCEPT;
    c->op = OP_ACCEPT;
    print_begin(h);
    hash_add(h, c->cgroup);
    hash_add(h, c->lineage);
    hash_add(h, OP_ACCEPT | KIND_SOCKET << 8 | (__u64)a->family << 32);
    if (a->family == FAMILY_INET) {
        *(__u32 *)r->address = a->v4;
    } else if (a->family == FAMILY_INET6) {
        __builtin_memcpy(r->address, a->v6, 16);
    } else if (a->family == FAMILY_UNIX) {
        struct unix_sock *own = (void *)c->sock;
        walk_from(w, task);
        path_numbers(&w->mnt, &own->path);
        r->is_path = w->dentry != 0;
        if (r->is_path) {
            print_base(h, w);
            hash_add(h, moves_until_now(c->cgroup));
        } else {
            struct unix_address *name = 0;
            int len = 0;
            bpf_probe_read_kernel(&name, 8, &own->addr);
            bpf_probe_read_kernel(&len, 4, &name->len);
            len -= 2;
            if (!name || len <= 0 || len > OWN_NAME_MAX)
                return 0; // it has none, and was found by nobody
            begin = (TEXT_BYTES - OWN_NAME_MAX) & TEXT_MASK;
            __u64 *words = (__u64 *)(s->text + begin);
            __builtin_memset(words, 0, OWN_NAME_MAX);
            bpf_probe_read_kernel(words, BOUNDED(len, OWN_NAME_MASK), (void *)&name->name + sizeof(__u16));
            s->text[begin] = '@';
            r->said = len;
            for (int i = 0; i < OWN_NAME_MAX / 8; i++)
                hash_add(h, words[i]);
        }
    } else {
        return 0;
    }
    if (c->accepts && c->proto == IPPROTO_TCP)
        connection_made(s, task, r);
    hash_add(h, address[0]);
    hash_add(h, address[1]);
    hash_add(h, c->port | (__u64)c->proto << 16);
    *p = hash_end(h);
    if (admit(p, now, c->cgroup, CLASS_SOCKET, &slot) == LEAVE)
        return 0;
    r->ret = 0;
    tail_of(&r->tail, KIND_SOCKET, task->group_leader, c->cgroup, now);
    r->tail.marks = c->marks;
    if (r->is_path) {
        begin = walk_up(TEXT_BYTES) & TEXT_MASK;
        r->tail.marks |= w->marks;
        r->tail.spare = (TEXT_BYTES - begin) & TEXT_MASK;
    }
    r->tail.text = (TEXT_BYTES - begin) & TEXT_MASK;
    if (put_text(s, begin, sizeof(*r), c->cgroup, CLASS_SOCKET))
        remember(slot, p, now);
    return 0;
}

// A connection of the present task's has been accepted: `file` is its socket.
__noinline int accepted(__u64 file)
{
    struct scratch *s = my_scratch();
    if (!s)
        return 0;
    struct socket_call *c = &s->socket;
    struct said_address *a = &c->said;
    __u64 sk = sock_of(file);
    const struct sock *sock = (struct sock *)sk;
    if (!sk) {
        count_lost(c->cgroup, CLASS_SOCKET, CAUSE_UNREADABLE);
        return 0;
    }
    __builtin_memset(a, 0, sizeof(*a));
    c->sock = sk;
    c->proto = transport_of(sk);
    bpf_probe_read_kernel(&a->family, 2, &sock->__sk_common.skc_family);
    bpf_probe_read_kernel(&a->v4, 4, &sock->__sk_common.skc_daddr);
    c->port = 0;
    if (a->family == FAMILY_INET6) {
        a->v4 = 0;
        bpf_probe_read_kernel(a->v6, 16, &sock->__sk_common.skc_v6_daddr);
    }
    if (a->family == FAMILY_INET || a->family == FAMILY_INET6)
        bpf_probe_read_kernel(&c->port, 2, &sock->__sk_common.skc_num);
    else
        c->proto = 0;
    c->accepts = true;
    return let_in();
}

// A datagram has been received by the present task, and the scratch's call says where its sender's address is. Told if
// the sender spoke first.
__noinline int heard_from(void)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    if (!s)
        return 0;
    struct socket_call *c = &s->socket;
    __u32 bytes = c->bytes > SOCKADDR_UN_MAX ? SOCKADDR_UN_MAX : c->bytes;
    __u64 file = file_called(c, task);
    __u64 sk = sock_of(file);
    const struct sock *sock = (struct sock *)sk;
    __u16 family = 0;
    bpf_probe_read_kernel(&family, 2, &sock->__sk_common.skc_family);
    c->sock = sk;
    c->proto = family == FAMILY_UNIX ? 0 : transport_of(sk);
    c->port = 0;
    if (!sk || !serves(sk, family, c->proto))
        return 0;
    if (bytes < 2) {
        // From a unix socket without a name.
        if (family != FAMILY_UNIX)
            return 0;
        __builtin_memset(&c->said, 0, sizeof(c->said));
    } else if (read_address(c, bytes)) {
        count_lost(c->cgroup, CLASS_SOCKET, CAUSE_UNREADABLE);
        return 0;
    } else if (!spoke_first(s, file, HEARD)) {
        return 0;
    }
    c->accepts = false;
    c->said.family = family;
    if (family != FAMILY_UNIX)
        bpf_probe_read_kernel(&c->port, 2, &sock->__sk_common.skc_num);
    return let_in();
}
