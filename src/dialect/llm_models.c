/*
 * Lists of models: read in one form, written in another.  Nothing is decoded
 * but dates.
 */

#include "llm_hint.h"
#include "llm_models.h"
#include "llm_openai.h"

enum {
    LLM_MF_ID, LLM_MF_NAME, LLM_MF_OWNER, LLM_MF_CREATED, LLM_MF_COUNT
};


/* The names of members, as each form has them; empty: it has none. */
typedef struct {
    llm_str_t  list;
    llm_str_t  member[LLM_MF_COUNT];
    llm_str_t  owner;                   /* where nothing tells it */
    llm_str_t  query;
} llm_models_form_t;


static const llm_models_form_t  llm_models_forms[] = {
    [LLM_MODELS_OPENAI] = {
        .list = LLM_STR("data"),
        .member = {
            [LLM_MF_ID] = LLM_STR("id"),
            [LLM_MF_OWNER] = LLM_STR("owned_by"),
            [LLM_MF_CREATED] = LLM_STR("created")
        }
    },
    [LLM_MODELS_ANTHROPIC] = {
        .list = LLM_STR("data"),
        .member = {
            [LLM_MF_ID] = LLM_STR("id"),
            [LLM_MF_NAME] = LLM_STR("display_name"),
            [LLM_MF_CREATED] = LLM_STR("created_at")
        },
        .owner = LLM_STR("anthropic"),
        .query = LLM_STR("limit=1000")
    },
    [LLM_MODELS_GOOGLE] = {
        .list = LLM_STR("models"),
        .member = {
            [LLM_MF_ID] = LLM_STR("name"),
            [LLM_MF_NAME] = LLM_STR("displayName")
        },
        .owner = LLM_STR("google"),
        .query = LLM_STR("pageSize=1000")
    }
};


llm_str_t
llm_models_query(llm_models_t form)
{
    return llm_models_forms[form].query;
}


/* ---- writing ----------------------------------------------------------- */


static void
llm_models_text(llm_buf_t *out, llm_str_t before, llm_str_t text)
{
    llm_buf_str(out, before);
    llm_buf_str(out, text);
    llm_buf_str(out, LLM_STR("\""));
}


void
llm_models_put(llm_models_t form, const llm_model_entry_t *e, llm_buf_t *out)
{
    if (form == LLM_MODELS_ANTHROPIC) {
        llm_models_text(out, LLM_STR("{\"type\":\"model\",\"id\":\""), e->id);
        llm_models_text(out, LLM_STR(",\"display_name\":\""),
                        e->name.len ? e->name : e->id);
        llm_buf_str(out, LLM_STR(",\"created_at\":\""));
        llm_hint_put_rfc3339(out, e->created);
        llm_buf_str(out, LLM_STR("\"}"));
        return;
    }

    llm_models_text(out, LLM_STR("{\"id\":\""), e->id);
    llm_buf_str(out, LLM_STR(",\"object\":\"model\",\"created\":"));
    llm_json_put_uint(out, e->created);
    llm_models_text(out, LLM_STR(",\"owned_by\":\""), e->owner);
    llm_buf_str(out, LLM_STR("}"));
}


void
llm_models_begin(llm_model_list_t *list, llm_models_t form, llm_buf_t *out)
{
    memset(list, 0, sizeof(llm_model_list_t));
    list->form = form;
    list->out = out;

    llm_buf_str(out, form == LLM_MODELS_ANTHROPIC
                     ? LLM_STR("{\"data\":[")
                     : LLM_STR("{\"object\":\"list\",\"data\":["));
}


void
llm_models_add(llm_model_list_t *list, const llm_model_entry_t *e)
{
    if (list->n++ == 0) {
        list->first = e->id;
    } else {
        llm_buf_str(list->out, LLM_STR(","));
    }

    list->last = e->id;
    llm_models_put(list->form, e, list->out);
}


