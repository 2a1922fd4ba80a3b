// System calls by their names, one after the other: calls NAME ARG... [, NAME ARG...]. Compiled behind child.c.
// A NAME may begin with 32- (the 32-bit way) or ring- (a request to a ring of its own: what it is asked by are the fields
// of the request: fd, addr, off, len, flags). An ARG is a number (=NUMBER), the result of the call of that place ($1, ...),
// a directory or file opened without access (at:PATH) or to be read and written (file:PATH), the name of such a result's file
// (fd:$1), nothing (0), or else a text.
#include <sys/mount.h>

struct named_call {
    const char *name;
    int nr;
    int nr32;
};

static const struct named_call named_calls[] = {
    {"chmod", SYS_chmod, 15},
    {"chown", SYS_chown, 212},
    {"close", SYS_close, 6},
    {"creat", SYS_creat, 8},
    {"fchmod", SYS_fchmod, 94},
    {"fchmodat", SYS_fchmodat, 306},
    {"fchmodat2", 452, 452},
    {"fchown", SYS_fchown, 207},
    {"fchownat", SYS_fchownat, 298},
    {"fsconfig", 431, 431},
    {"fsmount", 432, 432},
    {"fsopen", 430, 430},
    {"ftruncate", SYS_ftruncate, 93},
    {"lchown", SYS_lchown, 198},
    {"link", SYS_link, 9},
    {"linkat", SYS_linkat, 303},
    {"memfd_create", SYS_memfd_create, 356},
    {"mkdir", SYS_mkdir, 39},
    {"mkdirat", SYS_mkdirat, 296},
    {"mknod", SYS_mknod, 14},
    {"mknodat", SYS_mknodat, 297},
    {"mmap", SYS_mmap, 192},
    {"mount", SYS_mount, 21},
    {"move_mount", 429, 429},
    {"mprotect", SYS_mprotect, 125},
    {"open", SYS_open, 5},
    {"open_tree", 428, 428},
    {"openat", SYS_openat, 295},
    {"rename", SYS_rename, 38},
    {"renameat", SYS_renameat, 302},
    {"renameat2", SYS_renameat2, 353},
    {"rmdir", SYS_rmdir, 40},
    {"symlink", SYS_symlink, 83},
    {"symlinkat", SYS_symlinkat, 304},
    {"truncate", SYS_truncate, 92},
    {"unlink", SYS_unlink, 10},
    {"unlinkat", SYS_unlinkat, 301},
    {"unshare", SYS_unshare, 310},
    {"chdir", SYS_chdir, 12},
    {"chroot", SYS_chroot, 61},
};

// By the name of the system call that does the same.
static const struct named_call named_requests[] = {
    {"ftruncate", 55, 0},
    {"linkat", IORING_OP_LINKAT, 0},
    {"mkdirat", IORING_OP_MKDIRAT, 0},
    {"openat", IORING_OP_OPENAT, 0},
    {"renameat", IORING_OP_RENAMEAT, 0},
    {"symlinkat", IORING_OP_SYMLINKAT, 0},
    {"unlinkat", IORING_OP_UNLINKAT, 0},
};

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const struct named_call *call_named(const struct named_call *table, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    fprintf(stderr, "there is no call %s here\n", name);
    exit(97);
}

static long argument(const char *text, const long *results, bool narrow)
{
    if (*text == '=')
        return strtol(text + 1, 0, 0);
    if (*text == '$')
        return results[atoi(text + 1) - 1];
    if (!strncmp(text, "fd:$", 4)) {
        static char name[64];
        snprintf(name, sizeof(name), "/proc/self/fd/%ld", results[atoi(text + 4) - 1]);
        return (long)name;
    }
    if (!strcmp(text, "0"))
        return 0;
    if (!strncmp(text, "at:", 3))
        return open(text + 3, O_PATH | O_NOFOLLOW);
    if (!strncmp(text, "file:", 5))
        return open(text + 5, O_RDWR);
    return (long)(narrow ? low(text, strlen(text) + 1) : text);
}

static long call_by_name(const char *name, const long *v)
{
    if (!strncmp(name, "32-", 3)) {
        int nr = call_named(named_calls, COUNT(named_calls), name + 3)->nr32;
        return int80(nr, v[0], v[1], v[2], v[3], v[4], v[5]);
    }
    if (!strncmp(name, "ring-", 5)) {
        int opcode = call_named(named_requests, COUNT(named_requests), name + 5)->nr;
        struct io_uring_sqe sqe = {
            .opcode = opcode, .fd = v[0], .addr = v[1], .off = v[2], .len = v[3], .open_flags = v[4]};
        return through_uring(&sqe);
    }
    long ret = syscall(call_named(named_calls, COUNT(named_calls), name)->nr, v[0], v[1], v[2], v[3], v[4], v[5]);
    return ret < 0 && ret > -4096 ? -errno : ret;
}

static int by_name(char **a)
{
    long results[16] = {0};
    for (int n = 0; *a && n < 16; n++) {
        char *name = *a++;
        long v[6] = {0};
        for (int i = 0; *a && strcmp(*a, ","); a++)
            v[i++ % 6] = argument(*a, results, !strncmp(name, "32-", 3));
        a += *a != 0;
        results[n] = call_by_name(name, v);
        if (results[n] < 0 && results[n] > -4096)
            return -results[n];
    }
    return 0;
}
