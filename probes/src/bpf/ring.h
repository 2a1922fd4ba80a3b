// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is remembered of io_uring's requests under way, and the files that they opened. Those of one submission are done
// one after the other and told of together at its end, when a file may have been taken away again. So when the next
// request is submitted, or the call that submits them returns, what the one before has opened is looked up and told.
// Not here: which requests there are (uring.h).
#pragma once
#include "open.h"

enum {
    URING_NAME_MAX = 256,
    URING_REQUESTS = 4096,
    URING_SLOT_ANY = ~0u, // the ring's own table chooses
};

struct uring_asked {
    __u64 flags;
    __u32 slot;  // not 0: the file goes to the ring's own table
    __u32 bytes; // of the address
    __u8 opcode;
    bool told;   // of an open: what it led to is told already,
    __u8 spare[2];
    __s32 found; // found under this number
    __s32 base; // the directory that a relative name begins at
    __s32 from_base;
    char name[URING_NAME_MAX]; // or the address
    char from[URING_NAME_MAX]; // of what has a second name: what it was or is called
};

// By the request's address, which is used again only after its end. Whoever finds no room is told of at once, by what was
// asked for.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, URING_REQUESTS);
    __type(key, __u64);
    __type(value, struct uring_asked);
} uring_asked SEC(".maps");

// The last request of a thread that may have opened a file or moved what names lead through.
struct uring_last {
    __u64 request;
    __u64 ring;
    __u64 cgroup;
    __u64 before; // the file that was in its place
    __u64 flags;
    __s32 number; // of the file, or of the slot if `direct`, if none is opened in between
    bool direct;
    bool opens;
    bool silent; // its end will not be seen
    bool moves;
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct uring_last);
} uring_lasts SEC(".maps");

// The file in a slot of the ring's own table, as a number to read from; 0 if there is none.
static __always_inline __u64 file_in_slot(__u64 ring, __u32 index)
{
    struct io_ring_ctx *of = (struct io_ring_ctx *)ring;
    __u64 entry = 0, file = 0;
    __u32 entries = 0;
    if (bpf_core_field_exists(struct io_file_table, data)) {
        struct io_rsrc_data *data = &of->file_table.data;
        bpf_probe_read_kernel(&entries, 4, &data->nr);
        bpf_probe_read_kernel(&entry, 8, &data->nodes);
        if (index >= entries || bpf_probe_read_kernel(&entry, 8, (void *)(entry + 8ull * index)))
            return 0;
        bpf_probe_read_kernel(&file, 8, &((struct io_rsrc_node *)entry)->file_ptr);
    } else {
        __u64 table = (__u64)&of->file_table;
        bpf_probe_read_kernel(&entries, 4, &((struct io_ring_ctx___before_6_13 *)ring)->nr_user_files);
        bpf_probe_read_kernel(&entry, 8, &((struct io_file_table___before_6_13 *)table)->files);
        if (index >= entries)
            return 0;
        bpf_probe_read_kernel(&file, 8, (void *)(entry + 8ull * index));
    }
    return file & ~7ull; // what else is kept there is in its lowest bits
}

// The first number from `from` on that is free in a table of bits; -1 if that is further off than a few words.
static __always_inline __s32 first_free(__u64 words, __u32 from)
{
    for (int i = 0; i < 4; i++, from = (from | 63) + 1) {
        __u64 taken = ~0ull;
        bpf_probe_read_kernel(&taken, 8, (void *)(words + (from / 64) * 8ull));
        __u64 free = ~taken >> (from & 63);
        __u32 n = 0;
        if (!free)
            continue;
        for (int half = 32; half; half /= 2) {
            if (!(free & ((1ull << half) - 1))) {
                free >>= half;
                n += half;
            }
        }
        return from + n;
    }
    return -1;
}

// The number that the task's next file will have.
static __always_inline __s32 next_number(struct task_struct *task)
{
    return first_free((__u64)task->files->fdt->open_fds, task->files->next_fd);
}

// The slot that the ring's table will choose next.
static __always_inline __s32 next_slot(__u64 ring)
{
    struct io_file_table *table = &((struct io_ring_ctx *)ring)->file_table;
    __u64 words = 0;
    __u32 from = 0;
    bpf_probe_read_kernel(&words, 8, &table->bitmap);
    bpf_probe_read_kernel(&from, 4, &table->alloc_hint);
    return first_free(words, from);
}

// What is in the place where the request's file will be.
static __always_inline __u64 file_of(const struct uring_last *last, struct task_struct *task)
{
    return last->direct ? file_in_slot(last->ring, last->number) : file_at(task, last->number);
}

// Tells what the present thread's last request has opened or moved by now.
static __noinline int settle_last(void)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct uring_last *last = bpf_task_storage_get(&uring_lasts, task, 0, 0);
    struct scratch *s = my_scratch();
    if (!last || !s)
        return 0;
    if (last->moves)
        moved(last->cgroup, 0);
    last->moves = false;
    if (!last->opens)
        return 0;
    // One that has ended is told of, and remembered no longer. One that is left to another thread may take a while.
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_asked, &last->request);
    struct process *p = process_of(task->group_leader, false);
    __u64 file = file_of(last, task);
    if (!asked && !last->silent)
        last->opens = false;
    if (!last->opens || !p || !file || file == last->before)
        return 0;
    last->opens = false;
    struct opening *o = &s->opening;
    o->cgroup = last->cgroup;
    o->lineage = p->lineage;
    o->flags = last->flags;
    o->ret = last->direct ? 0 : last->number;
    o->marks = MARK_URING;
    o->base = AT_FDCWD;
    created(s, file);
    bool told = !opened(file);
    if (asked) {
        asked->told = told;
        asked->found = last->number;
    }
    return 0;
}

static __always_inline struct uring_last *begin_last(struct task_struct *task, __u64 cgroup)
{
    struct uring_last *last = bpf_task_storage_get(&uring_lasts, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (last)
        last->cgroup = cgroup;
    return last;
}

// An open has been submitted, and is about to be done.
static __always_inline void begin_open(struct task_struct *task, __u64 cgroup, __u64 request, __u64 ring,
                                       const struct uring_asked *asked, bool silent)
{
    struct uring_last *last = begin_last(task, cgroup);
    if (!last)
        return;
    last->request = request;
    last->ring = ring;
    last->flags = asked->flags;
    last->direct = asked->slot;
    last->number = !asked->slot                  ? next_number(task)
                   : asked->slot == URING_SLOT_ANY ? next_slot(ring)
                                                   : (__s32)asked->slot - 1;
    last->before = file_of(last, task);
    last->silent = silent;
    last->opens = true;
}
