/*
 * Shares: N nodes with the real code of the core, one model of Redis, and a
 * network that loses, delays, repeats and reorders.  Time is simulated, chance
 * has a printed seed; "test_llm_share SEED" runs everything with another one.
 *
 * Every admission is written down and counted again by naive models: no window
 * of any position holds more than the limit, whatever happened.
 */

#include <stdlib.h>

#include "tap.h"
#include "llm_share.h"
#include "share_model.h"

#define START    1795168800000ULL       /* 20 November 2026 10:00:00 GMT */
#define NODES    8
#define MESSAGES 65536
#define ADMITTED 400000
#define GRACE    3000


static uint64_t  seed = 88172645463325252ULL;


static const char *
tap_f(const char *fmt, ...)
{
    va_list      args;
    static char  text[256];

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    return text;
}


static uint64_t
rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return n ? seed % n : 0;
}


typedef struct {
    char               id[MODEL_NAME];
    int                up;              /* serves */
    int                cut;             /* cannot reach Redis */
    uint64_t           skew;            /* of its steady clock, ms */
    llm_limit_state_t  state;
    llm_share_t        share;
    llm_msec_t         news;            /* next look at the members */
    llm_share_node_t   member[NODES];   /* what it knows of all of them */
    uint32_t           n;
    unsigned           weight;          /* of the load */
    unsigned           fixed;           /* calendar: members of the window */
    uint64_t           fixed_start;
    llm_share_among_t  among;
} node_t;

/* A command on its way, a reply, or a want. */
typedef struct {
    llm_msec_t         at;
    int                kind;            /* 0 command, 1 reply, 2 want, 3 lost,
                                           4 say it again */
    int                to;
    int                from;
    uint64_t           start;
    llm_share_ask_t    ask;
    model_args_t      *args;
    model_reply_t      reply;
    uint32_t           mark;
    uint64_t           amount;
    int                owed;
} message_t;

typedef struct {
    llm_msec_t  at;
    unsigned    n;
} admitted_t;

typedef struct {
    llm_limit_t        limit;
    unsigned           n;
    unsigned           loss;            /* of commands and replies, per 1000 */
    unsigned           twice;           /* executed again, per 1000 */
    unsigned           late;            /* commands, per 1000 */
    unsigned           load;            /* requests a second, all nodes */
    unsigned           most;            /* units of a request */
    int                uneven;
} plan_t;


static node_t       node[NODES];
static llm_share_node_t  truth[NODES];  /* members, as Redis has them */
static llm_msec_t   since[NODES];       /* … there without a break */
static plan_t       plan;
static llm_msec_t   now;
static llm_msec_t   down;               /* Redis answers nothing until then */
static model_t      model, older;       /* the hash, and a replica's */
static uint64_t     model_start, older_start;
static char         run[MODEL_NAME];
static unsigned     runs;

static message_t   *queue[MESSAGES];
static unsigned     queued;
static admitted_t   admitted[ADMITTED];
static unsigned     admissions;
static uint64_t     total, refused, commands, wants;


static void
push(message_t *m)
{
    unsigned  i, up;

    if (queued == MESSAGES) {
        abort();
    }

    for (i = queued++; i; i = up) {
        up = (i - 1) / 2;

        if (queue[up]->at <= m->at) {
            break;
        }

        queue[i] = queue[up];
    }

    queue[i] = m;
}


static message_t *
pop(void)
{
    unsigned    i, child;
    message_t  *top, *last;

    top = queue[0];
    last = queue[--queued];

    for (i = 0; 2 * i + 1 < queued; i = child) {
        child = 2 * i + 1;
        child += child + 1 < queued && queue[child + 1]->at < queue[child]->at;

        if (queue[child]->at >= last->at) {
            break;
        }

        queue[i] = queue[child];
    }

    queue[i] = last;

    return top;
}


static message_t *
message(int kind, int to, int from, llm_msec_t delay)
{
    message_t  *m;

    m = calloc(1, sizeof(*m));
    m->at = now + delay;
    m->kind = kind;
    m->to = to;
    m->from = from;

    return m;
}


