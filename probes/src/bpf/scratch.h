// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the programs of one CPU work on: room for a record under way, and for what they would keep on their stack. Of that
// there are 512 bytes for a whole chain of calls, so whatever is more than a few words is here.
// It is for programs that run with preemption off, as those of tracepoints do: not for packets, functions' ends and
// iterators.
#pragma once
#include "flow.h"

// Room for argv, script, cwd and path, whatever their lengths.
enum {
    TEXT_BYTES = 32768,
    TEXT_MASK = TEXT_BYTES - 1,
    FIXED_BYTES = 160,
    PATH_MAX = 4096,
    ARGV_MAX = 8192,
    COMPONENTS_MAX = 256,
    ADDRESS_BYTES = 128,
};

struct above {
    __u64 parent;
    struct qstr name;
};

// What to walk from and to, how far it is, and what came of it. Addresses are plain numbers: the verifier lets nobody
// calculate with pointers that it knows.
struct walk {
    __u64 mnt; // these two as in the kernel's `struct path`
    __u64 dentry;
    __u64 root_mnt; // and these
    __u64 root_dentry;
    __u32 marks;        // what is wrong with the path
    __u32 at;           // where the text begins; it grows downwards
    __u32 floor;        // it may not begin before
    __u32 names;
    __u64 mnt_root;
    struct above above;
    bool done;
};

// A call and its arguments, whatever the way it was made in.
struct call {
    __u64 nr;
    __u64 a[6];
    __s64 ret;
    bool wide; // structures in memory are those of 64-bit programs
};

// A name that is being followed: see seek.h.
struct seek {
    __u64 node;       // the next entry or mount to be looked at
    __u64 wanted[32]; // the present name
    __u64 entry[32];  // and the one it is compared with
    __u64 read;       // what was read last
    __u64 inode;
    __u32 at;         // the next letter of the text
    __u32 end;
    __u32 name; // where the present name begins
    __u32 links;
    __u8 state;
    bool above_last; // the last name is not to be looked for
    bool lost;
};

enum op {
    OP_CHMOD,
    OP_CHOWN,
    OP_CREATE,
    OP_DELETE,
    OP_LINK,
    OP_MKDIR,
    OP_RENAME,
    OP_RMDIR,
    OP_SYMLINK,
    OP_TRUNCATE,
};

struct change {
    __u64 lineage;
    __u64 cgroup;
    __s64 ret;
    __u64 path;      // where the names are that the call was given
    __u64 from;
    __u64 from_file; // or the file itself
    __s32 base;      // the directories that they begin at
    __s32 from_base;
    bool follow; // if what is named is a symbolic link, it is followed
    bool from_follow;
    bool from_is_text; // it is no name: what a symbolic link points to
    bool kept; // the names are in the scratch's text, these are where
    __u8 op;
    __u8 marks;
    __u8 from_marks;
};

struct opening {
    __u64 lineage;
    __u64 cgroup;
    __u64 flags;
    __s64 ret;
    __u32 marks;
    __s32 base; // the directory that a relative name begins at
};

struct said_address {
    __u16 family;
    __u16 port; // big endian
    __u32 v4;   // of inet6: the flow label
    __u8 v6[16];
    __u8 more[ADDRESS_BYTES - 24];
};

struct socket_call {
    __u64 lineage;
    __u64 cgroup;
    __s64 ret;
    __u64 address;
    __u64 file; // the socket's, or 0 and
    __u32 fd;   // its number
    __u32 bytes;
    __u32 flags; // of a send: MSG_*
    __u8 op;     // enum socket_op
    bool sent;   // by a send, which may say whom to, in place of a connect
    bool copied; // the address is in `said` already
    __u8 marks;
    struct said_address said;
    __u64 sock; // the kernel's, and
    __u8 proto; // its transport
    __u16 port; // its own: of whom was let in
    bool accepts; // a connection, and not a datagram
};

// What a process knows a request to a ring by.
struct uring_answer {
    __u64 ring;
    __u64 user_data;
};

struct scratch {
    __u8 text[TEXT_BYTES];
    // The fixed part of any record, right behind the text. The verifier knows where a text begins and how long it
    // is, each to within TEXT_BYTES, but not that they add up: the slack, never written, is for its peace of mind.
    __u8 fixed[FIXED_BYTES];
    __u8 slack[TEXT_BYTES];
    struct print print; // of the event under way
    struct walk walk;
    struct hash hash; // of a print under way
    struct call call;
    struct opening opening;
    struct seek seek;
    struct change change;
    __u32 mount_flags;
    struct socket_call socket;
    struct connection connection; // as it is made
    __u32 first; // enum direction
    struct uring_answer answer;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); // set to the number of CPUs
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *my_scratch(void)
{
    __u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&scratches, &cpu);
}

// Ends the print under way. A function of its own, so that the mixing takes no stack where others are called.
__noinline int end_print(void)
{
    struct scratch *s = my_scratch();
    if (s)
        s->print = hash_end(&s->hash);
    return 0;
}

// Puts the record of the text from `begin` on and the `fixed` bytes behind it.
static __always_inline bool put_text(struct scratch *s, __u64 begin, __u32 fixed, __u64 cgroup, __u32 class)
{
    __u64 text = BOUNDED(TEXT_BYTES - begin, TEXT_MASK);
    if (!text)
        return put(s->fixed, fixed, cgroup, class);
    return put(s->text + BOUNDED(begin, TEXT_MASK), text + fixed, cgroup, class);
}
