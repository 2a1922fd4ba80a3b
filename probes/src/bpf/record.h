// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The records that go through the ring. A record is texts first, then a fixed part, whose last 40 bytes are
// the same for every kind: paths are built backwards from their leaf, so they end where the fixed part begins
// and nothing is copied twice. The reader (kernel/decode.rs) starts at the end.
// Numbers are little endian. Change both sides together: kernel/decode.rs has the same numbers.
#pragma once
#include "kernel.h"

enum kind {
    KIND_FORK = 1,
    KIND_EXEC,
    KIND_EXIT,
    KIND_OPEN,
    KIND_SOCKET,
    KIND_DNS,
    KIND_SYSCALLS,
    KIND_CAPABILITY,
    KIND_CGROUP_NEW,
    KIND_CGROUP_GONE,
};

// What is counted when it is not delivered; also the bits of `classes`.
enum class {
    CLASS_FORK,
    CLASS_EXEC,
    CLASS_EXIT,
    CLASS_OPEN,
    CLASS_SOCKET,
    CLASS_DNS,
    CLASS_SYSCALLS,
    CLASS_CAPABILITY,
    CLASS_CGROUP,
    CLASSES,
};

enum cause {
    CAUSE_RING_FULL,  // no room in the ring
    CAUSE_SHED,       // left out to keep room for what matters more
    CAUSE_REPEAT,     // told already within the window
    CAUSE_MAP_FULL,   // no room to keep what the event needs
    CAUSE_UNREADABLE, // memory that should hold the facts could not be read
    CAUSES = 8,
};

enum mark {
    MARK_CUT = 1 << 0,         // the path has more components or bytes than are kept: its beginning is missing
    MARK_USER_STRING = 1 << 1, // the path is what the process said, not where it led
    MARK_FILELESS = 1 << 2,    // no name leads to the program's file
    MARK_UPPER = 1 << 3,       // the file lies on the upper layer of an overlay
    MARK_ARGV_CUT = 1 << 4,    // arguments beyond ARGV_MAX are missing
    MARK_DETACHED = 1 << 5,    // the path does not lead to the process's root: it begins where it ended
    MARK_REFUSED = 1 << 6,     // capability: it was not granted
    MARK_URING = 1 << 7,       // done through io_uring
};

struct tail {
    __u64 at;     // boot clock, ns
    __u64 cgroup; // id in the v2 hierarchy
    __u64 start;  // when the process's leader started: boot clock, ns
    __u32 pid;    // thread-group id in the initial pid namespace
    __u16 text;   // bytes of the path
    __u8 kind;
    __u8 marks;
    __u64 spare;  // of the kind's own: see each
};

struct fork_record {
    struct tail tail; // spare: the parent's process id
};

struct exit_record {
    struct tail tail; // spare: exit code as wait(2) has it
};

// Texts in this order: argv, interpreter, cwd, path. All but the interpreter is the program's own, a script's too.
struct exec_record {
    __u64 inode;
    __u64 entered; // the cgroup in which the process, or one that it comes from, came below the root that it has since;
                   // 0 if that is where the host's are
    __u32 ppid;
    __u32 uid;
    __u32 gid;
    __u16 cwd_bytes;
    __u16 interpreter_bytes; // 0 if it is no script
    __u32 argv_bytes;
    __u32 interpreter_marks; // of its path
    struct tail tail;
};

struct open_record {
    __s64 ret;
    struct tail tail; // spare: flags
};

// Text: the unix path as the process gave it, behind the directory that it begins at if it is relative.
struct socket_record {
    __s64 ret;
    __u8 address[16];
    __u8 family; // 1 unix, 2 inet, 10 inet6
    __u8 proto;  // IPPROTO_*, 0 unknown
    __u16 port;  // host order
    __u8 connect;
    __u8 said;    // bytes of the text that were given
    __u8 is_path; // else an abstract name
    __u8 pad;
    struct tail tail; // spare: bytes of that directory, with its slash
};

// Text: the question section's first entry as it is on the wire, possibly cut.
struct dns_record {
    __u8 server[16]; // v4 in the first four bytes
    __u8 v6;
    __u8 tcp;
    __u8 pad[6];
    struct tail tail;
};

struct syscalls_record {
    __u64 calls[8];
    struct tail tail;
};

struct capability_record {
    struct tail tail; // spare: the capability
};

// Texts in this order: argv and cwd of the process that made it, the path within the hierarchy. The tail's cgroup is the
// one made or removed.
struct cgroup_record {
    char by[16]; // the name of the thread that did it
    __u32 uid;   // its effective user
    __u32 argv_bytes;
    __u32 cwd_bytes;
    __u32 pad;
    struct tail tail;
};
