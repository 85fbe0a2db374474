/*
 * Recorded exchanges and the mock's end of HTTP.
 */

#include "tap.h"
#include "llm_exchange.h"
#include "llm_json.h"
#include "llm_mock_http.h"

static unsigned char  mem[1 << 16];


static uint64_t
hash(const char *body)
{
    return llm_exchange_hash(tap_c(body), 0);
}


static llm_str_t
form(const char *model, const char *format, llm_str_t file, size_t skip)
{
    llm_buf_t  b;

    llm_buf_init(&b, mem, sizeof(mem));
    llm_buf_str(&b, LLM_STR("--B\r\nContent-Disposition: form-data; "
                            "name=\"file\"; filename=\"a.wav\"\r\n\r\n"));
    llm_buf_put(&b, file.data, 8192);
    llm_buf_put(&b, file.data + 8192 + skip, file.len - 8192 - skip);
    llm_buf_str(&b, LLM_STR("\r\n--B\r\nContent-Disposition: form-data; "
                            "name=\"model\"\r\n\r\n"));
    llm_buf_str(&b, tap_c(model));
    llm_buf_str(&b, LLM_STR("\r\n--B\r\nContent-Disposition: form-data; "
                            "name=\"response_format\"\r\n\r\n"));
    llm_buf_str(&b, tap_c(format));
    llm_buf_str(&b, LLM_STR("\r\n--B--\r\n"));

    return llm_buf_view(&b);
}


static void
test_hash(void)
{
    uint64_t   whole;
    llm_str_t  file;

    ok(hash("{\"model\":\"a\",\"messages\":[{\"content\":\"x y\"}]}")
       == hash("{ \"messages\" : [ {\"content\": \"x y\"} ],\"model\":\"b\","
               "\"temperature\":1,\"stream\":false,"
               "\"stream_options\":{}}"),
       "order, space, model and sampling do not count");
    ok(hash("{\"messages\":[\"x y\"]}") != hash("{\"messages\":[\"xy\"]}"),
       "space inside of strings does");
    ok(hash("{\"messages\":[1]}") != hash("{\"messages\":[1],\"stream\":true}"),
       "so does streaming");
    ok(hash("{\"input\":\"a\"}") != hash("{\"prompt\":\"a\"}"),
       "and the member's name");
    ok(hash("{\"input\":\"\\\" \"}") != hash("{\"input\":\"\\\"\"}"),
       "an escaped quote does not end a string");
    ok(hash("abc") != hash("abd"), "other bodies");
    ok(hash("") == hash(""), "no body");

    file = tap_fixture("audio/hello.wav");
    whole = llm_exchange_hash(form("a", "json", file, 0), 0);
    ok(whole == llm_exchange_hash(form("b", "json", file, 0), 0),
       "multipart: the model does not count");
    ok(whole != llm_exchange_hash(form("a", "text", file, 0), 0),
       "multipart: the format does");
    ok(whole == llm_exchange_hash(form("a", "json", file, 30000), 30000),
       "multipart: an upload of which the middle was not kept");
    ok(whole != llm_exchange_hash(form("a", "json", file, 30000), 0),
       "multipart: the size counts");

    ok(llm_exchange_streams(tap_c("{\"stream\":true}")), "a stream");
    ok(!llm_exchange_streams(tap_c("{\"stream\":null}")), "no stream");
    ok(!llm_exchange_streams(form("a", "json", file, 0)),
       "multipart: no stream");
    ok(llm_exchange_streams(tap_c("--B\r\nContent-Disposition: form-data; "
                                  "name=\"stream\"\r\n\r\ntrue\r\n--B--\r\n")),
       "multipart: a stream");
    ok(!llm_exchange_streams(tap_c("--\r\n")), "no boundary");
}


static void
test_files(void)
{
    unsigned   status;
    llm_buf_t  b;
    llm_str_t  type, body, file;

    llm_buf_init(&b, mem, sizeof(mem));
    llm_exchange_put_head(&b, 429, LLM_STR("text/plain"), 5);
    llm_buf_str(&b, LLM_STR("a\r\n\r\n"));
    is_int(llm_exchange_read(llm_buf_view(&b), &status, &type, &body), LLM_OK,
           "an answer's file");
    is_int(status, 429, "its status");
    is_str(type, "text/plain", "its type");
    is_str(body, "a\r\n\r\n", "its body");

    is_int(llm_exchange_read(tap_c("HTTP/1.1 2\r\n\r\n"), &status, &type,
                             &body), LLM_BAD, "no status");
    is_int(llm_exchange_read(tap_c("HTTP/1.1 200 OK\r\n"), &status, &type,
                             &body), LLM_BAD, "no end");
    is_int(llm_exchange_read(LLM_NOSTR, &status, &type, &body), LLM_BAD,
           "an empty file");

    llm_buf_init(&b, mem, sizeof(mem));
    llm_exchange_put_request(&b, LLM_STR("POST"), LLM_STR("/v1/x"),
                             LLM_STR("application/json"),
                             tap_c("{\"a\":[1]}"));
    is_str(llm_buf_view(&b), "{\"method\":\"POST\",\"path\":\"/v1/x\","
           "\"content_type\":\"application/json\",\"body\":{\"a\":[1]}}\n",
           "a request's file");

    llm_buf_init(&b, mem, sizeof(mem));
    llm_exchange_put_request(&b, LLM_STR("POST"), LLM_STR("/"), LLM_NOSTR,
                             tap_c("{"));
    is_str(llm_buf_view(&b), "{\"method\":\"POST\",\"path\":\"/\","
           "\"content_type\":\"\",\"length\":1}\n", "of a broken body");

    file = tap_c("--B\r\nContent-Disposition: form-data; name=\"file\"; "
                 "filename=\"a.wav\"\r\n\r\nRIFF\r\n--B\r\n"
                 "Content-Disposition: form-data; name=\"language\"\r\n\r\n"
                 "fa\r\n--B--\r\n");
    llm_buf_init(&b, mem, sizeof(mem));
    llm_exchange_put_request(&b, LLM_STR("POST"), LLM_STR("/"), LLM_NOSTR,
                             file);
    is_str(llm_buf_view(&b), "{\"method\":\"POST\",\"path\":\"/\","
           "\"content_type\":\"\",\"parts\":[{\"name\":\"file\","
           "\"filename\":\"a.wav\",\"size\":4},{\"name\":\"language\","
           "\"text\":\"fa\"}]}\n", "of an upload: without the audio");
}


