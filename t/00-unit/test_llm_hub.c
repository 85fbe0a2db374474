/*
 * What a target wants done to a request in the hub's form.
 */

#include "tap.h"

#include "llm_hub.h"


static const char *
kind(llm_field_do_t what)
{
    return what == LLM_FIELD_SET ? "set" : what == LLM_FIELD_DROP ? "drop"
           : what == LLM_FIELD_DEFAULT ? "default" : "rename";
}


/* "max_tokens=5 seed=7": the members of that index, and all names of a loss. */
static llm_str_t
told(const llm_hub_t *h, const unsigned *member, size_t n,
    const llm_loss_t *loss)
{
    size_t                i;
    llm_buf_t             b;
    static unsigned char  text[512];

    llm_buf_init(&b, text, sizeof(text));

    for (i = 0; i < n; i++) {
        llm_buf_str(&b, i ? LLM_STR(" ") : LLM_NOSTR);
        llm_buf_str(&b, h->member[member[i]].value.data
                        ? h->member[member[i]].value : LLM_STR("-"));
    }

    for (i = 0; i < loss->n; i++) {
        llm_buf_str(&b, LLM_STR(" "));
        llm_buf_str(&b, loss->name[i]);
    }

    return llm_buf_view(&b);
}


#define ASK(members)  "{\"messages\":[]" members "}"

static void
test_fields(void)
{
    size_t      i;
    llm_hub_t   h;
    llm_loss_t  loss, dropped;

    static const unsigned  seen[] = {
        LLM_H_MAX_TOKENS, LLM_H_MAX_COMPLETION_TOKENS, LLM_H_TEMPERATURE,
        LLM_H_STOP
    };

#define S(s)  { sizeof(s) - 1, (const unsigned char *) (s) }

    static const struct {
        const char   *body;
        llm_field_t   f;
        const char   *members;          /* max_tokens, max_completion_tokens,
                                           temperature, stop; losses */
        const char   *dropped;
    } t[] = {
        { ASK(",\"temperature\":1"),
          { .name = S("temperature"), .json = S("0.5") }, "- - 0.5 -", "" },
        { ASK(""), { .name = S("temperature"), .json = S("0.5") },
          "- - 0.5 -", "" },
        { ASK(",\"temperature\":1"),
          { .name = S("temperature"), .json = S("0.5"),
            .what = LLM_FIELD_DEFAULT }, "- - 1 -", "" },
        { ASK(",\"temperature\":null"),
          { .name = S("temperature"), .json = S("0.5"),
            .what = LLM_FIELD_DEFAULT }, "- - 0.5 -", "" },
        { ASK(",\"temperature\":1,\"stop\":\"x\""),
          { .name = S("temperature"), .what = LLM_FIELD_DROP },
          "- - - \"x\"", " temperature" },
        { ASK(",\"temperature\":null"),
          { .name = S("temperature"), .what = LLM_FIELD_DROP }, "- - - -",
          "" },
        /* both names of the limit are one */
        { ASK(",\"max_completion_tokens\":9"),
          { .name = S("max_tokens"), .json = S("5") }, "5 - - -", "" },
        { ASK(",\"max_completion_tokens\":9,\"max_tokens\":8"),
          { .name = S("max_tokens"), .json = S("5"),
            .what = LLM_FIELD_DEFAULT }, "9 - - -", "" },
        { ASK(",\"max_tokens\":9"),
          { .name = S("max_completion_tokens"), .what = LLM_FIELD_DROP },
          "- - - -", " max_completion_tokens" },
        { ASK(",\"max_tokens\":9"),
          { .name = S("max_tokens"), .to = S("max_completion_tokens"),
            .what = LLM_FIELD_RENAME }, "9 - - -", "" },
        /* names that the hub does not know */
        { ASK(",\"x\":9"), { .name = S("x"), .what = LLM_FIELD_DROP },
          "- - - -", " x" },
        { ASK(",\"x\":9"), { .name = S("y"), .what = LLM_FIELD_DROP },
          "- - - - x", "" },
        { ASK(",\"x\":9"), { .name = S("y"), .json = S("1") }, "- - - - x",
          "" },
        { ASK(",\"x\":9"), { .name = S("x"), .to = S("max_tokens"),
            .what = LLM_FIELD_RENAME }, "9 - - -", "" },
        { ASK(",\"x\":9,\"max_tokens\":1"),
          { .name = S("x"), .to = S("max_tokens"),
            .what = LLM_FIELD_RENAME }, "1 - - -", "" },
        { ASK(",\"x\":9"), { .name = S("x"), .to = S("y"),
            .what = LLM_FIELD_RENAME }, "- - - - x", "" },
        { ASK(",\"stop\":9"), { .name = S("stop"), .to = S("y"),
            .what = LLM_FIELD_RENAME }, "- - - - stop", "" },
        { ASK(",\"temperature\":1,\"stop\":2"),
          { .name = S("temperature"), .to = S("stop"),
            .what = LLM_FIELD_RENAME }, "- - - 2", "" },
        { ASK(",\"temperature\":1,\"stop\":null"),
          { .name = S("temperature"), .to = S("stop"),
            .what = LLM_FIELD_RENAME }, "- - - 1", "" }
    };

#undef S

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        memset(&h, 0, sizeof(h));
        memset(&dropped, 0, sizeof(dropped));

        is_int(llm_hub_read(&h, tap_c(t[i].body), LLM_NOSTR, &loss), LLM_OK,
               t[i].body);
        llm_hub_fields(&h, &t[i].f, 1, &loss, &dropped);

        is_str(told(&h, seen, 4, &loss), t[i].members, kind(t[i].f.what));
        is_str(told(&h, seen, 0, &dropped), t[i].dropped, "... dropped");
    }

    (void) llm_hub_read(&h, LLM_STR(ASK(",\"max_completion_tokens\":9")),
                        LLM_NOSTR, &loss);
    llm_hub_fields(&h, NULL, 0, &loss, &dropped);
    ok(h.member[LLM_H_MAX_COMPLETION_TOKENS].value.len == 1,
       "without fields nothing is touched");
}


