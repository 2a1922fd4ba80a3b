// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// DNS questions, as packets that leave a socket for port 53, of whatever address. The first question of a
// message goes up as it is on the wire; reading it is the reader's business.
#pragma once
#include "process.h"

enum {
    ETH_IPV4 = 0x0008, // as the packet has it
    ETH_IPV6 = 0xdd86,
    TRANSPORT_TCP = 6,
    TRANSPORT_UDP = 17,
    DNS_PORT = 53,
    DNS_HEADER = 12,
    QUESTION_MAX = 260, // 255 of name, type, class
};

struct dns_text {
    __u8 question[320]; // ends with the text, as in `struct scratch`, and has slack for the same reason
    struct dns_record record;
    __u8 slack[QUESTION_MAX];
};

// Packets may come in the middle of any other program, so their records are put together elsewhere.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); // set to the number of CPUs
    __type(key, __u32);
    __type(value, struct dns_text);
} packets SEC(".maps");

// Whether anybody wants to hear of what `task` sends. Task storage is not to be had here before Linux 6.16.
static __always_inline bool sender_in_scope(struct task_struct *task, __u64 cgroup)
{
    __u32 tgid = task->tgid;
    if (task->tgid == self)
        return false;
    // What is sent on somebody else's time is nobody's then: the cgroup alone says too little.
    if (scope == SCOPE_DESCENDANTS)
        return bpf_map_lookup_elem(&followed, &tgid) && cgroup_of(task) == cgroup;
    return cgroup_in_scope(cgroup);
}

SEC("cgroup_skb/egress")
int grove_dns(struct __sk_buff *skb)
{
    struct {
        __u8 first;
        __u8 rest[39];
    } ip = {};
    __u32 at = 0;
    __u8 proto;
    bool v6 = skb->protocol == ETH_IPV6;
    if (v6) {
        if (bpf_skb_load_bytes(skb, 0, &ip, 40))
            return 1;
        proto = ip.rest[5];
        at = 40;
    } else {
        if (skb->protocol != ETH_IPV4 || bpf_skb_load_bytes(skb, 0, &ip, 20))
            return 1;
        proto = ip.rest[8];
        at = (ip.first & 15) * 4;
    }
    if (proto != TRANSPORT_UDP && proto != TRANSPORT_TCP)
        return 1;
    __u16 port = 0;
    if (bpf_skb_load_bytes(skb, at + 2, &port, 2) || __builtin_bswap16(port) != DNS_PORT)
        return 1;
    if (proto == TRANSPORT_TCP) {
        __u8 words = 0;
        if (bpf_skb_load_bytes(skb, at + 12, &words, 1))
            return 1;
        at += (words >> 4) * 4;
    } else {
        at += 8;
    }
    // Over TCP a message has its length in front, which may have gone ahead in a segment of its own.
    __u16 head[DNS_HEADER / 2 + 1] = {};
    if (proto == TRANSPORT_TCP) {
        if (bpf_skb_load_bytes(skb, at, head, 14))
            return 1;
        if (__builtin_bswap16(head[0]) == skb->len - at - 2)
            at += 2;
    }
    if (bpf_skb_load_bytes(skb, at, head, DNS_HEADER))
        return 1;
    // A query: QR clear, at least one question.
    if (head[1] & 0x80 || !head[2])
        return 1;

    struct task_struct *task = bpf_get_current_task_btf();
    __u64 cgroup = bpf_skb_cgroup_id(skb);
    if (!sender_in_scope(task, cgroup))
        return 1;
    if (admit_new(cgroup, CLASS_DNS) == LEAVE)
        return 1;
    __u32 cpu = bpf_get_smp_processor_id();
    struct dns_text *t = bpf_map_lookup_elem(&packets, &cpu);
    if (!t)
        return 1;
    at += DNS_HEADER;
    if (at >= skb->len)
        return 1;
    __u32 len = skb->len - at;
    if (len > QUESTION_MAX)
        len = QUESTION_MAX;
    // Bounds that the compiler knows and the verifier does not: kept apart from the ones above.
    asm volatile("" : "+r"(len));
    if (len == 0 || len > QUESTION_MAX)
        return 1;
    __u32 begin = sizeof(t->question) - len;
    asm volatile("" : "+r"(begin));
    if (begin >= sizeof(t->question) || bpf_skb_load_bytes(skb, at, t->question + begin, len)) {
        count_lost(cgroup, CLASS_DNS, CAUSE_UNREADABLE);
        return 1;
    }
    struct dns_record *r = &t->record;
    __builtin_memset(r->server, 0, sizeof(r->server));
    if (v6)
        __builtin_memcpy(r->server, ip.rest + 23, 16);
    else
        __builtin_memcpy(r->server, ip.rest + 15, 4);
    r->v6 = v6;
    r->tcp = proto == TRANSPORT_TCP;
    struct task_struct *leader = task->group_leader;
    tail_of(&r->tail, KIND_DNS, leader, cgroup, bpf_ktime_get_boot_ns());
    r->tail.text = len;
    if (cgroup_of(task) != cgroup) {
        // Sent on somebody else's time: whose it is cannot be said.
        r->tail.pid = 0;
        r->tail.start = 0;
    }
    put(t->question + begin, len + sizeof(*r), cgroup, CLASS_DNS);
    return 1;
}
