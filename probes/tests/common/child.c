// Does one thing by its bare system call, for the tests to see it: child WHAT [ARG...].
// Built by child.rs, with calls.c and peers.c behind it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int by_name(char **a);
static void with_peers(char **a);

static int family_of(const char *name)
{
    return !strcmp(name, "unix") ? AF_UNIX : !strcmp(name, "inet6") ? AF_INET6 : AF_INET;
}

// FAMILY stream|dgram ADDRESS PORT; a unix address that begins with @ is abstract. Its length.
static socklen_t address_of(char **a, struct sockaddr_storage *at)
{
    int family = family_of(a[0]);
    at->ss_family = family;
    if (family == AF_UNIX) {
        struct sockaddr_un *un = (void *)at;
        strcpy(un->sun_path, a[2]);
        if (un->sun_path[0] != '@')
            return offsetof(struct sockaddr_un, sun_path) + strlen(a[2]) + 1;
        un->sun_path[0] = 0;
        return offsetof(struct sockaddr_un, sun_path) + strlen(a[2]);
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (void *)at;
        inet_pton(family, a[2], &in6->sin6_addr);
        in6->sin6_port = htons(atoi(a[3]));
        return sizeof(*in6);
    }
    struct sockaddr_in *in = (void *)at;
    inet_pton(family, a[2], &in->sin_addr);
    in->sin_port = htons(atoi(a[3]));
    return sizeof(*in);
}

// One request to a ring of its own; its result.
static long through_uring(const struct io_uring_sqe *request)
{
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0)
        return -errno;
    size_t sq_bytes = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t cq_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *sq = mmap(0, sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char *cq = mmap(0, cq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *sqe =
        mmap(0, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    *sqe = *request;
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0)
        return -errno;
    return ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
}

// uring PATH: opened by a ring of its own.
static int uring_open(const char *path)
{
    struct io_uring_sqe sqe = {
        .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)path, .open_flags = O_RDONLY};
    long ret = through_uring(&sqe);
    return ret < 0 ? -ret : 0;
}

// uring-direct|uring-taken|uring-silent cwd|fd DIR NAME: opened in DIR by a ring that does not say where: into its own
// table, from where it may be taken again in the same submission, or without a result. Ends when it is open: what is left
// to another thread would be given up at the end of the process.
static int uring_open_in(char **a)
{
    struct io_uring_sqe sqe = {
        .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)a[3], .open_flags = O_RDONLY};
    if (!strcmp(a[1], "fd"))
        sqe.fd = open(a[2], O_PATH);
    else if (chdir(a[2]))
        return errno;
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p), none[4] = {-1, -1, -1, -1};
    bool taken = !strcmp(a[0], "uring-taken");
    if (taken || !strcmp(a[0], "uring-direct")) {
        sqe.file_index = 1;
        if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, none, 4))
            return errno;
    } else {
        sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
    }
    char *sq = mmap(0, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                    IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqes =
        mmap(0, p.sq_entries * sizeof(sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    sqes[0] = sqe;
    sqes[1] = (struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .file_index = 1};
    unsigned requests = taken ? 2 : 1, *order = (unsigned *)(sq + p.sq_off.array);
    order[0] = 0;
    order[1] = 1;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), requests, __ATOMIC_RELEASE);
    int next = dup(ring);
    close(next);
    unsigned ends = sqe.file_index ? requests : 0;
    if (syscall(SYS_io_uring_enter, ring, requests, ends, IORING_ENTER_GETEVENTS, 0, 0) != requests)
        return errno;
    for (int i = 0; i < 1000 && !sqe.file_index && fcntl(next, F_GETFD) < 0; i++)
        usleep(10000);
    return 0;
}

// A 32-bit call from a 64-bit program, whose pointers have to lie low.
static long int80(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r8 __asm__("r8") = f;
    __asm__ volatile("push %%rbp; mov %%r8, %%rbp; int $0x80; pop %%rbp"
                     : "=a"(ret)
                     : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(r8)
                     : "memory");
    return (int)ret;
}

static void *low(const void *bytes, size_t len)
{
    void *at = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    return memcpy(at, bytes, len);
}

