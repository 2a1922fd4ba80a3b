// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// DNS questions, in packets that go to port 53, of whatever address. The first question of every message goes up as it is
// on the wire; reading it is the reader's business.
#pragma once
#include "packet.h"

enum {
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

// Tells what a packet to port 53 asks.
static __always_inline int questions_asked(struct __sk_buff *skb, struct packet *p)
{
    struct dns_header h = {};
    if (bpf_skb_load_bytes(skb, p->at, &h, sizeof(h)))
        return 1;
    whose_packet(skb, p);
    if (!p->tcp) {
        // A query: QR clear, at least one question.
        if (!(h.flags & 0x80) && (h.counts[0] || h.counts[1]) && sender_in_scope(p, CLASS_DNS))
            question_asked(skb, p, p->at);
        return 1;
    }
    // Over TCP a message has its length in front, which may have gone ahead in a segment of its own.
    bool alone = plausible(&h, true);
    bool any = false;
    for (int i = 0; i < MESSAGES_MAX; i++) {
        __u16 said = 0;
        if (bpf_skb_load_bytes(skb, p->at, &said, 2) || bpf_skb_load_bytes(skb, p->at + 2, &h, sizeof(h)))
            break;
        said = __builtin_bswap16(said);
        if (said <= DNS_HEADER || p->at + 2 + said > skb->len || !plausible(&h, false))
            break;
        if (!any && !sender_in_scope(p, CLASS_DNS))
            return 1;
        any = true;
        question_asked(skb, p, p->at + 2);
        p->at += 2 + said;
    }
    if (!any && alone && sender_in_scope(p, CLASS_DNS))
        question_asked(skb, p, p->at);
    return 1;
}