static llm_msec_t
window_ms(void)
{
    return plan.limit.dim == LLM_DIM_PARALLEL ? LLM_SHARE_GAUGE_MS
           : plan.limit.clock == LLM_CLOCK_CALENDAR ? 0
           : llm_limit_window(&plan.limit);
}


static uint64_t
calendar_start(void)
{
    uint64_t  start, next;

    llm_limit_calendar(&plan.limit, now, &start, &next);

    return plan.limit.clock == LLM_CLOCK_CALENDAR ? start : 0;
}


/* What node i knows, as it would find it in its zone. */

static void
view(int i, llm_share_view_t *v)
{
    node_t             *p;
    llm_share_among_t   a;

    p = &node[i];

    v->max = plan.limit.max;
    v->window = window_ms();
    v->start = calendar_start();
    v->now = now + p->skew;

    if (p->n == 0) {
        v->def = 0;
        memset(&p->among, 0, sizeof(p->among));
        return;
    }

    if (v->window == 0 && p->fixed && p->fixed_start == v->start) {
        v->def = llm_share_own(&p->among, v->max);
        return;
    }

    llm_share_among(p->member, p->n, (uint32_t) i, v->window, v->start, now,
                    &a);
    p->among = a;
    p->fixed = 1;
    p->fixed_start = v->start;
    v->def = llm_share_own(&a, v->max);
}


static uint64_t
used(int i, const llm_share_view_t *v)
{
    llm_limit_t  l;

    l = plan.limit;
    l.max = llm_share_rate(&node[i].share, v);

    return llm_limit_used(&l, &node[i].state,
                          l.clock == LLM_CLOCK_CALENDAR ? now : v->now);
}


static void
send_command(int i, const llm_share_view_t *v, const llm_share_ask_t *ask)
{
    uint32_t      k;
    unsigned      times;
    message_t    *m;
    model_args_t  args;

    commands++;
    memset(&args, 0, sizeof(args));
    snprintf(args.node, sizeof(args.node), "%s", node[i].id);
    args.seq = ask->seq;
    args.allow = ask->allow;
    args.left = ask->left;
    args.want = ask->want;
    args.max = v->max;
    args.window = v->window;
    args.ttl = v->window ? 5 * v->window : 90000000;
    args.grace = GRACE;

    for (k = 0; k < node[i].n; k++) {
        snprintf(args.peer[k].id, MODEL_NAME, "%s", node[k].id);
        args.peer[k].def = k == (uint32_t) i
                           ? v->def
                           : llm_share_other(&node[i].member[k],
                                             &node[i].among, v->window,
                                             v->start, now, v->max);
        args.peer[k].silent = now > node[i].member[k].seen + 30000;
    }

    args.n = node[i].n;

    /* lost on the way there, or executed, perhaps twice, perhaps much later */

    times = rnd(1000) < plan.loss ? 0 : rnd(1000) < plan.twice ? 2 : 1;

    while (times--) {
        m = message(0, -1, i, 1 + rnd(40)
                              + (rnd(1000) < plan.late ? rnd(20000) : 0));
        m->ask = *ask;
        m->start = v->start;
        m->args = malloc(sizeof(args));
        *m->args = args;
        push(m);
    }

    /* the deadline of the command */

    m = message(3, i, -1, 500);
    m->ask = *ask;
    m->start = v->start;
    push(m);
}


static void
execute(message_t *m)
{
    message_t  *r;

    if (now < down) {

        /* stopped, not dead: it is executed later */

        m->at = down + rnd(20);
        push(m);
        return;
    }

    if (m->start != model_start) {

        if (m->start < model_start) {       /* another key, nobody asks */
            goto done;
        }

        memset(&model, 0, sizeof(model));
        memset(&older, 0, sizeof(older));
        model_start = m->start;
    }

    r = message(1, m->from, -1, 1 + rnd(40));
    r->ask = m->ask;
    r->start = m->start;
    model_share(&model, m->args, now, run, &r->reply);

    if (rnd(1000) < plan.loss || node[m->from].cut) {
        free(r);

    } else {
        push(r);
    }

done:

    free(m->args);
    free(m);
}


