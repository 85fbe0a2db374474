/*
 * The mock listens and speaks: transcripts in every format, and a short tone.
 */

#include "llm_mock_parts.h"

#define LLM_MOCK_RATE     8000          /* samples a second */
#define LLM_MOCK_SAMPLES  2400          /* 0.3 s */
#define LLM_MOCK_PERIOD   20            /* 400 Hz */
#define LLM_MOCK_VOLUME   12000
#define LLM_MOCK_FADE     200           /* samples */

typedef struct {
    llm_str_t  name;                    /* of the file */
    llm_str_t  language;
    uint64_t   size;
    uint64_t   ms;
    unsigned   words:1;                 /* timestamp_granularities[]=word */
    unsigned   translate:1;
} llm_mock_audio_t;


static llm_str_t
llm_mock_field(const llm_request_t *r, const llm_part_t *part)
{
    llm_str_t  s;

    s.data = r->body.data + part->body;
    s.len = part->body_end - part->body;

    while (s.len && s.data[s.len - 1] <= ' ') {
        s.len--;
    }

    return s;
}


static void
llm_mock_audio(const llm_request_t *r, llm_mock_audio_t *a)
{
    size_t             i;
    const llm_part_t  *part;

    a->name = LLM_STR("audio");
    a->language = llm_mock_inside(r->member[LLM_M_LANGUAGE].value);
    a->size = r->kind == LLM_BODY_MULTIPART ? 0 : r->body.len;
    a->ms = r->audio_ms;
    a->words = 0;
    a->translate = r->endpoint == LLM_EP_TRANSLATIONS;

    for (i = 0; i < r->part_n; i++) {
        part = &r->part[i];

        if (llm_str_eq(part->name, LLM_STR("file"))) {
            a->size = part->body_end - part->body;
            if (part->filename.len) {
                a->name = part->filename;
            }

        } else if (llm_str_eq(part->name, LLM_STR("language"))) {
            a->language = llm_mock_field(r, part);

        } else if (llm_str_eq(part->name,
                              LLM_STR("timestamp_granularities[]")))
        {
            if (llm_str_eq(llm_mock_field(r, part), LLM_STR("word"))) {
                a->words = 1;
            }
        }
    }

    if (a->language.len == 0 || a->translate) {
        a->language = LLM_STR("en");
    }
}


static void
llm_mock_put_transcript(llm_buf_t *out, const llm_mock_audio_t *a)
{
    if (llm_str_eq(a->language, LLM_STR("fa"))) {
        llm_mock_put(out, "رونوشت آزمایشی ");
        llm_buf_str(out, a->name);
        llm_mock_put(out, "، ");
        llm_json_put_uint(out, a->size);
        llm_mock_put(out, " بایت، ");
        llm_mock_put_seconds(out, a->ms);
        llm_mock_put(out, " ثانیه.");
        return;
    }

    llm_mock_put(out, a->translate ? "Mock translation of "
                                   : "Mock transcript of ");
    llm_buf_str(out, a->name);
    llm_mock_put(out, ", ");
    llm_json_put_uint(out, a->size);
    llm_mock_put(out, " bytes, ");
    llm_mock_put_seconds(out, a->ms);
    llm_mock_put(out, " seconds, language ");
    llm_buf_str(out, a->language);
    llm_mock_put(out, ".");
}


/* 00:01:02.345 with that separator before the milliseconds. */
static void
llm_mock_put_time(llm_buf_t *out, uint64_t ms, const char *separator)
{
    size_t    i;
    uint64_t  part[3];
    char      digits[3];

    part[0] = ms / 3600000 % 100;
    part[1] = ms / 60000 % 60;
    part[2] = ms / 1000 % 60;

    for (i = 0; i < 3; i++) {
        digits[0] = (char) ('0' + part[i] / 10);
        digits[1] = (char) ('0' + part[i] % 10);
        llm_buf_put(out, digits, 2);
        llm_mock_put(out, i < 2 ? ":" : separator);
    }

    digits[0] = (char) ('0' + ms % 1000 / 100);
    digits[1] = (char) ('0' + ms % 100 / 10);
    digits[2] = (char) ('0' + ms % 10);
    llm_buf_put(out, digits, 3);
}


static void
llm_mock_put_cue(llm_buf_t *out, const llm_mock_audio_t *a, llm_str_t text,
    int srt)
{
    llm_mock_put(out, srt ? "1\n" : "WEBVTT\n\n");
    llm_mock_put_time(out, 0, srt ? "," : ".");
    llm_mock_put(out, " --> ");
    llm_mock_put_time(out, a->ms, srt ? "," : ".");
    llm_mock_put(out, "\n");
    llm_buf_str(out, text);
    llm_mock_put(out, "\n\n");
}


static void
llm_mock_put_words(llm_buf_t *out, const llm_mock_audio_t *a, llm_str_t text)
{
    size_t     k, n;
    llm_str_t  word;

    n = llm_mock_pieces(text);

    for (k = 0; llm_mock_piece(text, k, &word) == LLM_OK; k++) {
        if (word.len && *word.data == ' ') {
            word.data++;
            word.len--;
        }

        llm_mock_put(out, k ? ",{\"word\":" : "{\"word\":");
        llm_json_put_string(out, word);
        llm_mock_put(out, ",\"start\":");
        llm_mock_put_seconds(out, a->ms * k / n);
        llm_mock_put(out, ",\"end\":");
        llm_mock_put_seconds(out, a->ms * (k + 1) / n);
        llm_mock_put(out, "}");
    }
}


