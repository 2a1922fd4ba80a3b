// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Overlayfs, which containers' root file systems mostly are: what of an inode lies on which layer.
#pragma once
#include "scratch.h"

#define OVERLAYFS_MAGIC 0x794c7630

static __always_inline bool is_overlay(struct inode *inode)
{
    struct super_block *sb = 0;
    unsigned long magic = 0;
    bpf_probe_read_kernel(&sb, 8, &inode->i_sb);
    bpf_probe_read_kernel(&magic, 8, &sb->s_magic);
    return magic == OVERLAYFS_MAGIC;
}

// Where an overlay's inode has its dentry on the upper layer. Where overlayfs is a module its types are not in the
// kernel's BTF; the field has always followed the inode.
static __always_inline __u64 upper_at(struct inode *inode)
{
    if (bpf_core_field_exists(struct ovl_inode, __upperdentry))
        return (__u64)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode) +
               bpf_core_field_offset(struct ovl_inode, __upperdentry);
    return (__u64)inode + bpf_core_type_size(struct inode);
}

// Whether an overlay's file lies on its upper layer: written since the image was unpacked.
static __always_inline bool on_upper_layer(struct inode *inode)
{
    __u64 upper = 0;
    if (is_overlay(inode))
        bpf_probe_read_kernel(&upper, 8, (void *)upper_at(inode));
    return upper;
}

// Puts in the place of an overlay's inode the one on the layer that it shows, or 0 if that is not to be found. A function
// of its own, so that it takes no stack where others are called.
static __noinline int shown_by_overlay(__u64 *of)
{
    struct inode *inode = (struct inode *)*of;
    __u64 dentry = 0, lower = 0;
    if (!is_overlay(inode))
        return 0;
    __u64 at = upper_at(inode);
    bpf_probe_read_kernel(&dentry, 8, (void *)at);
    // Behind it, up to Linux 6.4: a layer and the dentry there. Since: where a list of such pairs is, which begins with
    // its length; and then a lock, which is 0 if nobody has it.
    if (!dentry)
        bpf_probe_read_kernel(&dentry, 8, (void *)(at + 16));
    if (!dentry && !bpf_probe_read_kernel(&lower, 8, (void *)(at + 8)) && lower)
        bpf_probe_read_kernel(&dentry, 8, (void *)(lower + 16));
    *of = 0;
    if (dentry)
        bpf_probe_read_kernel(of, 8, &((struct dentry *)dentry)->d_inode);
    return 0;
}
