/*
 * What the core costs per request and per event, in nanoseconds:
 *
 *   gcc -std=c11 -O2 -Isrc/core t/bench/bench_core.c \
 *       src/core/llm_{json,json_find,json_text,sse,multipart,hash,split}.c
 *
 * The best of several rounds is shown: what disturbs a round only adds to it.
 */

#define _POSIX_C_SOURCE  199309L

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "llm_client.h"
#include "llm_hash.h"
#include "llm_index.h"
#include "llm_json.h"
#include "llm_multipart.h"
#include "llm_split.h"
#include "llm_sse.h"

#define ROUNDS   9
#define CLIENTS  100000

typedef void (*bench_pt)(llm_str_t text);

static volatile size_t  sink;


static uint64_t
now(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}


static void
run(const char *name, bench_pt f, llm_str_t text)
{
    double    ns, best;
    size_t    i, k, n;
    uint64_t  start;

    n = 40000000 / (text.len + 1000) + 1;
    best = 1e18;

    for (k = 0; k < ROUNDS; k++) {
        start = now();
        for (i = 0; i < n; i++) {
            f(text);
        }
        ns = (double) (now() - start) / (double) n;
        best = ns < best ? ns : best;
    }

    printf("%-44s %9zu bytes %12.1f ns %7.2f GB/s\n", name, text.len, best,
           (double) text.len / best);
}


static void
f_pick(llm_str_t text)
{
    size_t            i, at;
    llm_json_error_t  error;

    static llm_json_want_t  want[] = {
        { .name = LLM_STR("model") }, { .name = LLM_STR("stream") },
        { .name = LLM_STR("messages") }, { .name = LLM_STR("tools") },
        { .name = LLM_STR("max_tokens") }, { .name = LLM_STR("user") },
        { .name = LLM_STR("stream_options") },
        { .name = LLM_STR("response_format") }
    };

    if (llm_json_pick(text, want, 8, &error, &at) != LLM_OK) {
        abort();
    }

    for (i = 0; i < 8; i++) {
        sink += want[i].value.len;
    }
}


static void
f_check(llm_str_t text)
{
    if (llm_json_check(text) != LLM_OK) {
        abort();
    }
}


static void
f_event(llm_str_t text)
{
    int              complete;
    llm_sse_t        s;
    llm_sse_event_t  ev;

    llm_sse_init(&s);

    if (llm_sse_cut(&s, text.data, text.len, &complete) != text.len
        || !complete)
    {
        abort();
    }

    llm_sse_parse(text, NULL, &ev);
    f_check(ev.data);
}


static void
f_cut(llm_str_t text)
{
    int        complete;
    llm_sse_t  s;

    llm_sse_init(&s);
    sink += llm_sse_cut(&s, text.data, text.len, &complete);
}


static void
f_multipart(llm_str_t text)
{
    size_t      n, at;
    llm_part_t  part[8];
    const char  *what;

    if (llm_multipart_index(text, LLM_STR("b"), part, 8, &n, &at, &what)
        != LLM_OK)
    {
        abort();
    }

    sink += n + at;
}


static void
f_sha256(llm_str_t text)
{
    unsigned char  out[32];

    llm_sha256(text, out);
    sink += out[0];
}


static void
f_murmur(llm_str_t text)
{
    sink += llm_murmur2(text);
}


/* Whose request it is, of four variants. */
static void
f_split(llm_str_t text)
{
    static uint8_t         owner[LLM_SPLIT_BUCKETS];
    static uint64_t        salt;
    static const uint32_t  weight[] = { 7000, 1000, 1500, 500 };

    if (salt == 0) {
        llm_split_fill(owner, weight, 4, 0);
        salt = 0x0123456789abcdefu;
    }

    sink += owner[llm_split_bucket(salt, text)];
}


/* Whose key it is, of a hundred thousand: the hash is made already. */

typedef struct {
    unsigned char  sha256[32];
    size_t         client;
} bench_key_t;

static bench_key_t  *bench_keys;
static llm_index_t   bench_index;


static uint64_t
key_hash(const bench_key_t *key)
{
    uint64_t  hash;

    memcpy(&hash, key->sha256, sizeof(hash));

    return hash;
}


static void
make_keys(void)
{
    char    text[32];
    size_t  i, size;

    size = llm_index_size(CLIENTS);
    bench_keys = calloc(CLIENTS, sizeof(bench_key_t));
    llm_index_init(&bench_index, calloc(size, sizeof(llm_index_slot_t)), size);

    for (i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof(text), "sk-llm-%zu", i);
        llm_sha256((llm_str_t) { strlen(text), (unsigned char *) text },
                   bench_keys[i].sha256);
        bench_keys[i].client = i;

        if (llm_index_add(&bench_index, key_hash(&bench_keys[i]),
                          &bench_keys[i]) != LLM_OK)
        {
            abort();
        }
    }
}


