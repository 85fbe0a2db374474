/*
 * Answers of whisper.cpp's server as OpenAI gives them.
 *
 * It writes one line for each segment, with a space in front; a transcript of
 * OpenAI's is one line.  Words, which are tokens there, stand in the segments
 * and not beside them.
 */

#include "llm_whispercpp.h"


/* The words of an answer, put together from tokens. */
typedef struct {
    llm_buf_t   *out;
    llm_str_t    start;                 /* of the word that is open */
    llm_str_t    end;
    size_t       n;                     /* so far */
    int          each;                  /* a token is a word */
} llm_words_t;


static int
llm_text_begins(llm_str_t s, llm_str_t with)
{
    return s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}


/*
 * Appends a text without white space around it, and on one line: a line end
 * goes where a space follows, or a script that does without them, and becomes a
 * space elsewhere.  `eol` is how it is spelt there.
 */
static void
llm_text_put(llm_str_t s, llm_str_t eol, llm_buf_t *out)
{
    size_t  n, spaces, lines, written;

    spaces = 0;
    lines = 0;
    written = 0;

    while (s.len) {

        if (s.data[0] == ' ') {
            n = 1;
            spaces++;

        } else if (llm_text_begins(s, eol)) {
            n = eol.len;
            lines++;

        } else {
            /* another escape, where line ends are spelt as such */
            n = s.data[0] == '\\' && s.len > 1 && eol.len > 1 ? 2 : 1;

            if (lines && spaces == 0 && s.data[0] < 0x80) {
                spaces = 1;
            }

            for ( /* void */ ; written && spaces; spaces--) {
                llm_buf_put(out, " ", 1);
            }

            llm_buf_put(out, s.data, n);

            written = 1;
            spaces = 0;
            lines = 0;
        }

        s.data += n;
        s.len -= n;
    }
}


/* ---- JSON ------------------------------------------------------------- */


/* Languages that are written without spaces. */
static int
llm_words_each(llm_str_t language)
{
    size_t  i;

    static const llm_str_t  names[] = {
        LLM_STR("\"chinese\""), LLM_STR("\"japanese\""),
        LLM_STR("\"cantonese\""), LLM_STR("\"thai\""), LLM_STR("\"lao\""),
        LLM_STR("\"myanmar\"")
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (llm_str_eq(language, names[i])) {
            return 1;
        }
    }

    return 0;
}


static void
llm_words_close(llm_words_t *w)
{
    if (w->end.len) {
        llm_buf_str(w->out, LLM_STR("\",\"start\":"));
        llm_buf_str(w->out, w->start);
        llm_buf_str(w->out, LLM_STR(",\"end\":"));
        llm_buf_str(w->out, w->end);
        llm_buf_str(w->out, LLM_STR("}"));
    }

    w->end = LLM_NOSTR;
}


/* A token that begins with a space begins a word; so does the first of a
 * segment. */
static void
llm_words_token(llm_words_t *w, llm_str_t token)
{
    int              begins;
    llm_str_t        text;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("word") }, { .name = LLM_STR("start") },
        { .name = LLM_STR("end") }
    };

    if (llm_openai_pick(token, want, 3) != LLM_OK
        || want[0].kind != LLM_JSON_STRING
        || want[1].kind != LLM_JSON_NUMBER
        || want[2].kind != LLM_JSON_NUMBER)
    {
        return;
    }

    text = llm_openai_word(want[0].kind, want[0].value);
    begins = w->each || w->end.len == 0;

    while (text.len && text.data[0] == ' ') {
        begins = 1;
        text.data++;
        text.len--;
    }

    if (begins) {
        llm_words_close(w);
    }

    if (text.len == 0) {
        return;
    }

    if (begins) {
        llm_buf_str(w->out, w->n++ ? LLM_STR(",{\"word\":\"")
                                   : LLM_STR(",\"words\":[{\"word\":\""));
        w->start = want[1].value;
    }

    llm_buf_str(w->out, text);
    w->end = want[2].value;
}


