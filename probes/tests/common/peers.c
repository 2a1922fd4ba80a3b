// What the child does with peers: as one that lets in, hears or asks. Compiled behind child.c, whose helpers it uses.
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int listening(char **a)
{
    struct sockaddr_storage at = {0};
    socklen_t len = address_of(a, &at);
    int one = 1, fd = socket(at.ss_family, strcmp(a[1], "dgram") ? SOCK_STREAM : SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (void *)&at, len) || (strcmp(a[1], "dgram") && listen(fd, 64)))
        exit(errno);
    return fd;
}

// The file that the ring has put into its own table is used from there.
static long accept_into_table(int fd)
{
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p), none[4] = {-1, -1, -1, -1};
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, none, 4))
        return -1;
    char *sq = mmap(0, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                    IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe =
        mmap(0, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    *sqe = (struct io_uring_sqe){.opcode = IORING_OP_ACCEPT, .fd = fd, .file_index = 2};
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) == 1 ? -2 : -1;
}

static long accept_by(const char *how, int fd)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_ACCEPT, .fd = fd, .user_data = 77};
    if (!strcmp(how, "accept"))
        return accept(fd, 0, 0);
    if (!strcmp(how, "accept4"))
        return accept4(fd, 0, 0, SOCK_CLOEXEC);
    if (!strcmp(how, "32-accept4"))
        return int80(364, fd, 0, 0, 0, 0, 0);
    if (!strcmp(how, "32-socketcall-accept")) {
        uint32_t arguments[6] = {fd};
        return int80(102, 5, (long)low(arguments, 12), 0, 0, 0, 0);
    }
    if (!strcmp(how, "uring-direct"))
        return accept_into_table(fd);
    if (!strcmp(how, "uring-multishot"))
        sqe.ioprio = 1; // IORING_ACCEPT_MULTISHOT, of Linux 5.19
    return through_uring(&sqe);
}

static long all_of(int fd)
{
    char buffer[65536];
    long all = 0;
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;)
        all += n;
    return all;
}

static int give(int fd, long bytes)
{
    char buffer[65536] = {0};
    for (ssize_t n; bytes > 0; bytes -= n)
        if ((n = write(fd, buffer, bytes < (long)sizeof(buffer) ? bytes : (long)sizeof(buffer))) <= 0)
            return errno;
    return 0;
}

// let-in HOW FAMILY stream ADDRESS PORT BYTES: one is let in, given so many bytes, and heard to its end.
static int let_in(char **a)
{
    int fd = listening(a + 2);
    long in = accept_by(a[1], fd);
    if (in == -2)
        return 0;
    if (in < 0)
        return errno ? errno : 1;
    int error = give(in, atol(a[6]));
    all_of(in);
    close(in);
    return error;
}

// connects-and close|leave|reset|exec|hold FAMILY stream ADDRESS PORT BYTES: so many are given, and the other's heard to
// their end; how it goes on then.
static int connects(char **a)
{
    struct sockaddr_storage at = {0};
    socklen_t len = address_of(a + 2, &at);
    int fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (connect(fd, (void *)&at, len) || give(fd, atol(a[6])))
        return errno;
    if (!strcmp(a[1], "hold"))
        return pause();
    if (!strcmp(a[1], "reset")) {
        struct linger now = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        return close(fd);
    }
    if (!strcmp(a[1], "leave")) // all of it: the peer closes
        return all_of(fd) < 0;
    shutdown(fd, SHUT_WR);
    all_of(fd);
    if (!strcmp(a[1], "exec")) {
        char *argv[] = {"/proc/self/exe", "exit", 0};
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        execv(argv[0], argv);
    }
    return close(fd);
}

// says FAMILY stream ADDRESS PORT TEXT...: each text by a write of its own once the one before was answered.
static int says(char **a)
{
    struct sockaddr_storage at = {0};
    socklen_t len = address_of(a + 1, &at);
    char buffer[4096];
    int fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (connect(fd, (void *)&at, len))
        return errno;
    for (char **text = a + 5; *text; text++)
        if (write(fd, *text, strlen(*text)) < 0 || read(fd, buffer, sizeof(buffer)) < 0)
            return errno;
    return close(fd);
}

