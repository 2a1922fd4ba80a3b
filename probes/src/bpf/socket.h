// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Sockets: connect and bind, and sends to an address, as the process said them, with the socket's own transport. A send to
// somebody who spoke first is an answer, and no connect.
// Not here: who was let in (accept.h).
#pragma once
#include "open.h"

enum {
    FAMILY_UNIX = 1,
    FAMILY_INET = 2,
    FAMILY_INET6 = 10,
    SOCKADDR_UN_MAX = 110,
    IPPROTO_TCP = 6,
    IPPROTO_UDP = 17,
    SOCK_BINDPORT_LOCK = 8, // of sk_userlocks: the port is the program's choice
    MSG_FASTOPEN = 0x20000000, // connects with the first data
    DIRECTIONS = 16384,
};

enum socket_op {
    OP_BIND,
    OP_CONNECT,
    OP_ACCEPT,
};

// Text: the unix path as the process gave it, behind the directory that it begins at if it is relative; of an accept, the
// path that the own socket has.
struct socket_record {
    __s64 ret;
    __u8 address[16];
    __u8 family; // 1 unix, 2 inet, 10 inet6
    __u8 proto;  // IPPROTO_*, 0 unknown
    __u16 port;  // host order
    __u8 op;     // enum socket_op
    __u8 said;    // bytes of the text that were given
    __u8 is_path; // else an abstract name
    __u8 pad;
    struct tail tail; // spare: bytes of that directory, with its slash, or of that path
};

// Who spoke first on a socket that serves: its peer, or it.
enum direction {
    HEARD = 1,
    SPOKEN_TO,
};

// By the print of socket and peer. Of whom nothing was heard for longest is forgotten first: what is then sent to it is a
// connect again.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, DIRECTIONS);
    __type(key, struct print);
    __type(value, __u32);
} directions SEC(".maps");

// The socket behind an open file, as a number to read from; 0 if it is none.
static __always_inline __u64 sock_of(__u64 file)
{
    struct socket *socket = 0;
    __u64 sk = 0, back = 0;
    if (!file)
        return 0;
    bpf_probe_read_kernel(&socket, 8, &((struct file *)file)->private_data);
    bpf_probe_read_kernel(&back, 8, &socket->file);
    bpf_probe_read_kernel(&sk, 8, &socket->sk);
    return back == file ? sk : 0;
}

static __always_inline __u8 transport_of(__u64 sk)
{
    __u16 protocol = 0;
    bpf_probe_read_kernel(&protocol, 2, &((struct sock *)sk)->sk_protocol);
    return protocol < 256 ? protocol : 0;
}

static __always_inline __u64 file_called(const struct socket_call *c, struct task_struct *task)
{
    return c->file ? c->file : file_at(task, c->fd);
}

// Whether others can find it and speak first: it has a port that the program chose, or a name, and no peer of its own.
static __always_inline bool serves(__u64 sk, __u16 family, __u8 transport)
{
    if (state_of(sk) != TCP_CLOSE)
        return false;
    if (family == FAMILY_UNIX) {
        __u64 name = 0;
        bpf_probe_read_kernel(&name, 8, &((struct unix_sock *)sk)->addr);
        return name;
    }
    return transport == IPPROTO_UDP &&
           (BPF_CORE_READ_BITFIELD_PROBED((struct sock *)sk, sk_userlocks) & SOCK_BINDPORT_LOCK);
}

// Whether the peer at the address in `said` has spoken first. If neither has, it is `now` who does.
static __always_inline bool spoke_first(struct scratch *s, __u64 file, enum direction now)
{
    struct said_address *a = &s->socket.said;
    struct hash *h = &s->hash;
    struct inode *inode = 0;
    __u64 number = 0;
    // A socket's address may be another's later, its inode's number is not soon.
    bpf_probe_read_kernel(&inode, 8, &((struct file *)file)->f_inode);
    bpf_probe_read_kernel(&number, 8, &inode->i_ino);
    print_begin(h);
    hash_add(h, s->socket.sock);
    hash_add(h, number);
    hash_add(h, a->family | (__u64)a->port << 16 | (a->family == FAMILY_INET ? (__u64)a->v4 << 32 : 0));
    if (a->family == FAMILY_INET6) {
        hash_add(h, ((__u64 *)a->v6)[0]);
        hash_add(h, ((__u64 *)a->v6)[1]);
    } else if (a->family == FAMILY_UNIX) {
        const __u64 *words = (__u64 *)a;
        for (int i = 0; i < ADDRESS_BYTES / 8 - 2; i++)
            hash_add(h, words[i]);
    }
    s->print = hash_end(h);
    __u32 *first = bpf_map_lookup_elem(&directions, &s->print);
    if (first)
        return *first == HEARD;
    s->first = now;
    bpf_map_update_elem(&directions, &s->print, &s->first, BPF_ANY);
    return now == HEARD;
}

// The present task has made a connection, which is begun once all else is told of it.
static __always_inline void connection_made(struct scratch *s, struct task_struct *task, const struct socket_record *r)
{
    struct connection *made = &s->connection;
    made->cgroup = s->socket.cgroup;
    made->lineage = s->socket.lineage;
    made->start = task->group_leader->start_boottime;
    made->pid = task->tgid;
    made->port = r->port;
    made->family = r->family;
    made->op = s->socket.op;
    made->address[0] = ((__u64 *)r->address)[0];
    made->address[1] = ((__u64 *)r->address)[1];
    made->sent = NO_POWER;
    made->received = NO_POWER;
}

