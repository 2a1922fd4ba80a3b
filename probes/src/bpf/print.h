// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What stands for a behaviour: 128 bits of SipHash-1-3 (Aumasson and Bernstein) over 64-bit words. Nobody who does not
// have the key can aim at a print, or make two behaviours that share one: the mixing is known to have no differential
// that holds for every key. Nothing but 64-bit arithmetic, so the tests compile this very file for the host.
// Not here: what goes into a print.
#pragma once

struct print {
    __u64 a;
    __u64 b;
};

// A print under way.
struct hash {
    __u64 v0;
    __u64 v1;
    __u64 v2;
    __u64 v3;
    __u64 words;
};

#define ROTATED(x, by) ((x) << (by) | (x) >> (64 - (by)))

static __always_inline void hash_round(struct hash *h)
{
    __u64 v0 = h->v0, v1 = h->v1, v2 = h->v2, v3 = h->v3;
    v0 += v1;
    v2 += v3;
    v1 = ROTATED(v1, 13) ^ v0;
    v3 = ROTATED(v3, 16) ^ v2;
    v0 = ROTATED(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = ROTATED(v1, 17) ^ v2;
    v3 = ROTATED(v3, 21) ^ v0;
    v2 = ROTATED(v2, 32);
    h->v0 = v0;
    h->v1 = v1;
    h->v2 = v2;
    h->v3 = v3;
}

static __always_inline void hash_begin(struct hash *h, __u64 key0, __u64 key1)
{
    h->v0 = key0 ^ 0x736f6d6570736575;
    h->v1 = key1 ^ 0x646f72616e646f6d ^ 0xee; // of the form with 128 bits
    h->v2 = key0 ^ 0x6c7967656e657261;
    h->v3 = key1 ^ 0x7465646279746573;
    h->words = 0;
}

static __always_inline void hash_add(struct hash *h, __u64 word)
{
    h->v3 ^= word;
    hash_round(h);
    h->v0 ^= word;
    h->words++;
}

static __always_inline struct print hash_end(struct hash *h)
{
    struct print p;
    hash_add(h, h->words << 59); // how many bytes there were, modulo 256
    h->v2 ^= 0xee;
    hash_round(h);
    hash_round(h);
    hash_round(h);
    p.a = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
    h->v1 ^= 0xdd;
    hash_round(h);
    hash_round(h);
    hash_round(h);
    p.b = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
    return p;
}