/* What was found before is not looked at again, and nothing else is missed. */
static void
test_known(void)
{
    llm_hub_t   h;
    llm_str_t   body, known;
    llm_loss_t  loss;

    body = LLM_STR("{\"model\":\"m\", \"messages\" : [{\"content\":\"]\"}] ,"
                   "\"stop\":1}");

    memset(&h, 0, sizeof(h));
    (void) llm_hub_read(&h, body, LLM_NOSTR, &loss);
    known = h.member[LLM_H_MESSAGES].value;

    memset(&h, 0, sizeof(h));
    is_int(llm_hub_read(&h, body, known, &loss), LLM_OK, "a known member");
    ok(h.member[LLM_H_MESSAGES].value.data == known.data
       && h.member[LLM_H_MESSAGES].value.len == known.len, "... is there");
    is_str(h.member[LLM_H_STOP].value, "1", "... and what is behind it");
    is_int(loss.n, 0, "... and nothing else");
}


static void
test_cannot(void)
{
    llm_hub_t   h;
    llm_loss_t  loss;

    memset(&h, 0, sizeof(h));
    memset(&loss, 0, sizeof(loss));

    is_int(llm_hub_cannot(&h, &loss, LLM_STR("n"), LLM_STR("No.")), LLM_NONE,
           "what matters cannot be left out");
    is_str(loss.param, "n", "... by name");
    is_int(loss.n, 0, "... and nothing was");

    h.lossy = 1;
    memset(&loss, 0, sizeof(loss));

    is_int(llm_hub_cannot(&h, &loss, LLM_STR("n"), LLM_STR("No.")), LLM_OK,
           "… unless it may");
    is_int(loss.n, 1, "... which is told");
    is_str(loss.name[0], "n", "... by name");
}


int
main(void)
{
    test_fields();
    test_known();
    test_cannot();

    return tap_done();
}
