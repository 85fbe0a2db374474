/*
 * What was shown of a stream, what of another answer comes next, and requests
 * that go on with a text.
 */

#include "tap.h"
#include "llm_dialect.h"
#include "llm_resume.h"

static unsigned char  text[256];
static llm_told_t     told;


static llm_delta_t
delta(llm_delta_kind_t kind, const char *raw)
{
    llm_delta_t  d;

    memset(&d, 0, sizeof(d));
    d.kind = kind;
    d.text = tap_c(raw);

    return d;
}


static void
tell(llm_delta_kind_t kind, const char *raw)
{
    llm_delta_t  d;

    d = delta(kind, raw);
    llm_told_add(&told, &d);
}


static void
anew(void)
{
    memset(&told, 0, sizeof(told));
    llm_buf_init(&told.text, text, sizeof(text));
}


static void
test_told(void)
{
    llm_delta_t  d;

    anew();
    ok(!llm_told_is_open(&told), "nothing was shown: nothing to go on with");
    tell(LLM_DELTA_START, "");
    tell(LLM_DELTA_REASONING, "\"hm\"");
    ok(!llm_told_is_open(&told), "reasoning alone cannot be continued");
    tell(LLM_DELTA_SIGNATURE, "\"s\"");
    tell(LLM_DELTA_TEXT, "\"One\\u0020\\\"\"");
    ok(llm_told_is_open(&told), "text behind it can");
    tell(LLM_DELTA_TEXT, "\"\xC3\xA4\\u00e4\\ud83d\\ude00\"");
    tell(LLM_DELTA_SEAL, "\"s\"");
    is_str(llm_buf_view(&told.text), "One \"\xC3\xA4\xC3\xA4\xF0\x9F\x98\x80",
           "the text is decoded");
    is_int((long long) told.tokens, 2, "pieces are counted");
    ok(llm_told_is_open(&told), "... and open");
    tell(LLM_DELTA_REASONING, "\"hm\"");
    ok(!llm_told_is_open(&told), "reasoning that came last closes it");
    tell(LLM_DELTA_TEXT, "\"x\"");
    ok(llm_told_is_open(&told), "... until there is text again");

    tell(LLM_DELTA_TEXT, "\"\\ud83d\"");
    ok(!llm_told_is_open(&told), "half a character closes it");

    anew();
    tell(LLM_DELTA_TEXT, "\"x\"");
    tell(LLM_DELTA_CALL, "");
    ok(!llm_told_is_open(&told), "so does a call");
    tell(LLM_DELTA_TEXT, "\"x\"");
    ok(!llm_told_is_open(&told), "... for good");

    anew();
    tell(LLM_DELTA_REFUSAL, "\"x\"");
    tell(LLM_DELTA_TEXT, "\"x\"");
    ok(!llm_told_is_open(&told), "so does a refusal");

    anew();
    d = delta(LLM_DELTA_TEXT, "\"x\"");
    d.choice = 1;
    llm_told_add(&told, &d);
    tell(LLM_DELTA_TEXT, "\"x\"");
    ok(!llm_told_is_open(&told), "so does another choice");

    anew();
    llm_buf_init(&told.text, text, 3);
    tell(LLM_DELTA_TEXT, "\"abc\"");
    ok(llm_told_is_open(&told), "a text that fits");
    tell(LLM_DELTA_TEXT, "\"d\"");
    ok(!llm_told_is_open(&told), "... and one that does not");
}


/* What is passed on of these deltas behind that text; "|" between them, "!" at
 * another answer. */
static const char *
rest(const char *shown, size_t given, const llm_delta_t *deltas, size_t n)
{
    size_t          i;
    llm_rc_t        rc;
    llm_buf_t       mem, out;
    llm_delta_t     d;
    llm_resume_t    r;
    unsigned char   scratch[512];
    static char     passed[512];

    llm_buf_init(&out, passed, sizeof(passed) - 1);
    llm_resume_init(&r, tap_c(shown), given);

    for (i = 0; i < n; i++) {
        d = deltas[i];
        llm_buf_init(&mem, scratch, llm_resume_room(&d));
        rc = llm_resume_delta(&r, &d, &mem);

        if (rc == LLM_BAD) {
            llm_buf_str(&out, LLM_STR("!"));
        } else if (rc == LLM_OK) {
            llm_buf_str(&out, d.kind == LLM_DELTA_FINISH ? LLM_STR("finish")
                              : d.kind == LLM_DELTA_END ? LLM_STR("end")
                              : d.kind == LLM_DELTA_CALL ? LLM_STR("call")
                              : d.text);
            llm_buf_str(&out, LLM_STR("|"));
        }
    }

    *out.pos = '\0';

    return passed;
}


