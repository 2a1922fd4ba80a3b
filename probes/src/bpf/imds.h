// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Requests to a cloud's instance metadata service, as segments that leave a socket for one of its addresses and begin with
// the method of an HTTP request. What goes up is the method and the path, without its query, and which of a few headers
// were there: no header's value, no body. Whose service it is, is the reader's business.
#pragma once
#include "packet.h"

enum {
    REQUEST_MAX = 2048, // bytes of a segment that are looked at
    REQUEST_MASK = 4095,
    LINE_MAX = 511, // of method and path
};

enum header {
    HEADER_TOKEN = 1 << 0,         // a session's token
    HEADER_FLAVOR = 1 << 1,        // Metadata-Flavor
    HEADER_METADATA = 1 << 2,      // Metadata
    HEADER_AUTHORIZATION = 1 << 3, // somebody's token
    HEADER_ALL = 1 << 4,           // the headers' end was seen
};

// Text: the method, a blank, and the path.
struct imds_record {
    __u8 server[16]; // v4 in the first four bytes
    __u8 v6;
    __u8 headers;
    __u8 pad[6];
    struct tail tail;
};

enum reading {
    READING_METHOD,
    READING_PATH,
    READING_LINE, // to its end
    READING_NAME,
    READING_END,
};

struct request {
    __u8 bytes[REQUEST_MAX];
    __u8 line[LINE_MAX + 1]; // ends with the text, as in `struct scratch`, and has slack for the same reason
    struct imds_record record;
    __u8 slack[LINE_MAX + 1];
    struct hash hash;
    __u64 word;
    __u64 name; // of a header's name so far
    __u32 reading;
    __u32 len; // of the line, to the path's end
    __u32 headers;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); // set to the number of CPUs
    __type(key, __u32);
    __type(value, struct request);
} requests SEC(".maps");

#define FNV_BASIS 0xcbf29ce484222325
#define FNV_PRIME 0x100000001b3

static __always_inline __u64 name_with(__u64 name, __u8 byte)
{
    return (name ^ (byte >= 'A' && byte <= 'Z' ? byte + 32 : byte)) * FNV_PRIME;
}

// What stands for a name. The compiler makes a number of it.
#define NAMED(text)                                          \
    ({                                                       \
        __u64 name = FNV_BASIS;                              \
        _Pragma("unroll") for (__u32 k = 0; k < sizeof(text) - 1; k++) \
            name = name_with(name, text[k]);                 \
        name;                                                \
    })

static __always_inline __u32 header_named(__u64 name)
{
    if (name == NAMED("x-aws-ec2-metadata-token") || name == NAMED("x-aliyun-ecs-metadata-token") ||
        name == NAMED("x-metadata-token"))
        return HEADER_TOKEN;
    if (name == NAMED("metadata-flavor"))
        return HEADER_FLAVOR;
    if (name == NAMED("metadata"))
        return HEADER_METADATA;
    if (name == NAMED("authorization"))
        return HEADER_AUTHORIZATION;
    return 0;
}

struct request_at {
    struct request *of;
};

static long read_byte(__u32 i, struct request_at *at)
{
    struct request *r = at->of;
    __u8 byte = r->bytes[i & (REQUEST_MAX - 1)];
    switch (r->reading) {
    case READING_METHOD:
    case READING_PATH:
        if (byte == '\r' || byte == '\n')
            return 1;
        if (r->reading == READING_PATH && (byte == ' ' || byte == '?' || byte == '#')) {
            r->reading = READING_LINE;
            return 0;
        }
        if (byte == ' ')
            r->reading = READING_PATH;
        r->len++;
        r->word = r->word << 8 | byte;
        if (!(r->len & 7))
            hash_add(&r->hash, r->word);
        return 0;
    case READING_LINE:
        if (byte == '\n') {
            r->reading = READING_NAME;
            r->name = FNV_BASIS;
        }
        return 0;
    case READING_NAME:
        if (byte == '\r')
            return 0;
        if (byte == '\n') {
            r->headers |= HEADER_ALL;
            r->reading = READING_END;
            return 1;
        }
        if (byte == ':') {
            r->headers |= header_named(r->name);
            r->reading = READING_LINE;
            return 0;
        }
        r->name = name_with(r->name, byte);
        return 0;
    }
    return 1;
}

