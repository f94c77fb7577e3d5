#include "consumer/shard/shard_routing.h"

#include "common/base/log.h"
#include "common/testing/failpoint.h"

int64_t shard_routing_epoch(const struct shard_routing *r)
{
    return ownership_serving(r->ownership) ? r->ownership->epoch : 0;
}

void shard_routing_outcome(struct shard_routing *r, const struct outcome *outcome)
{
    if (!ownership_serving(r->ownership))
        return; /* it is still open in its table: the shard's owner asks the gateway again */
    if (shard_writer_add_outcome(r->writer, outcome) < 0)
        log_error("outcome of a payment waits for the sweep: out of memory",
                  LOG_STR("order_id", outcome->order_id));
    if (!outcome_of_refund(outcome->kind))
        FAILPOINT(PAY_ENDED);
    shard_writer_kick(r->writer);
}

void shard_routing_stop_payments(struct shard_routing *r, const char *why)
{
    shard_writer_stop_payments(r->writer, why);
}

void shard_routing_expired(struct shard_routing *r, const char *sku)
{
    if (!ownership_serving(r->ownership))
        return;
    shard_writer_add_expired(r->writer, sku);
    shard_writer_kick(r->writer);
}

void shard_routing_commands(struct shard_routing *r)
{
    if (!ownership_serving(r->ownership))
        return;
    r->writer->command_due = true;
    shard_writer_kick(r->writer);
}

void shard_routing_waitlist(struct shard_routing *r, const char *sku)
{
    if (!ownership_serving(r->ownership))
        return;
    shard_writer_add_waitlist(r->writer, sku);
    shard_writer_kick(r->writer);
}

void shard_routing_aside(struct shard_routing *r, const char *sku)
{
    if (!ownership_serving(r->ownership))
        return;
    aside_add(&r->writer->aside, sku, 1);
    shard_writer_kick(r->writer);
}

void shard_routing_payment(struct shard_routing *r, const struct task *task)
{
    if (r->ownership->state == OWNERSHIP_SERVING)
        shard_money_take(r->money, r->shard, task);
}
