#include "consumer/shard/shard_routing.h"

#include "common/base/log.h"
#include "common/testing/failpoint.h"

void shard_routing_payment_ended(struct shard_routing *r, const char *order_id, int64_t attempt,
                                 const char *state, const char *intent, const char *code)
{
    if (!ownership_serving(r->ownership))
        return; /* the intent is still open: whoever serves the shard asks the gateway again */
    if (shard_writer_add_settlement(r->writer, order_id, attempt, state, intent, code) < 0)
        log_error("out of memory: a settlement waits for the sweep", LOG_STR("order_id", order_id));
    FAILPOINT(PAY_ENDED);
    shard_writer_kick(r->writer);
}

void shard_routing_refund_ended(struct shard_routing *r, const char *order_id, int64_t attempt,
                                const char *state, const char *ref, int64_t amount,
                                const char *code)
{
    if (!ownership_serving(r->ownership))
        return; /* it is still open in its table */
    if (shard_writer_add_refund(r->writer, order_id, attempt, state, ref, amount, code) < 0)
        log_error("out of memory: a refund waits for the sweep", LOG_STR("order_id", order_id));
    shard_writer_kick(r->writer);
}

void shard_routing_stop_payments(struct shard_routing *r, const char *why)
{
    shard_writer_stop_payments(r->writer, why);
}

void shard_routing_expired(struct shard_routing *r)
{
    if (!ownership_serving(r->ownership))
        return;
    r->writer->expire_due = true;
    shard_writer_kick(r->writer);
}

void shard_routing_commands(struct shard_routing *r)
{
    if (!ownership_serving(r->ownership))
        return;
    r->writer->command_due = true;
    shard_writer_kick(r->writer);
}

void shard_routing_line(struct shard_routing *r, const char *sku)
{
    if (!ownership_serving(r->ownership))
        return;
    shard_writer_add_line(r->writer, sku);
    shard_writer_kick(r->writer);
}

void shard_routing_payment(struct shard_routing *r, const struct task *task)
{
    if (r->ownership->state == OWNERSHIP_SERVING)
        shard_money_take(r->money, r->shard, task);
}
