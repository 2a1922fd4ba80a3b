// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How much went over a TCP connection. The kernel counts that for every connection as it is, so nothing runs for a packet:
// who made a connection is remembered when it is made, and what it came to is read from the socket when it ends, when its
// process ends or executes another program, and whenever sets of system calls are due.
// Not here: datagrams and unix sockets, of which the kernel keeps no such count.
#pragma once
#include "process.h"

enum {
    CONNECTIONS = 32768,
    NO_POWER = 0xff,
    BOTH_WAYS = 3, // sk_shutdown: nothing more is sent or received
    SOCK_DONE_BIT = 1,
};

enum tcp_state {
    TCP_SYN_SENT = 2,
    TCP_FIN_WAIT1 = 4,
    TCP_CLOSE = 7,
    TCP_LAST_ACK = 9,
    TCP_CLOSING = 11,
};

struct flow_record {
    __u64 sent;
    __u64 received;
    __u8 address[16];
    __u8 family; // as of a socket_record, and
    __u8 proto;
    __u16 port;
    __u8 op; // enum socket_op
    __u8 pad[3];
    struct tail tail;
};

// Whose a connection is, and what was told of it.
struct connection {
    __u64 cgroup;
    __u64 lineage;
    __u64 start;
    __u32 pid; // 0: nothing more is to be told
    __u16 port;
    __u8 family;
    __u8 op;
    __u64 address[2];
    __u8 sent; // the smallest n with bytes < 2^n, of what was told last, or NO_POWER
    __u8 received;
    __u8 pad[6];
};

// By the socket's address, which is used again only after its end, and then overwritten.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CONNECTIONS);
    __type(key, __u64);
    __type(value, struct connection);
} connections SEC(".maps");

// The smallest n with bytes < 2^n.
static __always_inline __u8 power_above(__u64 bytes)
{
    __u8 n = 0;
    for (int half = 32; half; half /= 2) {
        if (bytes >> half) {
            bytes >>= half;
            n += half;
        }
    }
    return n + bytes;
}

// What the process has handed over to be sent, and what came for it, in bytes of its own data.
static __always_inline void volume_of(__u64 sk, __u64 *sent, __u64 *received)
{
    const struct tcp_sock *tcp = (struct tcp_sock *)sk;
    const struct sock *sock = (struct sock *)sk;
    __u64 again = 0;
    __u32 written = 0, next = 0;
    unsigned long flags = 0;
    bpf_probe_read_kernel(sent, 8, &tcp->bytes_sent);
    bpf_probe_read_kernel(&again, 8, &tcp->bytes_retrans);
    bpf_probe_read_kernel(&written, 4, &tcp->write_seq);
    bpf_probe_read_kernel(&next, 4, &tcp->snd_nxt);
    bpf_probe_read_kernel(received, 8, &tcp->bytes_received);
    bpf_probe_read_kernel(&flags, sizeof(flags), &sock->__sk_common.skc_flags);
    __s32 waiting = written - next;
    *sent -= again < *sent ? again : *sent;
    *sent += waiting > 0 ? waiting : 0;
    // The peer's end counts as a byte.
    if (*received && (flags & (1ul << SOCK_DONE_BIT)))
        *received -= 1;
}

// What stands for so much over such a connection: half of it is returned. A function of its own, for its stack.
static __noinline __u64 print_flow(const struct connection *of, __u32 powers, __u64 *other_half)
{
    struct hash h;
    print_begin(&h);
    hash_add(&h, of->cgroup);
    hash_add(&h, of->lineage);
    hash_add(&h, KIND_FLOW | (__u64)of->op << 8 | (__u64)of->family << 16 | (__u64)of->port << 32);
    hash_add(&h, of->address[0]);
    hash_add(&h, of->address[1]);
    hash_add(&h, powers);
    struct print p = hash_end(&h);
    *other_half = p.b;
    return p.a;
}

