/*
 * Templates in, answers out: placeholders, escaping, unwrapping, repair.
 */

#include "tap.h"
#include "llm_prompt.h"

static llm_piece_t    pieces[32];
static unsigned char  literals[4096], rendered[8192];


static llm_rc_t
compile(const char *text, int members, llm_template_t *t)
{
    llm_rc_t   rc;
    llm_buf_t  mem;

    t->piece = NULL;
    rc = llm_template_compile(tap_c(text), members, t, NULL);
    if (rc != LLM_OK) {
        return rc;
    }

    t->piece = pieces;
    llm_buf_init(&mem, literals, strlen(text));

    return llm_template_compile(tap_c(text), members, t, &mem);
}


static void
renders(const char *text, const char *body, const char *want,
    const char *name)
{
    llm_rc_t        rc;
    llm_buf_t       out;
    llm_str_t       missing;
    llm_template_t  t;

    if (!ok(compile(text, 1, &t) == LLM_OK, name)) {
        return;
    }

    missing = LLM_NOSTR;
    llm_buf_init(&out, rendered, sizeof(rendered));
    rc = llm_template_render(&t, tap_c(body), &out, &missing);

    if (want[0] == '!') {
        is_int(rc, LLM_NONE, name);
        is_str(missing, want + 1, name);
        return;
    }

    is_int(rc, LLM_OK, name);
    is_str(llm_buf_view(&out), want, name);
}


static void
test_templates(void)
{
    llm_buf_t       out;
    llm_str_t       missing;
    llm_template_t  t;

    renders("Rate: {text}", "{\"text\":\"hi\"}", "Rate: hi", "a member");
    renders("{a}{b}", "{\"b\":\"2\",\"a\":\"1\"}", "12", "two neighbours");
    renders("", "{}", "", "an empty template");
    renders("x", "{}", "x", "a literal");
    renders("{/a/0/b}", "{\"a\":[{\"b\":\"deep\"}]}", "deep", "a pointer");
    renders("{/a~1b}", "{\"a/b\":\"s\"}", "s", "an escaped pointer");
    renders("{n} {o} {t} {z}",
            "{\"n\":1.50,\"o\":{\"k\": [\"v\"]},\"t\":true,\"z\":null}",
            "1.50 {\\\"k\\\": [\\\"v\\\"]} true null",
            "what is no string goes in as JSON");
    renders("a {{text}} b", "{\"text\":\"no\"}", "a {text}} b",
            "a doubled brace");
    renders("{ text } {\"k\":1} {} {1a} {a b} {", "{}",
            "{ text } {\\\"k\\\":1} {} {1a} {a b} {", "literal braces");
    renders("{text}", "{\"text\":\"{other} {{\"}", "{other} {{",
            "inserted text is not scanned again");
    renders("{text}", "{\"text\":\"a\\\"b\\\\c\\nd\\u0001\\u0000\"}",
            "a\\\"b\\\\c\\nd\\u0001\\u0000", "inserted text is escaped");
    renders("say \"{text}\"\n", "{\"text\":\"x\"}", "say \\\"x\\\"\\n",
            "literals are escaped");
    renders("{text}", "{\"text\":\"\\u0633\\ud83d\\ude00\\/\"}",
            "\xd8\xb3\xf0\x9f\x98\x80/", "escapes are decoded");
    renders("{text}", "{\"text\":\"\\ud83dx\\ude00\"}",
            "\xef\xbf\xbdx\xef\xbf\xbd", "lone surrogates are replaced");
    renders("{text}", "{\"text\":\"a\xffz\"}", "a\xef\xbf\xbdz",
            "invalid UTF-8 is replaced");
    renders("\xd9\x85 {\xd9\x85}", "{\"\xd9\x85\":\"1\"}", "\xd9\x85 1",
            "names may be of any script");
    renders("{a} {b}", "{\"a\":1}", "!b", "a missing member is named");
    renders("{/a/7}", "{\"a\":[]}", "!/a/7", "a missing element is named");

    is_int(compile("{/a~2}", 1, &t), LLM_BAD, "a wrong pointer is refused");

    is_int(compile("You are {text} {{", 0, &t), LLM_OK, "without members");
    llm_buf_init(&out, rendered, sizeof(rendered));
    is_int(llm_template_render(&t, tap_c("{}"), &out, &missing), LLM_OK,
           "without members nothing can be missing");
    is_str(llm_buf_view(&out), "You are {text} {{",
           "without members braces are literal");

    compile("{text}", 1, &t);
    llm_buf_init(&out, rendered, 3);
    is_int(llm_template_render(&t, tap_c("{\"text\":\"long\"}"), &out,
                               &missing),
           LLM_FULL, "too little room");

    t.piece = pieces;
    t.n = 1;
    llm_buf_init(&out, literals, sizeof(literals));
    is_int(llm_template_compile(tap_c("{a}{b}"), 1, &t, &out), LLM_FULL,
           "too few pieces");
}


