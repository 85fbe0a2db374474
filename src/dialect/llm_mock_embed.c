/*
 * The mock's embeddings: unit vectors that depend on text and seed only, so
 * that equal texts are equal and others are far apart.
 */

#include "llm_hash.h"
#include "llm_mock_parts.h"

#define LLM_EMBED_DIMS      8           /* without `dimensions` */
#define LLM_EMBED_DIMS_MAX  4096
#define LLM_EMBED_INPUTS    2048
#define LLM_EMBED_DIGITS    100000000   /* eight behind the point */

typedef struct {
    uint64_t  seed;
    size_t    dims;
    int       base64;
} llm_embed_t;


/* Newton's way, so that no mathematics library is needed. */
static double
llm_embed_root(double x)
{
    int     i;
    double  r;

    r = x > 1 ? x : 1;

    for (i = 0; i < 60; i++) {
        r = (r + x / r) / 2;
    }

    return r;
}


static void
llm_embed_vector(llm_str_t input, uint64_t seed, double *v, size_t n)
{
    size_t    i;
    double    sum;
    uint64_t  state;

    state = llm_fnv64(input, seed);
    sum = 0;

    for (i = 0; i < n; i++) {
        v[i] = (double) (llm_mock_random(&state) >> 11) / 4503599627370496.0
               - 1;
        sum += v[i] * v[i];
    }

    sum = llm_embed_root(sum > 0 ? sum : 1);

    for (i = 0; i < n; i++) {
        v[i] /= sum;
    }
}


static void
llm_embed_put_number(llm_buf_t *out, double d)
{
    int       i;
    uint64_t  n, unit;

    if (d < 0) {
        llm_mock_put(out, "-");
        d = -d;
    }

    n = (uint64_t) (d * LLM_EMBED_DIGITS + 0.5);
    unit = LLM_EMBED_DIGITS;

    llm_json_put_uint(out, n / unit);
    llm_mock_put(out, ".");

    for (i = 0; i < 8; i++) {
        unit /= 10;
        llm_json_put_uint(out, n / unit % 10);
    }
}


static void
llm_embed_put_floats(llm_buf_t *out, const double *v, size_t n)
{
    size_t  i;

    llm_mock_put(out, "[");

    for (i = 0; i < n; i++) {
        llm_mock_put(out, i ? "," : "");
        llm_embed_put_number(out, v[i]);
    }

    llm_mock_put(out, "]");
}


/* Base64 of little-endian float32. */
static void
llm_embed_put_base64(llm_buf_t *out, const double *v, size_t n)
{
    char      c;
    float     f;
    size_t    i, left;
    uint32_t  bits, have, word;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";

    llm_mock_put(out, "\"");
    have = 0;
    bits = 0;

    for (i = 0; i < n * 4; i++) {
        f = (float) v[i / 4];
        memcpy(&word, &f, sizeof(word));
        bits = bits << 8 | (word >> 8 * (i % 4) & 0xff);

        for (have += 8; have >= 6; have -= 6) {
            c = digits[bits >> (have - 6) & 63];
            llm_buf_put(out, &c, 1);
        }
    }

    if (have) {
        c = digits[bits << (6 - have) & 63];
        llm_buf_put(out, &c, 1);

        for (left = (n * 4) % 3; left < 3; left++) {
            llm_mock_put(out, "=");
        }
    }

    llm_mock_put(out, "\"");
}


static void
llm_embed_put(llm_buf_t *out, const llm_embed_t *e, llm_str_t input, size_t i)
{
    double  v[LLM_EMBED_DIMS_MAX];

    llm_embed_vector(input, e->seed, v, e->dims);

    llm_mock_put(out, i ? ",{\"object\":\"embedding\",\"index\":"
                        : "{\"object\":\"embedding\",\"index\":");
    llm_json_put_uint(out, i);
    llm_mock_put(out, ",\"embedding\":");

    if (e->base64) {
        llm_embed_put_base64(out, v, e->dims);
    } else {
        llm_embed_put_floats(out, v, e->dims);
    }

    llm_mock_put(out, "}");
}


static void
llm_embed_ask(const llm_request_t *r, uint64_t seed, llm_embed_t *e)
{
    uint64_t  dims;

    e->seed = seed;
    e->base64 = llm_str_eq(llm_mock_at(r->body, "/encoding_format"),
                           LLM_STR("\"base64\""));

    if (llm_json_uint(llm_mock_at(r->body, "/dimensions"), &dims) != LLM_OK
        || dims == 0)
    {
        dims = LLM_EMBED_DIMS;
    }

    e->dims = dims < LLM_EMBED_DIMS_MAX ? (size_t) dims : LLM_EMBED_DIMS_MAX;
}


llm_rc_t
llm_mock_embeddings(const llm_request_t *r, llm_str_t model, uint64_t seed,
    llm_buf_t *out)
{
    size_t             i;
    llm_str_t          input;
    llm_embed_t        e;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    llm_embed_ask(r, seed, &e);
    input = r->member[LLM_M_INPUT].value;

    llm_mock_put(out, "{\"object\":\"list\",\"data\":[");

    /* an array of numbers is one text, already cut into tokens */

    if (llm_json_kind(input) != LLM_JSON_ARRAY
        || llm_json_kind(llm_mock_at(input, "/0")) == LLM_JSON_NUMBER)
    {
        llm_embed_put(out, &e, input, 0);

    } else if (llm_json_begin(&it, input) == LLM_OK) {
        for (i = 0; i < LLM_EMBED_INPUTS && !out->full; i++) {
            if (llm_json_next(&it, &m) != LLM_OK) {
                break;
            }
            llm_embed_put(out, &e, m.value, i);
        }
    }

    llm_mock_put(out, "],\"model\":");
    llm_json_put_string(out, model.len ? model : LLM_STR("mock"));
    llm_mock_put(out, ",\"usage\":{\"prompt_tokens\":");
    llm_json_put_uint(out, r->prompt_tokens);
    llm_mock_put(out, ",\"total_tokens\":");
    llm_json_put_uint(out, r->prompt_tokens);
    llm_mock_put(out, "}}");

    return LLM_OK;
}