// The 32-bit way: a message's header, and calls of sockets that all are one.
static long socket_call_32(const char *how, int fd, void *at, socklen_t len)
{
    void *to = low(at, len);
    uint32_t iov[2] = {(uint32_t)(uintptr_t)low("x", 1), 1};
    uint32_t message[7] = {(uint32_t)(uintptr_t)to, len, (uint32_t)(uintptr_t)low(iov, sizeof(iov)), 1};
    void *header = low(message, sizeof(message));
    if (!strcmp(how, "connect"))
        return int80(362, fd, (long)to, len, 0, 0, 0);
    if (!strcmp(how, "bind"))
        return int80(361, fd, (long)to, len, 0, 0, 0);
    if (!strcmp(how, "sendto"))
        return int80(369, fd, iov[0], 1, 0, (long)to, len);
    if (!strcmp(how, "sendmsg"))
        return int80(370, fd, (long)header, 0, 0, 0, 0);
    if (!strcmp(how, "sendmmsg")) {
        uint32_t two[16] = {0};
        memcpy(two, message, sizeof(message));
        memcpy(two + 8, message, sizeof(message));
        return int80(345, fd, (long)low(two, sizeof(two)), 2, 0, 0, 0);
    }
    uint32_t arguments[6] = {fd, (uint32_t)(uintptr_t)to, len};
    if (!strcmp(how, "socketcall-connect"))
        return int80(102, 3, (long)low(arguments, 12), 0, 0, 0, 0);
    if (!strcmp(how, "socketcall-bind"))
        return int80(102, 2, (long)low(arguments, 12), 0, 0, 0, 0);
    uint32_t sending[6] = {fd, iov[0], 1, 0, (uint32_t)(uintptr_t)to, len};
    if (!strcmp(how, "socketcall-sendto"))
        return int80(102, 11, (long)low(sending, 24), 0, 0, 0, 0);
    return -ENOSYS;
}

// HOW FAMILY TYPE ADDRESS PORT, where HOW is a call, or one by a ring (uring-) or with a 32-bit number (32-).
static int socket_call(char **a)
{
    const char *how = a[0];
    struct sockaddr_storage at = {0};
    struct iovec iov = {.iov_base = "x", .iov_len = 1};
    socklen_t len = address_of(a + 1, &at);
    struct mmsghdr messages[2] = {
        {.msg_hdr = {.msg_name = &at, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1}}};
    messages[1] = messages[0];
    int type = strncmp(a[2], "dgram", 5) ? SOCK_STREAM : SOCK_DGRAM;
    if (strstr(a[2], "nonblock"))
        type |= SOCK_NONBLOCK;
    int fd = socket(at.ss_family, type, 0);
    long ret = -ENOSYS;
    struct io_uring_sqe sqe = {.fd = fd, .addr = (uintptr_t)&at, .off = len};
    if (!strncmp(how, "32-", 3)) {
        ret = socket_call_32(how + 3, fd, &at, len);
        return ret < 0 ? -ret : 0;
    }
    if (!strcmp(how, "connect"))
        ret = connect(fd, (void *)&at, len);
    else if (!strcmp(how, "bind"))
        ret = bind(fd, (void *)&at, len);
    else if (!strcmp(how, "sendto"))
        ret = sendto(fd, "x", 1, 0, (void *)&at, len);
    else if (!strcmp(how, "fastopen"))
        ret = sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&at, len);
    else if (!strcmp(how, "sendmsg"))
        ret = sendmsg(fd, &messages[0].msg_hdr, 0);
    else if (!strcmp(how, "sendmmsg"))
        ret = sendmmsg(fd, messages, 2, 0);
    else if (!strncmp(how, "uring-", 6)) {
        if (!strcmp(how + 6, "connect"))
            sqe.opcode = IORING_OP_CONNECT;
        else if (!strcmp(how + 6, "bind"))
            sqe.opcode = 56; // IORING_OP_BIND, of Linux 6.11
        else {
            sqe.opcode = IORING_OP_SENDMSG;
            sqe.addr = (uintptr_t)&messages[0].msg_hdr;
            sqe.off = 0;
            sqe.len = 1;
        }
        ret = through_uring(&sqe);
        return ret < 0 ? -ret : 0;
    }
    return ret < 0 ? errno : 0;
}

// serve FAMILY stream|dgram ADDRESS PORT: returns when it is bound, and leaves a process behind that sends every
// datagram back with the bit set that makes a DNS question an answer, and lets connections wait.
static int serve(char **a)
{
    struct sockaddr_storage at = {0};
    socklen_t len = address_of(a + 1, &at);
    bool stream = strcmp(a[2], "dgram");
    int fd = socket(at.ss_family, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (bind(fd, (void *)&at, len) || (stream && listen(fd, 64)))
        return errno;
    if (fork())
        return 0;
    for (;;) {
        unsigned char message[512];
        struct sockaddr_storage from;
        socklen_t from_len = sizeof(from);
        ssize_t n;
        if (stream) {
            pause();
        } else if ((n = recvfrom(fd, message, sizeof(message), 0, (void *)&from, &from_len)) > 2) {
            message[2] |= 0x80;
            sendto(fd, message, n, 0, (void *)&from, from_len);
        }
    }
}

// storm N PATH: N times a file is opened, a socket connected and a DNS question sent; at every thousandth a child is
// forked and exits.
static int storm(long n, const char *path)
{
    static const char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\5storm\4test\0\0\1\0\1";
    const ssize_t bytes = sizeof(question) - 1;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(9)};
    struct sockaddr_in server = peer;
    server.sin_port = htons(53);
    int connected = socket(AF_INET, SOCK_DGRAM, 0), asking = socket(AF_INET, SOCK_DGRAM, 0);
    for (long i = 0; i < n; i++) {
        int fd = open(path, O_RDONLY);
        if (fd < 0 || connect(connected, (void *)&peer, sizeof(peer)))
            return errno;
        close(fd);
        if (sendto(asking, question, bytes, 0, (void *)&server, sizeof(server)) != bytes)
            return errno;
        if (i % 1000)
            continue;
        pid_t pid = fork();
        if (!pid)
            _exit(0);
        waitpid(pid, 0, 0);
    }
    return 0;
}

