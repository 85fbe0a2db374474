/*
 * LD_PRELOAD: a wall clock that is off.  The file named by LLM_CLOCK_FILE holds
 * the offset in milliseconds, a 64-bit integer; writing it moves the clock of
 * all processes that were started with it.  Only the real-time clock moves: the
 * monotonic one is what it is, as on a machine whose clock is wrong.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static const volatile int64_t *shim_offset;


__attribute__((constructor)) static void
shim_init(void)
{
    int          fd;
    void        *p;
    const char  *name = getenv("LLM_CLOCK_FILE");

    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        shim_offset = p;
    }

    (void) close(fd);
}


static int
shim_real(struct timespec *ts)
{
    int64_t  ns, ms = shim_offset ? *shim_offset : 0;

    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, ts) != 0) {
        return -1;
    }

    ns = (int64_t) ts->tv_nsec + ms % 1000 * 1000000;
    ts->tv_sec += ms / 1000;

    if (ns < 0) {
        ns += 1000000000;
        ts->tv_sec--;

    } else if (ns >= 1000000000) {
        ns -= 1000000000;
        ts->tv_sec++;
    }

    ts->tv_nsec = (long) ns;
    return 0;
}


int
clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        return shim_real(ts);
    }

    return (int) syscall(SYS_clock_gettime, clock, ts);
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (shim_real(&ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}


time_t
time(time_t *at)
{
    struct timespec  ts;

    if (shim_real(&ts) != 0) {
        return (time_t) -1;
    }

    if (at != NULL) {
        *at = ts.tv_sec;
    }

    return ts.tv_sec;
}
