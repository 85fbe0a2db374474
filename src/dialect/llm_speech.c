/*
 * Speech to text at providers that take no form: what all of them have in
 * common, which is the client's side.
 */

#include "llm_speech.h"
#include "llm_edits.h"

#define LLM_LANGUAGE_MAX  35            /* bytes; RFC 5646 */

/* Fields of a form. */
enum {
    LLM_SF_LANGUAGE, LLM_SF_PROMPT, LLM_SF_TEMPERATURE, LLM_SF_REPLY,
    LLM_SF_STREAM, LLM_SF_TIMES, LLM_SF_FILE, LLM_SF_MODEL, LLM_SF_COUNT
};


/* A transcript on its way to the client. */
typedef struct {
    llm_usage_t   usage;
    llm_buf_t    *out;                  /* NULL: the texts are not wanted */
    unsigned      plain:1;              /* decoded, for no JSON */
} llm_transcript_t;


static const llm_str_t  llm_speech_names[LLM_SF_COUNT] = {
    [LLM_SF_LANGUAGE] = LLM_STR("language"),
    [LLM_SF_PROMPT] = LLM_STR("prompt"),
    [LLM_SF_TEMPERATURE] = LLM_STR("temperature"),
    [LLM_SF_REPLY] = LLM_STR("response_format"),
    [LLM_SF_STREAM] = LLM_STR("stream"),
    [LLM_SF_TIMES] = LLM_STR("timestamp_granularities[]"),
    [LLM_SF_FILE] = LLM_STR("file"),
    [LLM_SF_MODEL] = LLM_STR("model")
};


/* ---- requests ---------------------------------------------------------- */


static size_t
llm_speech_field(llm_str_t name)
{
    size_t  i;

    for (i = 0; i < LLM_SF_COUNT; i++) {
        if (llm_str_eq(name, llm_speech_names[i])) {
            break;
        }
    }

    return i;
}


/* Gathers the texts of the client's fields, as its location and the target want
 * them; what has no name above is a loss. */
static llm_rc_t
llm_speech_fields(const llm_request_t *r, const llm_field_t *field,
    size_t field_n, llm_str_t value[LLM_SF_COUNT], uint64_t *dropped,
    llm_loss_t *loss)
{
    size_t              i, n;
    llm_entries_t       e;
    const llm_entry_t  *entry;

    for (i = 0; i < LLM_SF_COUNT; i++) {
        value[i] = LLM_NOSTR;
    }

    if (llm_form_fields(r, field, field_n, &e) != LLM_OK) {
        return llm_loss_fail(loss, LLM_BAD, LLM_NOSTR,
                             LLM_STR("The form has too many parts."));
    }

    *dropped = e.dropped;

    for (i = 0; i < e.n; i++) {
        entry = &e.entry[i];

        if (entry->gone) {
            continue;
        }

        n = llm_speech_field(entry->name);

        if (n == LLM_SF_COUNT) {
            llm_loss_add(loss, entry->name);

        } else if (value[n].data == NULL) {
            value[n] = llm_request_trimmed(entry->value);
        }
    }

    return LLM_OK;
}


static int
llm_speech_is_language(llm_str_t s)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
              || c == '-' || c == '_'))
        {
            return 0;
        }
    }

    return s.len <= LLM_LANGUAGE_MAX;
}


static int
llm_speech_is_true(llm_str_t s)
{
    return llm_str_eq(s, LLM_STR("true")) || llm_str_eq(s, LLM_STR("True"))
           || llm_str_eq(s, LLM_STR("1"));
}


