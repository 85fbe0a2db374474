/*
 * What a unit test needs: TAP lines on stdout, and fixtures in memory.
 *
 * Include it before the llm_ headers.  A test is a main() that calls the checks
 * and returns tap_done(), which is not 0 when one failed.
 */

#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llm_core.h"

#define TAP_FIXTURES  512

static int    tap_n, tap_failed;
static void  *tap_loaded[TAP_FIXTURES];
static int    tap_loaded_n;


static inline int
tap_at(int good, const char *name, const char *file, int line)
{
    printf("%sok %d - ", good ? "" : "not ", ++tap_n);

    /* a line end or a # would mean something to the runner */

    for ( /* void */ ; *name; name++) {
        if (*name < 0x20 || *name == '#' || *name == 0x7f) {
            printf("<%02x>", (unsigned char) *name);
        } else {
            putchar(*name);
        }
    }

    putchar('\n');

    if (!good) {
        tap_failed++;
        printf("# failed at %s line %d\n", file, line);
    }

    return good;
}


static inline int
tap_int(long long got, long long want, const char *name, const char *file,
    int line)
{
    if (!tap_at(got == want, name, file, line)) {
        printf("#   got: %lld\n#  want: %lld\n", got, want);
    }

    return got == want;
}


static inline void
tap_bytes(const char *label, llm_str_t s)
{
    size_t  i;

    printf("# %5s: ", label);

    for (i = 0; i < s.len && i < 200; i++) {
        if (s.data[i] < 0x20 || s.data[i] >= 0x7f) {
            printf("<%02x>", s.data[i]);
        } else {
            putchar(s.data[i]);
        }
    }

    printf("%s (%zu)\n", i < s.len ? "..." : "", s.len);
}


static inline int
tap_str(llm_str_t got, llm_str_t want, const char *name, const char *file,
    int line)
{
    int  good;

    good = llm_str_eq(got, want);

    if (!tap_at(good, name, file, line)) {
        tap_bytes("got", got);
        tap_bytes("want", want);
    }

    return good;
}


static inline llm_str_t
tap_c(const char *s)
{
    return (llm_str_t) { strlen(s), (const unsigned char *) s };
}


/* A condition; two integers; a view and a C string; two views. */
#define ok(cond, name)         tap_at(!!(cond), name, __FILE__, __LINE__)
#define is_int(got, want, name)                                               \
    tap_int((long long) (got), (long long) (want), name, __FILE__, __LINE__)
#define is_str(got, want, name)                                               \
    tap_str(got, tap_c(want), name, __FILE__, __LINE__)
#define is_view(got, want, name)                                              \
    tap_str(got, want, name, __FILE__, __LINE__)


/*
 * A whole file below t/fixtures, or below $LLM_FIXTURES, until tap_done().  It
 * ends where its memory ends: a sanitizer sees a read behind it.
 */
static inline llm_str_t
tap_fixture(const char *path)
{
    long            size;
    FILE           *f;
    char            name[1024];
    const char     *root, *slash;
    unsigned char  *mem;

    root = getenv("LLM_FIXTURES");

    if (root) {
        snprintf(name, sizeof(name), "%s/%s", root, path);
    } else {
        slash = strrchr(__FILE__, '/');
        snprintf(name, sizeof(name), "%.*s../fixtures/%s",
                 slash ? (int) (slash - __FILE__) + 1 : 0, __FILE__, path);
    }

    f = fopen(name, "rb");
    if (f == NULL) {
        printf("Bail out! cannot open %s\n", name);
        exit(1);
    }

    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);

    mem = malloc((size_t) size + (size == 0));
    if (mem == NULL || tap_loaded_n == TAP_FIXTURES
        || fread(mem, 1, (size_t) size, f) != (size_t) size)
    {
        printf("Bail out! cannot read %s\n", name);
        exit(1);
    }

    fclose(f);
    tap_loaded[tap_loaded_n++] = mem;

    return (llm_str_t) { (size_t) size, mem };
}


static inline int
tap_done(void)
{
    while (tap_loaded_n) {
        free(tap_loaded[--tap_loaded_n]);
    }

    printf("1..%d\n", tap_n);

    if (tap_failed) {
        printf("# %d of %d failed\n", tap_failed, tap_n);
    }

    return tap_failed != 0;
}

#endif /* TAP_H */
