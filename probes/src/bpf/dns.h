// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// DNS questions, as packets that leave a socket for port 53, of whatever address. The first question of every
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
    QUESTION_MASK = 511,
    MESSAGES_MAX = 4,   // of one TCP segment
};

// Text: the question section's first entry as it is on the wire, possibly cut.
struct dns_record {
    __u8 server[16]; // v4 in the first four bytes
    __u8 v6;
    __u8 tcp;
    __u8 pad[6];
    struct tail tail;
};

// A packet to port 53, as far as it has been read.
struct packet {
    struct {
        __u8 first;
        __u8 rest[39];
    } ip;
    struct task_struct *task;
    __u64 cgroup;
    __u32 at; // where the next message begins
    bool v6;
    bool tcp;
    bool known; // the task is the sender
};

struct dns_text {
    __u8 question[320]; // ends with the text, as in `struct scratch`, and has slack for the same reason
    struct dns_record record;
    __u8 slack[QUESTION_MASK + 1];
};

// Packets may come in the middle of any other program, so their records are put together elsewhere.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); // set to the number of CPUs
    __type(key, __u32);
    __type(value, struct dns_text);
} packets SEC(".maps");

// Whether anybody wants to hear of what is sent. Task storage is not to be had here before Linux 6.16.
static __always_inline bool sender_in_scope(const struct packet *p)
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
        count_lost(cgroup_of(p->task), CLASS_DNS, CAUSE_UNREADABLE);
    return p->known;
}

// A message's header, its numbers as the wire has them.
struct dns_header {
    __u16 id;
    __u8 flags; // QR, operation, AA, TC, RD
    __u8 more;  // RA, Z, AD, CD, result
    __u8 counts[8];
};

// Whether it asks: in a stream, where anything may be taken for a header. `one` question, or any number.
static __always_inline bool plausible(const struct dns_header *h, bool one)
{
    if (h->flags & 0xfc || h->more & 0xcf || h->counts[0] || !h->counts[1])
        return false;
    // No answers; an authority if zones are transferred; signatures and options.
    return !(one && h->counts[1] != 1) && !h->counts[2] && !h->counts[3] && !h->counts[4] && h->counts[5] < 2 &&
           !h->counts[6] && h->counts[7] < 4;
}

// Tells the question behind the header at `at`.
static __noinline int question_asked(struct __sk_buff *skb, struct packet *p, __u32 at)
{
    __u64 cgroup = p->cgroup;
    if (admit_new(cgroup, CLASS_DNS) == LEAVE)
        return 0;
    __u32 cpu = bpf_get_smp_processor_id();
    struct dns_text *t = bpf_map_lookup_elem(&packets, &cpu);
    at += DNS_HEADER;
    if (!t || at >= skb->len)
        return 0;
    __u32 len = skb->len - at;
    if (len > QUESTION_MAX)
        len = QUESTION_MAX;
    // Bounds that the compiler knows and the verifier does not: kept apart from the ones above.
    asm volatile("" : "+r"(len));
    if (len == 0 || len > QUESTION_MAX)
        return 0;
    __u32 begin = sizeof(t->question) - len;
    asm volatile("" : "+r"(begin));
    if (begin >= sizeof(t->question))
        return 0;
    // At least 1, which older verifiers do not conclude from its not being 0.
    if (bpf_skb_load_bytes(skb, at, t->question + begin, BOUNDED(len - 1, QUESTION_MASK) + 1)) {
        count_lost(cgroup, CLASS_DNS, CAUSE_UNREADABLE);
        return 0;
    }
    struct dns_record *r = &t->record;
    __builtin_memset(r->server, 0, sizeof(r->server));
    if (p->v6)
        __builtin_memcpy(r->server, p->ip.rest + 23, 16);
    else
        __builtin_memcpy(r->server, p->ip.rest + 15, 4);
    r->v6 = p->v6;
    r->tcp = p->tcp;
    struct task_struct *task = bpf_get_current_task_btf();
    tail_of(&r->tail, KIND_DNS, task->group_leader, cgroup, bpf_ktime_get_boot_ns());
    r->tail.text = len;
    if (!p->known) {
        r->tail.pid = 0;
        r->tail.start = 0;
    }
    put(t->question + begin, len + sizeof(*r), cgroup, CLASS_DNS);
    return 0;
}

SEC("cgroup_skb/egress")
int grove_dns(struct __sk_buff *skb)
{
    struct packet p = {.v6 = skb->protocol == ETH_IPV6};
    __u8 proto;
    if (p.v6) {
        if (bpf_skb_load_bytes(skb, 0, &p.ip, 40))
            return 1;
        proto = p.ip.rest[5];
        p.at = 40;
    } else {
        if (skb->protocol != ETH_IPV4 || bpf_skb_load_bytes(skb, 0, &p.ip, 20))
            return 1;
        proto = p.ip.rest[8];
        p.at = (p.ip.first & 15) * 4;
    }
    if (proto != TRANSPORT_UDP && proto != TRANSPORT_TCP)
        return 1;
    __u16 port = 0;
    if (bpf_skb_load_bytes(skb, p.at + 2, &port, 2) || __builtin_bswap16(port) != DNS_PORT)
        return 1;
    p.tcp = proto == TRANSPORT_TCP;
    if (p.tcp) {
        __u8 words = 0;
        if (bpf_skb_load_bytes(skb, p.at + 12, &words, 1))
            return 1;
        p.at += (words >> 4) * 4;
    } else {
        p.at += 8;
    }
    struct dns_header h = {};
    if (bpf_skb_load_bytes(skb, p.at, &h, sizeof(h)))
        return 1;
    p.task = bpf_get_current_task_btf();
    p.cgroup = bpf_skb_cgroup_id(skb);
    // A datagram leaves as it is sent, by whoever does, though the socket may be of another cgroup. A stream goes on when
    // the peer lets it, on anybody's time: whose it is then cannot be said.
    if (!p.tcp && p.task->mm)
        p.cgroup = cgroup_of(p.task);
    p.known = cgroup_of(p.task) == p.cgroup;
    if (!p.tcp) {
        // A query: QR clear, at least one question.
        if (!(h.flags & 0x80) && (h.counts[0] || h.counts[1]) && sender_in_scope(&p))
            question_asked(skb, &p, p.at);
        return 1;
    }
    // Over TCP a message has its length in front, which may have gone ahead in a segment of its own.
    bool alone = plausible(&h, true);
    bool any = false;
    for (int i = 0; i < MESSAGES_MAX; i++) {
        __u16 said = 0;
        if (bpf_skb_load_bytes(skb, p.at, &said, 2) || bpf_skb_load_bytes(skb, p.at + 2, &h, sizeof(h)))
            break;
        said = __builtin_bswap16(said);
        if (said <= DNS_HEADER || p.at + 2 + said > skb->len || !plausible(&h, false))
            break;
        if (!any && !sender_in_scope(&p))
            return 1;
        any = true;
        question_asked(skb, &p, p.at + 2);
        p.at += 2 + said;
    }
    if (!any && alone && sender_in_scope(&p))
        question_asked(skb, &p, p.at);
    return 1;
}
