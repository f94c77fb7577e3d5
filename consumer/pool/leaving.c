#include "consumer/pool/leaving.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "consumer/pool/pool_db.h"

#define AT_MOST_MS 9000

static void finish(struct leaving *l)
{
    if (l->done)
        return;
    l->done = true;
    loop_timer_stop(l->limit);
    l->left(l->arg);
}

static void struck_off(const struct pg_result *result, void *arg)
{
    (void)result; /* if it is lost, our heartbeats stop anyway */
    finish(arg);
}

static void limit_due(void *arg)
{
    log_warning("leaving with unfinished work, which stays in the tables");
    finish(arg);
}

int leaving_init(struct leaving *l, struct loop *loop)
{
    l->limit = loop_timer_new(loop, limit_due, l);
    return l->limit == NULL ? ERR_NOMEM : 0;
}

void leaving_free(struct leaving *l)
{
    loop_timer_free(l->limit);
}

void leaving_begin(struct leaving *l)
{
    loop_timer_start(l->limit, AT_MOST_MS, 0);
}

void leaving_check(struct leaving *l)
{
    if (l->done || l->sent)
        return;
    for (uint32_t i = 0; i < l->shard_count; i++)
        if (ownership_held(&l->shards[i].ownership))
            return;
    l->sent = true;
    if (l->membership->id == 0 || pool_db_leave(l->session, l->membership->id, struck_off, l) < 0)
        finish(l);
}
