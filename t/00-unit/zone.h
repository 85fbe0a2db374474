/*
 * Time zones of the machine, for tests: Debian's tzdata.
 */

#ifndef ZONE_H
#define ZONE_H

#include "tap.h"
#include "llm_tz.h"


/* Never freed, but reachable: no leak to a sanitizer. */
static void  *zone_kept[256];


static inline void *
zone_keep(void *mem)
{
    static size_t  n;

    if (mem == NULL || n == sizeof(zone_kept) / sizeof(zone_kept[0])) {
        printf("Bail out! no memory for zones\n");
        exit(1);
    }

    return zone_kept[n++] = mem;
}


/* The bytes of a zone file. */
static inline llm_str_t
zone_bytes(const char *name)
{
    FILE           *f;
    char            path[512];
    size_t          n;
    unsigned char  *mem;

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);

    f = fopen(path, "rb");

    if (f == NULL) {
        printf("Bail out! cannot read %s: is tzdata installed?\n", path);
        exit(1);
    }

    mem = malloc(65536);
    n = mem ? fread(mem, 1, 65536, f) : 0;
    fclose(f);

    return (llm_str_t) { n, zone_keep(realloc(mem, n ? n : 1)) };
}


static inline const llm_tz_t *
zone(const char *name)
{
    llm_tz_t  *tz;

    tz = zone_keep(malloc(sizeof(*tz)));

    if (llm_tz_parse(zone_bytes(name), tz) != LLM_OK) {
        printf("Bail out! %s does not parse\n", name);
        exit(1);
    }

    return tz;
}

#endif /* ZONE_H */
