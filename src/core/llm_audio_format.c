/*
 * Audio formats by their first bytes, by media type and by file name.
 */

#include "llm_multipart.h"


typedef struct {
    llm_str_t  name;                    /* in lower-case letters */
    llm_str_t  format;
} llm_audio_name_t;


static const llm_audio_name_t  llm_audio_types[] = {
    { LLM_STR("audio/mpeg"), LLM_STR("mp3") },
    { LLM_STR("audio/mp3"), LLM_STR("mp3") },
    { LLM_STR("audio/x-mp3"), LLM_STR("mp3") },
    { LLM_STR("audio/mpga"), LLM_STR("mp3") },
    { LLM_STR("audio/wav"), LLM_STR("wav") },
    { LLM_STR("audio/x-wav"), LLM_STR("wav") },
    { LLM_STR("audio/wave"), LLM_STR("wav") },
    { LLM_STR("audio/vnd.wave"), LLM_STR("wav") },
    { LLM_STR("audio/ogg"), LLM_STR("ogg") },
    { LLM_STR("audio/opus"), LLM_STR("ogg") },
    { LLM_STR("audio/vorbis"), LLM_STR("ogg") },
    { LLM_STR("application/ogg"), LLM_STR("ogg") },
    { LLM_STR("audio/flac"), LLM_STR("flac") },
    { LLM_STR("audio/x-flac"), LLM_STR("flac") },
    { LLM_STR("audio/mp4"), LLM_STR("m4a") },
    { LLM_STR("audio/m4a"), LLM_STR("m4a") },
    { LLM_STR("audio/x-m4a"), LLM_STR("m4a") },
    { LLM_STR("video/mp4"), LLM_STR("m4a") },
    { LLM_STR("audio/webm"), LLM_STR("webm") },
    { LLM_STR("video/webm"), LLM_STR("webm") },
    { LLM_STR("audio/aac"), LLM_STR("aac") },
    { LLM_STR("audio/x-aac"), LLM_STR("aac") },
    { LLM_STR("audio/aiff"), LLM_STR("aiff") },
    { LLM_STR("audio/x-aiff"), LLM_STR("aiff") },
    { LLM_NOSTR, LLM_NOSTR }
};


static const llm_audio_name_t  llm_audio_suffixes[] = {
    { LLM_STR("mp3"), LLM_STR("mp3") },
    { LLM_STR("mpga"), LLM_STR("mp3") },
    { LLM_STR("mpeg"), LLM_STR("mp3") },
    { LLM_STR("wav"), LLM_STR("wav") },
    { LLM_STR("ogg"), LLM_STR("ogg") },
    { LLM_STR("oga"), LLM_STR("ogg") },
    { LLM_STR("opus"), LLM_STR("ogg") },
    { LLM_STR("flac"), LLM_STR("flac") },
    { LLM_STR("m4a"), LLM_STR("m4a") },
    { LLM_STR("mp4"), LLM_STR("m4a") },
    { LLM_STR("webm"), LLM_STR("webm") },
    { LLM_STR("aac"), LLM_STR("aac") },
    { LLM_STR("aif"), LLM_STR("aiff") },
    { LLM_STR("aiff"), LLM_STR("aiff") },
    { LLM_NOSTR, LLM_NOSTR }
};


/* An MPEG audio frame: sync, layer, bit rate and sample rate are all valid. */
static int
llm_audio_is_mpeg(const unsigned char *p)
{
    return p[0] == 0xff && (p[1] & 0xe0) == 0xe0
           && (p[1] & 0x18) != 0x08 && (p[1] & 0x06) != 0
           && (p[2] & 0xf0) != 0xf0 && (p[2] & 0x0c) != 0x0c;
}


/* The sync of ADTS, whose layer is 0, and a sample rate that exists. */
static int
llm_audio_is_adts(const unsigned char *p)
{
    return p[0] == 0xff && (p[1] & 0xf6) == 0xf0 && (p[2] & 0x3c) <= 0x30;
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

    if (head.len >= 12 && memcmp(p, "FORM", 4) == 0
        && memcmp(p + 8, "AIF", 3) == 0)
    {
        return LLM_STR("aiff");
    }

    if (memcmp(p, "ID3", 3) == 0 || llm_audio_is_mpeg(p)) {
        return LLM_STR("mp3");
    }

    return llm_audio_is_adts(p) ? LLM_STR("aac") : LLM_NOSTR;
}


static llm_str_t
llm_audio_find(const llm_audio_name_t *known, llm_str_t name)
{
    size_t         k;
    unsigned char  c;

    for ( /* void */ ; known->name.len; known++) {

        if (known->name.len != name.len) {
            continue;
        }

        for (k = 0; k < name.len; k++) {
            c = name.data[k];
            if (c >= 'A' && c <= 'Z') {
                c |= 0x20;
            }
            if (c != known->name.data[k]) {
                break;
            }
        }

        if (k == name.len) {
            return known->format;
        }
    }

    return LLM_NOSTR;
}


llm_str_t
llm_audio_extension(llm_str_t media_type)
{
    size_t         len;
    unsigned char  c;

    for (len = 0; len < media_type.len; len++) {
        c = media_type.data[len];
        if (c == ';' || c == ' ' || c == '\t') {
            break;
        }
    }

    media_type.len = len;

    return llm_audio_find(llm_audio_types, media_type);
}


llm_str_t
llm_audio_format(llm_str_t head, llm_str_t media_type, llm_str_t filename)
{
    llm_str_t  format;

    format = llm_audio_sniff(head);

    if (format.len == 0) {
        format = llm_audio_extension(media_type);
    }

    if (format.len || filename.len == 0) {
        return format;
    }

    for (format = filename; format.len; format.len--) {
        if (format.data[format.len - 1] == '.') {
            break;
        }
    }

    filename.data += format.len;
    filename.len -= format.len;

    return llm_audio_find(llm_audio_suffixes, filename);
}
