/*
 * How much a request will use, guessed before it is sent.
 *
 * Limits are reserved first and settled by what the provider reports, so a
 * guess should be rather too high.  Two exceptions: base64 is no text, because
 * counting a picture as words would refuse it everywhere; and a file's header
 * is believed where it tells how long the audio plays.
 */

#include "llm_bytes.h"
#include "llm_request.h"

#define LLM_OUTPUT_DEFAULT  1024        /* tokens reserved without max_tokens */
#define LLM_TOKEN_BYTES     3           /* English has about four */
#define LLM_BASE64_MIN      512         /* shorter strings count as text */
#define LLM_CHOICES_MAX     128

#define LLM_AUDIO_MIN_MS    1000

/* kbit/s, which is bits per millisecond */
#define LLM_AUDIO_OPUS      32
#define LLM_AUDIO_AAC       64
#define LLM_AUDIO_OTHER     64


/* What the walk over messages or input finds. */
typedef struct {
    unsigned  need;                     /* LLM_CAN_VISION, LLM_CAN_AUDIO */
    size_t    base64;                   /* bytes that are no text */
    uint64_t  pictures;
} llm_walk_t;


/*
 * One string of a messages array, key or value.  `key` is the key in front of a
 * value, empty for an element.
 */
static void
llm_walk_value(llm_walk_t *w, llm_str_t key, llm_str_t value)
{
    if (llm_str_eq(key, LLM_STR("type"))) {

        if (llm_str_eq(value, LLM_STR("image_url"))
            || llm_str_eq(value, LLM_STR("input_image"))
            || llm_str_eq(value, LLM_STR("image")))
        {
            w->need |= LLM_CAN_VISION;
            w->pictures++;

        } else if (llm_str_eq(value, LLM_STR("input_audio"))) {
            w->need |= LLM_CAN_AUDIO;
        }

        return;
    }

    if (value.len < LLM_BASE64_MIN) {
        return;
    }

    if (llm_str_eq(key, LLM_STR("data"))
        || llm_str_eq(key, LLM_STR("file_data"))
        || memcmp(value.data, "data:", 5) == 0)
    {
        w->base64 += value.len;
    }
}


/* Walks over a value that llm_json_pick() found well-formed. */
static void
llm_walk(llm_walk_t *w, llm_str_t text)
{
    llm_str_t             s, key;
    const unsigned char  *p, *q, *end;

    if (text.len == 0) {
        return;
    }

    p = text.data;
    end = p + text.len;
    key = LLM_NOSTR;

    while (p < end) {

        if (*p != '"') {
            p++;
            continue;
        }

        for (q = p + 1; /* void */; q += 2) {
            q = llm_bytes_find(q, end, LLM_BYTES_STRING);
            if (q >= end - 1 || *q != '\\') {
                break;
            }
        }

        s.data = p + 1;
        s.len = (size_t) (q - s.data);
        p = q < end ? q + 1 : end;

        while (p < end && (*p == ' ' || *p == '\n' || *p == '\r'
                           || *p == '\t'))
        {
            p++;
        }

        if (p < end && *p == ':') {
            key = s;
            p++;
            continue;
        }

        llm_walk_value(w, key, s);
        key = LLM_NOSTR;
    }
}


void
llm_request_estimate(llm_request_t *r)
{
    llm_walk_t              walk;
    uint64_t                n, choices;
    const llm_json_want_t  *m;

    if (r->endpoint == LLM_EP_TRANSCRIPTIONS
        || r->endpoint == LLM_EP_TRANSLATIONS)
    {
        return;
    }

    m = r->member;
    memset(&walk, 0, sizeof(llm_walk_t));

    if (r->endpoint == LLM_EP_CHAT || r->endpoint == LLM_EP_MESSAGES) {
        llm_walk(&walk, m[LLM_M_MESSAGES].value);

    } else if (r->endpoint == LLM_EP_RESPONSES) {
        llm_walk(&walk, m[LLM_M_INPUT].value);
    }

    r->need |= walk.need;
    r->pictures = walk.pictures;
    r->prompt_tokens = (r->body.len - walk.base64 + LLM_TOKEN_BYTES - 1)
                       / LLM_TOKEN_BYTES;

    if (r->endpoint != LLM_EP_CHAT && r->endpoint != LLM_EP_COMPLETIONS
        && r->endpoint != LLM_EP_RESPONSES && r->endpoint != LLM_EP_MESSAGES)
    {
        return;
    }

    if (llm_json_uint(m[LLM_M_MAX_COMPLETION_TOKENS].value, &n) != LLM_OK
        && llm_json_uint(m[LLM_M_MAX_TOKENS].value, &n) != LLM_OK
        && llm_json_uint(m[LLM_M_MAX_OUTPUT_TOKENS].value, &n) != LLM_OK)
    {
        n = 0;
    }

    r->max_tokens = n > UINT32_MAX ? UINT32_MAX : n;

    if (llm_json_uint(m[LLM_M_N].value, &choices) != LLM_OK || choices == 0) {
        choices = 1;
    }

    if (choices > LLM_CHOICES_MAX) {
        choices = LLM_CHOICES_MAX;
    }

    r->choices = choices;

    if (n == 0) {
        n = LLM_OUTPUT_DEFAULT;
    }

    r->output_tokens = n > UINT32_MAX ? UINT32_MAX : n * choices;
}


