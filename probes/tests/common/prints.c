// The print of repeats as the kernel programs have it (print.h), for this host.
//   prints hash KEY0 KEY1 WORD...     its two halves, in hexadecimal
//   prints search NAME TRIES SEED     how many pairs of inputs share both halves, and one: of the print (siphash), or of
//                                     what was there before (multiplied)
// The search takes a random key and message, changes a few bits of two or three neighbouring words and compares. Such
// differences need not be guessed: all of one bit before and up to two behind come by in every 133,120 tries.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t __u64;
#include "print.h"

enum { WORDS_MAX = 6, BITS = 64, PAIRS = BITS + BITS * (BITS - 1) / 2 };

struct random {
    __u64 s[2];
};

// xorshift128+
static __u64 next(struct random *r)
{
    __u64 a = r->s[0], b = r->s[1];
    r->s[0] = b;
    a ^= a << 23;
    r->s[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return r->s[1] + b;
}

static struct print siphash(const __u64 key[2], const __u64 *words, int n)
{
    struct hash h;
    hash_begin(&h, key[0], key[1]);
    for (int i = 0; i < n; i++)
        hash_add(&h, words[i]);
    return hash_end(&h);
}

static __u64 stir(__u64 h, __u64 word, __u64 by)
{
    h ^= word;
    h *= by | 1;
    return h ^ (h >> 29);
}

// What prints were at first, and how they could be made to collide: the search has to find that.
static struct print multiplied(const __u64 key[2], const __u64 *words, int n)
{
    struct print p = {key[0], key[1]};
    for (int i = 0; i < n; i++) {
        p.a = stir(p.a, words[i], 0xbf58476d1ce4e5b9 ^ key[0]);
        p.b = stir(p.b, words[i], 0x94d049bb133111eb ^ key[1]);
    }
    return p;
}

// The `which`th set of one or two bits.
static __u64 pair(unsigned which)
{
    which %= PAIRS;
    if (which < BITS)
        return 1ull << which;
    which -= BITS;
    int high = 1;
    while (which >= (unsigned)high)
        which -= high++;
    return 1ull << high | 1ull << which;
}

static void difference(__u64 *words, int n, __u64 which, struct random *r)
{
    int at = next(r) % (n - 1);
    // Three in four are gone through in order, the others are any.
    if (which % 4 != 3) {
        which -= which / 4 + 1;
        words[at] ^= 1ull << (which / PAIRS % BITS);
        words[at + 1] ^= pair(which);
        return;
    }
    words[at] ^= pair(next(r));
    words[at + 1] ^= pair(next(r));
    if (at + 2 < n && next(r) & 1)
        words[at + 2] ^= pair(next(r));
}

static void search(struct print (*of)(const __u64[2], const __u64 *, int), __u64 tries, struct random *r)
{
    unsigned long long both = 0, half = 0;
    for (__u64 t = 0; t < tries; t++) {
        __u64 key[2] = {next(r), next(r)}, one[WORDS_MAX], other[WORDS_MAX];
        int n = 2 + next(r) % (WORDS_MAX - 1);
        for (int i = 0; i < n; i++)
            one[i] = next(r);
        memcpy(other, one, sizeof(one));
        difference(other, n, t, r);
        struct print p = of(key, one, n), q = of(key, other, n);
        both += p.a == q.a && p.b == q.b;
        half += (p.a == q.a) != (p.b == q.b);
    }
    printf("%llu %llu\n", both, half);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && !strcmp(argv[1], "hash")) {
        __u64 key[2] = {strtoull(argv[2], 0, 16), strtoull(argv[3], 0, 16)}, words[64];
        int n = argc - 4 < 64 ? argc - 4 : 64;
        for (int i = 0; i < n; i++)
            words[i] = strtoull(argv[i + 4], 0, 16);
        struct print p = siphash(key, words, n);
        printf("%016llx %016llx\n", (unsigned long long)p.a, (unsigned long long)p.b);
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "search")) {
        struct random r = {{strtoull(argv[4], 0, 10) | 1, 0x9e3779b97f4a7c15}};
        for (int i = 0; i < 16; i++)
            next(&r);
        search(strcmp(argv[2], "multiplied") ? siphash : multiplied, strtoull(argv[3], 0, 10), &r);
        return 0;
    }
    return 2;
}
