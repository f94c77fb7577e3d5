#include "consumer/shard/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/shard.h"

#define PAYMENT_AGE_MS 5000
#define PAYMENTS_MAX 4096
#define REFUNDS_MAX 512
#define CANCELS_MAX 1000

int sweep_init(struct sweep *sweep, struct pg *session, struct shard *shards, uint32_t count)
{
    *sweep = (struct sweep){.session = session, .shards = shards, .count = count};
    sweep->serving = calloc(count, sizeof *sweep->serving);
    return sweep->serving == NULL ? ERR_NOMEM : 0;
}

void sweep_free(struct sweep *sweep)
{
    free(sweep->serving);
}

static void found_payment(const struct orders_db_effect *effect, void *arg)
{
    struct sweep *sweep = arg;
    uint32_t number = shard_of(effect->sku, strlen(effect->sku), sweep->count);
    shard_routing_payment(&sweep->shards[number].routing, effect);
}

static void payments_swept(const struct pg_result *result, void *arg)
{
    if (pg_status(result) == PG_OK)
        orders_db_each_effect(result, found_payment, arg);
}

static void overdue_swept(const struct pg_result *result, void *arg)
{
    struct sweep *sweep = arg;
    if (pg_status(result) != PG_OK)
        return;
    for (int row = 0; row < pg_rows(result); row++) {
        struct shard_routing *routing = &sweep->shards[pg_int(result, row, 0)].routing;
        const char *kind = pg_text(result, row, 1);
        if (strcmp(kind, "expired") == 0)
            shard_routing_expired(routing);
        else if (strcmp(kind, "command") == 0)
            shard_routing_commands(routing);
        else
            shard_routing_line(routing, pg_text(result, row, 2));
    }
}

static void cancels_placed(const struct pg_result *result, void *arg)
{
    struct sweep *sweep = arg;
    if (pg_status(result) == PG_OK) /* their owners are notified, and find them in their sweeps */
        sweep->cancels_seen = pg_int(result, 0, 0);
}

void sweep_run(struct sweep *sweep)
{
    size_t count = 0;
    for (uint32_t i = 0; i < sweep->count; i++)
        if (ownership_serving(&sweep->shards[i].ownership))
            sweep->serving[count++] = i;
    if (count == 0)
        return;
    if (orders_db_place_cancels(sweep->session, sweep->cancels_seen, CANCELS_MAX, cancels_placed,
                                sweep) < 0 ||
        orders_db_overdue(sweep->session, sweep->count, sweep->serving, count, overdue_swept,
                          sweep) < 0 ||
        orders_db_open_payments(sweep->session, sweep->serving, count, PAYMENT_AGE_MS, PAYMENTS_MAX,
                                payments_swept, sweep) < 0 ||
        orders_db_open_refunds(sweep->session, sweep->serving, count, PAYMENT_AGE_MS, REFUNDS_MAX,
                               payments_swept, sweep) < 0)
        log_debug("the sweep waits for the next heartbeat");
}
