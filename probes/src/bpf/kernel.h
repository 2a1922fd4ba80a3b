// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The kernel's structures, as far as the programs look into them. Only names and types count: offsets are
// put in at load time from the running kernel's BTF (CO-RE), so this is right for any layout.
// Not here: anything of ours.
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0

enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_RINGBUF = 27,
    BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_F_NO_PREALLOC = 1,
    BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
    BPF_RB_NO_WAKEUP = 1,
    BPF_RB_AVAIL_DATA = 0,
};

// What the kernel hands to a cgroup_skb program; its own stable interface, no CO-RE.
struct __sk_buff {
    __u32 len;
    __u32 pkt_type;
    __u32 mark;
    __u32 queue_mapping;
    __u32 protocol;
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    int counter;
} atomic_t;

typedef struct {
    __u32 val;
} kuid_t;

typedef struct {
    __u32 val;
} kgid_t;

struct kernfs_node {
    __u64 id;
};

struct cgroup_root {
    int hierarchy_id;
};

struct cgroup;

struct cgroup_subsys_state {
    struct cgroup *cgroup;
    struct cgroup_subsys_state *parent;
};

struct cgroup {
    struct cgroup_subsys_state self;
    struct kernfs_node *kn;
    struct cgroup_root *root;
};

struct css_set {
    struct cgroup *dfl_cgrp;
};

struct qstr {
    __u64 hash_len;
    const unsigned char *name;
};

struct list_head {
    struct list_head *next;
};

struct hlist_node {
    struct hlist_node *next;
};

struct hlist_head {
    struct hlist_node *first;
};

struct hlist_bl_node {
    struct hlist_bl_node **pprev;
};

struct file_system_type {
    const char *name;
};

struct super_block {
    __u32 s_dev;
    unsigned long s_magic;
    struct file_system_type *s_type;
    struct dentry *s_root;
};

struct inode {
    __u16 i_mode;
    char *i_link;
    unsigned long i_ino;
    unsigned int i_nlink;
    struct super_block *i_sb;
};

struct dentry {
    unsigned int d_flags;
    struct hlist_bl_node d_hash;
    struct hlist_node d_sib;
    struct hlist_head d_children;
    struct dentry *d_parent;
    struct qstr d_name;
    struct inode *d_inode;
};

struct dentry___before_6_8 {
    struct list_head d_child;
    struct list_head d_subdirs;
};

// Present only if overlayfs is built in: see overlay.h.
struct ovl_inode {
    struct inode vfs_inode;
    struct dentry *__upperdentry;
};

struct vfsmount {
    struct dentry *mnt_root;
    struct super_block *mnt_sb;
    int mnt_flags;
};