/* The member "words", if the segments have any. */
static void
llm_words_put(llm_str_t segments, llm_str_t language, llm_buf_t *out)
{
    llm_words_t        w;
    llm_json_iter_t    it, tokens;
    llm_json_member_t  segment, words, token;

    memset(&w, 0, sizeof(llm_words_t));
    w.out = out;
    w.each = llm_words_each(language);

    if (llm_json_begin(&it, segments) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &segment) == LLM_OK) {

        if (llm_json_get(segment.value, LLM_STR("words"), &words) != LLM_OK
            || llm_json_begin(&tokens, words.value) != LLM_OK)
        {
            continue;
        }

        while (llm_json_next(&tokens, &token) == LLM_OK) {
            llm_words_token(&w, token.value);
        }

        llm_words_close(&w);
    }

    if (w.n) {
        llm_buf_str(out, LLM_STR("]"));
    }
}


/* Everything stays as it is but the text. */
void
llm_whispercpp_whole(llm_str_t model, llm_str_t body, llm_buf_t *out)
{
    size_t             n;
    llm_json_iter_t    it;
    llm_json_want_t    want[] = {
        { .name = LLM_STR("words") }, { .name = LLM_STR("segments") },
        { .name = LLM_STR("language") }
    };
    llm_json_member_t  m;

    (void) model;

    if (llm_openai_pick(body, want, 3) != LLM_OK
        || llm_json_begin(&it, body) != LLM_OK)
    {
        return;
    }

    llm_buf_str(out, LLM_STR("{"));

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {
        llm_buf_str(out, n ? LLM_STR(",\"") : LLM_STR("\""));
        llm_buf_str(out, m.key);
        llm_buf_str(out, LLM_STR("\":"));

        if (m.kind == LLM_JSON_STRING && llm_json_key_is(m.key,
                                                         LLM_STR("text")))
        {
            llm_buf_str(out, LLM_STR("\""));
            llm_text_put(llm_openai_word(m.kind, m.value), LLM_STR("\\n"), out);
            llm_buf_str(out, LLM_STR("\""));
            continue;
        }

        llm_buf_str(out, m.value);
    }

    if (want[0].value.data == NULL && want[1].kind == LLM_JSON_ARRAY) {
        llm_words_put(want[1].value, want[2].value, out);
    }

    llm_buf_str(out, LLM_STR("}"));
}


/* ---- text ------------------------------------------------------------- */


/* Whether a text that is said to be HTML is a page of something in front. */
static int
llm_text_is_page(llm_str_t s)
{
    while (s.len && s.data[0] <= ' ') {
        s.data++;
        s.len--;
    }

    s.len = s.len < 16 ? s.len : 16;

    return s.len && s.data[0] == '<'
           && (llm_openai_has(s, LLM_STR("<!doctype"))
               || llm_openai_has(s, LLM_STR("<html")));
}


/* Subtitles: lines without the space in front. */
static void
llm_text_subtitles(llm_str_t s, llm_buf_t *out)
{
    int     begins;
    size_t  i;

    for (i = 0, begins = 1; i < s.len; i++) {

        if (begins && s.data[i] == ' ') {
            continue;
        }

        llm_buf_put(out, &s.data[i], 1);
        begins = (s.data[i] == '\n');
    }
}


llm_str_t
llm_whispercpp_plain(llm_str_t type, llm_str_t body, llm_buf_t *out)
{
    if (llm_openai_has(type, LLM_STR("subrip"))
        || llm_openai_has(type, LLM_STR("text/vtt")))
    {
        llm_text_subtitles(body, out);
        return type;
    }

    if ((!llm_openai_has(type, LLM_STR("text/html"))
         && !llm_openai_has(type, LLM_STR("text/plain")))
        || llm_text_is_page(body))
    {
        return LLM_NOSTR;
    }

    llm_text_put(body, LLM_STR("\n"), out);
    llm_buf_str(out, LLM_STR("\n"));

    return LLM_STR("text/plain; charset=utf-8");
}
