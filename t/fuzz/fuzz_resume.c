/*
 * A cut stream that goes on: the input is the text that was shown, and another
 * answer piece by piece, lines of raw JSON.  What was shown and what is passed
 * on make that answer, to the byte, or it is another one.  The whole input is
 * also a request that is to go on with a text.
 */

#include <stdlib.h>

#include "llm_dialect.h"
#include "llm_resume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
append(llm_buf_t *out, llm_str_t raw)
{
    if (llm_json_unescape(raw, out) != LLM_OK) {
        abort();
    }
}


static void
resume(llm_str_t shown, size_t given, llm_str_t pieces)
{
    size_t               n;
    llm_rc_t             rc;
    llm_buf_t            mem, answer, joined, whole;
    llm_delta_t          d;
    llm_resume_t         r;
    unsigned char       *room;
    const unsigned char *end;

    room = malloc(4 * (shown.len + pieces.len) + 64);
    llm_buf_init(&answer, room, shown.len + pieces.len + 16);
    llm_buf_init(&joined, room + shown.len + pieces.len + 16,
                 3 * (shown.len + pieces.len) + 48);

    llm_buf_put(&answer, shown.data, given);
    llm_buf_str(&joined, shown);

    llm_resume_init(&r, shown, given);

    while (pieces.len) {
        end = memchr(pieces.data, '\n', pieces.len);
        n = end ? (size_t) (end - pieces.data) : pieces.len;

        memset(&d, 0, sizeof(d));
        d.kind = LLM_DELTA_TEXT;
        d.text.data = pieces.data;
        d.text.len = n;

        if (llm_json_check(d.text) == LLM_OK
            && llm_json_kind(d.text) == LLM_JSON_STRING
            && d.text.data[0] == '"' && d.text.data[n - 1] == '"')
        {
            append(&answer, d.text);

            llm_buf_init(&mem, malloc(llm_resume_room(&d)),
                         llm_resume_room(&d));
            rc = llm_resume_delta(&r, &d, &mem);

            if (rc == LLM_OK) {
                append(&joined, d.text);
            } else if (rc == LLM_BAD && !r.differs) {
                abort();
            }

            free(mem.start);
        }

        n += end ? 1 : 0;
        pieces.data += n;
        pieces.len -= n;
    }

    whole = answer;

    if (!r.differs && llm_resume_is_new(&r)
        && (answer.full || joined.full
            || !llm_str_eq(llm_buf_view(&whole), llm_buf_view(&joined))))
    {
        abort();
    }

    free(room);
}


static void
prefill(const llm_dialect_t *dialect, llm_prefill_way_t way, llm_str_t body,
    llm_str_t shown)
{
    size_t         i, at, size;
    llm_buf_t      mem, out;
    llm_edits_t    edits;
    llm_prefill_t  p;

    p.way = way;
    p.text = shown;
    p.tokens = 3;
    edits.n = 0;

    llm_buf_init(&mem, malloc(llm_prefill_room(&p)), llm_prefill_room(&p));

    if (dialect->prefill(body, &p, &mem, &edits) == LLM_OK) {
        size = llm_edits_length(&edits, body.len);
        llm_buf_init(&out, malloc(size), size);

        for (i = 0, at = 0; i < edits.n; i++) {
            llm_buf_put(&out, body.data + at, edits.edit[i].at - at);
            llm_buf_str(&out, edits.edit[i].text);
            at = edits.edit[i].at + edits.edit[i].cut;
        }

        llm_buf_put(&out, body.data + at, body.len - at);

        /* numbers and literals of the body are not looked at */

        if (out.full || (llm_json_check(body) == LLM_OK
                         && llm_json_check(llm_buf_view(&out)) != LLM_OK))
        {
            abort();
        }

        free(out.start);
    }

    free(mem.start);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                n;
    llm_str_t             whole, shown, pieces;
    const unsigned char  *end;

    static const char  *dialects[] = { "openai", "anthropic", "gemini" };

    if (size < 2) {
        return 0;
    }

    whole.data = data + 1;
    whole.len = size - 1;

    end = memchr(whole.data, '\n', whole.len);
    n = end ? (size_t) (end - whole.data) : whole.len;

    shown.data = whole.data;
    shown.len = n;

    pieces.data = whole.data + n + (end ? 1 : 0);
    pieces.len = whole.len - n - (end ? 1 : 0);

    resume(shown, data[0] % (n + 1), pieces);

    for (n = 0; n < 3; n++) {
        prefill(llm_dialect_find((llm_str_t) { strlen(dialects[n]),
                                       (const unsigned char *) dialects[n] }),
                data[0] % 3, pieces, shown);
    }

    return 0;
}
