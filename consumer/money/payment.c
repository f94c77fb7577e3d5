/* The payments in memory, found by their orders. */
#include <stdlib.h>
#include <string.h>

#include "common/base/strmap.h"
#include "consumer/money/runner_impl.h"

struct payment **payment_bucket(struct runner *runner, const char *order_id)
{
    return &runner->buckets[strmap_hash(order_id, strlen(order_id)) & (RUNNER_BUCKETS - 1)];
}

void payment_free(struct payment *p)
{
    free(p->payment_method);
    free(p->receipt_email);
    free(p->gateway_customer);
    loop_timer_free(p->timer);
    free(p);
}

void payment_forget(struct payment *p)
{
    struct runner *runner = p->runner;
    struct payment **link = payment_bucket(runner, p->order_id);
    while (*link != p)
        link = &(*link)->next_in_bucket;
    *link = p->next_in_bucket;
    payment_free(p);
}

struct payment *payment_next(struct runner *runner, const char *order_id, struct payment *before)
{
    struct payment *p = before == NULL ? *payment_bucket(runner, order_id) : before->next_in_bucket;
    while (p != NULL && strcmp(p->order_id, order_id) != 0)
        p = p->next_in_bucket;
    return p;
}
