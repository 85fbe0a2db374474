/*
 * The whisper.cpp dialect: path, fields of the form, what errors mean.
 *
 * The client's form goes as it is, with a few edits: the server does not mind
 * fields that it does not know, and has some that OpenAI does not.  What
 * becomes of its answers is in llm_whispercpp_answer.c.
 */

#include "llm_whispercpp.h"


/* Fields of OpenAI's that say nothing to it. */
static const llm_str_t  llm_form_lost[] = {
    LLM_STR("chunking_strategy"), LLM_STR("include[]"),
    LLM_STR("known_speaker_names[]"), LLM_STR("known_speaker_references[]")
};

static const llm_str_t  llm_form_formats[] = {
    LLM_STR("json"), LLM_STR("text"), LLM_STR("srt"), LLM_STR("vtt"),
    LLM_STR("verbose_json")
};

/* Errors that are the request's fault, whatever status they come with; the last
 * is a field that std::stoi() or std::stof() could not read. */
static const llm_str_t  llm_form_faults[] = {
    LLM_STR("failed to read"), LLM_STR("no 'file'"),
    LLM_STR("ffmpeg conversion failed"), LLM_STR("internal server error\nsto")
};


void
llm_whispercpp_path(llm_endpoint_t ep, const llm_place_t *place,
    llm_buf_t *out)
{
    if (ep == LLM_EP_TRANSCRIPTIONS || ep == LLM_EP_TRANSLATIONS) {
        llm_buf_str(out, LLM_STR("/inference"));
        return;
    }

    llm_openai_path(ep, place, out);
}


/* ---- the form --------------------------------------------------------- */


/* The text of a field without white space around it; data NULL: absent. */
static llm_str_t
llm_form_text(const llm_request_t *r, llm_str_t name)
{
    llm_str_t          s;
    const llm_part_t  *part;

    part = llm_multipart_find(r->part, r->part_n, name);

    if (part == NULL) {
        return LLM_NOSTR;
    }

    s.data = r->body.data + part->body;
    s.len = part->body_end - part->body;

    return llm_request_trimmed(s);
}


static void
llm_form_add(llm_field_t *field, size_t *n, llm_field_do_t what,
    llm_str_t name, llm_str_t text)
{
    memset(&field[*n], 0, sizeof(llm_field_t));

    field[*n].what = what;
    field[*n].name = name;
    field[*n].text = text;

    (*n)++;
}


static int
llm_form_is_number(llm_str_t s)
{
    size_t  i, digits;

    for (i = 0, digits = 0; i < s.len; i++) {

        if (s.data[i] >= '0' && s.data[i] <= '9') {
            digits++;

        } else if (memchr("+-.eE", s.data[i], 5) == NULL) {
            return 0;
        }
    }

    return digits != 0;
}


static llm_rc_t
llm_form_check(const llm_request_t *r, llm_loss_t *loss)
{
    size_t  i, n;

    n = sizeof(llm_form_formats) / sizeof(llm_form_formats[0]);

    for (i = 0; i < n; i++) {
        if (llm_str_eq(r->response_format, llm_form_formats[i])) {
            break;
        }
    }

    /* an unknown one would silently be answered as json */

    if (i == n && r->response_format.len) {
        return llm_loss_fail(loss, LLM_NONE, LLM_STR("response_format"),
                        LLM_STR("This provider answers as json, text, srt, "
                                "vtt or verbose_json."));
    }

    if (r->kind == LLM_BODY_MULTIPART
        && llm_multipart_find(r->part, r->part_n, LLM_STR("file")) == NULL)
    {
        return llm_loss_fail(loss, LLM_NONE, LLM_STR("file"),
                        LLM_STR("This provider reads files, no URLs."));
    }

    return LLM_OK;
}


llm_rc_t
llm_whispercpp_form(const llm_request_t *r, llm_field_t *field, size_t *n,
    llm_loss_t *loss)
{
    size_t     i;
    llm_rc_t   rc;
    llm_str_t  text;

    *n = 0;
    llm_loss_init(loss);

    rc = llm_form_check(r, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    /* it has the one model that it was started with */

    llm_form_add(field, n, LLM_FIELD_DROP, LLM_STR("model"), LLM_NOSTR);

    if (r->endpoint == LLM_EP_TRANSLATIONS) {
        llm_form_add(field, n, LLM_FIELD_SET, LLM_STR("translate"),
                     LLM_STR("true"));
    }

    /* OpenAI listens which one it is, this server takes it for English */

    text = llm_form_text(r, LLM_STR("language"));

    llm_form_add(field, n, text.data && text.len == 0 ? LLM_FIELD_SET
                                                      : LLM_FIELD_DEFAULT,
                 LLM_STR("language"), LLM_STR("auto"));

    text = llm_form_text(r, LLM_STR("temperature"));

    if (text.data && text.len == 0) {
        llm_form_add(field, n, LLM_FIELD_DROP, LLM_STR("temperature"),
                     LLM_NOSTR);

    } else if (text.data && !llm_form_is_number(text)) {
        /* which it would call a fault of its own */
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("temperature"),
                             LLM_STR("The field \"temperature\" has to be a "
                                     "number."));
    }

    for (i = 0; i < sizeof(llm_form_lost) / sizeof(llm_form_lost[0]); i++) {
        if (llm_multipart_find(r->part, r->part_n, llm_form_lost[i])) {
            llm_loss_add(loss, llm_form_lost[i]);
        }
    }

    if (r->stream) {
        llm_loss_add(loss, LLM_STR("stream"));
    }

    return LLM_OK;
}


/* ---- errors ----------------------------------------------------------- */


/* A fault of the server, unless its words blame the request. */
static llm_class_t
llm_whispercpp_fault(llm_str_t text)
{
    size_t  i;

    for (i = 0; i < sizeof(llm_form_faults) / sizeof(llm_form_faults[0]);
         i++)
    {
        if (llm_openai_has(text, llm_form_faults[i])) {
            return LLM_CLASS_INVALID_REQUEST;
        }
    }

    return LLM_CLASS_SERVER;
}


/* Older servers refuse with {"error":"…"} in a 200. */
void
llm_whispercpp_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out)
{
    llm_openai_answer(ep, body, mem, out);

    if (out->class == LLM_CLASS_SERVER) {
        out->class = llm_whispercpp_fault(out->message);
    }
}


void
llm_whispercpp_refusal(unsigned status, const llm_hint_t *hint,
    llm_str_t body, llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out)
{
    llm_openai_refusal(status, hint, body, now, mem, out);

    switch (status) {

    case 404:
        /* there is one path only: not the client's mistake */
        out->outcome.class = LLM_CLASS_SERVER;
        break;

    case 503:
        /* the model is loading */
        out->outcome.class = LLM_CLASS_OVERLOADED;
        break;

    default:
        if (out->outcome.class == LLM_CLASS_SERVER) {
            /* what it throws is no JSON */
            out->outcome.class = llm_whispercpp_fault(out->message.len
                                                      ? out->message : body);
        }
    }
}