static void
f_client(llm_str_t text)
{
    size_t              at;
    bench_key_t        *wanted;
    const bench_key_t  *key;

    static uint64_t  random = 1;

    (void) text;

    random = random * 6364136223846793005u + 1442695040888963407u;
    wanted = &bench_keys[(random >> 33) % CLIENTS];
    at = 0;

    do {
        key = llm_index_next(&bench_index, key_hash(wanted), &at);
    } while (key && !llm_client_same_key(key->sha256, wanted->sha256));

    if (key == NULL) {
        abort();
    }

    sink += key->client;
}


/* A conversation of about this size; `unit` is what its messages say. */
static llm_str_t
chat(size_t size, const char *unit, size_t units)
{
    size_t     i;
    llm_buf_t  b;

    llm_buf_init(&b, malloc(size + 20000), size + 20000);
    llm_buf_str(&b, LLM_STR("{\"model\":\"llama-70b\",\"stream\":true,"
                            "\"temperature\":0.2,\"messages\":["));

    do {
        llm_buf_str(&b, LLM_STR("{\"role\": \"user\", \"content\": \""));
        for (i = 0; i < units; i++) {
            llm_buf_put(&b, unit, strlen(unit));
        }
        llm_buf_str(&b, LLM_STR("\"},"));
    } while ((size_t) (b.pos - b.start) + strlen(unit) * units + 80 < size);

    b.pos--;
    llm_buf_str(&b, LLM_STR("],\"max_tokens\":512,\"user\":\"u-4711\"}"));

    return llm_buf_view(&b);
}


/* One image of this size among few words. */
static llm_str_t
image(size_t size)
{
    size_t     i;
    llm_buf_t  b;

    llm_buf_init(&b, malloc(size + 400), size + 400);
    llm_buf_str(&b, LLM_STR("{\"model\":\"x\",\"messages\":[{\"role\":\"user\","
                            "\"content\":[{\"type\":\"image_url\",\"image_url\""
                            ":{\"url\":\"data:image/png;base64,"));

    for (i = 0; i < size; i++) {
        *b.pos++ = (unsigned char) ("ABCDabcdXYZ0189+/"[i * 7 % 17]);
    }

    llm_buf_str(&b, LLM_STR("\"}}]}]}"));

    return llm_buf_view(&b);
}


static llm_str_t
form(size_t size)
{
    size_t     i;
    uint32_t   x;
    llm_buf_t  b;

    llm_buf_init(&b, malloc(size + 400), size + 400);
    llm_buf_str(&b, LLM_STR("--b\r\nContent-Disposition: form-data; "
                            "name=\"file\"; filename=\"a.wav\"\r\n\r\n"));

    for (i = 0, x = 1; i < size; i++) {
        x = x * 1103515245 + 12345;
        *b.pos++ = (unsigned char) (x >> 16);
    }

    llm_buf_str(&b, LLM_STR("\r\n--b--\r\n"));

    return llm_buf_view(&b);
}


int
main(void)
{
    llm_str_t  event, escaped;

    static const char  text[] =
        "The quick brown fox jumps over the lazy dog, and then says \\\"hello"
        "\\\" to the gateway.\\nIt waits for an answer of some length.\\n";

    event = LLM_STR("data: {\"id\":\"chatcmpl-9f2c51d0a7b84e0c\",\"object\":"
                    "\"chat.completion.chunk\",\"created\":1790000000,"
                    "\"model\":\"llama-3.3-70b-versatile\",\"system_fingerprint"
                    "\":\"fp_3f3b5d6e7a\",\"choices\":[{\"index\":0,\"delta\":"
                    "{\"content\":\" gateway\"},\"logprobs\":null,"
                    "\"finish_reason\":null}],\"xyz0\":{}}\n\n");
    escaped = chat(1000000, "\\u0633\\u0644\\u0627\\u0645 ", 40);

    run("pick, chat", f_pick, chat(2350, text, 3));
    run("pick, chat", f_pick, chat(200000, text, 6));
    run("pick, chat", f_pick, chat(5000000, text, 6));
    run("pick, chat, plain text", f_pick,
        chat(5000000, "the quick brown fox jumps over the lazy dog and ", 20));
    run("pick, one base64 image", f_pick, image(5000000));
    run("pick, all escapes", f_pick, escaped);
    run("event: cut, parse, check", f_event, event);
    run("event: cut", f_cut, event);
    run("event: check of its bytes", f_check,
        (llm_str_t) { event.len - 8, event.data + 6 });
    run("check, chat", f_check, chat(2350, text, 3));
    run("multipart index, audio", f_multipart, form(25000000));
    run("sha256, a key", f_sha256, LLM_STR("gsk_0123456789abcdef0123456789ab"));
    make_keys();
    run("client of 100 000, by its key", f_client, LLM_STR(""));
    run("murmur2, a user id", f_murmur, LLM_STR("user-4711@example.com"));
    run("split, a uuid", f_split,
        LLM_STR("0f8fad5b-d9cb-469f-a165-70867728950e"));

    return 0;
}
