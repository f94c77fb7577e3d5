#include "producer/undecided.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/shop/shard.h"
#include "common/shop/shards_serving.h"

#define ASK_MS 2000
#define SAMPLES 8      /* of a shard: a power of two */
#define SPACING_MS 250 /* between two samples, at first; doubles when they are full */
#define LABELS_SIZE 32
#define IDS_MAX ((size_t)SHARDS_MAX * SAMPLES * (IDS_ORDER_SIZE + 4))

static const struct pg_statement known = {"producer_decided",
                                          "select n from checkout.known_orders($1::uuid[])", 1};

struct sample {
    uint64_t since_ms; /* monotonic */
    char order_id[IDS_ORDER_SIZE];
};

struct samples {
    struct sample of[SAMPLES]; /* the oldest first */
    uint32_t count;
    uint32_t asked; /* of these, in the question that is open */
    uint64_t spacing_ms;
    struct metric *oldest;
};

struct undecided {
    struct api *api;
    struct loop_timer *timer; /* NULL: freed, but an answer is awaited */
    bool asking;
    uint32_t shards; /* 0: no order has come yet */
    struct samples of_shard[SHARDS_MAX];
};

static void drop(struct samples *s, uint32_t count)
{
    memmove(s->of, s->of + count, (s->count - count) * sizeof s->of[0]);
    s->count -= count;
    if (s->count == 0)
        s->spacing_ms = SPACING_MS;
}

/* Keeps every second one, the oldest among them. */
static void thin(struct samples *s)
{
    for (uint32_t i = 1; i < SAMPLES / 2; i++)
        s->of[i] = s->of[(size_t)i * 2];
    s->count = SAMPLES / 2;
    s->spacing_ms *= 2;
}

/* Not while their numbers are in an open question. */
static void add(struct undecided *u, struct samples *s, const char *order_id, uint64_t now_ms)
{
    if (s->count > 0 && now_ms < s->of[s->count - 1].since_ms + s->spacing_ms)
        return;
    if (s->count == SAMPLES && u->asking)
        return;
    if (s->count == SAMPLES)
        thin(s);
    struct sample *sample = &s->of[s->count++];
    sample->since_ms = now_ms;
    (void)snprintf(sample->order_id, sizeof sample->order_id, "%s", order_id);
}

static void begin(struct undecided *u, uint32_t shards)
{
    for (uint32_t i = shards; i < u->shards; i++)
        metric_set(u->of_shard[i].oldest, 0); /* there were more before */
    u->shards = shards;
    for (uint32_t i = 0; i < shards; i++) {
        char labels[LABELS_SIZE];
        (void)snprintf(labels, sizeof labels, "shard=\"%" PRIu32 "\"", i);
        u->of_shard[i].count = 0;
        u->of_shard[i].spacing_ms = SPACING_MS;
        u->of_shard[i].oldest = metrics_gauge(
            u->api->stats.metrics, "checkout_undecided_oldest_seconds",
            "How long the oldest order without a decision has waited for it.", labels);
    }
}

void undecided_add(struct undecided *undecided, uint32_t shards, const char *sku,
                   const char *order_id)
{
    if (shards != undecided->shards && (undecided->asking || shards == 0 || shards > SHARDS_MAX))
        return;
    if (shards != undecided->shards)
        begin(undecided, shards);
    uint32_t shard = shard_of(sku, strlen(sku), shards);
    add(undecided, &undecided->of_shard[shard], order_id, clock_mono_ms());
}

static void show(struct undecided *u)
{
    uint64_t now_ms = clock_mono_ms();
    for (uint32_t i = 0; i < u->shards; i++) {
        const struct samples *s = &u->of_shard[i];
        metric_set(s->oldest, s->count == 0 ? 0 : (double)(now_ms - s->of[0].since_ms) / 1000);
    }
}

/* `n` counts the ids of the question, from 1, over all shards. */
static void forget_up_to(struct undecided *u, const struct pg_result *result)
{
    uint32_t newest[SHARDS_MAX] = {0};
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t n = pg_int(result, row, 0);
        uint32_t shard = 0;
        while (shard < u->shards && n > u->of_shard[shard].asked)
            n -= u->of_shard[shard++].asked;
        if (shard < u->shards && n > newest[shard])
            newest[shard] = (uint32_t)n;
    }
    for (uint32_t i = 0; i < u->shards; i++)
        drop(&u->of_shard[i], newest[i]);
}

static void answered(const struct pg_result *result, void *arg)
{
    struct undecided *u = arg;
    u->asking = false;
    if (u->timer == NULL) {
        free(u);
        return;
    }
    if (pg_status(result) == PG_OK)
        forget_up_to(u, result);
    show(u);
}

static void ask(void *arg)
{
    struct undecided *u = arg;
    struct buf ids;
    bool any = false;
    show(u);
    if (u->asking)
        return;
    buf_init(&ids, IDS_MAX);
    pg_array_begin(&ids);
    for (uint32_t i = 0; i < u->shards; i++) {
        struct samples *s = &u->of_shard[i];
        s->asked = s->count;
        any = any || s->count > 0;
        for (uint32_t j = 0; j < s->count; j++)
            pg_array_text(&ids, s->of[j].order_id);
    }
    pg_array_end(&ids);
    const char *const params[] = {buf_text(&ids)};
    if (any && !ids.failed)
        u->asking = pg_query(u->api->sessions.reads, &known, params, answered, u) == 0;
    buf_free(&ids);
}

struct undecided *undecided_new(struct api *api)
{
    struct undecided *u = calloc(1, sizeof *u);
    if (u == NULL)
        return NULL;
    u->api = api;
    u->timer = loop_timer_new(api->loop, ask, u);
    if (u->timer == NULL) {
        free(u);
        return NULL;
    }
    loop_timer_start(u->timer, ASK_MS, ASK_MS);
    return u;
}

void undecided_free(struct undecided *undecided)
{
    if (undecided == NULL)
        return;
    loop_timer_free(undecided->timer);
    undecided->timer = NULL;
    if (!undecided->asking) /* else its answer frees it */
        free(undecided);
}
