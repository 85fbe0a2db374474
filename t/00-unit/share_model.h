/*
 * A model of the script SHARE (src/store/ngx_http_llm_share_script.c): one hash
 * in Redis.  The simulation runs on it; t/65-nodes/share.t compares it with the
 * real script in a real Redis.
 */

#ifndef SHARE_MODEL_H
#define SHARE_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MODEL_NODES  72
#define MODEL_NAME   24

typedef struct {
    char      id[MODEL_NAME];
    uint64_t  allow, seq, ends;
    char      run[MODEL_NAME];
} model_field_t;

typedef struct {
    char           run[MODEL_NAME];     /* "": there is no hash */
    uint64_t       since;
    uint64_t       expires;
    unsigned       n;
    model_field_t  field[MODEL_NODES];
} model_t;

typedef struct {
    char      id[MODEL_NAME];
    uint64_t  def;
    int       silent;
} model_peer_t;

typedef struct {
    char          node[MODEL_NAME];
    uint64_t      seq, allow, left, want, max, window, ttl, grace;
    unsigned      n;
    model_peer_t  peer[MODEL_NODES];
} model_args_t;

typedef struct {
    uint64_t  seq, allow, left, missing;
    char      mark[2 * MODEL_NAME];
} model_reply_t;


static model_field_t *
model_field(model_t *m, const char *id)
{
    unsigned  i;

    for (i = 0; i < m->n; i++) {
        if (strcmp(m->field[i].id, id) == 0) {
            return &m->field[i];
        }
    }

    return NULL;
}


static const model_peer_t *
model_peer(const model_args_t *a, const char *id)
{
    unsigned  i;

    for (i = 0; i < a->n; i++) {
        if (strcmp(a->peer[i].id, id) == 0) {
            return &a->peer[i];
        }
    }

    return NULL;
}


/* What another node counts as; a lender's word shortens *ends. */

static uint64_t
model_counts(const model_args_t *a, const model_field_t *f, uint64_t def,
    uint64_t now, uint64_t *ends)
{
    uint64_t  least;

    if (f == NULL || (a->window && f->ends <= now)) {
        return def;
    }

    if (a->window && f->allow < def) {
        least = a->left > a->window + a->window / 2
                ? a->left : a->window + a->window / 2;

        if (f->ends - now < least) {
            return def;
        }

        *ends = f->ends < *ends ? f->ends : *ends;
    }

    return f->allow;
}


static void
model_share(model_t *m, const model_args_t *a, uint64_t now, const char *run,
    model_reply_t *r)
{
    int64_t              room;
    uint64_t             ends, grant, def;
    unsigned             i;
    model_field_t       *f;
    const model_peer_t  *own;

    if (m->run[0] && now >= m->expires) {
        memset(m, 0, sizeof(*m));
    }

    f = model_field(m, a->node);

    if (f && f->seq >= a->seq) {
        r->seq = f->seq;
        r->allow = f->allow;
        r->left = f->ends > now ? f->ends - now : 0;
        r->missing = 0;
        snprintf(r->mark, sizeof(r->mark), "%s %llu", m->run,
                 (unsigned long long) m->since);
        return;
    }

    if (strcmp(m->run, run) != 0) {
        snprintf(m->run, sizeof(m->run), "%s", run);
        m->since = now;
    }

    own = model_peer(a, a->node);
    def = own ? own->def : 0;
    ends = now + 3 * a->window;
    room = (int64_t) a->max - (int64_t) a->allow;
    r->missing = 0;

    for (i = 0; i < a->n; i++) {
        if (strcmp(a->peer[i].id, a->node) == 0) {
            continue;
        }

        f = model_field(m, a->peer[i].id);
        r->missing += !a->peer[i].silent
                      && (f == NULL || strcmp(f->run, run) != 0);
        room -= (int64_t) model_counts(a, f, a->peer[i].def, now, &ends);
    }

    for (i = 0; i < m->n; i++) {
        if (strcmp(m->field[i].id, a->node) != 0
            && model_peer(a, m->field[i].id) == NULL)
        {
            room -= (int64_t) model_counts(a, &m->field[i], 0, now, &ends);
        }
    }

    grant = 0;

    if (r->missing && now - m->since < a->grace) {
        room = -1;
    }

    if (room > 0) {
        grant = (uint64_t) room < a->want ? (uint64_t) room : a->want;
    }

    if (a->allow + grant > def && a->window) {
        if (room < 0 || ends < now + a->left) {
            ends = now + a->left;
        }

    } else {
        ends = now + 3 * a->window;
    }

    f = model_field(m, a->node);

    if (f == NULL) {
        f = &m->field[m->n++];
        snprintf(f->id, sizeof(f->id), "%s", a->node);
    }

    f->allow = a->allow + grant;
    f->seq = a->seq;
    f->ends = ends;
    snprintf(f->run, sizeof(f->run), "%s", run);
    m->expires = now + a->ttl;

    r->seq = f->seq;
    r->allow = f->allow;
    r->left = ends - now;
    snprintf(r->mark, sizeof(r->mark), "%s %llu", m->run,
             (unsigned long long) m->since);
}

#endif /* SHARE_MODEL_H */