static void
is_rest(const char *shown, size_t given, const char *texts, const char *want,
    const char *name)
{
    size_t       n;
    char         copy[256], *p;
    llm_delta_t  d[16];

    snprintf(copy, sizeof(copy), "%s", texts);
    d[0] = delta(LLM_DELTA_START, "");

    for (n = 1, p = strtok(copy, " "); p; p = strtok(NULL, " ")) {
        d[n++] = strcmp(p, "finish") == 0 ? delta(LLM_DELTA_FINISH, "")
               : strcmp(p, "end") == 0 ? delta(LLM_DELTA_END, "")
               : strcmp(p, "call") == 0 ? delta(LLM_DELTA_CALL, "")
               : strcmp(p, "hm") == 0 ? delta(LLM_DELTA_REASONING, "\"hm\"")
               : strcmp(p, "sure") == 0 ? delta(LLM_DELTA_LOGPROBS, "")
               : delta(LLM_DELTA_TEXT, p);
    }

    is_str(tap_c(rest(shown, given, d, n)), want, name);
}


static void
test_rest(void)
{
    llm_delta_t  d;

    is_rest("One two", 0, "\"One\" \"\\u0020tw\" \"o\" \"_3\" finish end",
            "\"_3\"|finish|end|", "what was shown is swallowed");
    is_rest("One", 0, "\"One_t\" \"wo\"", "\"_t\"|\"wo\"|",
            "... inside of a piece, too");
    is_rest("One", 0, "\"One\\\"\\u00e4\\n\"", "\"\\\"\xC3\xA4\\n\"|",
            "... whose rest is escaped again");
    is_rest("One", 0, "hm \"One\" hm \"x\" call finish", "\"x\"|call|finish|",
            "reasoning is swallowed everywhere, calls only before");
    is_rest("One", 0, "\"On\" sure \"ex\" sure finish", "\"x\"|finish|",
            "so are logprobs, of which none were shown");
    is_rest("One", 0, "\"Two\" \"One\" finish", "!!!", "another answer");
    is_rest("One", 0, "\"On\" \"x\"", "!", "... that begins like it");
    is_rest("One", 0, "\"On\" finish end", "!!", "a shorter one");
    is_rest("One", 0, "\"On\" end", "", "... that just ends");
    is_rest("One", 0, "call", "!", "a call in place of the text");
    is_rest("One", 0, "\"On\\ud83d\" \"x\"", "!!", "half a character");
    is_rest("One", 0, "\"One\" finish", "finish|", "nothing but the end");
    is_rest("One", 3, "\"x\" finish", "\"x\"|finish|", "the text was given");
    is_rest("One", 3, "finish end", "finish|end|", "... and nothing added");
    is_rest("One \n", 3, "\"_\"", "!", "white space that could not be given");
    is_rest("One\n", 3, "\"\\nx\" finish", "\"x\"|finish|",
            "... has to be repeated");
    is_rest("One\n", 3, "finish end", "finish|end|",
            "... but where nothing follows");
    is_rest("One\n", 0, "\"One\" finish", "!", "... not when it was not given");

    d = delta(LLM_DELTA_TEXT, "\"One_x\"");
    d.choice = 1;
    is_str(tap_c(rest("One", 0, &d, 1)), "", "another choice is swallowed");
}


/* A body with the text, or "none". */
static const char *
prefill(const char *dialect, llm_prefill_way_t way, const char *body,
    const char *shown, const char *given)
{
    size_t                i, at;
    llm_rc_t              rc;
    llm_buf_t             mem, out;
    llm_edits_t           edits;
    llm_prefill_t         p;
    const llm_dialect_t  *d;
    static char           made[1024];
    unsigned char         scratch[1024];

    d = llm_dialect_find(tap_c(dialect));

    p.way = way;
    p.text = tap_c(shown);
    p.tokens = 4;
    edits.n = 0;

    llm_buf_init(&mem, scratch, llm_prefill_room(&p));
    rc = d->prefill(tap_c(body), &p, &mem, &edits);

    if (rc != LLM_OK) {
        return rc == LLM_NONE ? "none" : "full";
    }

    if (given) {
        is_str(p.text, given, "what could be given");
    }

    llm_buf_init(&out, made, sizeof(made) - 1);

    for (i = 0, at = 0; i < edits.n; i++) {
        llm_buf_put(&out, body + at, edits.edit[i].at - at);
        llm_buf_str(&out, edits.edit[i].text);
        at = edits.edit[i].at + edits.edit[i].cut;
    }

    llm_buf_put(&out, body + at, strlen(body) - at);
    *out.pos = '\0';

    return made;
}


