/*
 * Recorded exchanges: hashes of questions, and the text of the two files.
 */

#include "llm_exchange.h"
#include "llm_json.h"
#include "llm_multipart.h"

#define LLM_EXCHANGE_FNV       0xcbf29ce484222325u
#define LLM_EXCHANGE_PRIME     0x100000001b3u
#define LLM_EXCHANGE_FILE      4096     /* bytes of a file that are hashed */
#define LLM_EXCHANGE_BOUNDARY  70
#define LLM_EXCHANGE_FIELD     1024     /* longer parts count as files */

typedef struct {
    llm_part_t  part[LLM_MULTIPART_MAX];
    size_t      n;
    size_t      largest;
} llm_exchange_parts_t;


static uint64_t
llm_exchange_bytes(uint64_t h, llm_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        h = (h ^ s.data[i]) * LLM_EXCHANGE_PRIME;
    }

    return h;
}


/* The same without the white space between tokens. */
static uint64_t
llm_exchange_json(uint64_t h, llm_str_t s)
{
    int            string;
    size_t         i;
    unsigned char  c;

    string = 0;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (!string && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            continue;
        }

        h = (h ^ c) * LLM_EXCHANGE_PRIME;

        if (c == '"') {
            string = !string;

        } else if (string && c == '\\' && i + 1 < s.len) {
            h = (h ^ s.data[++i]) * LLM_EXCHANGE_PRIME;
        }
    }

    return h;
}


static int
llm_exchange_counts(llm_str_t key)
{
    size_t  i;

    static const llm_str_t  names[] = {
        LLM_STR("messages"), LLM_STR("input"), LLM_STR("prompt"),
        LLM_STR("instructions"), LLM_STR("system"), LLM_STR("tools"),
        LLM_STR("tool_choice"), LLM_STR("response_format"), LLM_STR("text"),
        LLM_STR("stream"), LLM_STR("dimensions"), LLM_STR("encoding_format"),
        LLM_STR("input_audio"), LLM_STR("language"), LLM_STR("voice")
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (llm_json_key_is(key, names[i])) {
            return 1;
        }
    }

    return 0;
}


static uint64_t
llm_exchange_object(llm_str_t body)
{
    uint64_t           h;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    h = LLM_EXCHANGE_FNV;

    if (llm_json_begin(&it, body) != LLM_OK) {
        return h;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        /* absent, null and false are the same question */

        if (llm_exchange_counts(m.key) && m.kind != LLM_JSON_NULL
            && m.kind != LLM_JSON_FALSE)
        {
            h += llm_exchange_json(llm_exchange_bytes(LLM_EXCHANGE_FNV, m.key),
                                   m.value);
        }
    }

    return h;
}


/* Indexes a multipart body by the boundary it begins with.  0: it is none. */
static int
llm_exchange_index(llm_str_t body, llm_exchange_parts_t *parts)
{
    size_t       i, close_at;
    llm_str_t    boundary;
    const char  *what;

    if (body.len < 4 || body.data[0] != '-' || body.data[1] != '-') {
        return 0;
    }

    boundary.data = body.data + 2;

    for (i = 2; i < body.len && body.data[i] != '\r'; i++) {
        if (i - 2 == LLM_EXCHANGE_BOUNDARY) {
            return 0;
        }
    }

    boundary.len = i - 2;

    if (llm_multipart_index(body, boundary, parts->part, LLM_MULTIPART_MAX,
                            &parts->n, &close_at, &what) != LLM_OK)
    {
        return 0;
    }

    parts->largest = 0;

    for (i = 1; i < parts->n; i++) {
        if (parts->part[i].body_end - parts->part[i].body
            > parts->part[parts->largest].body_end
              - parts->part[parts->largest].body)
        {
            parts->largest = i;
        }
    }

    return 1;
}


static llm_str_t
llm_exchange_content(llm_str_t body, const llm_part_t *part)
{
    return (llm_str_t) { part->body_end - part->body, body.data + part->body };
}


static int
llm_exchange_is_file(const llm_part_t *part)
{
    return part->filename.data != NULL
           || part->body_end - part->body > LLM_EXCHANGE_FIELD;
}


static uint64_t
llm_exchange_multipart(llm_str_t body, const llm_exchange_parts_t *parts,
    uint64_t elided)
{
    size_t             i, k;
    uint64_t           h, sum, size;
    llm_str_t          content;
    const llm_part_t  *part;

    sum = LLM_EXCHANGE_FNV;

    for (i = 0; i < parts->n; i++) {
        part = &parts->part[i];
        content = llm_exchange_content(body, part);
        h = llm_exchange_bytes(LLM_EXCHANGE_FNV, part->name);

        if (llm_exchange_is_file(part)) {
            size = content.len + (i == parts->largest ? elided : 0);

            if (content.len > LLM_EXCHANGE_FILE) {
                content.len = LLM_EXCHANGE_FILE;
            }

            for (k = 0; k < 8; k++) {
                h = (h ^ (size >> 8 * k & 0xff)) * LLM_EXCHANGE_PRIME;
            }

        } else if (!llm_str_eq(part->name, LLM_STR("response_format"))
                   && !llm_str_eq(part->name, LLM_STR("stream")))
        {
            continue;
        }

        sum += llm_exchange_bytes(h, content);
    }

    return sum;
}


