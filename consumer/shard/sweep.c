#include "consumer/shard/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "consumer/shard/output.h"

#define PAYMENT_AGE_MS 5000
#define PAYMENTS_MAX 4096
#define REFUNDS_MAX 512
#define CANCELS_MAX 1000
#define WAITLISTS_MAX 2000 /* 25 ms of PostgreSQL */

int sweep_init(struct sweep *sweep, struct pg *session, struct shard *shards, uint32_t count,
               struct stats *stats)
{
    *sweep = (struct sweep){.session = session,
                            .shards = shards,
                            .count = count,
                            .stats = stats,
                            .item = {.shard = -1}};
    sweep->serving = calloc(count, sizeof *sweep->serving);
    return sweep->serving == NULL ? ERR_NOMEM : 0;
}

void sweep_free(struct sweep *sweep)
{
    free(sweep->serving);
}

static void found_payment(const struct task *task, void *arg)
{
    struct sweep *sweep = arg;
    const struct shard_writer *writer = &sweep->shards[task->shard].writer;
    if (outcomes_have(&writer->payments, task->order_id) ||
        outcomes_have(&writer->refunds, task->order_id))
        return; /* its end is known, and waits to be recorded */
    shard_routing_payment(&sweep->shards[task->shard].routing, task);
}

static void found_unknown(uint32_t shard, const char *kind, void *arg)
{
    struct sweep *sweep = arg;
    shard_unknown_task(&sweep->shards[shard], kind);
}

static void found_charge(const struct task *task, void *arg)
{
    struct sweep *sweep = arg;
    (void)snprintf(sweep->seen.order_id, sizeof sweep->seen.order_id, "%s", task->order_id);
    sweep->seen.attempt = task->attempt;
    found_payment(task, arg);
}

static void charges_swept(const struct pg_result *result, void *arg)
{
    static const struct output_receiver receiver = {.task = found_charge,
                                                    .unknown_task = found_unknown};
    struct sweep *sweep = arg;
    if (pg_status(result) == PG_OK)
        output_receive_tasks(result, sweep->count, &receiver, arg);
    if (pg_status(result) != PG_OK || pg_rows(result) < PAYMENTS_MAX)
        sweep->seen.order_id[0] = '\0';
}

static void refunds_swept(const struct pg_result *result, void *arg)
{
    static const struct output_receiver receiver = {.task = found_payment,
                                                    .unknown_task = found_unknown};
    const struct sweep *sweep = arg;
    if (pg_status(result) == PG_OK)
        output_receive_tasks(result, sweep->count, &receiver, arg);
}

static void next_page(struct sweep *sweep, int64_t shard, const char *sku)
{
    sweep->item.shard = shard;
    (void)snprintf(sweep->item.sku, sizeof sweep->item.sku, "%s", sku);
}

static void overdue_swept(const struct pg_result *result, void *arg)
{
    struct sweep *sweep = arg;
    next_page(sweep, -1, ""); /* unless there is one more */
    if (pg_status(result) != PG_OK)
        return;
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t number = pg_int(result, row, 0);
        if (number < 0 || number >= sweep->count)
            continue;
        struct shard_routing *routing = &sweep->shards[number].routing;
        const char *kind = pg_text(result, row, 1);
        if (strcmp(kind, "expired") == 0)
            shard_routing_expired(routing, pg_text(result, row, 2));
        else if (strcmp(kind, "page") == 0)
            next_page(sweep, number, pg_text(result, row, 2));
        else if (strcmp(kind, "command") == 0)
            shard_routing_commands(routing);
        else if (strcmp(kind, "more") == 0)
            shard_routing_waitlist(routing, pg_text(result, row, 2));
        else
            shard_unknown_task(&sweep->shards[number], kind);
    }
}

static void aside_swept(const struct pg_result *result, void *arg)
{
    struct sweep *sweep = arg;
    if (pg_status(result) != PG_OK)
        return;
    metric_set(sweep->stats->items_set_aside,
               pg_rows(result) == 0 ? 0 : (double)pg_int(result, 0, 2));
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t number = pg_int(result, row, 0);
        if (number >= 0 && number < sweep->count && !pg_null(result, row, 1))
            shard_routing_aside(&sweep->shards[number].routing, pg_text(result, row, 1));
    }
}

static void cancels_placed(const struct pg_result *result, void *arg)
{
    struct sweep *sweep = arg;
    if (pg_status(result) ==
        PG_OK) /* a notification reaches their owners, and their sweeps find them */
        sweep->cancels_seen = pg_int(result, 0, 0);
}

void sweep_run(struct sweep *sweep)
{
    const struct orders_db_payment *after = sweep->seen.order_id[0] == '\0' ? NULL : &sweep->seen;
    size_t count = 0;
    if (pg_pending(sweep->session) > 0)
        return; /* the previous sweep has no answer yet */
    for (uint32_t i = 0; i < sweep->count; i++)
        if (ownership_serving(&sweep->shards[i].ownership))
            sweep->serving[count++] = i;
    if (count == 0) {
        metric_set(sweep->stats->items_set_aside, 0);
        return;
    }
    if (orders_db_place_cancels(sweep->session, sweep->cancels_seen, CANCELS_MAX, cancels_placed,
                                sweep) < 0 ||
        orders_db_overdue(sweep->session, sweep->count, sweep->serving, count, &sweep->item,
                          WAITLISTS_MAX, overdue_swept, sweep) < 0 ||
        orders_db_overdue_aside(sweep->session, sweep->serving, count, aside_swept, sweep) < 0 ||
        orders_db_resume_charges(sweep->session, sweep->serving, count, PAYMENT_AGE_MS,
                                 PAYMENTS_MAX, after, charges_swept, sweep) < 0 ||
        orders_db_resume_refunds(sweep->session, sweep->serving, count, PAYMENT_AGE_MS, REFUNDS_MAX,
                                 refunds_swept, sweep) < 0)
        log_debug("sweep waits for the next heartbeat");
}
