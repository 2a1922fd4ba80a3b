// What benches/live.rs times of the kernel side: one action that makes events, again and again.
//
//     actions WHAT N DIR
//             does WHAT so many times, in mount and network namespaces of its own where DIR is in memory, and prints the
//             nanoseconds of one
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// The best one counts: whatever else the machine does makes it slower, never faster.
enum { ROUNDS = 5 };

#define METADATA 0xa9fea9fe // 169.254.169.254

struct here {
    char path[4096]; // of nothing
    char file[4096];
    char refused[4096];
    int opened;
    int listener;
    int asks;
    int asked;
    struct sockaddr_in at;
};

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static int open_and_close(struct here *h)
{
    return close(open(h->file, O_RDONLY));
}

static int open_absent(struct here *h)
{
    return open(h->path, O_RDONLY) >= 0;
}

static int open_refused(struct here *h)
{
    return open(h->refused, O_CREAT | O_WRONLY, 0600) >= 0;
}

static int mkdir_and_rmdir(struct here *h)
{
    return mkdir(h->path, 0700) || rmdir(h->path);
}

static int chmod_open_file(struct here *h)
{
    return fchmod(h->opened, 0600);
}

static int share_mount(struct here *h)
{
    return mount(0, "/", 0, MS_PRIVATE, 0);
}

static int map_and_unmap(struct here *h)
{
    void *at = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, h->opened, 0);
    return at == MAP_FAILED || munmap(at, 4096);
}

// Connects, is let in, and ends both; reset, so that no port waits.
static int connection(struct here *h)
{
    struct linger at_once = {.l_onoff = 1};
    int out = socket(AF_INET, SOCK_STREAM, 0), in;
    setsockopt(out, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    if (connect(out, (void *)&h->at, sizeof(h->at)) || (in = accept(h->listener, 0, 0)) < 0)
        return 1;
    return close(out) || close(in);
}

static int refused(struct here *h)
{
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(1)};
    int out = socket(AF_INET, SOCK_STREAM, 0);
    return connect(out, (void *)&nobody, sizeof(nobody)) == 0 || close(out);
}

static int send_over(struct here *h, const char *text)
{
    char buffer[256];
    ssize_t len = strlen(text);
    return send(h->asks, text, len, 0) != len || recv(h->asked, buffer, len, MSG_WAITALL) != len;
}

static int bytes_over_a_stream(struct here *h)
{
    return send_over(h, "no request, but as long as one that is one\n");
}

static int metadata_request(struct here *h)
{
    return send_over(h, "GET /latest/meta-data/ HTTP/1.1\r\nHost: x\r\n\r\n");
}

static const struct {
    const char *name;
    int (*act)(struct here *);
} actions[] = {
    {"open and close", open_and_close},
    {"open of what is not there", open_absent},
    {"open that is refused", open_refused},
    {"mkdir and rmdir", mkdir_and_rmdir},
    {"fchmod", chmod_open_file},
    {"mount that changes how one is shared", share_mount},
    {"mmap to be executed, and munmap", map_and_unmap},
    {"connect, accept and two closes", connection},
    {"refused connect", refused},
    {"send and receive over a stream", bytes_over_a_stream},
    {"request to a metadata service", metadata_request},
};

static int listening(in_addr_t address, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(address)}, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, (void *)&at, sizeof(at)) || listen(fd, 64) ? -1 : fd;
}

static int prepare(struct here *h, const char *dir)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING}, more = {.ifr_name = "lo:1"};
    struct sockaddr_in *address = (void *)&more.ifr_addr;
    int one = 1, fd = -1;
    snprintf(h->path, sizeof(h->path), "%s/made", dir);
    snprintf(h->file, sizeof(h->file), "%s/file", dir);
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) ||
        mount("none", dir, "tmpfs", 0, 0))
        return 1;
    h->opened = open(h->file, O_CREAT | O_RDWR, 0600);
    snprintf(h->refused, sizeof(h->refused), "%s/readonly", dir);
    if (h->opened < 0 || ftruncate(h->opened, 4096) || mkdir(h->refused, 0700) ||
        mount("none", h->refused, "tmpfs", MS_RDONLY, 0))
        return 1;
    strcat(h->refused, "/new");
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(METADATA);
    if (ioctl(fd, SIOCSIFFLAGS, &lo) || ioctl(fd, SIOCSIFADDR, &more))
        return 1;
    h->asks = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(h->asks, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    h->listener = listening(METADATA, 80);
    h->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(METADATA)}, .sin_port = htons(80)};
    if (connect(h->asks, (void *)&h->at, sizeof(h->at)) || (h->asked = accept(h->listener, 0, 0)) < 0)
        return 1;
    h->listener = listening(INADDR_LOOPBACK, 9);
    h->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->at.sin_port = htons(9);
    return h->listener < 0;
}

int main(int argc, char **argv)
{
    static struct here here;
    long n = argc == 4 ? atol(argv[2]) / ROUNDS : 0, best = 0;
    if (n <= 0 || prepare(&here, argv[3]))
        return 2;
    for (unsigned at = 0; at < sizeof(actions) / sizeof(actions[0]); at++) {
        if (strcmp(actions[at].name, argv[1]))
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            long from = now();
            for (long i = 0; i < n; i++)
                if (actions[at].act(&here))
                    return 3;
            long ns = now() - from;
            if (!best || ns < best)
                best = ns;
        }
        printf("%.1f\n", best / (double)n);
        return 0;
    }
    return 2;
}
