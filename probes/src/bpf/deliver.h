// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The way into the ring: who gets in when it fills, what was told already, and counting all that was not.
// Not here: what records say.
#pragma once
#include "maps.h"
#include "print.h"

static const struct losses no_losses = {};

// One event of `class` was not delivered.
__noinline int count_lost(__u64 cgroup, __u32 class, __u32 cause)
{
    __u32 index = class * CAUSES + cause;
    if (class == CLASS_FORK || class == CLASS_EXEC) {
        __u32 key = 0;
        __u32 *n = bpf_map_lookup_elem(&strays, &key);
        if (n)
            __sync_fetch_and_add(n, 1);
    }
    struct losses *l = bpf_map_lookup_elem(&lost, &cgroup);
    if (!l) {
        bpf_map_update_elem(&lost, &cgroup, &no_losses, BPF_NOEXIST);
        l = bpf_map_lookup_elem(&lost, &cgroup);
    }
    if (!l) {
        cgroup = 0;
        l = bpf_map_lookup_elem(&lost, &cgroup);
    }
    if (l && index < CLASSES * CAUSES)
        __sync_fetch_and_add(&l->n[index], 1);
    return 0;
}

static __always_inline bool wanted(__u32 class)
{
    return classes & (1u << class);
}

static __always_inline __u64 ring_fill(void)
{
    return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
}

// Puts a record into the ring, or counts it. Without a wake-up: the reader comes by on a timer.
static __always_inline bool put(void *record, __u64 bytes, __u64 cgroup, __u32 class)
{
    if (!bpf_ringbuf_output(&ring, record, bytes, BPF_RB_NO_WAKEUP))
        return true;
    count_lost(cgroup, class, CAUSE_RING_FULL);
    return false;
}

static __always_inline void print_begin(struct hash *h)
{
    hash_begin(h, secret[0], secret[1]);
}

enum verdict {
    DELIVER,
    LEAVE, // counted already
};

// Whether an event that may repeat others is to be delivered. The slot to remember it in goes to `*slot`.
static __always_inline enum verdict admit(const struct print *p, __u64 now, __u64 cgroup, __u32 class,
                                          struct seen **slot)
{
    __u32 index = p->a & (SEEN_SLOTS - 1);
    struct seen *s = bpf_map_lookup_elem(&told, &index);
    bool repeat = s && s->a == p->a && s->b == p->b;
    *slot = s;
    if (repeat && window_ns && now - s->at < window_ns) {
        count_lost(cgroup, class, CAUSE_REPEAT);
        return LEAVE;
    }
    __u64 fill = ring_fill();
    if (fill > shed_bytes && (repeat || fill > shed_all_bytes)) {
        count_lost(cgroup, class, CAUSE_SHED);
        return LEAVE;
    }
    return DELIVER;
}

// The same for events that have no print: they are new whenever they come.
static __always_inline enum verdict admit_new(__u64 cgroup, __u32 class)
{
    if (ring_fill() <= shed_all_bytes)
        return DELIVER;
    count_lost(cgroup, class, CAUSE_SHED);
    return LEAVE;
}

// Only what was delivered may make a repeat of what follows.
static __always_inline void remember(struct seen *s, const struct print *p, __u64 now)
{
    if (!s)
        return;
    s->a = p->a;
    s->b = p->b;
    s->at = now;
}