static void
test_prefill(void)
{
    const char  *chat = "{\"messages\":[{\"role\":\"user\"}],\"max_tokens\":9}";
    const char  *own = "{\"messages\":[{\"role\":\"user\"},"
                       "{\"role\":\"assistant\"}]}";

    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE, chat, "a \"b\"\n",
                         NULL)),
           "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\","
           "\"content\":\"a \\\"b\\\"\\n\"}],\"max_tokens\":5}",
           "openai: a message, and a smaller limit");
    is_str(tap_c(prefill("openai", LLM_PREFILL_PREFIX, chat, "a", NULL)),
           "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\","
           "\"content\":\"a\",\"prefix\":true}],\"max_tokens\":5}",
           "... with a flag");
    is_str(tap_c(prefill("openai", LLM_PREFILL_CONTINUE, chat, "a", NULL)),
           "{\"continue_final_message\":true,\"add_generation_prompt\":false,"
           "\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\","
           "\"content\":\"a\"}],\"max_tokens\":5}",
           "... with members of the server");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE,
                         "{\"max_completion_tokens\":2,\"messages\":"
                         "[{\"role\":\"user\"}]}", "a", NULL)),
           "{\"max_completion_tokens\":1,\"messages\":[{\"role\":\"user\"},"
           "{\"role\":\"assistant\",\"content\":\"a\"}]}",
           "a limit never gets to 0");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE, own, "a", NULL)),
           "none", "a client with a beginning of its own");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE, chat, "", NULL)),
           "none", "no text");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE, "{\"messages\":[]}",
                         "a", NULL)), "none", "no messages");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE, "{\"messages\":1}",
                         "a", NULL)), "none", "... or something else");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE, "[]", "a", NULL)),
           "none", "no request");
    is_str(tap_c(prefill("openai", LLM_PREFILL_MESSAGE,
                         "{\"continue_final_message\":false,\"messages\":"
                         "[{\"role\":\"user\"}]}", "a", NULL)),
           "none", "a client that knows these members");

    is_str(tap_c(prefill("anthropic", LLM_PREFILL_MESSAGE, chat, "a b \n",
                         "a b")),
           "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\","
           "\"content\":\"a b\"}],\"max_tokens\":5}",
           "anthropic: without white space at the end");
    is_str(tap_c(prefill("anthropic", LLM_PREFILL_MESSAGE, chat, " \n", NULL)),
           "none", "... and not with nothing else");
    is_str(tap_c(prefill("anthropic", LLM_PREFILL_MESSAGE,
                         "{\"messages\":[{\"role\":\"user\"}],\"thinking\":"
                         "{\"type\":\"enabled\"}}", "a", NULL)),
           "none", "... nor beside thinking");
    is_str(tap_c(prefill("anthropic", LLM_PREFILL_MESSAGE,
                         "{\"messages\":[{\"role\":\"user\"}],\"thinking\":"
                         "{\"type\":\"disabled\"}}", "a", NULL)),
           "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\","
           "\"content\":\"a\"}],\"thinking\":{\"type\":\"disabled\"}}",
           "... but where it is off");

    is_str(tap_c(prefill("gemini", LLM_PREFILL_MESSAGE,
                         "{\"contents\":[{\"role\":\"user\"}],"
                         "\"generationConfig\":{\"maxOutputTokens\":9}}",
                         "a", NULL)),
           "{\"contents\":[{\"role\":\"user\"},{\"role\":\"model\","
           "\"parts\":[{\"text\":\"a\"}]}],"
           "\"generationConfig\":{\"maxOutputTokens\":5}}", "gemini");
    is_str(tap_c(prefill("gemini", LLM_PREFILL_MESSAGE,
                         "{\"contents\":[{\"role\":\"model\"}]}", "a", NULL)),
           "none", "... that has a beginning already");
}


int
main(void)
{
    test_told();
    test_rest();
    test_prefill();

    return tap_done();
}
