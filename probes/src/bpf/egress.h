// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Every packet that leaves a socket comes by here, so whatever is not for DNS or a metadata service is let go at once.
#pragma once
#include "dns.h"
#include "imds.h"

SEC("cgroup_skb/egress")
int grove_egress(struct __sk_buff *skb)
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
    if (bpf_skb_load_bytes(skb, p.at + 2, &port, 2))
        return 1;
    bool asks = wanted(CLASS_DNS) && __builtin_bswap16(port) == DNS_PORT;
    bool metadata = wanted(CLASS_IMDS) && proto == TRANSPORT_TCP && to_metadata(&p);
    if (!asks && !metadata)
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
    if (asks)
        return questions_asked(skb, &p);
    metadata_asked(skb, &p);
    return 1;
}
