/*
 * Documents of several nodes: which of two wins, what a tombstone does, and
 * that all come to the same whatever happens in which order.
 */

#include "tap.h"
#include "llm_rollout_merge.h"

#define NOW     1795168800000ULL
#define NOBODY  LLM_ROLLOUT_NOBODY
#define NODES   4

static const llm_rollout_conf_t  conf = {
    .canary = 1,
    .step = { 500, 2500, 5000, 10000 },
    .step_n = 4,
    .bake = 600000,
    .soak = 600000
};

/* What a node has; the last one is Redis. */
typedef struct {
    llm_split_doc_t  doc;
    uint8_t          owner[LLM_SPLIT_BUCKETS];
} node_t;


static void
init(node_t *n)
{
    static const uint32_t  all[] = { 10000, 0, 0 };

    memset(n, 0, sizeof(node_t));
    llm_rollout_init(&n->doc, n->owner, all, 3, 42, NOW);
}


static llm_act_result_t
act_as(node_t *n, llm_verb_t verb, uint32_t variant, uint64_t random)
{
    llm_act_t  a;

    memset(&a, 0, sizeof(a));

    a.verb = verb;
    a.variant = variant;
    a.random = random;
    a.force = 1;
    a.now = NOW;

    return llm_rollout_act(&conf, &n->doc, n->owner, &a);
}


static llm_act_result_t
act(node_t *n, llm_verb_t verb)
{
    return act_as(n, verb, NOBODY, 4711);
}


static llm_act_result_t
set(node_t *n, uint32_t a, uint32_t b, uint32_t c, uint64_t random)
{
    uint32_t   weight[3] = { a, b, c };
    llm_act_t  x;

    memset(&x, 0, sizeof(x));

    x.verb = LLM_VERB_SET;
    x.variant = NOBODY;
    x.weight = weight;
    x.random = random;
    x.force = 1;
    x.now = NOW;

    return llm_rollout_act(&conf, &n->doc, n->owner, &x);
}


static int
merge(node_t *n, const node_t *other)
{
    return llm_rollout_merge(&n->doc, n->owner, &other->doc, other->owner);
}


static uint64_t
tag(const node_t *n)
{
    return llm_rollout_tag(&n->doc, n->owner);
}


/* Buckets are as the weights say, nobody barred has any. */
static int
sound(const node_t *n)
{
    uint32_t  i, count[256];

    memset(count, 0, sizeof(count));

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        count[n->owner[i]]++;
    }

    for (i = 0; i < n->doc.n; i++) {
        if (count[i] != n->doc.weight[i]
            || (count[i] && llm_rollout_is_barred(&n->doc, i)))
        {
            return 0;
        }
    }

    return llm_split_is_whole(n->doc.weight, n->doc.n);
}


/* Both ways come to the same; what the first one said. */
static int
both(const node_t *a, const node_t *b, node_t *out)
{
    int     said;
    node_t  back;

    *out = *a;
    back = *b;

    said = merge(out, b);
    (void) merge(&back, a);

    ok(tag(out) == tag(&back), "the other way round it is the same");
    ok(sound(out) && sound(&back), "buckets and weights agree");

    return said;
}


static void
test_versions(void)
{
    node_t  a, b, m;

    init(&a);
    b = a;

    is_int(both(&a, &b, &m), 0, "equal documents have nothing to say");

    (void) act(&b, LLM_VERB_START);
    is_int(both(&a, &b, &m), LLM_MERGE_TOOK, "the newer one is taken");
    is_int(m.doc.weight[1], 500, "with its weights");

    is_int(both(&b, &a, &m), LLM_MERGE_PUSH, "the older one is to hear of it");
    is_int(m.doc.version, 2, "and changes nothing here");
    ok(tag(&a) != tag(&b), "tags tell them apart");

    m = b;
    m.doc.since += 7;
    m.doc.until += 7;
    is_int(merge(&b, &m), 0, "clocks that differ are no difference");
}


static void
test_same_version(void)
{
    node_t  a, b, m, base;

    init(&base);
    (void) act(&base, LLM_VERB_START);
    (void) act(&base, LLM_VERB_PROMOTE);

    a = base;
    b = base;
    (void) act(&a, LLM_VERB_PROMOTE);
    (void) act(&b, LLM_VERB_PAUSE);
    (void) both(&a, &b, &m);
    is_int(m.doc.state, LLM_ROLLOUT_PAUSED, "paused wins over progressing");

    a = base;
    (void) act(&a, LLM_VERB_ABORT);
    (void) both(&a, &b, &m);
    is_int(m.doc.state, LLM_ROLLOUT_ROLLED_BACK, "rolled back over paused");
    is_int(m.doc.weight[1], 0, "and has no weight");

    a = base;
    b = base;
    (void) set(&a, 8000, 2000, 0, 1);
    (void) set(&b, 9000, 1000, 0, 1);
    (void) both(&a, &b, &m);
    is_int(m.doc.weight[1], 1000, "of two weights the lower wins");

    a = base;
    b = base;
    (void) set(&a, 7000, 2500, 500, 1);
    (void) set(&b, 7100, 2500, 400, 1);
    ok(both(&a, &b, &m) != 0, "otherwise one of them");
    ok(tag(&m) == tag(&a) || tag(&m) == tag(&b), "as it is");
}