static uint32_t
mark_of(const char *text)
{
    uint32_t  h;

    for (h = 5381; *text; text++) {
        h = h * 33 + (unsigned char) *text;
    }

    return h;
}


static void
replied(message_t *m)
{
    int                 i, k, more;
    message_t          *w;
    llm_share_view_t    v;
    llm_share_reply_t   r;

    i = m->to;
    view(i, &v);

    if (!node[i].up) {
        return;
    }

    r = (llm_share_reply_t) { m->reply.seq, m->reply.allow, m->reply.left,
                              m->reply.missing, mark_of(m->reply.mark) };

    /* a refill is folded before its rate changes */

    if (plan.limit.clock == LLM_CLOCK_REFILL) {
        llm_limit_t  l = plan.limit;

        l.max = llm_share_rate(&node[i].share, &v);
        llm_limit_take(&l, &node[i].state, 0, v.now);
    }

    more = llm_share_reply(&node[i].share, &v, &m->ask, &r);

    if (more & LLM_SHARE_AGAIN) {
        push(message(4, i, -1, 1));
    }

    more &= LLM_SHARE_TELL;

    for (k = 0; more && k < (int) plan.n; k++) {
        if (k != i && !node[k].cut && !node[i].cut
            && (r.missing || rnd(1000) >= plan.loss))
        {
            wants++;
            w = message(2, k, i, 1 + rnd(r.missing ? 1000 : 40));
            w->start = v.start;
            w->mark = r.mark;
            w->amount = m->ask.want;
            w->owed = node[i].share.allow < v.def;
            push(w);
        }
    }
}


static void
wanted(message_t *m)
{
    llm_share_ask_t   ask;
    llm_share_view_t  v;
    node_t           *p;

    p = &node[m->to];
    view(m->to, &v);

    if (!p->up || p->cut || m->start != v.start) {
        return;
    }

    llm_share_turn(&p->share, &v);

    if (plan.limit.clock == LLM_CLOCK_REFILL) {
        llm_limit_t  l = plan.limit;

        l.max = llm_share_rate(&p->share, &v);
        llm_limit_take(&l, &p->state, 0, v.now);
    }

    if (llm_share_lend(&p->share, &v, used(m->to, &v), m->mark, m->amount,
                       m->owed, &ask))
    {
        send_command(m->to, &v, &ask);
    }
}


static void
deliver(message_t *m)
{
    message_t        *again;
    llm_share_ask_t   ask;
    llm_share_view_t  v;

    switch (m->kind) {
    case 0:
        execute(m);
        return;
    case 1:
        replied(m);
        break;
    case 2:
        wanted(m);
        break;
    case 3:
        if (node[m->to].share.seq == m->ask.seq
            && (node[m->to].share.flags & LLM_SHARE_FLIGHT))
        {
            view(m->to, &v);

            if (llm_share_lost(&node[m->to].share, &v)) {
                again = message(4, m->to, -1, node[m->to].share.ask - v.now);
                push(again);
            }
        }
        break;
    case 4:
        view(m->to, &v);
        llm_share_turn(&node[m->to].share, &v);

        if (node[m->to].up
            && llm_share_again(&node[m->to].share, &v, used(m->to, &v), &ask))
        {
            send_command(m->to, &v, &ask);
        }
        break;
    }

    free(m);
}


/* A request at node i. */

