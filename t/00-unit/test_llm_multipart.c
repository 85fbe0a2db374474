/*
 * Multipart: what clients send, and what nobody may be unsure about.
 */

#include "tap.h"
#include "llm_multipart.h"

static llm_part_t   part[LLM_MULTIPART_MAX];
static size_t       part_n, close_at;
static const char  *what;


static llm_rc_t
index_of(llm_str_t body, const char *boundary)
{
    part_n = 0;
    what = NULL;

    return llm_multipart_index(body, tap_c(boundary), part, LLM_MULTIPART_MAX,
                               &part_n, &close_at, &what);
}


static void
refused(const char *body, const char *reason)
{
    is_int(index_of(tap_c(body), "b"), LLM_BAD, reason);
    is_str(tap_c(what ? what : ""), reason, "and says so");
}


/* The head of a raw request and its body. */
static llm_str_t
request_body(llm_str_t raw, llm_str_t *boundary)
{
    size_t     i, k;
    llm_str_t  type;

    for (i = 0; memcmp(raw.data + i, "\r\n\r\n", 4) != 0; i++) { /* void */ }

    type = LLM_NOSTR;

    for (k = 0; k < i; k++) {
        if (memcmp(raw.data + k, "Content-Type: ", 14) == 0) {
            type.data = raw.data + k + 14;
            while (type.data[type.len] != '\r') {
                type.len++;
            }
        }
    }

    is_int(llm_multipart_boundary(type, boundary), LLM_OK, "boundary");

    return (llm_str_t) { raw.len - i - 4, raw.data + i + 4 };
}


/* Parts lie inside, in order, without gaps. */
static void
contiguous(size_t first)
{
    int     good;
    size_t  i, at;

    good = 1;
    at = first;

    for (i = 0; i < part_n; i++) {
        good &= part[i].start == at && part[i].start < part[i].body
                && part[i].body <= part[i].body_end
                && part[i].body_end <= part[i].end;
        at = part[i].end;
    }

    ok(good && at == close_at, "parts follow each other");
}


static llm_str_t
content(llm_str_t body, llm_str_t name)
{
    const llm_part_t  *p;

    p = llm_multipart_find(part, part_n, name);

    return p ? (llm_str_t) { p->body_end - p->body, body.data + p->body }
             : LLM_NOSTR;
}


static void
test_fixtures(void)
{
    llm_str_t          body, boundary, wav;
    const llm_part_t  *file;

    wav = tap_fixture("audio/tone.wav");

    body = request_body(tap_fixture("openai/transcription.request.http"),
                        &boundary);
    is_int(llm_multipart_index(body, boundary, part, LLM_MULTIPART_MAX, &part_n,
                               &close_at, &what),
           LLM_OK, "file last");
    contiguous(0);
    is_view(content(body, LLM_STR("file")), wav, "the audio");
    is_int(close_at + 2 + boundary.len + 4, body.len, "where it closes");
    is_int(llm_multipart_count(part, part_n,
                               LLM_STR("timestamp_granularities[]")),
           2, "a name that stands twice");
    is_int(llm_multipart_count(part, part_n, LLM_STR("none")), 0, "no name");

    body = request_body(
        tap_fixture("openai/transcription.file-first.request.http"), &boundary);
    is_str(boundary, "quoted boundary' 01", "quoted boundary");
    is_int(llm_multipart_index(body, boundary, part, LLM_MULTIPART_MAX, &part_n,
                               &close_at, &what),
           LLM_OK, "file first");
    contiguous(0);
    is_view(content(body, LLM_STR("file")), wav, "the audio");
    file = llm_multipart_find(part, part_n, LLM_STR("file"));
    ok(file == &part[0], "first");
    is_str(file->filename, "t\xc3\xb6ne %22x%22.wav", "file name, as sent");
    is_str(file->type, "audio/wav", "type");

    body = request_body(tap_fixture("app/transcribe.empty-file.request.http"),
                        &boundary);
    is_int(llm_multipart_index(body, boundary, part, LLM_MULTIPART_MAX, &part_n,
                               &close_at, &what),
           LLM_OK, "empty file");
    is_int(content(body, LLM_STR("file")).len, 0, "has no bytes");

    body = request_body(tap_fixture("app/transcribe.no-file.request.http"),
                        &boundary);
    is_int(llm_multipart_index(body, boundary, part, LLM_MULTIPART_MAX, &part_n,
                               &close_at, &what),
           LLM_OK, "no file");
    ok(llm_multipart_find(part, part_n, LLM_STR("file")) == NULL, "no file");
    is_str(content(body, LLM_STR("language")), "en", "language");

    body = request_body(tap_fixture("app/transcribe.unterminated.request.http"),
                        &boundary);
    is_int(llm_multipart_index(body, boundary, part, LLM_MULTIPART_MAX, &part_n,
                               &close_at, &what),
           LLM_BAD, "unterminated");
    is_str(tap_c(what), "an unterminated body", "and says so");
}


