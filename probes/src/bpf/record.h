// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The records that go through the ring. A record is texts first, then a fixed part, whose last 40 bytes are
// the same for every kind: paths are built backwards from their leaf, so they end where the fixed part begins
// and nothing is copied twice. The reader (kernel/decode) starts at the end.
// Numbers are little endian. Change both sides together: kernel/table.rs has the same kinds and classes, in the same
// order, and a test compares them.
// Not here: each kind's own part, which is in the kind's file.
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
    KIND_CHANGE,
    KIND_MOUNT,
    KIND_FLOW,
    KIND_IMDS,
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
    CLASS_CHANGE,
    CLASS_MOUNT,
    CLASS_FLOW,
    CLASS_IMDS,
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
    MARK_MAPPED = 1 << 6,      // open: mapped to be executed
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