struct mount {
    struct list_head mnt_mounts;
    struct list_head mnt_child;
    const char *mnt_devname;
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct fs_struct {
    struct path root;
    struct path pwd;
};

struct callback_head {
    struct callback_head *next;
};

struct file {
    struct path f_path;
    struct inode *f_inode;
    void *private_data;
    unsigned int f_flags;
    unsigned int f_mode;
    struct callback_head f_task_work;
};

// What a file of an overlay is mapped by: a file of a layer, since 6.7 with the overlay's path beside it.
struct backing_file {
    struct file file;
    union {
        struct path user_path;
    };
};

struct file___before_6_5 {
    struct callback_head f_rcuhead;
};

struct ns_common {
    unsigned int inum;
};

struct mnt_namespace {
    struct ns_common ns;
};

struct nsproxy {
    struct mnt_namespace *mnt_ns;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
    unsigned long *open_fds;
};

struct files_struct {
    struct fdtable *fdt;
    unsigned int next_fd;
};

struct cred {
    kuid_t euid;
    kgid_t egid;
};

struct mm_struct {
    unsigned long arg_start;
    unsigned long arg_end;
    struct file *exe_file;
};

struct signal_struct {
    atomic_t live;
    int nr_threads;
    struct list_head thread_head;
    int group_exit_code;
};

struct vm_area_struct {
    struct file *vm_file;
};

struct thread_info {
    __u32 status;
};

// The numbers of a process, from the initial pid namespace's to its own.
struct upid {
    int nr;
};

struct pid {
    unsigned int level;
    struct upid numbers[];
};

struct task_struct {
    struct thread_info thread_info;
    void *stack;
    struct list_head thread_node;
    int pid;
    int tgid;
    int exit_code;
    unsigned int flags;
    __u64 start_boottime;
    struct task_struct *real_parent;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    struct css_set *cgroups;
    struct mm_struct *mm;
    struct fs_struct *fs;
    struct files_struct *files;
    struct signal_struct *signal;
    struct nsproxy *nsproxy;
    struct callback_head *task_works;
    const struct cred *real_cred; // its own
    const struct cred *cred;      // those that it acts with, which may be borrowed
};

struct linux_binprm {
    struct file *executable;
    struct file *file;
    const char *filename;
    const char *interp;
};

struct in6_addr {
    __u8 bytes[16];
};

struct sock_common {
    __be32 skc_daddr;
    __u16 skc_num;
    __u16 skc_family;
    volatile __u8 skc_state;
    struct in6_addr skc_v6_daddr;
    unsigned long skc_flags;
};

struct sock {
    struct sock_common __sk_common;
    __u16 sk_protocol;
    __u8 sk_userlocks : 4;
    __u8 sk_shutdown;
};

struct tcp_sock {
    __u64 bytes_sent;
    __u64 bytes_retrans;
    __u64 bytes_received;
    __u32 write_seq;
    __u32 snd_nxt;
};

struct sockaddr_un {
    __u16 sun_family;
};

struct unix_address {
    int len;
    struct sockaddr_un name[0];
};

struct unix_sock {
    struct unix_address *addr;
    struct path path;
};

struct socket {
    struct file *file;
    struct sock *sk;
};

struct filename {
    const char *name;
};

struct open_how {
    __u64 flags;
};

struct io_rsrc_node {
    unsigned long file_ptr;
};

struct io_rsrc_data {
    unsigned int nr;
    struct io_rsrc_node **nodes;
};

struct io_file_table {
    struct io_rsrc_data data;
    unsigned long *bitmap;
    unsigned int alloc_hint;
};

struct io_ring_ctx {
    struct io_file_table file_table;
};

struct io_file_table___before_6_13 {
    unsigned long *files; // each in a structure of nothing else
};

struct io_ring_ctx___before_6_13 {
    unsigned int nr_user_files;
};

struct io_cqe {
    __u64 user_data;
};

struct io_kiocb {
    struct file *file;
    struct io_ring_ctx *ctx;
    __u8 opcode;
    __u64 flags;
    struct io_cqe cqe;
    void *async_data;
};

struct io_uring_cqe {
    __u64 user_data;
    __s32 res;
};

// The request's own part of an io_kiocb lies at its start.
struct io_open {
    int dfd;
    __u32 file_slot;
    struct filename *filename;
    struct open_how how;
};

struct io_accept {
    __u32 file_slot;
};

struct io_connect {
    void *addr; // in the process's memory
    int addr_len;
};

// Since Linux 6.11, and with it the address of every such request in a copy of the kernel's.
struct io_bind {
    int addr_len;
};

struct io_rename {
    int old_dfd;
    int new_dfd;
    struct filename *oldpath;
    struct filename *newpath;
};

// Of a symbolic link too, whose old path is what it points to.
struct io_link {
    int old_dfd;
    int new_dfd;
    struct filename *oldpath;
    struct filename *newpath;
    int flags;
};

struct io_unlink {
    int dfd;
    int flags;
    struct filename *filename;
};

struct io_mkdir {
    int dfd;
    struct filename *filename;
};

struct io_sr_msg {
    void *umsg;
    unsigned int msg_flags;
    __u16 addr_len;
    void *addr;
};

struct msghdr {
    void *msg_name;
    int msg_namelen;
};

struct __kernel_sockaddr_storage {
    __u16 ss_family;
};

struct io_async_msghdr {
    struct msghdr msg;
    struct __kernel_sockaddr_storage addr;
};

struct pt_regs {
    unsigned long r10;
    unsigned long r9;
    unsigned long r8;
    unsigned long dx;
    unsigned long si;
    unsigned long di;
    unsigned long bx;
    unsigned long cx;
    unsigned long bp;
    unsigned long ip;
    unsigned long orig_ax;
};

struct seq_file;

struct bpf_iter_meta {
    struct seq_file *seq;
};

struct bpf_iter__task {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
};

#pragma clang attribute pop