static void
test_tombs(void)
{
    node_t  a, b, m, late;

    init(&a);
    (void) act(&a, LLM_VERB_START);
    b = a;

    (void) act(&a, LLM_VERB_ABORT);
    is_int(a.doc.tomb[0].version, a.doc.version, "an abort has a tombstone");

    (void) act(&b, LLM_VERB_PROMOTE);
    (void) act(&b, LLM_VERB_PROMOTE);
    late = b;

    is_int(both(&a, &b, &m), LLM_MERGE_TOOK|LLM_MERGE_PUSH,
       "who went on without hearing of it");
    is_int(m.doc.version, b.doc.version, "has the greater version");
    is_int(m.doc.weight[1], 0, "but no weight");
    is_int(m.doc.state, LLM_ROLLOUT_ROLLED_BACK, "is rolled back");
    ok(llm_rollout_is_barred(&m.doc, 1), "and barred");

    /* completed elsewhere */

    (void) act(&b, LLM_VERB_PROMOTE_FULL);
    (void) act(&b, LLM_VERB_PROMOTE);
    is_int(b.doc.base, 1, "the canary took over on the other side");

    (void) both(&a, &b, &m);
    is_int(m.doc.base, 0, "the baseline of before is the baseline again");
    is_int(m.doc.weight[0], 10000, "with all the weight");

    /* a new attempt has another id */

    is_int(act_as(&m, LLM_VERB_START, NOBODY, 4712), LLM_ACT_DONE,
           "started again");
    (void) both(&m, &late, &b);
    is_int(b.doc.weight[1], 500, "a tombstone is of one rollout");
    is_int(b.doc.version, m.doc.version, "the late document changes nothing");
}


/* What lifts a bar is another attempt, too. */
static void
test_force(void)
{
    node_t  a, b, m;

    init(&a);
    (void) set(&a, 9000, 1000, 0, 1);
    (void) act_as(&a, LLM_VERB_ABORT, 1, 2);
    b = a;

    is_int(set(&a, 9000, 1000, 0, 3), LLM_ACT_DONE, "forced back");
    is_int(both(&a, &b, &m), LLM_MERGE_PUSH, "the others are to take it");
    is_int(m.doc.weight[1], 1000, "its weight stays");

    (void) act_as(&a, LLM_VERB_ABORT, 1, 4);
    b = a;
    is_int(act_as(&a, LLM_VERB_SWAP, 1, 5), LLM_ACT_DONE, "swapped by force");
    (void) both(&a, &b, &m);
    is_int(m.doc.base, 1, "and stays swapped");
}


static void
test_epochs(void)
{
    node_t  a, b, m;

    init(&a);
    (void) act(&a, LLM_VERB_START);
    b = a;
    b.doc.epoch = 2;

    is_int(merge(&a, &b), LLM_MERGE_TOOK, "a repair is news");
    is_int(a.doc.epoch, 2, "of the epoch");

    /* who repaired had not heard of the last change */

    a.doc.epoch = 1;
    (void) act(&a, LLM_VERB_PAUSE);
    is_int(both(&a, &b, &m), LLM_MERGE_TOOK|LLM_MERGE_PUSH, "nobody goes back");
    is_int(m.doc.epoch, 2, "the repair counts");
    is_int(m.doc.version, a.doc.version, "the newest content too");
    is_int(m.doc.state, LLM_ROLLOUT_PAUSED, "as it was");
}


static void
test_many_tombs(void)
{
    node_t      a, b;
    unsigned    i;
    uint64_t    want;
    llm_tomb_t  t;

    init(&a);
    b = a;

    for (i = 1; i <= 12; i++) {
        t.version = 100 + i;
        t.rollout = i;
        t.variant = 1;
        a.doc.tomb[0] = t;
        (void) merge(&b, &a);
        memset(a.doc.tomb, 0, sizeof(a.doc.tomb));
    }

    is_int(b.doc.tomb[0].version, 112, "the newest tombstone comes first");
    is_int(b.doc.tomb[LLM_ROLLOUT_TOMBS - 1].version, 105, "eight are kept");

    want = tag(&b);
    init(&b);

    for (i = 12; i; i--) {
        t.version = 100 + i * 5 % 13;
        t.rollout = i * 5 % 13;
        a.doc.tomb[0] = t;
        (void) merge(&b, &a);
        (void) merge(&b, &a);
        memset(a.doc.tomb, 0, sizeof(a.doc.tomb));
    }

    ok(tag(&b) == want, "in whatever order they come");
}