static llm_rc_t
llm_speech_check(const llm_speech_t *s, const llm_str_t *value,
    llm_loss_t *loss)
{
    llm_json_number_t  number;

    if (s->size == 0) {
        return llm_loss_fail(loss, LLM_NONE, llm_speech_names[LLM_SF_FILE],
                     LLM_STR("This provider needs the file itself."));
    }

    if (s->format.len == 0) {
        return llm_loss_fail(loss, LLM_NONE, llm_speech_names[LLM_SF_FILE],
                     LLM_STR("The format of the file is not one that this "
                             "provider is known to take."));
    }

    if (!llm_speech_is_language(s->language)) {
        return llm_loss_fail(loss, LLM_BAD, llm_speech_names[LLM_SF_LANGUAGE],
                     LLM_STR("The field \"language\" has to be a code such as "
                             "\"en\"."));
    }

    if (s->temperature.len
        && llm_json_number(s->temperature, &number) != LLM_OK)
    {
        return llm_loss_fail(loss, LLM_BAD,
                     llm_speech_names[LLM_SF_TEMPERATURE],
                     LLM_STR("The field \"temperature\" has to be a number."));
    }

    if (value[LLM_SF_TIMES].len) {
        return llm_loss_fail(loss, LLM_NONE, llm_speech_names[LLM_SF_TIMES],
                     LLM_STR("This provider does not tell when a word was "
                             "said."));
    }

    if (!llm_str_eq(s->reply, LLM_STR("json"))
        && !llm_str_eq(s->reply, LLM_STR("text"))
        && !llm_str_eq(s->reply, LLM_STR("verbose_json")))
    {
        return llm_loss_fail(loss, LLM_NONE, llm_speech_names[LLM_SF_REPLY],
                     LLM_STR("This provider answers as \"json\", \"text\" or "
                             "\"verbose_json\"."));
    }

    return LLM_OK;
}


llm_rc_t
llm_speech_read(llm_speech_t *s, const llm_request_t *r,
    const llm_field_t *field, size_t field_n, llm_loss_t *loss)
{
    llm_str_t  value[LLM_SF_COUNT];

    llm_loss_init(loss);

    if (llm_speech_fields(r, field, field_n, value, &s->dropped, loss)
        != LLM_OK)
    {
        return LLM_BAD;
    }

    s->endpoint = r->endpoint;
    s->format = r->format;
    s->size = r->sound.len;
    s->ms = llm_str_eq(r->format, LLM_STR("wav"))
            || llm_str_eq(r->format, LLM_STR("flac")) ? r->audio_ms : 0;
    s->language = value[LLM_SF_LANGUAGE];
    s->prompt = value[LLM_SF_PROMPT];
    s->temperature = value[LLM_SF_TEMPERATURE];
    s->reply = value[LLM_SF_REPLY].len ? value[LLM_SF_REPLY]
                                       : LLM_STR("json");
    s->stream = llm_speech_is_true(value[LLM_SF_STREAM]) != 0;

    if (llm_str_eq(s->language, LLM_STR("auto"))) {
        s->language = LLM_NOSTR;
    }

    return llm_speech_check(s, value, loss);
}


llm_rc_t
llm_speech_request(const llm_speech_t *s, const llm_speech_way_t *way,
    llm_buf_t *out, size_t *at, llm_loss_t *loss)
{
    size_t    length;
    llm_rc_t  rc;

    rc = way->request(s, out, at, loss);

    length = (size_t) (out->pos - out->start) + llm_speech_length(s->size);

    if (rc == LLM_OK && way->max && length > way->max) {
        return llm_loss_fail(loss, LLM_NONE, llm_speech_names[LLM_SF_FILE],
                     LLM_STR("The file is too large for this provider."));
    }

    return rc;
}


size_t
llm_speech_length(size_t size)
{
    return (size + 2) / 3 * 4;
}


/* ---- answers ----------------------------------------------------------- */


static void
llm_transcript_put(void *data, const llm_delta_t *d)
{
    llm_transcript_t *t = data;

    if (d->kind == LLM_DELTA_USAGE) {
        llm_usage_merge(&t->usage, &d->usage);
        return;
    }

    if (d->kind != LLM_DELTA_TEXT || t->out == NULL || d->text.len < 2) {
        return;
    }

    if (t->plain) {
        (void) llm_json_unescape(d->text, t->out);

    } else {
        llm_buf_put(t->out, d->text.data + 1, d->text.len - 2);
    }
}


static void
llm_transcript_seconds(uint64_t ms, llm_buf_t *out)
{
    unsigned char  digits[4];

    digits[0] = '.';
    digits[1] = (unsigned char) ('0' + ms / 100 % 10);
    digits[2] = (unsigned char) ('0' + ms / 10 % 10);
    digits[3] = (unsigned char) ('0' + ms % 10);

    llm_json_put_uint(out, ms / 1000);
    llm_buf_put(out, digits, 4);
}