uint64_t
llm_exchange_hash(llm_str_t body, uint64_t elided)
{
    llm_exchange_parts_t  parts;

    if (llm_exchange_index(body, &parts)) {
        return llm_exchange_multipart(body, &parts, elided);
    }

    if (llm_json_check(body) == LLM_OK) {
        return llm_exchange_object(body);
    }

    return llm_exchange_bytes(LLM_EXCHANGE_FNV, body);
}


int
llm_exchange_streams(llm_str_t body)
{
    llm_str_t             content;
    llm_json_member_t     m;
    const llm_part_t     *part;
    llm_exchange_parts_t  parts;

    if (llm_exchange_index(body, &parts)) {
        part = llm_multipart_find(parts.part, parts.n, LLM_STR("stream"));
        if (part == NULL) {
            return 0;
        }

        content = llm_exchange_content(body, part);
        return llm_str_eq(content, LLM_STR("true"));
    }

    return body.len && llm_json_get(body, LLM_STR("stream"), &m) == LLM_OK
           && m.kind == LLM_JSON_TRUE;
}


/* ---- files --------------------------------------------------------------- */

void
llm_exchange_put_head(llm_buf_t *out, unsigned status, llm_str_t type,
    uint64_t length)
{
    llm_buf_str(out, LLM_STR("HTTP/1.1 "));
    llm_json_put_uint(out, status);
    llm_buf_str(out, LLM_STR(" Recorded\r\nContent-Type: "));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\r\nContent-Length: "));
    llm_json_put_uint(out, length);
    llm_buf_str(out, LLM_STR("\r\n\r\n"));
}


/* Skips a text that has to be there. */
static llm_rc_t
llm_exchange_skip(llm_str_t *s, llm_str_t text)
{
    if (s->len < text.len || memcmp(s->data, text.data, text.len) != 0) {
        return LLM_BAD;
    }

    s->data += text.len;
    s->len -= text.len;

    return LLM_OK;
}


/* Takes a line's rest, up to and without CR LF. */
static llm_rc_t
llm_exchange_line(llm_str_t *s, llm_str_t *line)
{
    size_t  i;

    for (i = 0; i + 1 < s->len; i++) {
        if (s->data[i] == '\r' && s->data[i + 1] == '\n') {
            line->data = s->data;
            line->len = i;
            s->data += i + 2;
            s->len -= i + 2;
            return LLM_OK;
        }
    }

    return LLM_BAD;
}


llm_rc_t
llm_exchange_read(llm_str_t file, unsigned *status, llm_str_t *type,
    llm_str_t *body)
{
    unsigned   code;
    llm_str_t  line;

    if (llm_exchange_skip(&file, LLM_STR("HTTP/1.1 ")) != LLM_OK
        || llm_exchange_line(&file, &line) != LLM_OK || line.len < 3)
    {
        return LLM_BAD;
    }

    code = (line.data[0] - (unsigned) '0') * 100
           + (line.data[1] - (unsigned) '0') * 10
           + (line.data[2] - (unsigned) '0');

    if (code < 100 || code > 599) {
        return LLM_BAD;
    }

    *type = LLM_STR("application/json");

    for ( ;; ) {
        if (llm_exchange_line(&file, &line) != LLM_OK) {
            return LLM_BAD;
        }

        if (line.len == 0) {
            break;
        }

        if (llm_exchange_skip(&line, LLM_STR("Content-Type: ")) == LLM_OK) {
            *type = line;
        }
    }

    *status = code;
    *body = file;

    return LLM_OK;
}


static void
llm_exchange_put_parts(llm_buf_t *out, llm_str_t body,
    const llm_exchange_parts_t *parts)
{
    size_t             i;
    const llm_part_t  *part;

    llm_buf_str(out, LLM_STR(",\"parts\":["));

    for (i = 0; i < parts->n; i++) {
        part = &parts->part[i];

        llm_buf_str(out, i ? LLM_STR(",{\"name\":") : LLM_STR("{\"name\":"));
        llm_json_put_string(out, part->name);

        if (llm_exchange_is_file(part)) {
            llm_buf_str(out, LLM_STR(",\"filename\":"));
            llm_json_put_string(out, part->filename);
            llm_buf_str(out, LLM_STR(",\"size\":"));
            llm_json_put_uint(out, part->body_end - part->body);

        } else {
            llm_buf_str(out, LLM_STR(",\"text\":"));
            llm_json_put_string(out, llm_exchange_content(body, part));
        }

        llm_buf_str(out, LLM_STR("}"));
    }

    llm_buf_str(out, LLM_STR("]"));
}


void
llm_exchange_put_request(llm_buf_t *out, llm_str_t method, llm_str_t path,
    llm_str_t content_type, llm_str_t body)
{
    llm_exchange_parts_t  parts;

    llm_buf_str(out, LLM_STR("{\"method\":"));
    llm_json_put_string(out, method);
    llm_buf_str(out, LLM_STR(",\"path\":"));
    llm_json_put_string(out, path);
    llm_buf_str(out, LLM_STR(",\"content_type\":"));
    llm_json_put_string(out, content_type);

    if (llm_exchange_index(body, &parts)) {
        llm_exchange_put_parts(out, body, &parts);

    } else if (llm_json_check(body) == LLM_OK) {
        llm_buf_str(out, LLM_STR(",\"body\":"));
        llm_buf_str(out, body);

    } else {
        llm_buf_str(out, LLM_STR(",\"length\":"));
        llm_json_put_uint(out, body.len);
    }

    llm_buf_str(out, LLM_STR("}\n"));
}
