/*
 * Audio formats by their first bytes and by media type.
 */

#include "llm_multipart.h"


/* An MPEG audio frame: sync, layer, bit rate and sample rate are all valid. */
static int
llm_audio_is_mpeg(const unsigned char *p)
{
    return p[0] == 0xff && (p[1] & 0xe0) == 0xe0
           && (p[1] & 0x18) != 0x08 && (p[1] & 0x06) != 0
           && (p[2] & 0xf0) != 0xf0 && (p[2] & 0x0c) != 0x0c;
}


llm_str_t
llm_audio_sniff(llm_str_t head)
{
    const unsigned char  *p;

    p = head.data;

    if (head.len < 4) {
        return LLM_NOSTR;
    }

    if (head.len >= 12 && memcmp(p, "RIFF", 4) == 0
        && memcmp(p + 8, "WAVE", 4) == 0)
    {
        return LLM_STR("wav");
    }

    if (head.len >= 8 && memcmp(p + 4, "ftyp", 4) == 0) {
        return LLM_STR("m4a");
    }

    if (memcmp(p, "OggS", 4) == 0) {
        return LLM_STR("ogg");
    }

    if (memcmp(p, "fLaC", 4) == 0) {
        return LLM_STR("flac");
    }

    if (memcmp(p, "\x1a\x45\xdf\xa3", 4) == 0) {
        return LLM_STR("webm");
    }

    if (memcmp(p, "ID3", 3) == 0 || llm_audio_is_mpeg(p)) {
        return LLM_STR("mp3");
    }

    return LLM_NOSTR;
}


llm_str_t
llm_audio_extension(llm_str_t media_type)
{
    size_t         i, k, len;
    unsigned char  c;

    static const struct {
        llm_str_t  type;
        llm_str_t  extension;
    } known[] = {
#define ROW(type, extension)                                                  \
        { { sizeof(type) - 1, (const unsigned char *) type },                 \
          { sizeof(extension) - 1, (const unsigned char *) extension } }
        ROW("audio/mpeg", "mp3"),
        ROW("audio/mp3", "mp3"),
        ROW("audio/x-mp3", "mp3"),
        ROW("audio/mpga", "mp3"),
        ROW("audio/wav", "wav"),
        ROW("audio/x-wav", "wav"),
        ROW("audio/wave", "wav"),
        ROW("audio/vnd.wave", "wav"),
        ROW("audio/ogg", "ogg"),
        ROW("audio/opus", "ogg"),
        ROW("audio/vorbis", "ogg"),
        ROW("application/ogg", "ogg"),
        ROW("audio/flac", "flac"),
        ROW("audio/x-flac", "flac"),
        ROW("audio/mp4", "m4a"),
        ROW("audio/m4a", "m4a"),
        ROW("audio/x-m4a", "m4a"),
        ROW("video/mp4", "m4a"),
        ROW("audio/webm", "webm"),
        ROW("video/webm", "webm")
#undef ROW
    };

    for (len = 0; len < media_type.len; len++) {
        c = media_type.data[len];
        if (c == ';' || c == ' ' || c == '\t') {
            break;
        }
    }

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {

        if (known[i].type.len != len) {
            continue;
        }

        for (k = 0; k < len; k++) {
            c = media_type.data[k];
            if (c >= 'A' && c <= 'Z') {
                c |= 0x20;
            }
            if (c != known[i].type.data[k]) {
                break;
            }
        }

        if (k == len) {
            return known[i].extension;
        }
    }

    return LLM_NOSTR;
}
