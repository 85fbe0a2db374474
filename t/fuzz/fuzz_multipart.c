/*
 * Multipart: parts lie inside the body, in order and without gaps, each begins
 * with the boundary, and none of them contains it.  The input is a
 * Content-Type, a line feed, and a body.
 */

#include <stdlib.h>

#include "llm_multipart.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
inside(llm_str_t part, const unsigned char *from, const unsigned char *to)
{
    return part.data >= from && part.data + part.len <= to;
}


static int
has_delimiter(const unsigned char *p, size_t n, llm_str_t boundary)
{
    size_t  i;

    for (i = 0; i + 4 + boundary.len <= n; i++) {
        if (memcmp(p + i, "\r\n--", 4) == 0
            && memcmp(p + i + 4, boundary.data, boundary.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
try_body(llm_str_t body, llm_str_t boundary)
{
    size_t       i, n, close_at, at;
    llm_rc_t     rc;
    llm_part_t   part[8], *p;
    const char  *what;

    what = NULL;
    rc = llm_multipart_index(body, boundary, part, 8, &n, &close_at, &what);

    if (rc != LLM_OK) {
        MUST((rc == LLM_BAD || rc == LLM_FULL) && what != NULL);
        return;
    }

    MUST(n <= 8 && close_at < body.len);
    MUST(close_at + 4 + boundary.len <= body.len);

    at = n ? part[0].start : close_at;

    for (i = 0; i < n; i++) {
        p = &part[i];

        MUST(p->start == at && p->start + boundary.len + 2 < p->body);
        MUST(memcmp(body.data + p->start, "--", 2) == 0);
        MUST(memcmp(body.data + p->start + 2, boundary.data, boundary.len)
             == 0);
        MUST(p->body <= p->body_end && p->body_end <= p->end);
        MUST(!has_delimiter(body.data + p->body, p->body_end - p->body,
                            boundary));
        MUST(p->name.len && inside(p->name, body.data + p->start,
                                   body.data + p->body));
        MUST(p->filename.data == NULL
             || inside(p->filename, body.data + p->start, body.data + p->body));
        MUST(p->type.data == NULL
             || inside(p->type, body.data + p->start, body.data + p->body));
        MUST(llm_multipart_count(part, n, p->name) >= 1);
        MUST(llm_multipart_find(part, n, p->name) <= p);

        at = p->end;
    }

    MUST(at == close_at);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_rc_t        rc;
    llm_str_t       type, body, boundary;
    const uint8_t  *line_end;

    line_end = size ? memchr(data, '\n', size) : NULL;
    if (line_end == NULL) {
        return 0;
    }

    type.data = data;
    type.len = (size_t) (line_end - data);
    body.data = line_end + 1;
    body.len = size - type.len - 1;

    rc = llm_multipart_boundary(type, &boundary);

    if (rc == LLM_OK) {
        MUST(boundary.len && boundary.len <= 70);
        MUST(inside(boundary, data, line_end));

    } else {
        boundary = LLM_STR("b");
    }

    try_body(body, boundary);

    (void) llm_audio_sniff(body);
    (void) llm_audio_extension(type);

    return 0;
}