/* Every order of six documents of a split brain. */
static void
test_orders(void)
{
    int       bad;
    node_t    d[6], n;
    uint64_t  want;
    unsigned  i, k, left, order, pick, used;

    init(&d[0]);
    (void) act(&d[0], LLM_VERB_START);

    d[1] = d[0];                                    /* one side */
    (void) act(&d[1], LLM_VERB_ABORT);

    d[2] = d[0];                                    /* the other side */
    (void) act(&d[2], LLM_VERB_PROMOTE);
    d[3] = d[2];
    (void) act(&d[3], LLM_VERB_PROMOTE);
    d[4] = d[3];
    (void) act(&d[4], LLM_VERB_PAUSE);

    d[5] = d[0];                                    /* a third one, repaired */
    (void) set(&d[5], 9900, 100, 0, 9);
    d[5].doc.epoch = 3;

    bad = 0;
    want = 0;

    for (order = 0; order < 720; order++) {
        init(&n);
        used = 0;
        left = order;

        for (i = 6; i; i--) {
            pick = left % i;
            left /= i;

            for (k = 0; (used >> k & 1) || pick--; k++) { /* void */ }

            used |= 1u << k;
            (void) merge(&n, &d[k]);
        }

        want = want ? want : tag(&n);
        bad += tag(&n) != want || !sound(&n);
    }

    is_int(bad, 0, "720 orders come to one document");
    is_int(n.doc.version, d[4].doc.version, "the newest");
    is_int(n.doc.epoch, 3, "of the newest epoch");
    is_int(n.doc.weight[1], 0, "without weight");
}


static uint64_t
chance(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;

    return *seed >> 33;
}


/* Somebody does something, on a node that may have missed a lot. */
static void
stir(node_t *node, uint64_t *seed)
{
    node_t    *n;
    uint32_t   a, b;

    static const llm_verb_t  verbs[] = {
        LLM_VERB_START, LLM_VERB_PROMOTE, LLM_VERB_PAUSE, LLM_VERB_RESUME,
        LLM_VERB_ABORT, LLM_VERB_SWAP, LLM_VERB_PROMOTE_FULL
    };

    n = &node[chance(seed) % NODES];

    if (chance(seed) % 4 == 0) {
        a = chance(seed) % 5000;
        b = chance(seed) % 5000;
        (void) set(n, LLM_SPLIT_BUCKETS - a - b, a, b, chance(seed));
        return;
    }

    (void) act_as(n, verbs[chance(seed) % 7], NOBODY, chance(seed));
}


/* Redis hears of a node or a node of Redis, or Redis loses everything. */
static void
talk(node_t *node, uint64_t *seed)
{
    node_t  *n;

    n = &node[chance(seed) % NODES];

    if (chance(seed) % 40 == 0) {
        init(&node[NODES]);
    }

    if (merge(n, &node[NODES]) & LLM_MERGE_PUSH) {
        node[NODES] = *n;
    }
}


static void
test_chaos(void)
{
    int       bad;
    node_t    node[NODES + 1];
    uint64_t  seed;
    unsigned  i, k, rounds, versions;

    bad = 0;

    for (k = 1; k <= 200; k++) {
        seed = k;

        for (i = 0; i <= NODES; i++) {
            init(&node[i]);
        }

        for (i = 0; i < 60; i++) {
            stir(node, &seed);

            if (chance(&seed) % 2) {
                talk(node, &seed);
            }
        }

        versions = 0;

        for (i = 0; i < NODES; i++) {
            versions = (unsigned) node[i].doc.version > versions
                       ? (unsigned) node[i].doc.version : versions;
        }

        for (rounds = 0; rounds < 2; rounds++) {
            for (i = 0; i < NODES; i++) {
                if (merge(&node[i], &node[NODES]) & LLM_MERGE_PUSH) {
                    node[NODES] = node[i];
                }
            }
        }

        for (i = 0; i < NODES; i++) {
            bad += tag(&node[i]) != tag(&node[NODES]) || !sound(&node[i])
                   || node[i].doc.version != versions;
        }
    }

    is_int(bad, 0, "200 times all came to the newest document in two rounds");
}


static void
test_raises(void)
{
    node_t     n;
    uint32_t   less[] = { 9900, 100, 0 }, more[] = { 9000, 1000, 0 };
    uint32_t   other[] = { 9500, 100, 400 };
    llm_act_t  a;

    init(&n);
    (void) act(&n, LLM_VERB_START);

    memset(&a, 0, sizeof(a));
    a.weight = less;
    ok(!llm_act_raises(&a, &n.doc), "less weight does not raise");
    a.weight = more;
    ok(llm_act_raises(&a, &n.doc), "more weight does");
    a.weight = other;
    ok(llm_act_raises(&a, &n.doc), "for another variant, too");

    a.verb = LLM_VERB_ABORT;
    ok(!llm_act_raises(&a, &n.doc), "an abort needs nobody");
    a.verb = LLM_VERB_PROMOTE;
    ok(llm_act_raises(&a, &n.doc), "a promotion does");
}


int
main(void)
{
    test_versions();
    test_same_version();
    test_tombs();
    test_force();
    test_epochs();
    test_many_tombs();
    test_orders();
    test_chaos();
    test_raises();

    return tap_done();
}