// Whether the packet goes to an address that nothing but metadata services have.
static __always_inline bool to_metadata(const struct packet *p)
{
    if (!p->v6) {
        __u32 to;
        __builtin_memcpy(&to, p->ip.rest + 15, 4);
        switch (__builtin_bswap32(to)) {
        case 0xa9fea9fe: // 169.254.169.254, of nearly all
        case 0xa9feaa02: // 169.254.170.2 and
        case 0xa9feaa17: // 169.254.170.23, of Amazon's containers
        case 0xa9fe0017: // 169.254.0.23, of Tencent
        case 0xa9fe2a2a: // 169.254.42.42, of Scaleway
        case 0x646464c8: // 100.100.100.200, of Alibaba
        case 0xa83f8110: // 168.63.129.16, of Azure's agents
            return true;
        }
        return false;
    }
    __u64 to[2];
    __builtin_memcpy(to, p->ip.rest + 23, 16);
    __u64 net = __builtin_bswap64(to[0]), host = __builtin_bswap64(to[1]);
    return (net == 0xfd000ec200000000 && (host == 0x254 || host == 0x23)) || // Amazon
           (net == 0xfd2000ce00000000 && host == 0x254) ||                   // Google
           (net == 0xfd0000c100000000 && host == 0xa9fea9fe) ||              // Oracle
           (net == 0xfe80000000000000 && host == 0xa9fea9fe) ||              // OpenStack
           (net == 0xfd00004200000000 && host == 0x42);                      // Scaleway
}

static __always_inline bool is_method(__u32 word)
{
    switch (__builtin_bswap32(word)) {
    case 0x47455420: // GET
    case 0x50555420: // PUT
    case 0x504f5354: // POST
    case 0x48454144: // HEAD
    case 0x44454c45: // DELETE
    case 0x50415443: // PATCH
    case 0x4f505449: // OPTIONS
        return true;
    }
    return false;
}

// Tells the request that the segment begins with, if it does.
static __noinline int metadata_asked(struct __sk_buff *skb, struct packet *p)
{
    __u32 at = p->at, word = 0;
    if (bpf_skb_load_bytes(skb, at, &word, 4) || !is_method(word))
        return 0;
    whose_packet(skb, p);
    __u64 cgroup = p->cgroup, now = bpf_ktime_get_boot_ns();
    if (!sender_in_scope(p, CLASS_IMDS))
        return 0;
    __u32 cpu = bpf_get_smp_processor_id();
    struct request *r = bpf_map_lookup_elem(&requests, &cpu);
    if (!r || at >= skb->len)
        return 0;
    __u32 len = skb->len - at;
    if (len > REQUEST_MAX)
        len = REQUEST_MAX;
    // Bounds that the compiler knows and the verifier does not: kept apart from the ones above.
    asm volatile("" : "+r"(len));
    if (len == 0 || len > REQUEST_MAX)
        return 0;
    if (bpf_skb_load_bytes(skb, at, r->bytes, BOUNDED(len - 1, REQUEST_MAX - 1) + 1)) {
        count_lost(cgroup, CLASS_IMDS, CAUSE_UNREADABLE);
        return 0;
    }
    struct imds_record *record = &r->record;
    __builtin_memset(record->server, 0, sizeof(record->server));
    if (p->v6)
        __builtin_memcpy(record->server, p->ip.rest + 23, 16);
    else
        __builtin_memcpy(record->server, p->ip.rest + 15, 4);
    record->v6 = p->v6;
    tail_of(&record->tail, KIND_IMDS, p->task->group_leader, cgroup, now);
    if (!p->known) {
        record->tail.pid = 0;
        record->tail.start = 0;
    }
    r->reading = READING_METHOD;
    r->name = FNV_BASIS;
    r->word = 0;
    r->len = 0;
    r->headers = 0;
    // What is kept of a process with its task is not to be had here on every kernel, so each has its own repeats.
    struct hash *h = &r->hash;
    print_begin(h);
    hash_add(h, cgroup);
    hash_add(h, record->tail.pid);
    hash_add(h, record->tail.start);
    struct request_at of = {.of = r};
    bpf_loop(len, read_byte, &of, 0);
    // Half a path is another path.
    if (r->reading <= READING_PATH || r->len > LINE_MAX) {
        count_lost(cgroup, CLASS_IMDS, CAUSE_UNREADABLE);
        return 0;
    }
    hash_add(h, r->word);
    hash_add(h, KIND_IMDS | r->headers << 8 | (__u64)r->len << 32);
    hash_add(h, ((__u64 *)record->server)[0]);
    hash_add(h, ((__u64 *)record->server)[1]);
    struct print print = hash_end(h);
    struct seen *slot;
    if (admit(&print, now, cgroup, CLASS_IMDS, &slot) == LEAVE)
        return 0;
    record->headers = r->headers;
    __u32 text = BOUNDED(r->len, LINE_MAX);
    __u32 begin = BOUNDED(sizeof(r->line) - text, LINE_MAX);
    bpf_probe_read_kernel(r->line + begin, BOUNDED(text, LINE_MAX), r->bytes);
    record->tail.text = text;
    if (put(r->line + begin, BOUNDED(text, LINE_MAX) + sizeof(*record), cgroup, CLASS_IMDS))
        remember(slot, &print, now);
    return 0;
}