static int
request(int i, uint64_t need)
{
    uint64_t          cap, rate, in_use;
    llm_limit_t       l;
    llm_msec_t        at;
    llm_share_ask_t   ask;
    llm_share_view_t  v;
    int               ok_, asks;
    node_t           *p;

    p = &node[i];
    view(i, &v);
    llm_share_turn(&p->share, &v);

    cap = llm_share_cap(&p->share, &v);
    rate = llm_share_rate(&p->share, &v);
    l = plan.limit;
    at = l.clock == LLM_CLOCK_CALENDAR ? now : v.now;
    in_use = used(i, &v);

    ok_ = need <= cap && in_use <= cap - need;

    if (ok_) {
        l.max = rate;
        llm_limit_take(&l, &p->state, need, at);

        if (admissions == ADMITTED) {
            abort();
        }

        admitted[admissions++] = (admitted_t) { now, (unsigned) need };
        total += need;

    } else {
        refused++;
    }

    asks = llm_share_need(&p->share, &v, in_use, need, !ok_);

    if (asks && !p->cut) {

        if (plan.limit.clock == LLM_CLOCK_REFILL) {
            l.max = rate;
            llm_limit_take(&l, &p->state, 0, v.now);
        }

        llm_share_ask(&p->share, &v, used(i, &v), &ask);
        send_command(i, &v, &ask);
    }

    return ok_;
}


/* As the script of the members does it: who was silent while others were not
 * joins anew. */

static void
heartbeat(unsigned i)
{
    unsigned  k;

    if (now - truth[i].seen > 60000) {

        for (k = 0; k < plan.n; k++) {
            if (k != i && since[k] <= truth[i].seen + 20000
                && truth[k].seen > truth[i].seen + 60000)
            {
                truth[i].joined = now;
                node[i].fixed = 0;
            }
        }
    }

    since[i] = now - truth[i].seen > 20000 ? now : since[i];
    truth[i].seen = now;
}


/* Heartbeats, and what each node knows of the others. */

static void
members(void)
{
    unsigned  i;

    for (i = 0; i < plan.n; i++) {

        if (!node[i].up || node[i].cut || now < down || now < node[i].news) {
            continue;
        }

        node[i].news = now + (rnd(10) ? 10000 : 1000);

        heartbeat(i);
        memcpy(node[i].member, truth, sizeof(truth));
        node[i].n = plan.n;
    }
}


static void
begin(const char *limit, llm_clock_t clock, unsigned n, unsigned load)
{
    unsigned  i;

    while (queued) {
        message_t  *m = pop();

        free(m->args);
        free(m);
    }

    memset(&plan, 0, sizeof(plan));
    memset(node, 0, sizeof(node));
    memset(truth, 0, sizeof(truth));
    memset(&model, 0, sizeof(model));
    memset(&older, 0, sizeof(older));

    if (llm_limit_parse(tap_c(limit), &plan.limit) != LLM_OK) {
        abort();
    }

    plan.limit.clock = clock;
    plan.n = n;
    plan.load = load;
    plan.most = 1;
    now = START;
    down = 0;
    model_start = 0;
    admissions = 0;
    total = refused = commands = wants = 0;
    snprintf(run, sizeof(run), "run%u", ++runs);

    for (i = 0; i < n; i++) {
        snprintf(node[i].id, MODEL_NAME, "node%u", i);
        node[i].up = 1;
        node[i].weight = 1;
        node[i].skew = rnd(100000);
        truth[i].seen = now;
        since[i] = now;
    }

    for (i = 0; i < n; i++) {
        memcpy(node[i].member, truth, sizeof(truth));
        node[i].n = n;
    }
}


/* Lets time pass: a millisecond is the smallest step. */

static void
simulate(llm_msec_t ms)
{
    unsigned    i, sum, pick;
    llm_msec_t  end, next;

    end = now + ms;
    next = now;

    for (now = now; now < end; now++) {

        while (queued && queue[0]->at <= now) {
            deliver(pop());
        }

        if (now % 100 == 0) {
            members();
        }

        if (plan.load == 0 || now < next) {
            continue;
        }

        next = now + rnd(2 * 1000 / plan.load + 1);

        for (sum = 0, i = 0; i < plan.n; i++) {
            sum += node[i].up ? node[i].weight : 0;
        }

        pick = (unsigned) rnd(sum);

        for (i = 0; sum && i < plan.n; i++) {
            if (!node[i].up) {
                continue;
            }

            if (pick < node[i].weight) {
                request((int) i, 1 + rnd(plan.most));
                break;
            }

            pick -= node[i].weight;
        }
    }
}