// Gives this host's loopback device an address more.
static int own_address(const char *text)
{
    struct ifreq lo = {.ifr_name = "lo"}, another = {.ifr_name = "lo:1"};
    struct {
        struct in6_addr addr;
        uint32_t bits;
        int index;
    } six = {.bits = 128};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in *in = (void *)&another.ifr_addr;
    in->sin_family = AF_INET;
    if (ioctl(fd, SIOCGIFINDEX, &lo))
        return errno;
    six.index = lo.ifr_ifindex;
    lo.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &lo))
        return errno;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
        return ioctl(fd, SIOCSIFADDR, &another) ? errno : 0;
    return inet_pton(AF_INET6, text, &six.addr) != 1 || ioctl(fd6, SIOCSIFADDR, &six) ? errno : 0;
}

// Answers every request at this address, as a service that is asked over HTTP.
static void answer_for_ever(int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (;;) {
        char request[8192];
        int in = accept(fd, 0, 0);
        while (read(in, request, sizeof(request)) > 0)
            if (write(in, answer, sizeof(answer) - 1) < 0)
                break;
        close(in);
    }
}

// metadata FAMILY stream ADDRESS PORT: returns when it is there, and leaves a service behind at that address.
static int metadata(char **a)
{
    int error = own_address(a[3]);
    if (error)
        return error;
    int fd = listening(a + 1);
    if (fork())
        return 0;
    answer_for_ever(fd);
    return 0;
}

// asks-metadata FAMILY stream ADDRESS PORT TEXT...: in a network of its own, where such a service is, says each of them.
static int asks_metadata(char **a)
{
    int error = unshare(CLONE_NEWNET) ? errno : own_address(a[3]);
    if (error)
        return error;
    int fd = listening(a + 1);
    pid_t server = fork();
    if (!server) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        answer_for_ever(fd);
    }
    close(fd);
    error = says(a);
    kill(server, SIGKILL);
    waitpid(server, 0, 0);
    return error;
}

// One datagram and where it is from, by the call that `how` is; its length, or less than 0.
static long receive(const char *how, int fd, struct sockaddr_storage *from, socklen_t *len)
{
    static char data[64];
    struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
    struct mmsghdr one = {.msg_hdr = {.msg_name = from, .msg_namelen = *len, .msg_iov = &iov, .msg_iovlen = 1}};
    struct io_uring_sqe sqe = {.opcode = IORING_OP_RECVMSG, .fd = fd, .addr = (uintptr_t)&one.msg_hdr, .len = 1};
    long n = -1;
    if (!strncmp(how, "32-", 3)) {
        struct sockaddr_storage *name = low(from, sizeof(*from));
        uint32_t *bytes = low(len, sizeof(*len)), buffer = (uint32_t)(uintptr_t)low(data, sizeof(data));
        uint32_t vector[2] = {buffer, sizeof(data)};
        uint32_t header[7] = {(uint32_t)(uintptr_t)name, *len, (uint32_t)(uintptr_t)low(vector, sizeof(vector)), 1};
        uint32_t arguments[6] = {fd, buffer, sizeof(data), 0, header[0], (uint32_t)(uintptr_t)bytes};
        if (!strcmp(how, "32-recvfrom"))
            n = int80(371, fd, buffer, sizeof(data), 0, header[0], (long)bytes);
        else if (!strcmp(how, "32-socketcall-recvfrom"))
            n = int80(102, 12, (long)low(arguments, sizeof(arguments)), 0, 0, 0, 0);
        else if (!strcmp(how, "32-recvmsg")) {
            uint32_t *lies = low(header, sizeof(header));
            n = int80(372, fd, (long)lies, 0, 0, 0, 0);
            *bytes = lies[1];
        }
        *from = *name;
        *len = *bytes;
        return n;
    }
    if (!strcmp(how, "recv"))
        return recv(fd, data, sizeof(data), 0);
    if (!strcmp(how, "recvfrom"))
        return recvfrom(fd, data, sizeof(data), 0, (void *)from, len);
    if (!strcmp(how, "recvmsg"))
        n = recvmsg(fd, &one.msg_hdr, 0);
    else if (!strcmp(how, "recvmmsg"))
        n = recvmmsg(fd, &one, 1, 0, 0);
    else if (!strcmp(how, "uring-recvmsg"))
        n = through_uring(&sqe);
    *len = one.msg_hdr.msg_namelen;
    return n;
}

// hears HOW FAMILY dgram ADDRESS PORT: a datagram is received and answered, if it is known whom.
static int hears(char **a)
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    int fd = listening(a + 2);
    if (receive(a[1], fd, &from, &len) < 0)
        return errno ? errno : 1;
    if (strcmp(a[1], "recv") && len > 2)
        return sendto(fd, "y", 1, 0, (void *)&from, len) < 0 ? errno : 0;
    return 0;
}