static void
boundary_is(const char *type, llm_rc_t rc, const char *want)
{
    llm_str_t  boundary;

    boundary = LLM_NOSTR;
    is_int(llm_multipart_boundary(tap_c(type), &boundary), rc, type);
    is_str(boundary, want, "boundary");
}


static void
test_boundary(void)
{
    char  type[200];

    boundary_is("multipart/form-data; boundary=abc", LLM_OK, "abc");
    boundary_is("Multipart/Form-Data;BOUNDARY=abc", LLM_OK, "abc");
    boundary_is(" multipart/form-data ; charset=utf-8 ; boundary=\"a b\" ",
                LLM_OK, "a b");
    boundary_is("multipart/form-data; x=\"; boundary=no\"; boundary=yes",
                LLM_OK, "yes");
    boundary_is("multipart/form-data; boundary=a; charset=utf-8", LLM_OK, "a");
    boundary_is("multipart/form-data; boundary=a=b", LLM_OK, "a=b");

    boundary_is("", LLM_NONE, "");
    boundary_is("application/json", LLM_NONE, "");
    boundary_is("multipart/mixed; boundary=abc", LLM_NONE, "");
    boundary_is("multipart/form-dat", LLM_NONE, "");
    boundary_is("multipart/form-data2; boundary=abc", LLM_NONE, "");

    boundary_is("multipart/form-data", LLM_BAD, "");
    boundary_is("multipart/form-data;", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=\"\"", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=\"abc", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=\"abc\\", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=\"a\\bc\"", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=\"abc \"", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=\"abc\"d", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=a\"bc", LLM_BAD, "");
    boundary_is("multipart/form-data; =abc", LLM_BAD, "");
    boundary_is("multipart/form-data; boundary=a; boundary=b", LLM_BAD, "");

    snprintf(type, sizeof(type), "multipart/form-data; boundary=%070d", 0);
    ok(llm_multipart_boundary(tap_c(type), &(llm_str_t) { 0 }) == LLM_OK,
       "70 bytes");
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%071d", 0);
    ok(llm_multipart_boundary(tap_c(type), &(llm_str_t) { 0 }) == LLM_BAD,
       "71 bytes");
}


#define CD  "Content-Disposition: form-data; "


