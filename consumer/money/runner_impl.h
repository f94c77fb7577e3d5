/* The inside of the runner, shared by payment.c (which payments there are), runner_step.c (their
 * states), runner_call.c (their calls) and runner.c (tasks). */
#ifndef CONSUMER_MONEY_RUNNER_IMPL_H
#define CONSUMER_MONEY_RUNNER_IMPL_H

#include "common/base/backoff.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "consumer/gateway/gateway.h"
#include "consumer/money/attempt.h"
#include "consumer/money/attempt_memory.h"
#include "consumer/money/reconcile.h"
#include "consumer/money/runner.h"
#include "consumer/watch/late.h"
#include "consumer/watch/returns.h"

#define RUNNER_BUCKETS 4096 /* a power of two */
#define RUNNER_SHARDS_MAX 1024
#define RUNNER_KEY_SIZE 96
#define RUNNER_RETRY_FIRST_MS 200
#define RUNNER_RETRY_MAX_MS 30000
#define LOG_PAYMENT(p) LOG_STR("order_id", (p)->order_id), LOG_TRACE((p)->traceparent)

/* A charge, or a refund. */
struct payment {
    struct gateway_call call; /* first: a payment is found by its call */
    struct runner *runner;
    struct payment *next_in_bucket;
    struct attempt attempt;
    struct attempt_memory memory;
    struct reconcile_entry list;
    enum attempt_event found; /* what the list shows so far: NOT_FOUND … FOUND_SUCCEEDED */
    enum task_resolution word;
    bool refund;
    bool orphaned; /* its shard is not ours (any more) */
    bool asked;    /* what its buyer is to do is recorded */
    bool hinted;   /* something has happened while it was called */
    unsigned soon; /* looks that follow soon behind a hint */
    uint32_t shard;
    char sku[JOB_SKU_MAX + 1];
    char order_id[IDS_ORDER_SIZE];
    int64_t number; /* of the attempt */
    int64_t amount, quantity;
    char currency[8];
    uint64_t customer; /* a hash */
    char *payment_method;
    char *receipt_email;                                                  /* NULL: none */
    char *gateway_customer;                                               /* NULL: none */
    char reference[JOB_REFERENCE_MAX + 1], customer_text[IDS_ORDER_SIZE]; /* "": none */
    char intent_id[PAY_ID_MAX + 1], traceparent[JOB_TRACEPARENT_MAX + 1]; /* "": none */
    char key[RUNNER_KEY_SIZE];
    int64_t born_ms;       /* monotonic: when its intent became durable, before its first call */
    int64_t order_born_ms; /* ... that of the order's first attempt */
    int64_t act_until_ms;  /* 0: nothing is recorded */
    /* of the newest answer */
    char code[PAY_CODE_MAX];
    char param[PAY_PARAM_MAX];
    enum pay_problem problem;
    int64_t received;
    uint32_t retry_after_ms;
    char noted[PAY_CODE_MAX]; /* what was recorded last as unclear, ... */
    int64_t noted_ms;         /* ... and when; 0: never */
    uint64_t logged_ms;       /* when a retry was logged last; 0: never */
    struct backoff backoff;
    enum attempt_verb backoff_of;
    struct loop_timer *timer; /* NULL until it waits */
};

struct runner {
    struct runner_options o;
    struct payment *buckets[RUNNER_BUCKETS];
    struct gateway *gateway;
    struct reconcile *reconcile;
    struct late *late;
    struct returns *returns;
    size_t count;   /* charges, but for those that wait for their buyers, or are looked at */
    size_t waiting; /* those */
    size_t refunds;
    size_t calling[RUNNER_SHARDS_MAX];
    bool held[RUNNER_SHARDS_MAX];
    int64_t hinted_ms;               /* when a hint came last; 0: never */
    const struct pay_answer *answer; /* that is being taken; NULL: none */
};

/* Where payments of the order are. */
struct payment **payment_bucket(struct runner *runner, const char *order_id);
/* The next one of this order behind `before` (NULL: the first); NULL: no more. */
struct payment *payment_next(struct runner *runner, const char *order_id, struct payment *before);
/* Takes it out of the table and frees it. */
void payment_forget(struct payment *p);
/* Frees one that is in no table. */
void payment_free(struct payment *p);

/* Takes the step that follows from the event; the payment may be gone then. */
void runner_step(struct payment *p, enum attempt_event event);
/* What a person says of it, if anything. The same. */
void runner_step_word(struct payment *p);
/* Its place among those that are counted: 1 or -1. */
void runner_count(struct payment *p, int by);

/* What the gateway asks for: see struct gateway_options. */
bool runner_ready(struct gateway_call *call, void *arg);
int runner_make_call(struct gateway_call *call, void *arg);

#endif
