/*
 * The parts of a multipart/form-data body, found in place (RFC 7578, RFC 2046).
 */

#ifndef LLM_MULTIPART_H
#define LLM_MULTIPART_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_MULTIPART_MAX  64           /* parts of one body; more is refused */

typedef struct {
    llm_str_t  name;                    /* raw value of the name parameter */
    llm_str_t  filename;                /* data NULL: absent */
    llm_str_t  type;                    /* Content-Type of the part, or empty */
    size_t     start;                   /* offset of its "--boundary" line */
    size_t     body;                    /* offset of its first content byte */
    size_t     body_end;                /* offset behind its content */
    size_t     end;                     /* offset of the next "--boundary" */
} llm_part_t;

/* The boundary parameter of a Content-Type, quoted or not, up to 70 bytes.
 * LLM_OK, LLM_NONE (not multipart/form-data), LLM_BAD (no usable boundary). */
llm_rc_t llm_multipart_boundary(llm_str_t content_type, llm_str_t *boundary);

/*
 * Indexes a whole body.  *close_at is the offset of the closing "--boundary--".
 * Only line ends may stand before the first boundary and behind the last one:
 * other text is read by some parsers and skipped by others.  For each part
 * start < body <= body_end <= end, and end is the start of what follows.
 * LLM_OK, LLM_BAD (*what names the mistake: an unterminated body, a part
 * without a name, an over-long part header), LLM_FULL (more than cap parts;
 * *what says so).
 */
llm_rc_t llm_multipart_index(llm_str_t body, llm_str_t boundary,
    llm_part_t *part, size_t cap, size_t *part_n, size_t *close_at,
    const char **what);

/* The first part with that name, or NULL; and how many have it. */
const llm_part_t *llm_multipart_find(const llm_part_t *part, size_t part_n,
    llm_str_t name);
size_t llm_multipart_count(const llm_part_t *part, size_t part_n,
    llm_str_t name);

/* The audio format by magic bytes ("wav", "mp3", "ogg", "flac", "m4a", "webm",
 * "aac", "aiff"), or an empty view; by a media type such as audio/mpeg; and by
 * all that is known of a file: first its bytes, last its name. */
llm_str_t llm_audio_sniff(llm_str_t head);
llm_str_t llm_audio_extension(llm_str_t media_type);
llm_str_t llm_audio_format(llm_str_t head, llm_str_t media_type,
    llm_str_t filename);

#pragma GCC visibility pop

#endif /* LLM_MULTIPART_H */
