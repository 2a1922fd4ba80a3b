// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What user space sets before loading, and every map: where memory goes, and how much of it.
#pragma once
#include "record.h"

// Set by the loader; the verifier takes them as constants and drops code that they switch off.
volatile const int self = 0;            // our own process, which is never told about
volatile const __u32 scope = 0;         // enum scope
volatile const __u32 failed = 1;        // enum failures: which attempts that failed are told
volatile const __u32 arguments = 0;      // programs are told apart by all their arguments, not only the first
volatile const __u32 classes = 0xffff;  // bits of enum class
volatile const __u64 window_ns = 0;     // repeats within it are not told; 0: every one is
volatile const __u64 shed_bytes = 0;    // ring fill past which repeats are shed
volatile const __u64 shed_all_bytes = 0;// ring fill past which only fork, exec and exit get in
volatile const __u64 secret[2] = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f}; // so that no workload can aim at a slot

enum scope {
    SCOPE_EVERYTHING,
    SCOPE_CGROUPS,
    SCOPE_DESCENDANTS,
};

// The verifier forgets bounds when a number goes through the stack, and the compiler leaves out what it knows to be
// true: so a length is bounded anew right where it is used, by a mask that the compiler cannot see to be needless.
#define BOUNDED(n, mask)                      \
    ({                                        \
        __u64 bounded = (n);                  \
        asm volatile("" : "+r"(bounded));     \
        bounded & (mask);                     \
    })

enum {
    SEEN_SLOTS = 65536,
    MOVES_SLOTS = 4096,
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 * 1024 * 1024);
} ring SEC(".maps");

// What is known of a process, kept with the task of its leader and gone with it.
struct process {
    __u64 lineage;       // stands for the program and the programs that led to it
    __u64 cgroup;        // the one that `in_scope` is about
    __u32 scope_epoch;   // the control value that `in_scope` was made under
    __u32 flush_epoch;   // the one that the sets below were begun under
    __u32 in_scope;
    __u32 followed;      // it descends from a process that is followed
    __u32 chained;       // it has exec'd since it was forked
    __u32 ended;
    __u32 own;           // forked by us and not yet another program
    __u32 mnt_ns;        // the mount namespace and
    __u64 root;          // the root directory's dentry when it executed something last; 0 if it is not known to have
    __u64 entered;       // see exec_record
    __u64 calls[8];      // system calls made and not told yet
    __u64 used;          // capabilities told as granted
    __u64 refused;       // and as refused
    __u64 connections;   // that it made and that go on, and a few more where others have ended them
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct process);
} processes SEC(".maps");

// Numbers that user space changes while the programs run.
enum {
    CONTROL_SCOPE, // raised when cgroups or followed processes change
    CONTROL_FLUSH, // raised when sets of system calls are due
    CONTROL_URING, // 1 if the ends of io_uring requests are seen
    CONTROLS,
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CONTROLS);
    __type(key, __u32);
    __type(value, __u32);
} control SEC(".maps");

// Forks and execs that were not delivered, of whatever cgroup.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} strays SEC(".maps");

enum {
    CGROUP_INCLUDED = 1,
    CGROUP_EXCLUDED = 2,
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, __u64);
    __type(value, __u32);
} cgroups SEC(".maps");

// Processes that are followed, and those that descend from them until they end: for programs that cannot see what
// is kept with a task.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, __u32);
} followed SEC(".maps");

// Events that were not delivered. Key 0 takes what finds no room of its own.
struct losses {
    __u64 n[CLASSES * CAUSES];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 4096);
    __type(key, __u64);
    __type(value, struct losses);
} lost SEC(".maps");

// What was told lately: slots found by a keyed hash. A slot that is written by two CPUs at once matches
// nothing, since both halves have to.
struct seen {
    __u64 a;
    __u64 b;
    __u64 at;
    __u64 spare;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, SEEN_SLOTS);
    __type(key, __u32);
    __type(value, struct seen);
} told SEC(".maps");

// How often directories, links and mounts were moved, made or taken away, by cgroup: what was told before does not make a
// repeat of what comes after, since the way to it may be another. Cgroups that share a slot only cost each other repeats.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, MOVES_SLOTS);
    __type(key, __u32);
    __type(value, __u32);
} moves SEC(".maps");