// Whoever has called what may make a connection goes on here. Not there, for its stack.
static __always_inline int begun(struct scratch *s, struct task_struct *task)
{
    bool under_way = s->socket.op == OP_CONNECT && s->socket.ret < 0;
    // One that was refused while the call went on has never been.
    if (s->connection.pid && !(under_way && state_of(s->socket.sock) == TCP_CLOSE))
        begin_flow(task, s->socket.sock, &s->connection);
    s->connection.pid = 0;
    return 0;
}

// Has the first `bytes` of the address in `said`, and zeros behind them.
static __always_inline long read_address(struct socket_call *c, __u64 bytes)
{
    if (c->copied)
        return 0;
    __builtin_memset(&c->said, 0, sizeof(c->said));
    return bpf_probe_read_user(&c->said, BOUNDED(bytes, ADDRESS_BYTES - 1), (void *)c->address);
}

// Whether a send that failed did so on account of its peer; others say nothing of whom it was to.
static __always_inline bool refused_by_peer(__s64 ret)
{
    return ret == -1 || ret == -2 || ret == -13 || ret == -101 || ret == -111 || ret == -113;
}

// A call of the present task's about a peer or an address of its own, as the scratch has it.
__noinline int socket_called(void)
{
    struct scratch *s = my_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 now = bpf_ktime_get_boot_ns();
    if (!s)
        return 0;
    struct socket_record *r = (void *)s->fixed;
    struct socket_call *c = &s->socket;
    struct said_address *a = &c->said;
    __u32 bytes = c->bytes > SOCKADDR_UN_MAX ? SOCKADDR_UN_MAX : c->bytes;
    __u64 begin = TEXT_BYTES;
    __u64 *address = (__u64 *)r->address;
    struct print *p = &s->print;
    struct hash *h = &s->hash;
    struct seen *slot;
    bool relative = false;
    __s64 ret = c->ret;
    if (bytes < 2)
        return 0;
    __u64 file = file_called(c, task);
    c->sock = sock_of(file);
    c->proto = c->sock ? transport_of(c->sock) : 0;
    if (c->sent) {
        if (ret < 0 && !refused_by_peer(ret))
            return 0;
        if (ret > 0)
            ret = 0; // how much was sent
        // A stream has its peer already, unless the send is its connect as well.
        if (c->proto == IPPROTO_TCP && !(c->flags & MSG_FASTOPEN))
            return 0;
    }
    if (read_address(c, bytes)) {
        // An address that cannot be read was refused for that, and names no peer.
        if (ret >= 0)
            count_lost(c->cgroup, CLASS_SOCKET, CAUSE_UNREADABLE);
        return 0;
    }
    if (c->sent && c->sock && serves(c->sock, a->family, c->proto) && spoke_first(s, file, SPOKEN_TO))
        return 0;
    address[0] = 0;
    address[1] = 0;
    r->port = 0;
    r->proto = 0;
    r->family = a->family;
    print_begin(h);
    hash_add(h, c->cgroup);
    hash_add(h, c->lineage);
    hash_add(h, c->op | (ret < 0 && ret != -115 ? 4 : 0) | KIND_SOCKET << 8 | (__u64)a->family << 32);
    if (a->family == FAMILY_INET && bytes >= 8) {
        *(__u32 *)r->address = a->v4;
        r->port = __builtin_bswap16(a->port);
    } else if (a->family == FAMILY_INET6 && bytes >= 24) {
        __builtin_memcpy(r->address, a->v6, 16);
        r->port = __builtin_bswap16(a->port);
    } else if (a->family == FAMILY_UNIX) {
        __u32 len = bytes - 2;
        begin = (TEXT_BYTES - SOCKADDR_UN_MAX) & TEXT_MASK;
        if (!len)
            return 0; // autobind: the kernel makes up a name
        __builtin_memcpy(s->text + begin, &a->port, SOCKADDR_UN_MAX - 2);
        // A path ends at its terminator, which is the reader's business; an abstract name begins with a zero byte.
        bool is_path = s->text[begin];
        if (!is_path)
            s->text[begin] = '@';
        hash_add(h, len << 1 | is_path);
        const __u64 *words = (__u64 *)a;
        for (int i = 0; i < ADDRESS_BYTES / 8 - 2; i++)
            hash_add(h, words[i]);
        relative = is_path && s->text[begin] != '/' && base_of(&s->walk, task, AT_FDCWD);
        if (relative) {
            print_base(h, &s->walk);
            hash_add(h, moves_until_now(c->cgroup));
        }
        r->said = len;
        r->is_path = is_path;
    } else {
        // Other families are not told; AF_UNSPEC dissolves an association.
        return 0;
    }
    if (a->family != FAMILY_UNIX) {
        r->proto = c->proto;
        r->said = 0;
        if (c->op == OP_CONNECT && c->proto == IPPROTO_TCP && (ret >= 0 || ret == -115))
            connection_made(s, task, r);
    }
    hash_add(h, address[0]);
    hash_add(h, address[1]);
    hash_add(h, r->port | (__u64)r->proto << 16);
    *p = hash_end(h);
    if (admit(p, now, c->cgroup, CLASS_SOCKET, &slot) == LEAVE)
        return 0;
    r->ret = ret;
    r->op = c->op;
    tail_of(&r->tail, KIND_SOCKET, task->group_leader, c->cgroup, now);
    if (relative) {
        __u32 name = begin;
        begin = put_base(s, name) & TEXT_MASK;
        r->tail.spare = (name - begin) & TEXT_MASK;
    }
    r->tail.text = (TEXT_BYTES - begin) & TEXT_MASK;
    r->tail.marks = c->marks;
    if (put_text(s, begin, sizeof(*r), c->cgroup, CLASS_SOCKET))
        remember(slot, p, now);
    return 0;
}
