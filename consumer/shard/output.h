/* The output of a shard's transaction (checkout.output): tasks and news, as rows of its answer. */
#ifndef CONSUMER_SHARD_OUTPUT_H
#define CONSUMER_SHARD_OUTPUT_H

#include <stdint.h>

#include "common/net/pg/pg.h"
#include "consumer/news.h"
#include "consumer/task.h"

/* The columns of a query whose rows `o` are of checkout.output, or have a `task` alone; named, so
 * that the types may get more of them. */
#define OUTPUT_TASK                                                                                \
    "(o.task).kind, (o.task).order_id, (o.task).sku, (o.task).attempt, (o.task).amount,"           \
    " (o.task).currency, (o.task).payment_method, (o.task).receipt_email, (o.task).intent_id,"     \
    " (o.task).key, (o.task).age_ms, (o.task).left_ms, (o.task).resolution, (o.task).customer,"    \
    " (o.task).order_age_ms, (o.task).gateway_customer, (o.task).quantity, (o.task).reference,"    \
    " (o.task).traceparent"
#define OUTPUT_NEWS                                                                                \
    ", (o.news).kind, (o.news).order_id, (o.news).sku, (o.news).status, (o.news).reason,"          \
    " (o.news).intent_id, (o.news).command_id, (o.news).count"

/* Where the rows of an answer go, in their order. */
struct output_receiver {
    void (*task)(const struct task *task, void *arg);
    void (*news)(const struct news *news, void *arg);
    /* A task of a shard that this version does not know or cannot read. Its row stays in its table
     * for a member that knows it. */
    void (*unknown_task)(uint32_t shard, const char *kind, void *arg);
    void (*unknown_news)(const char *kind, void *arg);
};
/* The rows of a committed call of `shard`. */
void output_receive(const struct pg_result *result, uint32_t shard,
                    const struct output_receiver *receiver, void *arg);
/* Those of orders_db_resume_charges and _refunds: tasks of several shards, all below `shards`. */
void output_receive_tasks(const struct pg_result *result, uint32_t shards,
                          const struct output_receiver *receiver, void *arg);

#endif