/* The most that any window of that length holds. */

static uint64_t
worst_sliding(llm_msec_t window)
{
    uint64_t  sum, worst;
    unsigned  i, from;

    for (sum = worst = 0, from = i = 0; i < admissions; i++) {
        sum += admitted[i].n;

        while (admitted[from].at + window <= admitted[i].at) {
            sum -= admitted[from++].n;
        }

        worst = sum > worst ? sum : worst;
    }

    return worst;
}


static uint64_t
worst_calendar(uint64_t *least)
{
    uint64_t  sum, worst, start, next, last;
    unsigned  i;

    *least = UINT64_MAX;

    for (sum = worst = last = 0, i = 0; i < admissions; i++) {
        llm_limit_calendar(&plan.limit, admitted[i].at, &start, &next);

        if (start != last && last) {
            *least = sum < *least ? sum : *least;
        }

        sum = start != last ? 0 : sum;
        last = start;
        sum += admitted[i].n;
        worst = sum > worst ? sum : worst;
    }

    return worst;
}


/* The fullest that one bucket of the whole limit would ever have been. */

static double
worst_refill(void)
{
    double    level, worst;
    unsigned  i;

    for (level = worst = 0, i = 0; i < admissions; i++) {
        if (i) {
            level -= (double) plan.limit.max
                     * (double) (admitted[i].at - admitted[i - 1].at)
                     / (double) llm_limit_window(&plan.limit);
        }

        level = level < 0 ? 0 : level;
        level += admitted[i].n;
        worst = level > worst ? level : worst;
    }

    return worst;
}


static void
sum_holds(const char *what)
{
    uint64_t  worst, least;
    double    level;

    switch (plan.limit.clock) {
    case LLM_CLOCK_CALENDAR:
        worst = worst_calendar(&least);
        break;
    case LLM_CLOCK_REFILL:
        level = worst_refill();
        worst = (uint64_t) level;

        if (level > (double) plan.limit.max + 1) {
            worst = plan.limit.max + 1 + (uint64_t) level;
        }
        break;
    default:
        worst = worst_sliding(llm_limit_window(&plan.limit));
    }

    if (worst > plan.limit.max + (plan.limit.clock == LLM_CLOCK_REFILL)) {
        printf("# %s: %llu of %llu\n", what, (unsigned long long) worst,
               (unsigned long long) plan.limit.max);
    }

    ok(worst <= plan.limit.max + (plan.limit.clock == LLM_CLOCK_REFILL), what);
}


static void
print_use(const char *what, llm_msec_t ms)
{
    printf("# %s: %llu admitted, %.1f %% of the limit, %llu refused, "
           "%llu commands, %llu wants\n", what, (unsigned long long) total,
           100.0 * (double) total / (double) plan.limit.max
           / ((double) ms / (double) llm_limit_window(&plan.limit)),
           (unsigned long long) refused, (unsigned long long) commands,
           (unsigned long long) wants);
}


static int
is_used(llm_msec_t ms, unsigned percent)
{
    return (double) total * 100.0 >= percent * (double) plan.limit.max
           * ((double) ms / (double) llm_limit_window(&plan.limit));
}


static const struct {
    const char   *limit;
    llm_clock_t   clock;
    const char   *name;
} kinds[] = {
    { "600r/m", LLM_CLOCK_SLIDING, "sliding" },
    { "600r/m", LLM_CLOCK_REFILL, "refill" },
    { "600r/m", LLM_CLOCK_CALENDAR, "calendar" },
    { "50r/m", LLM_CLOCK_CALENDAR, "small calendar" },
    { "7r/m", LLM_CLOCK_SLIDING, "tiny sliding" }
};

#define KINDS  (sizeof(kinds) / sizeof(kinds[0]))


/* Load as it comes, five times too much of it. */

