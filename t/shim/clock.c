/*
 * LD_PRELOAD: a wall clock that is off, or time that passes faster.  The file
 * named by LLM_CLOCK_FILE is shared with the test, which moves the clock of all
 * processes that were started with it by writing there.  Only the wall clock is
 * ever off: the monotonic one is what it is, as on a machine whose clock is
 * wrong.  With a scale all clocks run faster from a common beginning, and
 * waiting for events is as much shorter.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


#define SHIM_SECOND  1000000000LL

typedef struct {
    int64_t  offset;                    /* ms */
    int64_t  scale;
    int64_t  real;                      /* ns, when scaling begins */
    int64_t  monotonic;
} shim_clock_t;


static const shim_clock_t            shim_none = { 0, 1, 0, 0 };
static const volatile shim_clock_t  *shim_clock = &shim_none;


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

    p = mmap(NULL, sizeof(shim_clock_t), PROT_READ, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        shim_clock = p;
    }

    (void) close(fd);
}


static int
shim_get(clockid_t clock, struct timespec *ts)
{
    int      wall;
    int64_t  ns, base;

    if (syscall(SYS_clock_gettime, clock, ts) != 0) {
        return -1;
    }

    switch (clock) {

    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        wall = 1;
        break;

    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        wall = 0;
        break;

    default:
        return 0;
    }

    ns = ts->tv_sec * SHIM_SECOND + ts->tv_nsec;
    base = wall ? shim_clock->real : shim_clock->monotonic;
    ns = base + (ns - base) * shim_clock->scale;

    if (wall) {
        ns += shim_clock->offset * 1000000;
    }

    ts->tv_sec = ns / SHIM_SECOND;
    ts->tv_nsec = (long) (ns % SHIM_SECOND);
    return 0;
}


int
clock_gettime(clockid_t clock, struct timespec *ts)
{
    return shim_get(clock, ts);
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (shim_get(CLOCK_REALTIME, &ts) != 0) {
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

    if (shim_get(CLOCK_REALTIME, &ts) != 0) {
        return (time_t) -1;
    }

    if (at != NULL) {
        *at = ts.tv_sec;
    }

    return ts.tv_sec;
}


int
epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
{
    int64_t  scale = shim_clock->scale;

    if (timeout > 0) {
        timeout = (int) ((timeout + scale - 1) / scale);
    }

    return epoll_pwait(ep, events, n, timeout, NULL);
}