// Tells what has gone over the socket's connection so far, if that is more than was told. Not in the scratch: packets that
// come in the middle of any other program end connections too. A function of its own to the verifier, which so looks at it
// once and not once for every way to it.
__noinline int tell_flow(__u64 sk)
{
    struct connection *of = bpf_map_lookup_elem(&connections, &sk);
    __u64 sent = 0, received = 0, now = bpf_ktime_get_boot_ns();
    if (!of)
        return 0;
    volume_of(sk, &sent, &received);
    __u8 out = power_above(sent), in = power_above(received);
    if (out == of->sent && in == of->received)
        return 0;
    struct print p;
    p.a = print_flow(of, out | (__u32)in << 8, &p.b);
    struct seen *slot;
    if (admit(&p, now, of->cgroup, CLASS_FLOW, &slot) == LEAVE) {
        if (!slot || slot->a != p.a || slot->b != p.b)
            return 0; // it may be told later
        of->sent = out;
        of->received = in;
        return 0;
    }
    struct flow_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
    if (!r) {
        count_lost(of->cgroup, CLASS_FLOW, CAUSE_RING_FULL);
        return 0;
    }
    r->sent = sent;
    r->received = received;
    __builtin_memcpy(r->address, of->address, 16);
    r->family = of->family;
    r->proto = 6;
    r->port = of->port;
    r->op = of->op;
    __builtin_memset(r->pad, 0, sizeof(r->pad));
    r->tail.at = now;
    r->tail.cgroup = of->cgroup;
    r->tail.start = of->start;
    r->tail.pid = of->pid;
    r->tail.text = 0;
    r->tail.kind = KIND_FLOW;
    r->tail.marks = 0;
    r->tail.spare = 0;
    bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
    remember(slot, &p, now);
    of->sent = out;
    of->received = in;
    return 0;
}

// Of one process, and for the last time; or of all, with no process.
struct whose {
    __u64 start;
    __u32 pid;
};

static long tell_if_of(void *map, __u64 *sk, struct connection *of, struct whose *whose)
{
    if (!of->pid || (whose->pid && (of->pid != whose->pid || of->start != whose->start)))
        return 0;
    tell_flow(*sk);
    if (whose->pid)
        of->pid = 0;
    return 0;
}

// The process ends, or will be another program: whatever still goes over its connections is not its doing.
static __always_inline int tell_flows_of(struct process *p, struct task_struct *leader)
{
    if (!wanted(CLASS_FLOW) || !p->connections)
        return 0;
    struct whose whose = {.start = leader->start_boottime, .pid = leader->tgid};
    p->connections = 0;
    bpf_for_each_map_elem(&connections, tell_if_of, &whose, 0);
    return 0;
}

static __noinline int tell_flows(void)
{
    struct whose all = {};
    if (wanted(CLASS_FLOW))
        bpf_for_each_map_elem(&connections, tell_if_of, &all, 0);
    return 0;
}

// It has been told of; and is its process's no more.
static __always_inline void forget_connection(__u64 sk, const struct connection *of)
{
    struct task_struct *leader = bpf_get_current_task_btf()->group_leader;
    // What others end, on a packet's arrival or after a fork, costs the process a look at its end.
    if ((__u32)leader->tgid == of->pid && leader->start_boottime == of->start) {
        struct process *p = bpf_task_storage_get(&processes, leader, 0, 0);
        if (p && p->connections)
            __sync_fetch_and_add(&p->connections, -1);
    }
    bpf_map_delete_elem(&connections, &sk);
}

static __always_inline __u8 state_of(__u64 sk)
{
    __u8 state = TCP_CLOSE;
    bpf_probe_read_kernel(&state, 1, (void *)&((struct sock *)sk)->__sk_common.skc_state);
    return state;
}

// The present task has made the connection `made` of `sk`: from now on it is told of when it ends.
static __always_inline void begin_flow(struct task_struct *task, __u64 sk, const struct connection *made)
{
    struct process *p = process_of(task->group_leader, false);
    if (!wanted(CLASS_FLOW) || !p || !sk)
        return;
    if (bpf_map_update_elem(&connections, &sk, made, BPF_ANY)) {
        count_lost(made->cgroup, CLASS_FLOW, CAUSE_MAP_FULL);
        return;
    }
    __sync_fetch_and_add(&p->connections, 1);
    if (state_of(sk) != TCP_CLOSE)
        return;
    // Its end may have come before.
    tell_flow(sk);
    forget_connection(sk, made);
}

// Told when both sides have no more to say, which is when it is closed if not before: later its process may be gone.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(grove_tcp, const struct sock *sk, int before, int state)
{
    if (state != TCP_CLOSE && state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK && state != TCP_CLOSING)
        return 0;
    __u64 key = 0;
    bpf_probe_read_kernel(&key, 8, &ctx[0]); // the pointer as a number
    struct connection *of = bpf_map_lookup_elem(&connections, &key);
    if (!of || (state != TCP_CLOSE && sk->sk_shutdown != BOTH_WAYS))
        return 0;
    // One that was refused has never been.
    if (of->pid && before != TCP_SYN_SENT)
        tell_flow(key);
    forget_connection(key, of);
    return 0;
}
