/*
 * The whisper.cpp dialect: what is done to a form, what its answers become, and
 * what its errors mean.
 */

#include "tap.h"

#include "llm_whispercpp.h"

#define TYPE  LLM_STR("multipart/form-data; boundary=bb")
#define PART  "--bb\r\nContent-Disposition: form-data; name="
#define FILE_PART  PART "\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n"

static const llm_dialect_t  *whisper;
static const llm_swap_t     *swap;
static unsigned char         memory[2048];
static unsigned char         written[4096];
static llm_part_t            part[LLM_MULTIPART_MAX];
static llm_request_t         r;
static llm_loss_t            loss;


/* The form as it is sent, or the member at fault. */
static llm_str_t
sent(llm_endpoint_t ep, const char *parts)
{
    char            body[1024];
    size_t          i, at, n;
    llm_buf_t       mem, out;
    llm_str_t       message;
    llm_code_t      code;
    llm_edits_t     edits;
    llm_field_t     field[LLM_FORM_FIELDS];

    snprintf(body, sizeof(body), "%s--bb--\r\n", parts);

    if (llm_request_multipart(&r, ep, tap_c(body), TYPE, part, &code, &message)
        != LLM_OK)
    {
        return message;
    }

    if (swap->form(&r, field, &n, &loss) != LLM_OK) {
        return loss.param;
    }

    llm_buf_init(&mem, memory, sizeof(memory));

    if (n > LLM_FORM_FIELDS
        || llm_request_edits(&r, LLM_NOSTR, field, n, 0, &mem, &edits)
           != LLM_OK)
    {
        return LLM_STR("(no edits)");
    }

    llm_buf_init(&out, written, sizeof(written));

    for (i = 0, at = 0; i < edits.n; i++) {
        llm_buf_put(&out, body + at, edits.edit[i].at - at);
        llm_buf_str(&out, edits.edit[i].text);
        at = edits.edit[i].at + edits.edit[i].cut;
    }

    llm_buf_put(&out, body + at, strlen(body) - at);

    return llm_buf_view(&out);
}


static void
test_forms(void)
{
    size_t       i, n;
    llm_field_t  field[LLM_FORM_FIELDS];

    static const struct {
        llm_endpoint_t   ep;
        const char      *parts, *want, *lost;
    } t[] = {
        { LLM_EP_TRANSCRIPTIONS, FILE_PART,
          PART "\"language\"\r\n\r\nauto\r\n" FILE_PART "--bb--\r\n", "" },
        { LLM_EP_TRANSCRIPTIONS,
          PART "\"model\"\r\n\r\nwhisper-1\r\n" FILE_PART
          PART "\"language\"\r\n\r\nfa\r\n",
          FILE_PART PART "\"language\"\r\n\r\nfa\r\n--bb--\r\n", "" },
        { LLM_EP_TRANSLATIONS, FILE_PART PART "\"model\"\r\n\r\nm\r\n",
          PART "\"translate\"\r\n\r\ntrue\r\n"
          PART "\"language\"\r\n\r\nauto\r\n" FILE_PART "--bb--\r\n", "" },
        { LLM_EP_TRANSLATIONS, FILE_PART PART "\"translate\"\r\n\r\nno\r\n",
          PART "\"language\"\r\n\r\nauto\r\n" FILE_PART
          PART "\"translate\"\r\n\r\ntrue\r\n--bb--\r\n", "" },
        { LLM_EP_TRANSCRIPTIONS,
          FILE_PART PART "\"language\"\r\n\r\n \r\n"
          PART "\"temperature\"\r\n\r\n\r\n",
          FILE_PART PART "\"language\"\r\n\r\nauto\r\n--bb--\r\n", "" },
        { LLM_EP_TRANSCRIPTIONS,
          FILE_PART PART "\"language\"\r\n\r\nen\r\n"
          PART "\"temperature\"\r\n\r\n.5e0\r\n"
          PART "\"response_format\"\r\n\r\nvtt\r\n"
          PART "\"beam_size\"\r\n\r\n5\r\n",
          FILE_PART PART "\"language\"\r\n\r\nen\r\n"
          PART "\"temperature\"\r\n\r\n.5e0\r\n"
          PART "\"response_format\"\r\n\r\nvtt\r\n"
          PART "\"beam_size\"\r\n\r\n5\r\n--bb--\r\n", "" },
        { LLM_EP_TRANSCRIPTIONS,
          FILE_PART PART "\"language\"\r\n\r\nen\r\n"
          PART "\"include[]\"\r\n\r\nlogprobs\r\n"
          PART "\"stream\"\r\n\r\ntrue\r\n",
          FILE_PART PART "\"language\"\r\n\r\nen\r\n"
          PART "\"include[]\"\r\n\r\nlogprobs\r\n"
          PART "\"stream\"\r\n\r\ntrue\r\n--bb--\r\n", "include[] stream " },
        { LLM_EP_TRANSCRIPTIONS,
          FILE_PART PART "\"temperature\"\r\n\r\nwarm\r\n", "temperature",
          NULL },
        { LLM_EP_TRANSCRIPTIONS,
          FILE_PART PART "\"temperature\"\r\n\r\n.\r\n", "temperature", NULL },
        { LLM_EP_TRANSCRIPTIONS,
          FILE_PART PART "\"response_format\"\r\n\r\ndiarized_json\r\n",
          "response_format", NULL },
        { LLM_EP_TRANSCRIPTIONS,
          PART "\"url\"\r\n\r\nhttps://example.com/a.wav\r\n", "file", NULL }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_str(sent(t[i].ep, t[i].parts), t[i].want, t[i].want);

        if (t[i].lost == NULL) {
            ok(loss.message.len != 0, "... and a sentence about it");
            continue;
        }

        memory[0] = '\0';

        for (n = 0; n < loss.n; n++) {
            snprintf((char *) memory + strlen((char *) memory), 64, "%.*s ",
                     (int) loss.name[n].len, loss.name[n].data);
        }

        is_str(tap_c((char *) memory), t[i].lost, "... what is lost");
    }

    /* the audio itself, without a form */

    memset(&r, 0, sizeof(llm_request_t));
    r.endpoint = LLM_EP_TRANSCRIPTIONS;
    r.kind = LLM_BODY_ANY;

    is_int(swap->form(&r, field, &n, &loss), LLM_OK, "audio without a form");
    is_int(n, 2, "... two fields");
    is_str(field[1].text, "auto", "... its language");
}