static void
test_forms(void)
{
    llm_str_t  body;

    body = LLM_STR("\r\n--b \t\r\ncontent-DISPOSITION:form-data;name=model\r\n"
                   "X-Other: 1\r\n\r\nm\r\n--b\r\n" CD "name=\"a\\\"\"\r\n\r\n"
                   "--b--");
    is_int(index_of(body, "b"), LLM_BAD, "an escaped quote in a name");
    is_str(tap_c(what), "a backslash in a part name", "and says so");

    body = LLM_STR("\r\n--b \t\r\ncontent-DISPOSITION:form-data;name=model\r\n"
                   "X-Other: 1\r\n\r\nm\r\n--b\r\n" CD "name=\"a\"; "
                   "filename=\"C:\\x\\\"y.wav\"; filename*=UTF-8''z\r\n"
                   "Content-Type:  audio/wav \r\n\r\n\r\n"
                   "--x\r\n-\r\n--\r\n\r\n--b--\r\n \t\r\n");
    is_int(index_of(body, "b"), LLM_OK, "line ends before, other headers");
    contiguous(2);
    is_int(part_n, 2, "two parts");
    is_str(content(body, LLM_STR("model")), "m", "model");
    is_str(content(body, LLM_STR("a")), "\r\n--x\r\n-\r\n--\r\n",
           "content that looks like boundaries");
    is_str(part[1].filename, "C:\\x\\\"y.wav", "file name");
    is_str(part[1].type, "audio/wav", "type");
    ok(part[0].filename.data == NULL && part[0].type.len == 0, "absent");

    body = LLM_STR("--b\r\n" CD "name=x\r\n\r\n--b\r\n" CD "name=y\r\n\r\n\r\n"
                   "--b--");
    is_int(index_of(body, "b"), LLM_OK, "no line end of its own");
    contiguous(0);
    is_int(part[0].body_end - part[0].body, 0, "empty");
    is_int(part[1].body_end - part[1].body, 0, "empty, with a line end");

    body = LLM_STR("--b\r\n" CD "name=x\r\n\r\n\r\n--\r\n--b--");
    is_int(index_of(body, "b"), LLM_OK, "dashes right before the boundary");
    is_str(content(body, LLM_STR("x")), "\r\n--", "are content");

    is_int(index_of(LLM_STR("--b--\r\n"), "b"), LLM_OK, "no part");
    is_int(part_n, 0, "none");
    is_int(close_at, 0, "closes at once");
}


static void
test_refused(void)
{
    refused("", "an empty body");
    refused("\r\n", "a body that does not begin with its boundary");
    refused("--", "a body that does not begin with its boundary");
    refused("--c\r\n", "a body that does not begin with its boundary");
    refused("hi\r\n--b\r\n" CD "name=x\r\n\r\n\r\n--b--",
            "a body that does not begin with its boundary");
    refused("--b", "an unterminated body");
    refused("--b\r", "an unterminated body");
    refused("--b-", "an unterminated body");
    refused("--bb\r\n" CD "name=x\r\n\r\n\r\n--b--", "text behind a boundary");
    refused("--b\n" CD "name=x\n\n1\n--b--", "text behind a boundary");
    refused("--b\r\n" CD "name=x\r\n\r\n1\r\n--bogus\r\n\r\n--b--",
            "text behind a boundary");
    refused("--b\r\n", "an unterminated body");
    refused("--b\r\n" CD "name=x", "an unterminated body");
    refused("--b\r\n" CD "name=x\r\n", "an unterminated body");
    refused("--b\r\n" CD "name=x\r\n\r\n", "an unterminated body");
    refused("--b\r\n" CD "name=x\r\n\r\n1\r\n--", "an unterminated body");
    refused("--b\r\n" CD "name=x\r\n\r\n1\r\n--b", "an unterminated body");
    refused("--b\r\n" CD "name=x\r\n\r\n1\r\n--b\r\n", "an unterminated body");
    refused("--b\r\n" CD "name=x\r\n\r\n1\r\n--b--x",
            "text behind the closing boundary");
    refused("--b--\r\n--b\r\n" CD "name=x\r\n\r\n1\r\n--b--",
            "text behind the closing boundary");

    refused("--b\r\n\r\n1\r\n--b--", "a part without a name");
    refused("--b\r\nContent-Type: a/b\r\n\r\n1\r\n--b--",
            "a part without a name");
    refused("--b\r\n" CD "\r\n\r\n1\r\n--b--", "a part without a name");
    refused("--b\r\n" CD "name=\r\n\r\n1\r\n--b--", "a part without a name");
    refused("--b\r\nContent-Disposition: attachment; name=x\r\n\r\n\r\n--b--",
            "a part without a name");
    refused("--b\r\n" CD "name*=UTF-8''x\r\n\r\n1\r\n--b--",
            "a part name in an extended form");
    refused("--b\r\n" CD "name=x; NAME=y\r\n\r\n1\r\n--b--",
            "a parameter of a part header that stands twice");
    refused("--b\r\n" CD "name=x\r\n" CD "name=y\r\n\r\n1\r\n--b--",
            "a part header that stands twice");
    refused("--b\r\n" CD "name=\"mod\\el\"\r\n\r\n1\r\n--b--",
            "a backslash in a part name");
    refused("--b\r\n" CD "name=\"x\r\n\r\n1\r\n--b--",
            "a malformed part header");
    refused("--b\r\n" CD "name=x; y\r\n\r\n1\r\n--b--",
            "a malformed part header");
    refused("--b\r\nX: 1\r\n y\r\n\r\n1\r\n--b--", "a folded part header");
    refused("--b\r\nno colon\r\n\r\n1\r\n--b--", "a malformed part header");
    refused("--b\r\nX: 1\nY: 2\r\n\r\n1\r\n--b--", "a malformed part header");
    refused("--b\r\nX: 1\rY: 2\r\n\r\n1\r\n--b--", "a malformed part header");

    is_int(index_of(LLM_STR("--b\r\nX: \0\r\n\r\n1\r\n--b--"), "b"), LLM_BAD,
           "a NUL in a header");
    is_int(index_of(LLM_STR("--b--"), ""), LLM_BAD, "no boundary");
}