static void
llm_transcript_usage(const llm_usage_t *usage, llm_buf_t *out)
{
    uint64_t  input, output;

    if (usage->input == LLM_UNKNOWN && usage->output == LLM_UNKNOWN) {

        if (usage->audio_ms != LLM_UNKNOWN) {
            llm_buf_str(out, LLM_STR(",\"usage\":{\"type\":\"duration\","
                                     "\"seconds\":"));
            llm_transcript_seconds(usage->audio_ms, out);
            llm_buf_str(out, LLM_STR("}"));
        }

        return;
    }

    input = usage->input == LLM_UNKNOWN ? 0 : usage->input;
    output = usage->output == LLM_UNKNOWN ? 0 : usage->output;

    llm_buf_str(out, LLM_STR(",\"usage\":{\"type\":\"tokens\","
                             "\"input_tokens\":"));
    llm_json_put_uint(out, input);
    llm_buf_str(out, LLM_STR(",\"output_tokens\":"));
    llm_json_put_uint(out, output);
    llm_buf_str(out, LLM_STR(",\"total_tokens\":"));
    llm_json_put_uint(out, input + output);
    llm_buf_str(out, LLM_STR("}"));
}


/* "text": and the text, which may come in pieces. */
static void
llm_transcript_text(llm_transcript_t *t, llm_str_t name,
    const llm_speech_way_t *way, llm_str_t body, llm_buf_t *out)
{
    llm_sink_t  sink;

    sink.put = llm_transcript_put;
    sink.data = t;

    llm_buf_str(out, name);
    llm_buf_str(out, LLM_STR("\""));

    t->out = out;
    way->deltas(body, &sink);

    llm_buf_str(out, LLM_STR("\""));
}


/* What is known without listening. */
static void
llm_transcript_facts(const llm_speech_t *s, const llm_transcript_t *t,
    llm_buf_t *out)
{
    uint64_t  ms;

    llm_buf_str(out, s->endpoint == LLM_EP_TRANSLATIONS
                     ? LLM_STR("\"task\":\"translate\",")
                     : LLM_STR("\"task\":\"transcribe\","));

    if (s->language.len) {
        llm_buf_str(out, LLM_STR("\"language\":\""));
        llm_buf_str(out, s->language);
        llm_buf_str(out, LLM_STR("\","));
    }

    ms = t->usage.audio_ms != LLM_UNKNOWN ? t->usage.audio_ms : s->ms;

    if (ms) {
        llm_buf_str(out, LLM_STR("\"duration\":"));
        llm_transcript_seconds(ms, out);
        llm_buf_str(out, LLM_STR(","));
    }
}


void
llm_speech_whole(const llm_speech_t *s, const llm_speech_way_t *way,
    llm_str_t body, llm_buf_t *out)
{
    llm_sink_t        sink;
    llm_transcript_t  t;

    memset(&t, 0, sizeof(llm_transcript_t));
    llm_usage_init(&t.usage);
    sink.put = llm_transcript_put;
    sink.data = &t;

    if (!s->stream && llm_str_eq(s->reply, LLM_STR("text"))) {
        t.out = out;
        t.plain = 1;
        way->deltas(body, &sink);
        llm_buf_str(out, LLM_STR("\n"));
        return;
    }

    way->deltas(body, &sink);

    if (s->stream) {
        /* all that it says at once */
        llm_transcript_text(&t, LLM_STR("data: {\"type\":"
                            "\"transcript.text.delta\",\"delta\":"), way, body,
                            out);
        llm_transcript_text(&t, LLM_STR("}\n\ndata: {\"type\":"
                            "\"transcript.text.done\",\"text\":"), way, body,
                            out);
        llm_transcript_usage(&t.usage, out);
        llm_buf_str(out, LLM_STR("}\n\n"));
        return;
    }

    llm_buf_str(out, LLM_STR("{"));

    if (llm_str_eq(s->reply, LLM_STR("verbose_json"))) {
        llm_transcript_facts(s, &t, out);
    }

    llm_transcript_text(&t, LLM_STR("\"text\":"), way, body, out);
    llm_transcript_usage(&t.usage, out);
    llm_buf_str(out, LLM_STR("}"));
}


llm_str_t
llm_speech_type(const llm_speech_t *s)
{
    if (s->stream) {
        return LLM_STR("text/event-stream");
    }

    return llm_str_eq(s->reply, LLM_STR("text"))
           ? LLM_STR("text/plain; charset=utf-8") : LLM_STR("application/json");
}
