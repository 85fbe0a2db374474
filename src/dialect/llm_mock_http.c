/*
 * As much HTTP/1.1 as the mock's server end needs.
 */

#include "llm_mock_http.h"

enum {
    LLM_CHUNK_SIZE = 0, LLM_CHUNK_EXTENSION, LLM_CHUNK_DATA, LLM_CHUNK_CR,
    LLM_CHUNK_LF, LLM_CHUNK_TRAILER, LLM_CHUNK_TRAILER_LINE
};


static int
llm_mock_http_is(llm_str_t s, llm_str_t lower)
{
    size_t  i;

    if (s.len != lower.len) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        if ((s.data[i] >= 'A' && s.data[i] <= 'Z' ? s.data[i] | 0x20
                                                  : s.data[i])
            != lower.data[i])
        {
            return 0;
        }
    }

    return 1;
}


/* The next line without its end.  LLM_AGAIN: it has none. */
static llm_rc_t
llm_mock_line(llm_str_t *rest, llm_str_t *line)
{
    const unsigned char  *lf;

    lf = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    if (lf == NULL) {
        return LLM_AGAIN;
    }

    line->data = rest->data;
    line->len = (size_t) (lf - rest->data);

    rest->data += line->len + 1;
    rest->len -= line->len + 1;

    if (line->len && line->data[line->len - 1] == '\r') {
        line->len--;
    }

    return LLM_OK;
}


/* The part before the byte c, which is skipped. */
static llm_rc_t
llm_mock_before(llm_str_t *rest, unsigned char c, llm_str_t *part)
{
    const unsigned char  *at;

    at = rest->len ? memchr(rest->data, c, rest->len) : NULL;
    if (at == NULL) {
        return LLM_BAD;
    }

    part->data = rest->data;
    part->len = (size_t) (at - rest->data);

    rest->data = at + 1;
    rest->len -= part->len + 1;

    return LLM_OK;
}


static llm_rc_t
llm_mock_request_line(llm_str_t line, llm_mock_head_t *h)
{
    llm_str_t             path;
    const unsigned char  *query;

    if (llm_mock_before(&line, ' ', &h->method) != LLM_OK
        || llm_mock_before(&line, ' ', &path) != LLM_OK
        || path.len == 0 || *path.data != '/')
    {
        return LLM_BAD;
    }

    query = memchr(path.data, '?', path.len);
    if (query) {
        path.len = (size_t) (query - path.data);
    }

    h->path = path;

    return LLM_OK;
}


static llm_rc_t
llm_mock_header(llm_str_t line, llm_mock_head_t *h)
{
    size_t     i;
    llm_str_t  name;

    if (llm_mock_before(&line, ':', &name) != LLM_OK) {
        return LLM_BAD;
    }

    while (line.len && (*line.data == ' ' || *line.data == '\t')) {
        line.data++;
        line.len--;
    }

    if (llm_mock_http_is(name, LLM_STR("content-type"))) {
        h->type = line;

    } else if (llm_mock_http_is(name, LLM_STR("transfer-encoding"))) {
        h->chunked = llm_mock_http_is(line, LLM_STR("chunked")) ? 1 : 0;

    } else if (llm_mock_http_is(name, LLM_STR("connection"))) {
        h->close = llm_mock_http_is(line, LLM_STR("close")) ? 1 : 0;

    } else if (llm_mock_http_is(name, LLM_STR("content-length"))) {
        h->length = 0;

        for (i = 0; i < line.len; i++) {
            if (line.data[i] < '0' || line.data[i] > '9' || i == 18) {
                return LLM_BAD;
            }
            h->length = h->length * 10 + (uint64_t) (line.data[i] - '0');
        }
    }

    return LLM_OK;
}


llm_rc_t
llm_mock_head(llm_str_t bytes, llm_mock_head_t *h)
{
    llm_rc_t   rc;
    llm_str_t  rest, line;

    memset(h, 0, sizeof(llm_mock_head_t));
    rest = bytes;

    rc = llm_mock_line(&rest, &line);
    if (rc == LLM_OK) {
        rc = llm_mock_request_line(line, h);
    }

    while (rc == LLM_OK) {
        rc = llm_mock_line(&rest, &line);

        if (rc == LLM_OK && line.len == 0) {
            h->size = (size_t) (rest.data - bytes.data);
            return LLM_OK;
        }

        if (rc == LLM_OK) {
            rc = llm_mock_header(line, h);
        }
    }

    return bytes.len > LLM_MOCK_HEAD_MAX ? LLM_BAD : rc;
}


/* A byte of the line with a chunk's size.  LLM_BAD, or LLM_AGAIN. */
static llm_rc_t
llm_mock_chunk_size(llm_mock_chunked_t *c, unsigned char byte)
{
    unsigned  digit;

    if (byte == '\n') {
        c->state = c->left ? LLM_CHUNK_DATA : LLM_CHUNK_TRAILER;
        return LLM_AGAIN;
    }

    if (c->state == LLM_CHUNK_EXTENSION || byte == ';' || byte == '\r') {
        c->state = LLM_CHUNK_EXTENSION;
        return LLM_AGAIN;
    }

    if (byte >= '0' && byte <= '9') {
        digit = byte - (unsigned) '0';
    } else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f') {
        digit = (byte | 0x20) - (unsigned) 'a' + 10;
    } else {
        return LLM_BAD;
    }

    if (c->left >> 56) {
        return LLM_BAD;
    }

    c->left = c->left << 4 | digit;

    return LLM_AGAIN;
}


/* A byte that belongs to the framing.  LLM_OK behind the last one. */
static llm_rc_t
llm_mock_chunk_frame(llm_mock_chunked_t *c, unsigned char byte)
{
    switch (c->state) {

    case LLM_CHUNK_SIZE:
    case LLM_CHUNK_EXTENSION:
        return llm_mock_chunk_size(c, byte);

    case LLM_CHUNK_CR:
        c->state = LLM_CHUNK_LF;
        return byte == '\r' ? LLM_AGAIN : LLM_BAD;

    case LLM_CHUNK_LF:
        c->state = LLM_CHUNK_SIZE;
        return byte == '\n' ? LLM_AGAIN : LLM_BAD;

    case LLM_CHUNK_TRAILER:
        if (byte == '\n') {
            return LLM_OK;
        }
        if (byte != '\r') {
            c->state = LLM_CHUNK_TRAILER_LINE;
        }
        return LLM_AGAIN;

    default:
        if (byte == '\n') {
            c->state = LLM_CHUNK_TRAILER;
        }
        return LLM_AGAIN;
    }
}


llm_rc_t
llm_mock_dechunk(llm_mock_chunked_t *c, unsigned char *p, size_t n,
    size_t *data)
{
    size_t    i, part;
    llm_rc_t  rc;

    *data = 0;

    for (i = 0; i < n; /* void */) {

        if (c->state != LLM_CHUNK_DATA) {
            rc = llm_mock_chunk_frame(c, p[i++]);
            if (rc != LLM_AGAIN) {
                return rc;
            }
            continue;
        }

        part = n - i;
        if (part > c->left) {
            part = (size_t) c->left;
        }

        memmove(p + *data, p + i, part);
        *data += part;
        i += part;
        c->left -= part;

        if (c->left == 0) {
            c->state = LLM_CHUNK_CR;
        }
    }

    return LLM_AGAIN;
}