// memfd FILE: a copy of FILE without a name, executed.
static int memfd_exec(const char *file)
{
    char buffer[65536], path[64];
    int from = open(file, O_RDONLY), fd = memfd_create("nameless", 0);
    for (ssize_t n; (n = read(from, buffer, sizeof(buffer))) > 0;)
        if (write(fd, buffer, n) != n)
            return 1;
    char *argv[] = {"nameless", "exit", 0}, *envp[] = {0};
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    execve(path, argv, envp);
    return errno;
}

static void *exec_it(void *path)
{
    char *argv[] = {path, "exit", 0};
    execv(path, argv);
    return path;
}

static void *wait_for_input(void *pipe)
{
    char c;
    return read(*(int *)pipe, &c, 1) < 0 ? pipe : 0;
}

static void *wait_for_anything(void *arg)
{
    select(0, 0, 0, 0, 0);
    return arg;
}

static void *idle(void *arg)
{
    return arg;
}

int main(int argc, char **argv)
{
    char **a = argv + 1;
    if (argc < 2)
        return 99;
    if (!strcmp(a[0], "calls"))
        return by_name(a + 1);
    with_peers(a);
    if (!strcmp(a[0], "exit"))
        return a[1] ? atoi(a[1]) : 0;
    if (!strcmp(a[0], "open"))
        return syscall(SYS_open, a[1], a[2] ? atoi(a[2]) : O_RDONLY, 0600) < 0 ? errno : 0;
    if (!strcmp(a[0], "creat"))
        return syscall(SYS_creat, a[1], 0600) < 0 ? errno : 0;
    if (!strcmp(a[0], "openat"))
        return openat(open(a[1], O_PATH), a[2], O_RDONLY) < 0 ? errno : 0;
    if (!strcmp(a[0], "openat2")) {
        struct open_how how = {.flags = O_RDWR};
        return syscall(SYS_openat2, AT_FDCWD, a[1], &how, sizeof(how)) < 0 ? errno : 0;
    }
    if (!strcmp(a[0], "chdir-open"))
        return chdir(a[1]) || open(a[2], O_RDONLY) < 0 ? errno : 0;
    // renamed|uring-renamed DIR NAME DIR2: NAME is opened below DIR, and again when that is DIR2.
    if (strstr(a[0], "renamed")) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", a[1], a[2]);
        close(open(path, O_RDONLY));
        struct io_uring_sqe sqe = {.opcode = IORING_OP_RENAMEAT,
                                   .fd = AT_FDCWD,
                                   .addr = (uintptr_t)a[1],
                                   .addr2 = (uintptr_t)a[3],
                                   .len = AT_FDCWD};
        if (!strcmp(a[0], "renamed") ? rename(a[1], a[3]) : through_uring(&sqe))
            return 1;
        snprintf(path, sizeof(path), "%s/%s", a[3], a[2]);
        return open(path, O_RDONLY) < 0 ? errno : 0;
    }
    if (!strcmp(a[0], "uring"))
        return uring_open(a[1]);
    if (!strncmp(a[0], "uring-", 6) && a[1] && (!strcmp(a[1], "cwd") || !strcmp(a[1], "fd")))
        return uring_open_in(a);
    // in-both WHAT DIR DIR ADDRESS: a unix socket's address is reached for in one directory, then in the other.
    if (!strcmp(a[0], "in-both")) {
        char *call[] = {a[1], "unix", "dgram", a[4], "0", 0};
        return chdir(a[2]) || (socket_call(call), chdir(a[3])) || (socket_call(call), 0);
    }
    // each WHAT FAMILY TYPE PORT ADDRESS...: the same with one address after the other.
    if (!strcmp(a[0], "each")) {
        for (char **address = a + 5; *address; address++) {
            char *call[] = {a[1], a[2], a[3], *address, a[4], 0};
            socket_call(call);
        }
        return 0;
    }
    // setns-exec NAMESPACE PROGRAM ARG...: executes it in the mount namespace.
    if (!strcmp(a[0], "setns-exec")) {
        if (!setns(open(a[1], O_RDONLY), 0))
            execv(a[2], a + 2);
        return errno;
    }
    // many-closing N PROGRAM: executes it while N files are open that close on exec.
    if (!strcmp(a[0], "many-closing")) {
        for (int i = 0; i < atoi(a[1]); i++)
            open("/dev/null", O_RDONLY | O_CLOEXEC);
        execv(a[2], a + 2);
        return errno;
    }
    if (!strcmp(a[0], "serve"))
        return serve(a);
    if (!strcmp(a[0], "storm"))
        return storm(atol(a[1]), a[2]);
    if (a[1] && (!strcmp(a[1], "inet") || !strcmp(a[1], "inet6") || !strcmp(a[1], "unix")))
        return socket_call(a);
    if (!strcmp(a[0], "32-open"))
        return int80(5, (long)low(a[1], strlen(a[1]) + 1), O_RDONLY, 0, 0, 0, 0) < 0;
    if (!strcmp(a[0], "32-openat"))
        return int80(295, AT_FDCWD, (long)low(a[1], strlen(a[1]) + 1), O_RDONLY, 0, 0, 0) < 0;
    if (!strcmp(a[0], "32-creat"))
        return int80(8, (long)low(a[1], strlen(a[1]) + 1), 0600, 0, 0, 0, 0) < 0;
    if (!strcmp(a[0], "memfd"))
        return memfd_exec(a[1]);
    if (!strcmp(a[0], "exec")) {
        execv(a[1], a + 1);
        return errno;
    }
    // again N DIR: links itself into DIR under another name and runs that, N times.
    if (!strcmp(a[0], "again")) {
        long n = atol(a[1]);
        char path[32];
        if (n <= 0)
            return 0;
        if (chdir(a[2]))
            return errno;
        snprintf(path, sizeof(path), "./again-%ld", n);
        if (linkat(AT_FDCWD, "/proc/self/exe", AT_FDCWD, path, AT_SYMLINK_FOLLOW))
            return errno;
        snprintf(a[1], strlen(a[1]) + 1, "%ld", n - 1);
        a[2] = ".";
        execv(path, argv);
        return errno;
    }
    if (!strcmp(a[0], "kill-self"))
        return raise(atoi(a[1]));
    // fork N: children that exit at once, one after the other.
    if (!strcmp(a[0], "fork")) {
        for (int i = 0; i < atoi(a[1]); i++) {
            pid_t pid = fork();
            if (!pid)
                _exit(0);
            waitpid(pid, 0, 0);
        }
        return 0;
    }
    if (!strcmp(a[0], "thread")) {
        pthread_t t;
        return pthread_create(&t, 0, idle, 0) || pthread_join(t, 0);
    }
    // wait-in-threads: one reads, one selects, and the process pauses; or, if `alone`, ends but for them.
    if (!strcmp(a[0], "wait-in-threads")) {
        static int ends[2];
        pthread_t t;
        if (pipe(ends) || pthread_create(&t, 0, wait_for_input, ends) || pthread_create(&t, 0, wait_for_anything, 0))
            return errno;
        if (a[1])
            pthread_exit(0);
        return pause();
    }
    if (!strcmp(a[0], "thread-exec")) {
        pthread_t t;
        return pthread_create(&t, 0, exec_it, a[1]) || pause();
    }
    // loop N PATH: open and close, N times.
    if (!strcmp(a[0], "loop")) {
        for (long n = atol(a[1]); n > 0; n--)
            close(open(a[2], O_RDONLY));
        return 0;
    }
    // flood N DIR: N files with names of their own are missed.
    if (!strcmp(a[0], "flood")) {
        char path[256];
        for (long i = 0; i < atol(a[1]); i++) {
            snprintf(path, sizeof(path), "%s/absent-%ld", a[2], i);
            open(path, O_RDONLY);
        }
        return 0;
    }
    // sleep MS in one call that does not return.
    if (!strcmp(a[0], "pause"))
        return pause();
    // back pause: a child goes to the root that descriptor 3 is, and both pause until their parents end.
    if (!strcmp(a[0], "back")) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!fork()) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (fchdir(3) || chroot("."))
                return errno;
        }
        return pause();
    }
    if (!strcmp(a[0], "hostname")) // needs CAP_SYS_ADMIN
        return sethostname("", 0) && syscall(SYS_sethostname, "x", (size_t)-1) < 0 ? errno : 0;
    if (!strcmp(a[0], "chroot"))
        return chroot(a[1]) < 0 ? errno : 0;
    if (!strcmp(a[0], "chroot-open"))
        return chroot(a[1]) || open(a[2], O_RDONLY) < 0 ? errno : 0;
    return 98;
}