static void
unwraps(llm_str_t text, int repair, const char *want, const char *name)
{
    llm_rc_t         rc;
    const char      *why;
    llm_unwrapped_t  u;

    why = "";
    memset(&u, 0, sizeof(u));
    rc = llm_answer_unwrap(text, repair, &u, &why);

    if (want[0] == '!') {
        is_int(rc, LLM_BAD, name);
        is_str(tap_c(why), want + 1, name);
        return;
    }

    if (!is_int(rc, LLM_OK, name)) {
        printf("# %s\n", why);
        return;
    }

    is_str(u.json, want[0] == '~' ? want + 1 : want, name);
    is_int(u.repaired, want[0] == '~', name);
    ok(u.json.data >= text.data
       && u.json.data + u.json.len <= text.data + text.len,
       "it lies inside the text");
}


static void
test_fixtures(void)
{
    size_t  i;

    static const struct {
        const char  *name, *strict, *repaired;
    } cases[] = {
        { "valid",
          "{\"sentiment\":\"neutral\",\"score\":0.1,"
          "\"topics\":[\"delivery\"]}", NULL },
        { "unicode",
          "{\"sentiment\":\"positive\",\"score\":1,\"topics\":[\"gr\xc3\xb6"
          "\xc3\x9f" "e\",\"\\ud83d\\ude00\",\"\xe6\x97\xa5\xe6\x9c\xac\"]}",
          NULL },
        { "wrong-type",
          "{\"sentiment\":\"neutral\",\"score\":\"high\",\"topics\":[]}",
          NULL },
        { "missing-key", "{\"sentiment\":\"neutral\"}", NULL },
        { "fenced", "!not JSON",
          "~{\"sentiment\":\"neutral\",\"score\":0.1,\"topics\":[]}" },
        { "chatter", "!not JSON",
          "~{\"sentiment\":\"neutral\",\"score\":0.1,\"topics\":[]}" },
        { "two-objects", "!two objects", "!two objects" },
        { "trailing-comma", "!not JSON", "!not JSON" },
        { "truncated", "!truncated", "!truncated" },
        { "empty", "!empty", "!empty" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char       file[64];
        llm_str_t  text;

        snprintf(file, sizeof(file), "app/model-output.%s.txt",
                 cases[i].name);
        text = tap_fixture(file);

        unwraps(text, 0, cases[i].strict, cases[i].name);
        unwraps(text, 1, cases[i].repaired ? cases[i].repaired
                                           : cases[i].strict, cases[i].name);
    }
}


static void
test_unwrap(void)
{
    unwraps(tap_c(" \n{\"a\":1}\t"), 0, "{\"a\":1}", "white space around");
    unwraps(tap_c("[1]"), 1, "!an array, not an object", "an array");
    unwraps(tap_c("12"), 1, "!not an object", "a number");
    unwraps(tap_c("{\"a\":1} yes"), 0, "!text behind the object", "behind");
    unwraps(tap_c("no idea"), 1, "!not JSON", "prose");
    unwraps(tap_c("Here {name}: {\"a\":{\"b\":\"}\"}} bye"), 1,
            "~{\"a\":{\"b\":\"}\"}}", "braces in the chatter");
    unwraps(tap_c("{\"a\":{\"b\":1},}"), 1, "!not JSON",
            "an object inside a broken one is not the answer");
    unwraps(tap_c("{a: {\"b\":1}}"), 1, "!not JSON", "a script's object");
    unwraps(tap_c("Here: [{\"a\":1}]"), 1, "!an array, not an object",
            "an object inside an array is not the answer");
    unwraps(tap_c("[{\"a\":1},"), 1, "!an array, not an object",
            "nor inside a truncated array");
    unwraps(tap_c("see [1] {\"a\":1}"), 1, "~{\"a\":1}", "a citation");
    unwraps(tap_c("```\n{\"a\":1}\n```\n```\n{\"b\":1}\n```"), 1,
            "!two objects", "two fences");
    unwraps(tap_c("ok {\"a\":1} and {"), 1, "!truncated", "an open brace");
    unwraps(tap_c("{\"a\":01}"), 1, "!not JSON", "a bad number");
    unwraps(tap_c("{\"a\":1e400,\"a\":2}"), 0, "{\"a\":1e400,\"a\":2}",
            "bytes of the object stay as they are");
    unwraps(tap_c("}{\"a\":1}"), 1, "~{\"a\":1}", "a closing brace first");
    unwraps(tap_c("ok {}"), 1, "~{}", "an empty object");
    unwraps(tap_c("\xef\xbb\xbf{\"a\":1}"), 1, "~{\"a\":1}", "a BOM");
}


int
main(void)
{
    test_templates();
    test_fixtures();
    test_unwrap();

    return tap_done();
}
