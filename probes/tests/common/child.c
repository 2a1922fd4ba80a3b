// Does one thing by its bare system call, for the tests to see it: child WHAT [ARG...].
// Built by child.rs.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int family_of(const char *name)
{
    return !strcmp(name, "unix") ? AF_UNIX : !strcmp(name, "inet6") ? AF_INET6 : AF_INET;
}

static int type_of(const char *name)
{
    int type = strcmp(name, "dgram") ? SOCK_STREAM : SOCK_DGRAM;
    return strstr(name, "nonblock") ? type | SOCK_NONBLOCK : type;
}

// A unix address that begins with @ is abstract.
static socklen_t address_of(struct sockaddr_storage *to, int family, const char *address, const char *port)
{
    socklen_t len = 0;
    to->ss_family = family;
    if (family == AF_UNIX) {
        struct sockaddr_un *un = (void *)to;
        strcpy(un->sun_path, address);
        len = offsetof(struct sockaddr_un, sun_path) + strlen(address) + 1;
        if (un->sun_path[0] == '@') {
            un->sun_path[0] = 0;
            len--;
        }
    } else if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (void *)to;
        inet_pton(family, address, &in6->sin6_addr);
        in6->sin6_port = htons(atoi(port));
        len = sizeof(*in6);
    } else {
        struct sockaddr_in *in = (void *)to;
        inet_pton(family, address, &in->sin_addr);
        in->sin_port = htons(atoi(port));
        len = sizeof(*in);
    }
    return len;
}

// connect|bind FAMILY stream|dgram ADDRESS PORT
static int socket_call(char **a)
{
    struct sockaddr_storage at = {0};
    int family = family_of(a[1]);
    socklen_t len = address_of(&at, family, a[3], a[4]);
    int fd = socket(family, type_of(a[2]), 0);
    long ret = !strcmp(a[0], "bind") ? bind(fd, (void *)&at, len) : connect(fd, (void *)&at, len);
    return ret < 0 ? errno : 0;
}

// serve FAMILY stream|dgram ADDRESS PORT: returns when it is bound, and leaves a process behind that sends every
// datagram back with the bit set that makes a DNS question an answer, and lets connections wait.
static int serve(char **a)
{
    struct sockaddr_storage at = {0};
    int family = family_of(a[1]);
    socklen_t len = address_of(&at, family, a[3], a[4]);
    int fd = socket(family, type_of(a[2]), 0);
    if (bind(fd, (void *)&at, len))
        return errno;
    if (strcmp(a[2], "dgram") && listen(fd, 64))
        return errno;
    if (fork())
        return 0;
    for (;;) {
        unsigned char message[512];
        struct sockaddr_storage from;
        socklen_t from_len = sizeof(from);
        ssize_t n;
        if (strcmp(a[2], "dgram")) {
            pause();
        } else if ((n = recvfrom(fd, message, sizeof(message), 0, (void *)&from, &from_len)) > 2) {
            message[2] |= 0x80;
            sendto(fd, message, n, 0, (void *)&from, from_len);
        }
    }
}

// storm N PATH: N times a file is opened, a socket connected and a DNS question asked; at every thousandth a child is
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

// uring PATH: opened by a ring of its own.
static int uring_open(const char *path)
{
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0)
        return errno;
    size_t sq_bytes = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    char *sq = mmap(0, sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe =
        mmap(0, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_OPENAT;
    sqe->fd = AT_FDCWD;
    sqe->addr = (uintptr_t)path;
    sqe->open_flags = O_RDONLY;
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0 ? errno : 0;
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

static void *idle(void *arg)
{
    return arg;
}

int main(int argc, char **argv)
{
    char **a = argv + 1;
    if (argc < 2)
        return 99;
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
    if (!strcmp(a[0], "uring"))
        return uring_open(a[1]);
    if (!strcmp(a[0], "connect") || !strcmp(a[0], "bind"))
        return socket_call(a);
    if (!strcmp(a[0], "serve"))
        return serve(a);
    if (!strcmp(a[0], "storm"))
        return storm(atol(a[1]), a[2]);
    if (!strcmp(a[0], "memfd"))
        return memfd_exec(a[1]);
    if (!strcmp(a[0], "exec")) {
        execv(a[1], a + 1);
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
    if (!strcmp(a[0], "hostname")) // needs CAP_SYS_ADMIN
        return sethostname("", 0) && syscall(SYS_sethostname, "x", (size_t)-1) < 0 ? errno : 0;
    if (!strcmp(a[0], "chroot"))
        return chroot(a[1]) < 0 ? errno : 0;
    if (!strcmp(a[0], "chroot-open"))
        return chroot(a[1]) || open(a[2], O_RDONLY) < 0 ? errno : 0;
    return 98;
}