static void
test_overload(void)
{
    size_t      i;
    unsigned    k, uneven;
    const char *name;

    for (i = 0; i < KINDS; i++) {
        for (uneven = 0; uneven < 3; uneven++) {
            begin(kinds[i].limit, kinds[i].clock, 3, 50);
            name = kinds[i].name;

            for (k = 0; k < 3; k++) {
                node[k].weight = uneven == 0 ? 1
                                 : uneven == 1 ? (k == 0 ? 94 : 3)
                                 : k == 1;
            }

            simulate(600000);
            sum_holds(tap_f("%s, unevenness %u: no window above", name,
                            uneven));
            print_use(name, 600000);

            if (plan.limit.max >= 50) {
                ok(is_used(600000, 90), tap_f("%s: 90 %% are used", name));
            }
        }
    }
}


/* The rest of a calendar's window converges to exactly nothing. */

static void
test_exact(void)
{
    uint64_t  least, worst;
    unsigned  k;

    for (k = 0; k < 20; k++) {
        begin("50r/m", LLM_CLOCK_CALENDAR, 3, 5);
        node[0].weight = 1 + (unsigned) rnd(100);
        node[1].weight = (unsigned) rnd(10);
        node[2].weight = (unsigned) rnd(3);
        plan.loss = k < 10 ? 0 : 30;
        simulate(180000 + 1000);

        worst = worst_calendar(&least);
        ok(worst == 50 && least == 50,
           tap_f("each minute exactly 50, seed %u: %u to %u", k,
                 (unsigned) least, (unsigned) worst));
    }
}


/* The network at its worst. */

static void
test_network(void)
{
    size_t    i;
    unsigned  k;

    for (i = 0; i < KINDS; i++) {
        for (k = 0; k < 4; k++) {
            begin(kinds[i].limit, kinds[i].clock, 2 + (unsigned) rnd(5), 40);
            plan.loss = 50 << k;
            plan.late = 100;
            plan.twice = plan.loss;
            node[0].weight = 1 + (unsigned) rnd(20);
            simulate(300000);
            sum_holds(tap_f("%s: %u of 1000 lost, repeated, late",
                            kinds[i].name, plan.loss));
        }
    }
}


/* Something happens every few seconds. */

static void
disturb(int faults)
{
    unsigned  i;

    i = (unsigned) rnd(plan.n);

    switch (rnd((uint64_t) faults)) {
    case 0:                             /* Redis stops and goes on */
        down = now + rnd(12000);
        break;
    case 1:                             /* a node is alone for a while */
        node[i].cut = !node[i].cut;
        break;
    case 2:                             /* load moves */
        node[i].weight = (unsigned) rnd(30);
        break;
    case 3:                             /* FLUSHALL, or a restart without data;
                                           nodes notice within a second */
        memset(&model, 0, sizeof(model));
        break;
    default:                            /* a replica takes over, without the
                                           newest writes */
        model = older;

        if (older_start != model_start) {       /* … of another key */
            memset(&model, 0, sizeof(model));
        }

        snprintf(run, sizeof(run), "run%u", ++runs);
        break;
    }
}


static void
test_faults(void)
{
    size_t    i;
    unsigned  k, t;

    for (i = 0; i < KINDS; i++) {
        for (k = 0; k < 6; k++) {
            begin(kinds[i].limit, kinds[i].clock, 3, 40);
            plan.loss = (unsigned) rnd(50);
            plan.twice = k < 3 ? plan.loss : 0;
            plan.most = k % 2 ? 1 : 3;

            for (t = 0; t < 100; t++) {
                simulate(1000 + rnd(5000));

                /* one thing at a time: a flush while a borrower is cut off is
                 * more than is promised */

                node[0].cut = node[1].cut = node[2].cut = 0;

                if (k >= 3) {
                    simulate(2000);
                }

                disturb(k < 3 ? 3 : 5);
                simulate(500 + rnd(1000));
                older = model;
                older_start = model_start;
                simulate(rnd(1000));
            }

            sum_holds(tap_f("%s: faults, round %u", kinds[i].name, k));
        }
    }
}