static void
llm_mock_put_duration(llm_buf_t *out, const llm_mock_audio_t *a)
{
    llm_mock_put(out, ",\"usage\":{\"type\":\"duration\",\"seconds\":");
    llm_json_put_uint(out, (a->ms + 999) / 1000);
    llm_mock_put(out, "}}");
}


static void
llm_mock_put_verbose(llm_buf_t *out, const llm_mock_audio_t *a,
    llm_str_t text)
{
    llm_mock_put(out, a->translate ? "{\"task\":\"translate\",\"language\":"
                                   : "{\"task\":\"transcribe\",\"language\":");
    llm_json_put_string(out, a->language);
    llm_mock_put(out, ",\"duration\":");
    llm_mock_put_seconds(out, a->ms);
    llm_mock_put(out, ",\"text\":");
    llm_json_put_string(out, text);
    llm_mock_put(out, ",\"segments\":[{\"id\":0,\"seek\":0,\"start\":0.0,"
                      "\"end\":");
    llm_mock_put_seconds(out, a->ms);
    llm_mock_put(out, ",\"text\":");
    llm_json_put_string(out, text);
    llm_mock_put(out, ",\"tokens\":[50364],\"temperature\":0.0,"
                      "\"avg_logprob\":-0.2,\"compression_ratio\":0.9,"
                      "\"no_speech_prob\":0.01}]");

    if (a->words) {
        llm_mock_put(out, ",\"words\":[");
        llm_mock_put_words(out, a, text);
        llm_mock_put(out, "]");
    }

    llm_mock_put_duration(out, a);
}


llm_rc_t
llm_mock_transcript(const llm_request_t *r, llm_buf_t *out, llm_str_t *type)
{
    llm_buf_t         b;
    llm_str_t         text, format;
    unsigned char     mem[1024];
    llm_mock_audio_t  a;

    llm_mock_audio(r, &a);

    if (a.name.len > 512) {
        a.name.len = 512;
    }

    if (a.language.len > 64) {
        a.language.len = 64;
    }

    llm_buf_init(&b, mem, sizeof(mem));
    llm_mock_put_transcript(&b, &a);
    text = llm_buf_view(&b);
    format = llm_mock_streams(r) ? LLM_STR("json") : r->response_format;

    if (llm_str_eq(format, LLM_STR("text"))) {
        *type = LLM_STR("text/plain; charset=utf-8");
        llm_buf_str(out, text);
        llm_mock_put(out, "\n");

    } else if (llm_str_eq(format, LLM_STR("srt"))) {
        *type = LLM_STR("application/x-subrip; charset=utf-8");
        llm_mock_put_cue(out, &a, text, 1);

    } else if (llm_str_eq(format, LLM_STR("vtt"))) {
        *type = LLM_STR("text/vtt; charset=utf-8");
        llm_mock_put_cue(out, &a, text, 0);

    } else if (llm_str_eq(format, LLM_STR("verbose_json"))) {
        llm_mock_put_verbose(out, &a, text);

    } else {
        llm_mock_put(out, "{\"text\":");
        llm_json_put_string(out, text);
        llm_mock_put_duration(out, &a);
    }

    return LLM_OK;
}


/* ---- speech -------------------------------------------------------------- */

static void
llm_mock_put_le(llm_buf_t *out, uint32_t n, size_t bytes)
{
    unsigned char  c;

    while (bytes--) {
        c = (unsigned char) n;
        llm_buf_put(out, &c, 1);
        n >>= 8;
    }
}


/* A triangle wave that fades in and out. */
static int32_t
llm_mock_sample(int32_t i)
{
    int32_t  at, level, edge;

    at = i % LLM_MOCK_PERIOD;
    at = at < LLM_MOCK_PERIOD / 2 ? at : LLM_MOCK_PERIOD - at;
    level = LLM_MOCK_VOLUME * (at * 4 - LLM_MOCK_PERIOD) / LLM_MOCK_PERIOD;

    edge = i < LLM_MOCK_SAMPLES / 2 ? i : LLM_MOCK_SAMPLES - i;

    return edge < LLM_MOCK_FADE ? level * edge / LLM_MOCK_FADE : level;
}


llm_rc_t
llm_mock_speech(llm_buf_t *out, llm_str_t *type)
{
    int32_t  i;

    *type = LLM_STR("audio/wav");

    llm_mock_put(out, "RIFF");
    llm_mock_put_le(out, 36 + LLM_MOCK_SAMPLES * 2, 4);
    llm_mock_put(out, "WAVEfmt ");
    llm_mock_put_le(out, 16, 4);
    llm_mock_put_le(out, 1, 2);                     /* PCM */
    llm_mock_put_le(out, 1, 2);                     /* mono */
    llm_mock_put_le(out, LLM_MOCK_RATE, 4);
    llm_mock_put_le(out, LLM_MOCK_RATE * 2, 4);
    llm_mock_put_le(out, 2, 2);
    llm_mock_put_le(out, 16, 2);
    llm_mock_put(out, "data");
    llm_mock_put_le(out, LLM_MOCK_SAMPLES * 2, 4);

    for (i = 0; i < LLM_MOCK_SAMPLES; i++) {
        llm_mock_put_le(out, (uint32_t) llm_mock_sample(i), 2);
    }

    return LLM_OK;
}