// asks FAMILY dgram ADDRESS PORT OWN: from a port or name of its own, and takes the answer.
static int asks(char **a)
{
    struct sockaddr_storage at = {0}, from = {0};
    socklen_t len = address_of(a + 1, &at), from_len = sizeof(from);
    bool named = !strcmp(a[1], "unix");
    char *own[] = {a[1], a[2], named ? a[5] : a[3], a[5], 0};
    int fd = listening(own);
    if (sendto(fd, "x", 1, 0, (void *)&at, len) < 0)
        return errno;
    return receive("recvfrom", fd, &from, &from_len) < 0 ? errno : 0;
}

// loop-accept N, loop-stream N, loop-datagrams N: N connections to itself; N bytes over one; N datagrams to itself.
static int loop_with_itself(const char *what, long n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, from;
    socklen_t len = sizeof(at), from_len;
    bool datagrams = !strcmp(what, "loop-datagrams");
    int in = -1, out = -1, fd = socket(AF_INET, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);
    struct linger now = {.l_onoff = 1};
    char byte;
    if (bind(fd, (void *)&at, len) || (!datagrams && listen(fd, 16)) || getsockname(fd, (void *)&at, &len))
        return errno;
    for (; n > 0; n--) {
        if (datagrams) {
            from_len = sizeof(from);
            if (sendto(fd, "x", 1, 0, (void *)&at, len) < 0 || recvfrom(fd, &byte, 1, 0, (void *)&from, &from_len) < 0)
                return errno;
            continue;
        }
        if (in < 0) {
            out = socket(AF_INET, SOCK_STREAM, 0);
            setsockopt(out, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
            if (connect(out, (void *)&at, len) || (in = accept(fd, 0, 0)) < 0)
                return errno;
        }
        if (!strcmp(what, "loop-stream")) {
            if (send(out, "x", 1, 0) < 0 || recv(in, &byte, 1, 0) < 0)
                return errno;
            continue;
        }
        close(out);
        close(in);
        in = -1;
    }
    return 0;
}

// storm-of-names N DIR: in namespaces of its own, N times DIR is made and removed, how mounts are shared is changed, a
// connection to itself is made and ended, and a metadata service is asked over a connection that is kept.
static int storm_of_names(long n, const char *dir)
{
    static const char request[] = "GET /latest/meta-data/ HTTP/1.1\r\n\r\n";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(0xa9fea9fe)}, .sin_port = htons(80)};
    char buffer[sizeof(request)];
    int error = unshare(CLONE_NEWNS | CLONE_NEWNET) ? errno : own_address("169.254.169.254");
    if (error)
        return error;
    char *service[] = {"inet", "stream", "169.254.169.254", "80", 0}, *itself[] = {"inet", "stream", "127.0.0.1", "9", 0};
    int asked = listening(service), listener = listening(itself), asks = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(asks, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(asks, (void *)&at, sizeof(at)) || (asked = accept(asked, 0, 0)) < 0)
        return errno;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(9);
    for (; n > 0; n--) {
        int out = socket(AF_INET, SOCK_STREAM, 0), in;
        if (mkdir(dir, 0700) || rmdir(dir) || mount(0, "/", 0, MS_PRIVATE, 0))
            return errno;
        if (connect(out, (void *)&at, sizeof(at)) || (in = accept(listener, 0, 0)) < 0 || close(out) || close(in))
            return errno;
        if (send(asks, request, sizeof(request) - 1, 0) < 0 || recv(asked, buffer, sizeof(request) - 1, MSG_WAITALL) < 0)
            return errno;
    }
    return close(asks) || close(asked);
}

// Whether it is one of these; then its end is here.
static void with_peers(char **a)
{
    if (!strcmp(a[0], "let-in"))
        exit(let_in(a));
    if (!strcmp(a[0], "connects-and"))
        exit(connects(a));
    if (!strcmp(a[0], "says"))
        exit(says(a));
    if (!strcmp(a[0], "metadata"))
        exit(metadata(a));
    if (!strcmp(a[0], "asks-metadata"))
        exit(asks_metadata(a));
    if (!strcmp(a[0], "hears"))
        exit(hears(a));
    if (!strcmp(a[0], "asks"))
        exit(asks(a));
    if (!strcmp(a[0], "storm-of-names"))
        exit(storm_of_names(atol(a[1]), a[2]));
    if (!strncmp(a[0], "loop-", 5))
        exit(loop_with_itself(a[0], atol(a[1])));
}
