/*
 * Schemas and values as text: reading JSON strictly, and saying where something
 * is wrong with it.
 */

#include <stdio.h>
#include <stdlib.h>

#include "llm_schema_node.h"


void
llm_schema_put(llm_buf_t *b, const char *text)
{
    unsigned char  c;

    for ( /* void */ ; *text; text++) {
        c = (unsigned char) *text;
        if (c < 0x20 || c == 0x7f) {
            c = '?';
        }
        if (b->pos < b->end) {
            *b->pos++ = c;
        }
    }
}


static void
llm_schema_say_path(llm_buf_t *b, const llm_path_t *at)
{
    char  index[24];

    if (at->up == NULL) {
        return;
    }

    llm_schema_say_path(b, at->up);
    llm_schema_put(b, "/");

    if (at->key) {
        llm_schema_put(b, at->key);

    } else {
        snprintf(index, sizeof(index), "%zu", at->index);
        llm_schema_put(b, index);
    }
}


void
llm_schema_say(char *err, size_t err_size, const llm_path_t *at,
    const char *text, const char *word)
{
    llm_buf_t  b;

    if (err_size == 0) {
        return;
    }

    llm_buf_init(&b, err, err_size - 1);

    if (at) {
        llm_schema_say_path(&b, at);
        llm_schema_put(&b, at->up ? ": " : "/: ");
    }

    llm_schema_put(&b, text);

    if (word) {
        llm_schema_put(&b, " \"");
        llm_schema_put(&b, word);
        llm_schema_put(&b, "\"");
    }

    *b.pos = '\0';
}


/* Whether a string of this JSON text has a \u0000, which a C string ends at. */
static int
llm_schema_has_nul(llm_str_t text)
{
    size_t  i;

    for (i = 0; i + 5 < text.len; i++) {
        if (text.data[i] != '\\') {
            continue;
        }
        if (memcmp(&text.data[i], "\\u0000", 6) == 0) {
            return 1;
        }
        i++;
    }

    return 0;
}


static int
llm_schema_by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}


static const char *
llm_schema_duplicate_here(const cJSON *object)
{
    size_t         i, n;
    const char   **name, *found;
    const cJSON   *item;

    n = (size_t) cJSON_GetArraySize(object);
    if (n < 2) {
        return NULL;
    }

    name = malloc(n * sizeof(char *));
    if (name == NULL) {
        return "(no memory)";
    }

    n = 0;
    cJSON_ArrayForEach(item, object) {
        name[n++] = item->string;
    }

    qsort(name, n, sizeof(char *), llm_schema_by_name);

    found = NULL;

    for (i = 1; i < n && found == NULL; i++) {
        if (strcmp(name[i - 1], name[i]) == 0) {
            found = name[i];
        }
    }

    free(name);

    return found;
}


const char *
llm_schema_duplicate(const cJSON *item)
{
    const char   *found;
    const cJSON  *child;

    found = cJSON_IsObject(item) ? llm_schema_duplicate_here(item) : NULL;

    if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
        for (child = item->child; child && !found; child = child->next) {
            found = llm_schema_duplicate(child);
        }
    }

    return found;
}


cJSON *
llm_schema_parse(llm_str_t text, char *err, size_t err_size)
{
    cJSON       *item;
    const char  *end, *twice;

    if (llm_json_check(text) != LLM_OK) {
        llm_schema_say(err, err_size, NULL, "not JSON", NULL);
        return NULL;
    }

    if (llm_schema_has_nul(text)) {
        llm_schema_say(err, err_size, NULL, "a NUL character in a string",
                       NULL);
        return NULL;
    }

    item = cJSON_ParseWithLengthOpts((const char *) text.data, text.len, &end,
                                     0);
    if (item == NULL) {
        llm_schema_say(err, err_size, NULL, "not readable JSON", NULL);
        return NULL;
    }

    /* what stands behind the value was checked to be white space */

    twice = llm_schema_duplicate(item);

    if (twice) {
        llm_schema_say(err, err_size, NULL, "duplicate key", twice);
        cJSON_Delete(item);
        return NULL;
    }

    return item;
}
