// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Packets as they leave a socket: how far down they are looked into, and whose they are.
// Not here: what they say.
#pragma once
#include "process.h"

enum {
    ETH_IPV4 = 0x0008, // as the packet has it
    ETH_IPV6 = 0xdd86,
    TRANSPORT_TCP = 6,
    TRANSPORT_UDP = 17,
};

// A packet, as far as it has been read.
struct packet {
    struct {
        __u8 first;
        __u8 rest[39];
    } ip;
    struct task_struct *task;
    __u64 cgroup;
    __u32 at; // where what is next begins
    bool v6;
    bool tcp;
    bool known; // the task is the sender
};

// Whether anybody wants to hear of what is sent. Task storage is not to be had here before Linux 6.16.
static __always_inline bool sender_in_scope(const struct packet *p, enum class class)
{
    __u32 tgid = p->task->tgid;
    if (p->task->tgid == self)
        return false;
    if (scope != SCOPE_DESCENDANTS)
        return cgroup_in_scope(p->cgroup);
    if (!bpf_map_lookup_elem(&followed, &tgid))
        return false;
    // What is sent on somebody else's time is nobody's then: the cgroup alone says too little.
    if (!p->known)
        count_lost(cgroup_of(p->task), class, CAUSE_UNREADABLE);
    return p->known;
}

// Who sends it, as far as that is known.
static __always_inline void whose_packet(struct __sk_buff *skb, struct packet *p)
{
    p->task = bpf_get_current_task_btf();
    p->cgroup = bpf_skb_cgroup_id(skb);
    // A datagram leaves as it is sent, by whoever does, though the socket may be of another cgroup. A stream goes on when
    // the peer lets it, on anybody's time: whose it is then cannot be said.
    if (!p->tcp && p->task->mm)
        p->cgroup = cgroup_of(p->task);
    p->known = cgroup_of(p->task) == p->cgroup;
}