/* ---- answers ---------------------------------------------------------- */


static llm_str_t
whole(llm_str_t body)
{
    size_t     i;
    llm_buf_t  out;

    for (i = 0; i < sizeof(written); i++) {
        llm_buf_init(&out, written, i);
        swap->whole(LLM_STR("m"), body, &out);

        if (!out.full) {
            return llm_buf_view(&out);
        }
    }

    return LLM_STR("(no end)");
}


#define TOKEN(word, start, end)                                               \
    "{\"word\":\"" word "\",\"start\":" start ",\"end\":" end ",\"t_dtw\":-1}"


static void
test_whole(void)
{
    char               body[1024];
    size_t             i;
    llm_json_member_t  m;

    static const struct {
        const char  *language, *segments, *want;
    } w[] = {
        { "english",
          "{\"words\":[" TOKEN(" ga", "0.0", "0.1") ","
          TOKEN("te", "0.1", "0.2") "," TOKEN("way", "0.2", "0.4") ","
          TOKEN(" ", "0.4", "0.4") "," TOKEN("is", "0.4", "0.5") ","
          TOKEN(",", "0.5", "0.5") "]},{\"words\":["
          TOKEN("Up", "0.6", "0.7") "]},{\"words\":1},{\"words\":[2,{}]},{}",
          "[{\"word\":\"gateway\",\"start\":0.0,\"end\":0.4},"
          "{\"word\":\"is,\",\"start\":0.4,\"end\":0.5},"
          "{\"word\":\"Up\",\"start\":0.6,\"end\":0.7}]" },
        { "japanese",
          "{\"words\":[" TOKEN("\xe4\xbd\xa0", "0", "1") ","
          TOKEN("\xe5\x86\x8d", "1", "2") "]}",
          "[{\"word\":\"\xe4\xbd\xa0\",\"start\":0,\"end\":1},"
          "{\"word\":\"\xe5\x86\x8d\",\"start\":1,\"end\":2}]" }
    };

    static const struct {
        const char  *body, *want;
    } t[] = {
        { "{\"text\": \" One.\\n Two.\\n\" }", "{\"text\":\"One. Two.\"}" },
        { "{\"text\":\"\"}", "{\"text\":\"\"}" },
        { "{\"text\":\" \\n \\n\"}", "{\"text\":\"\"}" },
        { "{\"text\":\"a\\nb\"}", "{\"text\":\"a b\"}" },
        { "{\"text\":\"\xe4\xbd\xa0\\n\xe5\x86\x8d\"}",
          "{\"text\":\"\xe4\xbd\xa0\xe5\x86\x8d\"}" },
        { "{\"text\":\" a\\\\n \\\"b\\\" \\u0041 \"}",
          "{\"text\":\"a\\\\n \\\"b\\\" \\u0041\"}" },
        { "{\"x\":1e400,\"text\":\" a\",\"y\":[ ]}",
          "{\"x\":1e400,\"text\":\"a\",\"y\":[ ]}" },
        { "{\"text\":\"a\",\"segments\":[]}",
          "{\"text\":\"a\",\"segments\":[]}" },
        { "{\"text\":\"a\",\"segments\":[{\"words\":["
          "{\"word\":\" a\",\"probability\":1}]}]}",
          "{\"text\":\"a\",\"segments\":[{\"words\":["
          "{\"word\":\" a\",\"probability\":1}]}]}" },
        { "{\"text\":\"a\",\"words\":[],\"segments\":[{\"words\":["
          TOKEN(" a", "0.0", "0.1") "]}]}",
          "{\"text\":\"a\",\"words\":[],\"segments\":[{\"words\":["
          TOKEN(" a", "0.0", "0.1") "]}]}" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_str(whole(tap_c(t[i].body)), t[i].want, t[i].body);
    }

    for (i = 0; i < sizeof(w) / sizeof(w[0]); i++) {
        snprintf(body, sizeof(body), "{\"text\":\"x\",\"language\":\"%s\","
                 "\"segments\":[%s]}", w[i].language, w[i].segments);

        is_int(llm_json_get(whole(tap_c(body)), LLM_STR("words"), &m), LLM_OK,
               w[i].language);
        is_str(m.value, w[i].want, "... words of tokens");
    }

    is_int(llm_json_check(whole(tap_fixture(
               "whispercpp/inference.verbose.response.json"))), LLM_OK,
           "a verbose answer");
}


static void
test_plain(void)
{
    size_t     i;
    llm_buf_t  out;
    llm_str_t  type;

    static const struct {
        const char  *type, *body, *want, *become;
    } t[] = {
        { "text/html; charset=utf-8", " Hello.\n And\n more.\n",
          "Hello. And more.\n", "text/plain; charset=utf-8" },
        { "text/plain", "a\\nb", "a\\nb\n", "text/plain; charset=utf-8" },
        { "text/html", "", "\n", "text/plain; charset=utf-8" },
        { "text/html", "< and >", "< and >\n", "text/plain; charset=utf-8" },
        { "text/html", " \n<!DOCTYPE html><html>", "", "" },
        { "text/html", "<HTML lang=en>", "", "" },
        { "text/vtt", "WEBVTT\n\n00:00 --> 00:01\n  Hi  you\n\n",
          "WEBVTT\n\n00:00 --> 00:01\nHi  you\n\n", "text/vtt" },
        { "application/x-subrip", "1\n00:00 --> 00:01\n Hi\n\n",
          "1\n00:00 --> 00:01\nHi\n\n", "application/x-subrip" },
        { "application/octet-stream", "a", "", "" },
        { "text/event-stream", "data: a", "", "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_buf_init(&out, written, strlen(t[i].body) + 1);
        type = swap->plain(tap_c(t[i].type), tap_c(t[i].body), &out);

        is_str(type, t[i].become, t[i].body);

        if (type.len) {
            is_str(llm_buf_view(&out), t[i].want, "... becomes");
            ok(!out.full, "... in the room there is");
        }
    }
}


/* ---- errors ----------------------------------------------------------- */


static void
test_answers(void)
{
    size_t        i;
    llm_buf_t     mem;
    llm_answer_t  a;

    static const struct {
        const char   *body;
        llm_class_t   class;
        uint64_t      audio_ms;
    } t[] = {
        { "{\"text\":\" a\\n\"}", LLM_CLASS_OK, LLM_UNKNOWN },
        { "{\"text\":\"\"}", LLM_CLASS_OK, LLM_UNKNOWN },
        { "{\"text\":\"a\",\"duration\":1.8}", LLM_CLASS_OK, 1800 },
        { "{\"error\":\"failed to read WAV file\"}",
          LLM_CLASS_INVALID_REQUEST, LLM_UNKNOWN },
        { "{\"error\":\"no 'file' field in the request\"}",
          LLM_CLASS_INVALID_REQUEST, LLM_UNKNOWN },
        { "{\"error\":\"failed to process audio\"}", LLM_CLASS_SERVER,
          LLM_UNKNOWN },
        { "{\"status\":\"ok\"}", LLM_CLASS_BAD_ANSWER, LLM_UNKNOWN },
        { "File Not Found", LLM_CLASS_BAD_ANSWER, LLM_UNKNOWN }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        memset(&a, 0, sizeof(a));
        llm_buf_init(&mem, memory, sizeof(memory));
        whisper->answer(LLM_EP_TRANSCRIPTIONS, tap_c(t[i].body), &mem, &a);

        is_int(a.class, t[i].class, t[i].body);
        is_int(a.usage.audio_ms, t[i].audio_ms, "... its length");
    }
}


static void
test_refusals(void)
{
    size_t         i;
    llm_buf_t      mem;
    llm_hint_t     hint;
    llm_refusal_t  refusal;

    static const struct {
        unsigned      status;
        const char   *body;
        llm_class_t   class;
        const char   *message;
    } t[] = {
        { 400, "{\"error\":\"failed to read audio data\"}",
          LLM_CLASS_INVALID_REQUEST, "failed to read audio data" },
        { 400, "Invalid request", LLM_CLASS_INVALID_REQUEST, "" },
        { 404, "File Not Found (/inference)", LLM_CLASS_SERVER, "" },
        { 500, "{\"error\":\"FFmpeg conversion failed.\"}",
          LLM_CLASS_INVALID_REQUEST, "FFmpeg conversion failed." },
        { 500, "{\"error\":\"failed to process audio\"}", LLM_CLASS_SERVER,
          "failed to process audio" },
        { 500, "500 Internal Server Error\nstof", LLM_CLASS_INVALID_REQUEST,
          "" },
        { 500, "500 Internal Server Error\nstd::bad_alloc", LLM_CLASS_SERVER,
          "" },
        { 502, "<html>", LLM_CLASS_SERVER, "" },
        { 503, "{\"status\":\"loading model\"}", LLM_CLASS_OVERLOADED, "" },
        { 503, "", LLM_CLASS_OVERLOADED, "" },
        { 401, "{\"error\":\"who are you\"}", LLM_CLASS_AUTH, "who are you" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_hint_init(&hint);
        llm_buf_init(&mem, memory, sizeof(memory));
        whisper->refusal(t[i].status, &hint, tap_c(t[i].body), 0, &mem,
                         &refusal);

        is_int(refusal.outcome.class, t[i].class, t[i].body);
        is_str(refusal.message, t[i].message, "... its message");
    }
}


static void
test_row(void)
{
    llm_buf_t    out;
    llm_place_t  place;

    memset(&place, 0, sizeof(llm_place_t));
    place.model = LLM_STR("m");

    llm_buf_init(&out, written, sizeof(written));
    whisper->path(LLM_EP_TRANSLATIONS, &place, &out);
    is_str(llm_buf_view(&out), "/inference", "path");

    is_int(llm_dialect_way(whisper, whisper->native, LLM_EP_TRANSCRIPTIONS),
           LLM_WAY_HUB, "transcriptions are translated");
    is_int(llm_dialect_way(whisper, whisper->native, LLM_EP_CHAT),
           LLM_WAY_NONE, "no chat");
    is_int(llm_dialect_way(whisper, whisper->native, LLM_EP_MESSAGES),
           LLM_WAY_NONE, "no Messages");
    is_int(llm_dialect_way(whisper, whisper->native, LLM_EP_MODELS),
           LLM_WAY_NONE, "no models");
}


int
main(void)
{
    whisper = llm_dialect_find(LLM_STR("whispercpp"));

    if (!ok(whisper != NULL, "the dialect is there")) {
        return tap_done();
    }

    swap = llm_dialect_swap(whisper, LLM_EP_TRANSCRIPTIONS);

    test_row();
    test_forms();
    test_whole();
    test_plain();
    test_answers();
    test_refusals();

    return tap_done();
}