static void
test_limits(void)
{
    size_t      i;
    llm_buf_t   b;
    static char  mem[20000];

    llm_buf_init(&b, mem, sizeof(mem));

    for (i = 0; i < 65; i++) {
        llm_buf_str(&b, LLM_STR("--b\r\n" CD "name=x\r\n\r\n1\r\n"));

        if (i == 63) {
            llm_buf_str(&b, LLM_STR("--b--"));
            is_int(index_of(llm_buf_view(&b), "b"), LLM_OK, "64 parts");
            is_int(part_n, 64, "all of them");
            b.pos -= 5;
        }
    }

    llm_buf_str(&b, LLM_STR("--b--"));
    is_int(index_of(llm_buf_view(&b), "b"), LLM_FULL, "65 parts");
    is_str(tap_c(what), "too many parts", "and says so");

    memset(mem, 'x', sizeof(mem));
    memcpy(mem, "--b\r\nX: ", 8);
    is_int(index_of((llm_str_t) { sizeof(mem), (unsigned char *) mem }, "b"),
           LLM_BAD, "a long header");
    is_str(tap_c(what), "an over-long part header", "and says so");
}


/* Every length and place of the delimiter around the wide loop's steps. */
static void
test_places(void)
{
    int            good;
    size_t         before, behind, n;
    unsigned char  mem[300], *exact;

    static const char  head[] = "--b\r\n" CD "name=x\r\n\r\n";

    good = 1;
    n = sizeof(head) - 1;

    for (before = 0; before < 80; before++) {
        for (behind = 0; behind < 40; behind++) {
            memcpy(mem, head, n);
            memset(mem + n, '\r', before);
            memcpy(mem + n + before, "\r\n--b--", 7);
            memset(mem + n + before + 7, ' ', behind);

            exact = malloc(n + before + 7 + behind);
            memcpy(exact, mem, n + before + 7 + behind);

            good &= index_of((llm_str_t) { n + before + 7 + behind, exact },
                             "b") == LLM_OK
                    && part_n == 1 && part[0].body_end == n + before
                    && close_at == n + before + 2;
            free(exact);
        }
    }

    ok(good, "a delimiter anywhere");

    good = 1;
    memcpy(mem, head, n);
    memcpy(mem + n, "1\r\n--b--", 8);

    for (before = 0; before < n + 8; before++) {
        exact = malloc(before + 1);
        memcpy(exact, mem, before);
        good &= index_of((llm_str_t) { before, exact }, "b") == LLM_BAD
                && what != NULL;
        free(exact);
    }

    ok(good, "cut anywhere is refused");
}