/* Further pages could not be asked for in this form, so there are none. */
void
llm_models_end(llm_model_list_t *list)
{
    if (list->form != LLM_MODELS_ANTHROPIC) {
        llm_buf_str(list->out, LLM_STR("]}"));

    } else if (list->n == 0) {
        llm_buf_str(list->out, LLM_STR("],\"has_more\":false,"
                                       "\"first_id\":null,\"last_id\":null}"));
    } else {
        llm_models_text(list->out, LLM_STR("],\"has_more\":false,"
                                           "\"first_id\":\""), list->first);
        llm_models_text(list->out, LLM_STR(",\"last_id\":\""), list->last);
        llm_buf_str(list->out, LLM_STR("}"));
    }
}


/* ---- reading ----------------------------------------------------------- */


/* "models/x" is x everywhere else. */
static llm_str_t
llm_models_id(llm_str_t id)
{
    size_t  i, n;

    static const llm_str_t  prefixes[] = {
        LLM_STR("models/"), LLM_STR("models\\/")
    };

    for (i = 0; i < 2; i++) {
        n = prefixes[i].len;

        if (id.len > n && memcmp(id.data, prefixes[i].data, n) == 0) {
            id.data += n;
            id.len -= n;
            break;
        }
    }

    return id;
}


static uint64_t
llm_models_created(const llm_json_want_t *w)
{
    uint64_t    n;
    llm_msec_t  ms;

    if (w->kind == LLM_JSON_NUMBER && llm_json_uint(w->value, &n) == LLM_OK) {
        return n;
    }

    if (w->kind == LLM_JSON_STRING
        && llm_hint_rfc3339(llm_openai_word(w->kind, w->value), &ms) == LLM_OK)
    {
        return ms / 1000;
    }

    return 0;
}


static llm_str_t
llm_models_string(const llm_json_want_t *w)
{
    return w->kind == LLM_JSON_STRING ? llm_openai_word(w->kind, w->value)
                                      : LLM_NOSTR;
}


static llm_rc_t
llm_models_read(llm_models_t from, llm_str_t model, llm_model_entry_t *e)
{
    unsigned                  i;
    llm_json_want_t           want[LLM_MF_COUNT];
    const llm_models_form_t  *form;

    form = &llm_models_forms[from];
    memset(want, 0, sizeof(want));

    for (i = 0; i < LLM_MF_COUNT; i++) {
        want[i].name = form->member[i];
        want[i].kind = LLM_JSON_NULL;
    }

    if (llm_openai_pick(model, want, LLM_MF_COUNT) != LLM_OK
        || want[LLM_MF_ID].kind != LLM_JSON_STRING
        || want[LLM_MF_ID].value.len <= 2)
    {
        return LLM_BAD;
    }

    e->id = llm_models_string(&want[LLM_MF_ID]);

    if (from == LLM_MODELS_GOOGLE) {
        e->id = llm_models_id(e->id);
    }

    e->name = llm_models_string(&want[LLM_MF_NAME]);
    e->owner = llm_models_string(&want[LLM_MF_OWNER]);
    e->created = llm_models_created(&want[LLM_MF_CREATED]);

    if (e->owner.len == 0) {
        e->owner = form->owner;
    }

    return LLM_OK;
}


llm_rc_t
llm_models_whole(llm_models_t from, llm_models_t to, llm_str_t body, int one,
    llm_buf_t *out)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_model_list_t   list;
    llm_model_entry_t  e;

    if (one) {

        if (llm_models_read(from, body, &e) != LLM_OK) {
            return LLM_BAD;
        }

        llm_models_put(to, &e, out);

        return LLM_OK;
    }

    if (llm_json_get(body, llm_models_forms[from].list, &m) != LLM_OK
        || m.kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, m.value) != LLM_OK)
    {
        return LLM_BAD;
    }

    llm_models_begin(&list, to, out);

    while (llm_json_next(&it, &m) == LLM_OK) {
        if (llm_models_read(from, m.value, &e) == LLM_OK) {
            llm_models_add(&list, &e);
        }
    }

    llm_models_end(&list);

    return LLM_OK;
}