/* Nodes come and go. */

static void
test_members(void)
{
    size_t    i;
    unsigned  k, t, who, up;

    for (i = 0; i < KINDS; i++) {
        for (k = 0; k < 4; k++) {
            begin(kinds[i].limit, kinds[i].clock, 6, 60);

            for (t = 3; t < 6; t++) {
                node[t].up = 0;
                node[t].n = 0;
                truth[t].seen = 0;
                truth[t].joined = UINT64_MAX / 2;
                memcpy(node[0].member, truth, sizeof(truth));
                memcpy(node[1].member, truth, sizeof(truth));
                memcpy(node[2].member, truth, sizeof(truth));
            }

            for (t = 0; t < 12; t++) {
                simulate(30000 + rnd(60000));
                who = (unsigned) rnd(6);

                if (node[who].up) {
                    node[who].up = 0;

                } else {
                    /* with another name, and nothing in its memory */

                    memset(&node[who].state, 0, sizeof(node[who].state));
                    memset(&node[who].share, 0, sizeof(node[who].share));
                    snprintf(node[who].id, MODEL_NAME, "node%u.%u", who, t);
                    node[who].fixed = 0;
                    node[who].n = 0;
                    node[who].news = now + 300;
                    node[who].up = truth[who].seen == 0
                                   || now - truth[who].seen > 200000;
                    if (node[who].up) {
                        truth[who].joined = now;
                        truth[who].seen = now;
                        since[who] = now;
                    }
                }

                for (up = who = 0; who < 6; who++) {
                    up += node[who].up;
                }

                if (up == 0) {
                    node[0].up = 1;
                    node[0].n = 0;
                    node[0].news = now;
                    node[0].fixed = 0;
                }
            }

            sum_holds(tap_f("%s: nodes come and go, round %u", kinds[i].name,
                            k));
        }
    }
}


static void
test_defaults(void)
{
    uint64_t           sum;
    uint32_t           i;
    llm_share_node_t   n[3];
    llm_share_among_t  a;

    for (sum = 0, i = 0; i < 3; i++) {
        sum += llm_share_default(50, 3, i);
    }

    is_int((long long) sum, 50, "parts of 50");
    is_int((long long) llm_share_default(2, 3, 2), 0, "parts of 2");
    is_int((long long) llm_share_default(7, 0, 0), 0, "among nobody");

    memset(n, 0, sizeof(n));
    n[0].seen = n[1].seen = START;
    n[2].seen = START;
    n[2].joined = START - 5000;

    llm_share_among(n, 3, 0, 0, START / 1000 - 3600, START, &a);
    ok(a.n == 2 && a.settled == 2 && a.self, "a day that began before");
    llm_share_among(n, 3, 2, 0, START / 1000 - 3600, START, &a);
    is_int((long long) llm_share_own(&a, 50), 0, "who came later has nothing");
    is_int((long long) llm_share_other(&n[1], &a, 0, START / 1000 - 3600,
                                       START, 51), 26,
           "and assumes no less than they take");
    llm_share_among(n, 3, 1, 60000, 0, START, &a);
    ok(a.n == 3 && a.settled == 2 && a.rank == 1, "others make room at once");
    n[0].seen = n[1].seen = n[2].seen = START + 120000;
    llm_share_among(n, 3, 2, 60000, 0, START + 120000, &a);
    ok(a.n == 3 && a.settled == 3 && a.self, "a minute later it is settled");

    n[1].seen = START - 200000;
    llm_share_among(n, 3, 0, 60000, 0, START + 120000, &a);
    ok(a.n == 2, "a dead one is not asked");
    llm_share_among(n, 3, 0, 0, START / 1000 + 7200, START + 7200000, &a);
    ok(a.n == 1, "nor is it in a new hour");
    llm_share_among(n, 3, 0, 0, START / 1000, START, &a);
    ok(a.n == 2, "but who lost Redis divides a calendar for ten minutes");
    n[1].left = n[1].seen;
    llm_share_among(n, 3, 0, 0, START / 1000, START, &a);
    ok(a.n == 1, "unless it said good-bye");
}