static void
test_audio(void)
{
    is_str(llm_audio_sniff(tap_fixture("audio/hello.wav")), "wav", "wav");
    is_str(llm_audio_sniff(tap_fixture("audio/hello.mp3")), "mp3", "mp3");
    is_str(llm_audio_sniff(tap_fixture("audio/hello.flac")), "flac", "flac");
    is_str(llm_audio_sniff(tap_fixture("audio/hello.ogg")), "ogg", "ogg");
    is_str(llm_audio_sniff(tap_fixture("audio/not-audio.wav")), "", "text");
    is_str(llm_audio_sniff(tap_fixture("audio/empty.wav")), "", "empty");
    is_str(llm_audio_sniff(LLM_STR("\0\0\0\x20" "ftypM4A ")), "m4a", "m4a");
    is_str(llm_audio_sniff(LLM_STR("\x1a\x45\xdf\xa3\x01")), "webm", "webm");
    is_str(llm_audio_sniff(LLM_STR("\xff\xfb\x90\x44")), "mp3", "bare frame");
    is_str(llm_audio_sniff(LLM_STR("\xff\xf1\x50\x80")), "aac",
           "AAC is not mp3");
    is_str(llm_audio_sniff(LLM_STR("\xff\xf1\x74\x80")), "",
           "no rate of AAC");
    is_str(llm_audio_sniff(LLM_STR("FORM\0\0\0\0AIFC")), "aiff", "aiff");
    is_str(llm_audio_sniff(LLM_STR("ID3\x04")), "mp3", "ID3");
    is_str(llm_audio_sniff(LLM_STR("RIFF\0\0\0\0AVI ")), "", "RIFF, no wave");
    is_str(llm_audio_sniff(LLM_STR("RIFF")), "", "RIFF alone");

    is_str(llm_audio_extension(LLM_STR("audio/mpeg")), "mp3", "mpeg");
    is_str(llm_audio_extension(LLM_STR("Audio/WAV")), "wav", "any case");
    is_str(llm_audio_extension(LLM_STR("audio/ogg; codecs=opus")), "ogg",
           "parameters");
    is_str(llm_audio_extension(LLM_STR("audio/webm;codecs=opus")), "webm",
           "parameters");
    is_str(llm_audio_extension(LLM_STR("audio/x-m4a")), "m4a", "m4a");
    is_str(llm_audio_extension(LLM_STR("audio/flac")), "flac", "flac");
    is_str(llm_audio_extension(LLM_STR("text/plain")), "", "no audio");
    is_str(llm_audio_extension(LLM_STR("audio/mpegx")), "", "unknown");
    is_str(llm_audio_extension(LLM_NOSTR), "", "nothing");

    is_str(llm_audio_format(LLM_STR("OggS"), LLM_STR("audio/wav"),
                            LLM_STR("a.mp3")), "ogg", "bytes before words");
    is_str(llm_audio_format(LLM_STR("text"), LLM_STR("audio/wav"),
                            LLM_STR("a.mp3")), "wav", "type before name");
    is_str(llm_audio_format(LLM_NOSTR, LLM_NOSTR, LLM_STR("a.b.AIF")), "aiff",
           "the name");
    is_str(llm_audio_format(LLM_NOSTR, LLM_NOSTR, LLM_STR("mp3")), "mp3",
           "which may be nothing but that");
    is_str(llm_audio_format(LLM_NOSTR, LLM_NOSTR, LLM_STR("a.mp3.")), "",
           "or nothing");
}


int
main(void)
{
    test_fixtures();
    test_boundary();
    test_forms();
    test_refused();
    test_limits();
    test_places();
    test_audio();

    return tap_done();
}