static void
test_head(void)
{
    size_t           i;
    llm_str_t        head;
    llm_mock_head_t  h;

    head = LLM_STR("POST /v1/chat/completions?k=v HTTP/1.1\r\nHost: mock\r\n"
                   "content-TYPE: \tapplication/json\r\nContent-Length: 12\r\n"
                   "Connection: Close\r\n\r\nbody");

    for (i = 0; i < head.len - 4; i++) {
        if (llm_mock_head((llm_str_t) { i, head.data }, &h) != LLM_AGAIN) {
            break;
        }
    }

    is_int(i, head.len - 4, "an unfinished head");
    is_int(llm_mock_head(head, &h), LLM_OK, "a head");
    is_int(h.size, head.len - 4, "its size");
    is_str(h.method, "POST", "method");
    is_str(h.path, "/v1/chat/completions", "path");
    is_str(h.type, "application/json", "type");
    is_int(h.length, 12, "length");
    ok(h.close && !h.chunked, "connection");

    is_int(llm_mock_head(tap_c("GET /m HTTP/1.1\nTransfer-Encoding: chunked"
                               "\n\n"), &h), LLM_OK, "bare line feeds");
    ok(h.chunked, "chunked");
    is_int(llm_mock_head(tap_c("nothing\r\n\r\n"), &h), LLM_BAD, "no HTTP");
    is_int(llm_mock_head(tap_c("GET http://a/ HTTP/1.1\r\n\r\n"), &h),
           LLM_BAD, "no path");
    is_int(llm_mock_head(tap_c("GET / HTTP/1.1\r\nno colon\r\n\r\n"), &h),
           LLM_BAD, "no header");
    is_int(llm_mock_head(tap_c("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
                         &h), LLM_BAD, "a negative length");
    memset(mem, 'x', sizeof(mem));
    is_int(llm_mock_head((llm_str_t) { sizeof(mem), mem }, &h), LLM_BAD,
           "too long");
}


/* Decodes in pieces of n bytes; "!" when it is refused. */
static llm_str_t
dechunk(const char *text, size_t n)
{
    size_t                at, part, data, len;
    llm_rc_t              rc;
    llm_mock_chunked_t    c;
    static unsigned char  piece[256];

    memset(&c, 0, sizeof(c));
    rc = LLM_AGAIN;
    len = 0;

    for (at = 0; text[at] && rc == LLM_AGAIN; at += part) {
        part = strlen(text + at) < n ? strlen(text + at) : n;
        memcpy(piece, text + at, part);
        rc = llm_mock_dechunk(&c, piece, part, &data);
        memcpy(mem + len, piece, data);
        len += data;
    }

    if (rc == LLM_BAD) {
        return tap_c("!");
    }

    return rc == LLM_OK ? (llm_str_t) { len, mem } : tap_c("?");
}


static void
test_chunks(void)
{
    size_t  n;

    for (n = 1; n < 50; n++) {
        if (!llm_str_eq(dechunk("5\r\nhello\r\nA;x=y\r\n, how are \r\n3\r\n"
                                "you\r\n0\r\nT: v\r\n\r\n", n),
                        LLM_STR("hello, how are you")))
        {
            break;
        }
    }

    is_int(n, 50, "chunks in pieces of any size");
    is_str(dechunk("x\r\n", 9), "!", "no size");
    is_str(dechunk("1\r\nab", 9), "!", "a chunk that is too long");
    is_str(dechunk("1\r\na\rb", 9), "!", "no line feed");
    is_str(dechunk("fffffffffffffffff\r\n", 99), "!", "too large");
    is_str(dechunk("1\r\na\r\n", 9), "?", "unfinished");
    is_str(dechunk("0\r\n\r\n", 9), "", "empty");
}


int
main(void)
{
    test_hash();
    test_files();
    test_head();
    test_chunks();

    return tap_done();
}