void
llm_request_need(const llm_request_t *r, llm_need_t *need)
{
    memset(need, 0, sizeof(llm_need_t));

    need->n[LLM_DIM_REQUESTS] = 1;
    need->n[LLM_DIM_TOKENS] = r->prompt_tokens + r->output_tokens;
    need->n[LLM_DIM_INPUT_TOKENS] = r->prompt_tokens;
    need->n[LLM_DIM_OUTPUT_TOKENS] = r->output_tokens;
    need->n[LLM_DIM_AUDIO_MS] = r->audio_ms;
}


/* ---- audio --------------------------------------------------------- */


static uint32_t
llm_audio_le32(const unsigned char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static uint64_t
llm_audio_bits(uint64_t bytes, uint64_t kbit)
{
    return bytes > UINT64_MAX / 8 ? UINT64_MAX / kbit : bytes * 8 / kbit;
}


/* RIFF: the byte rate of "fmt " and the size of "data".  0: unknown. */
static uint64_t
llm_audio_wav(llm_str_t head, uint64_t size)
{
    size_t                at;
    uint64_t              n, rest;
    uint32_t              rate;
    const unsigned char  *p;

    rate = 0;

    for (at = 12; at + 8 <= head.len; at += (size_t) (n + (n & 1)) + 8) {

        p = head.data + at;
        n = llm_audio_le32(p + 4);

        if (memcmp(p, "fmt ", 4) == 0 && n >= 16 && at + 20 <= head.len) {
            rate = llm_audio_le32(p + 16);
        }

        if (memcmp(p, "data", 4) == 0) {
            rest = size > at + 8 ? size - at - 8 : 0;

            /* a recorder that streams leaves 0 or all ones there */

            if (n == 0 || n > rest) {
                n = rest;
            }

            return rate ? (n * 1000 + rate - 1) / rate : 0;
        }

        if (n > head.len) {
            break;
        }
    }

    return rate ? size * 1000 / rate : 0;
}


/* The STREAMINFO block: 20 bits of sample rate, 36 bits of sample count. */
static uint64_t
llm_audio_flac(llm_str_t head)
{
    unsigned              i;
    uint64_t              rate, samples;
    const unsigned char  *p;

    if (head.len < 26) {
        return 0;
    }

    p = head.data + 18;
    rate = (uint64_t) p[0] << 12 | (uint64_t) p[1] << 4 | p[2] >> 4;
    samples = p[3] & 0x0f;

    for (i = 4; i < 8; i++) {
        samples = samples << 8 | p[i];
    }

    return rate ? samples * 1000 / rate : 0;
}


/* The bit rate of the first frame, in kbit/s, or 0. */
static unsigned
llm_audio_mp3(llm_str_t head)
{
    size_t                at;
    const unsigned char  *p;

    static const unsigned short  mpeg1[16] = {
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0
    };
    static const unsigned short  mpeg2[16] = {
        0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0
    };

    at = 0;

    if (head.len >= 10 && memcmp(head.data, "ID3", 3) == 0) {
        p = head.data + 6;
        at = 10 + ((size_t) (p[0] & 0x7f) << 21 | (size_t) (p[1] & 0x7f) << 14
                   | (size_t) (p[2] & 0x7f) << 7 | (size_t) (p[3] & 0x7f));
    }

    if (at > head.len || head.len - at < 4) {
        return 0;
    }

    p = head.data + at;

    if (p[0] != 0xff || (p[1] & 0xe0) != 0xe0) {
        return 0;
    }

    return (p[1] & 0x08) ? mpeg1[p[2] >> 4] : mpeg2[p[2] >> 4];
}


uint64_t
llm_audio_estimate(llm_str_t head, uint64_t size)
{
    uint64_t   ms, kbit;
    llm_str_t  format;

    format = llm_audio_sniff(head);
    ms = 0;
    kbit = LLM_AUDIO_OTHER;

    if (llm_str_eq(format, LLM_STR("wav"))) {
        ms = llm_audio_wav(head, size);

    } else if (llm_str_eq(format, LLM_STR("flac"))) {
        ms = llm_audio_flac(head);

    } else if (llm_str_eq(format, LLM_STR("mp3"))) {
        kbit = llm_audio_mp3(head);
        if (kbit == 0) {
            kbit = LLM_AUDIO_OTHER;
        }

    } else if (llm_str_eq(format, LLM_STR("ogg"))
               || llm_str_eq(format, LLM_STR("webm")))
    {
        kbit = LLM_AUDIO_OPUS;

    } else if (llm_str_eq(format, LLM_STR("m4a"))) {
        kbit = LLM_AUDIO_AAC;
    }

    if (ms == 0) {
        ms = llm_audio_bits(size, kbit);
    }

    return ms < LLM_AUDIO_MIN_MS ? LLM_AUDIO_MIN_MS : ms;
}