static void
test_want(void)
{
    llm_buf_t         b;
    llm_str_t         rest;
    llm_share_want_t  w, x;
    unsigned char     text[LLM_SHARE_WANT_TEXT + 16];
    size_t            i;

    static const char *const  bad[] = {
        "", "want", "0123456789abcdef", "0123456789abcdef 1 2 x 5 6 7 8 9 0 0",
        "0123456789abcdeg 1 2 s 5 6 7 8 9 0 0", "0123456789abcdef 1 2 s 5",
        "0123456789abcdef 1 2 s 0 6 7 8 9 0 0",
        "0123456789abcdef 1 2 s 99999999999999999 6 7 8 9 0",
        "0123456789abcdef 11112222333344445 2 s 5 6 7 8 9 0 0",
        "0123456789abcdef 1 2 s 5 6 7 8 9 2 0",
        "0123456789abcdef 1 2 c 5 6 7 8 9 1 0",
        "0123456789abcdef 1 2 s 5 6 7 8 9 0 0x",
    };

    w = (llm_share_want_t) { LLM_STR("0123456789abcdef"),
                             0xfedcba9876543210ULL, 7, 'c', LLM_MONEY_MAX, 0,
                             1795132800, 1795219200, 0xffffffff, 1, 38 };
    llm_buf_init(&b, text, sizeof(text));
    llm_share_want_put(&w, &b);
    llm_buf_put(&b, " pool", 5);

    ok(!b.full && llm_share_want_parse(llm_buf_view(&b), &x, &rest) == LLM_OK
       && x.id == w.id && x.subject == 7 && x.kind == 'c' && x.max == w.max
       && x.window == 0 && x.start == w.start && x.end == w.end
       && x.mark == w.mark && x.owed && x.amount == 38
       && llm_str_eq(x.node, w.node)
       && llm_str_eq(rest, LLM_STR("pool")), "a want, there and back");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(llm_share_want_parse(tap_c(bad[i]), &x, &rest) == LLM_BAD,
           tap_f("no want: \"%s\"", bad[i]));
    }
}


/* "model": one line in, one line out; see t/65-nodes/share.t. */

static int
serve_model(void)
{
    char           line[65536], def[32], *p;
    int            used_, k;
    uint64_t       at;
    char           with[MODEL_NAME];
    model_args_t   a;
    model_reply_t  r;

    setvbuf(stdout, NULL, _IOLBF, 0);

    while (fgets(line, sizeof(line), stdin)) {

        if (strncmp(line, "reset", 5) == 0) {
            memset(&model, 0, sizeof(model));
            continue;
        }

        memset(&a, 0, sizeof(a));
        p = line;

        if (sscanf(p, "%lu %23s %23s %lu %lu %lu %lu %lu %lu %lu %lu%n", &at,
                   with, a.node, &a.seq, &a.allow, &a.left, &a.want, &a.max,
                   &a.window, &a.ttl, &a.grace, &used_)
            != 11)
        {
            return 1;
        }

        for (p += used_, k = 0;
             k < MODEL_NODES
             && sscanf(p, "%23s %31s%n", a.peer[k].id, def, &used_) == 2;
             k++)
        {
            a.peer[k].silent = def[0] == 'x';
            a.peer[k].def = strtoull(def + a.peer[k].silent, NULL, 10);
            p += used_;
        }

        a.n = (unsigned) k;
        model_share(&model, &a, at, with, &r);
        printf("%lu %lu %lu %lu %s\n", r.seq, r.allow, r.left, r.missing,
               r.mark);
    }

    return 0;
}


int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "model") == 0) {
        return serve_model();
    }

    if (argc > 1) {
        seed = strtoull(argv[1], NULL, 10) | 1;
    }

    printf("# seed %llu\n", (unsigned long long) seed);

    test_defaults();
    test_want();
    test_overload();
    test_exact();
    test_network();
    test_faults();
    test_members();

    return tap_done();
}
