// What benches/live.rs has observed: a program whose events can be counted beforehand. It is linked statically, so
// that starting it opens nothing.
//
//     loop LOOPS OPENS SPAWNS PACE_NS PATH
//             so many processes at a time, each of which opens and closes PATH so many times, no faster than once in
//             PACE_NS, and starts this program again SPAWNS times in between. Each prints what it did as JSON
//     loop    ends at once
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The best one counts: whatever else the machine does makes it slower, never faster.
enum { ROUNDS = 5 };

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static int spawn(const char *self)
{
    int status;
    pid_t child = fork();
    if (!child) {
        execl(self, self, (char *)0);
        _exit(1);
    }
    return child < 0 || waitpid(child, &status, 0) != child || status;
}

static int run(const char *self, long opens, long spawns, long pace_ns, const char *path)
{
    long per_round = opens / ROUNDS, every = spawns ? opens / spawns : 0;
    long best = 0, opened = 0, spawned = 0, began = now();
    for (int round = 0; round < ROUNDS; round++) {
        long from = now();
        for (long i = 0; i < per_round; i++) {
            while (pace_ns && now() < from + i * pace_ns)
                ;
            int fd = open(path, O_RDONLY);
            if (fd < 0 || close(fd))
                return 3;
            opened++;
            if (every && opened % every == 0) {
                if (spawn(self))
                    return 4;
                spawned++;
            }
        }
        long ns = now() - from;
        if (!best || ns < best)
            best = ns;
    }
    printf("{\"ns_per_pair\":%.1f,\"ns\":%ld,\"opens\":%ld,\"spawns\":%ld}\n", best / (double)per_round, now() - began,
           opened, spawned);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return 0;
    if (argc != 6)
        return 2;
    int failed = 0;
    for (long i = 0; i < atol(argv[1]); i++) {
        pid_t child = fork();
        if (!child)
            return run(argv[0], atol(argv[2]), atol(argv[3]), atol(argv[4]), argv[5]);
        failed |= child < 0;
    }
    for (int status; wait(&status) > 0;)
        failed |= status != 0;
    return failed;
}
