#include "producer/shard_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/shop/shards_serving.h"
#include "producer/publish/publisher.h"

#define ASK_MS 500
#define DATABASE_FIRST_MS 2000 /* so long PostgreSQL may take to be there */
#define WHY_SIZE 256

struct shard_count {
    struct api *api;
    struct loop_timer *timer;
    uint64_t started_ms;
    uint32_t shards; /* 0: not known, or two disagree */
    uint32_t setting;
    bool asked;   /* PostgreSQL */
    bool finding; /* at the broker */
    char why[WHY_SIZE];
};

/* It takes no orders, and says why, once. */
static void wait_for(struct shard_count *c, const char *why)
{
    if (strcmp(c->why, why) == 0)
        return;
    (void)snprintf(c->why, sizeof c->why, "%s", why);
    log_warning("no orders are taken: it is not clear how many shards there are",
                LOG_STR("reason", c->why));
    publisher_serve(c->api->publisher, 0, c->why);
}

static void serve(struct shard_count *c, uint32_t shards)
{
    c->shards = shards;
    c->why[0] = '\0';
    publisher_serve(c->api->publisher, shards, NULL);
}

/* ---- PostgreSQL ---- */

static void disagree(struct shard_count *c, uint32_t serving)
{
    char why[WHY_SIZE];
    (void)snprintf(why, sizeof why, "CHECKOUT_SHARDS is %u, and %u are in service", c->setting,
                   serving);
    wait_for(c, why);
}

/* Its number changes while it runs, too (checkoutctl reshard). */
static void follow(struct shard_count *c, uint32_t serving)
{
    if (c->setting > 0 && c->setting != serving) {
        disagree(c, serving);
        return;
    }
    if (c->shards == serving && c->why[0] == '\0')
        return;
    log_info("shards in service", LOG_INT("shards", serving), LOG_INT("before", c->shards));
    serve(c, serving);
}

static void serving_came(const struct pg_result *result, void *arg)
{
    struct shard_count *c = arg;
    c->asked = false;
    if (pg_status(result) != PG_OK || c->api->closing)
        return; /* asked again */
    uint32_t serving = shards_serving_read(result);
    if (serving == 0) {
        if (c->shards == 0)
            wait_for(c, SHARDS_NONE_SERVE);
        return;
    }
    follow(c, serving);
}

static void ask_database(struct shard_count *c)
{
    if (!c->asked)
        c->asked = pg_query(c->api->sessions.reads, &shards_serving, NULL, serving_came, c) == 0;
}

/* ---- RabbitMQ ---- */

static void found(int code, const uint32_t *shards, size_t count, void *arg)
{
    struct shard_count *c = arg;
    char why[WHY_SIZE];
    c->finding = false;
    if (code != 0 || c->shards > 0 || pg_is_up(c->api->sessions.reads))
        return; /* PostgreSQL knows better */
    if (count == 1) {
        log_warning("PostgreSQL is not connected: RabbitMQ has the queues of one number of shards",
                    LOG_INT("shards", shards[0]));
        serve(c, shards[0]);
        return;
    }
    if (count == 0)
        (void)snprintf(why, sizeof why,
                       "PostgreSQL is not connected, and RabbitMQ has no queues of ours: run "
                       "`checkoutctl topology`");
    else
        (void)snprintf(why, sizeof why,
                       "PostgreSQL is not connected, and RabbitMQ has the queues of %u shards and "
                       "of %u: set CHECKOUT_SHARDS to the number in service",
                       shards[0], shards[1]);
    wait_for(c, why);
}

/* ---- */

static void ask(void *arg)
{
    struct shard_count *c = arg;
    if (pg_is_up(c->api->sessions.reads))
        ask_database(c);
    else if (c->shards == 0 && !c->finding && clock_mono_ms() >= c->started_ms + DATABASE_FIRST_MS)
        c->finding = publisher_find_shards(c->api->publisher, found, c) == 0;
}

struct shard_count *shard_count_new(struct api *api, uint32_t setting)
{
    struct shard_count *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->api = api;
    c->setting = setting;
    c->shards = setting;
    c->started_ms = clock_mono_ms();
    c->timer = loop_timer_new(api->loop, ask, c);
    if (c->timer == NULL) {
        free(c);
        return NULL;
    }
    loop_timer_start(c->timer, ASK_MS, ASK_MS);
    return c;
}

void shard_count_free(struct shard_count *count)
{
    if (count == NULL)
        return;
    loop_timer_free(count->timer);
    free(count);
}

void shard_count_connected(struct shard_count *count)
{
    ask_database(count);
}
