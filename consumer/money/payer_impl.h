/* The inside of the payer, shared by payer.c (which payments there are, and their calls),
 * payer_answer.c (what becomes of an answer) and payer_lookup.c (what the gateway knows of those
 * that no further call can clear up). */
#ifndef CONSUMER_MONEY_PAYER_IMPL_H
#define CONSUMER_MONEY_PAYER_IMPL_H

#include "common/base/backoff.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "consumer/money/circuit_breaker.h"
#include "consumer/money/pager.h"
#include "consumer/money/payer.h"
#include "consumer/money/payer_queue.h"

#define PAYER_BUCKETS 4096 /* a power of two */
#define PAYER_SHARDS_MAX 1024
#define PAYER_KEY_SIZE (IDS_ORDER_SIZE + 24)

enum payment_state {
    PAYMENT_QUEUED,
    PAYMENT_CALLING,
    PAYMENT_WAITING, /* for its timer */
    PAYMENT_UNCLEAR, /* asking again tells nothing more: looked up in the gateway's list */
};

/* What an operator says of one that is unclear. */
enum payment_resolution { RESOLVED_NOT, RESOLVED_CAPTURED, RESOLVED_NOT_CAPTURED };

/* What the gateway's list says of an order; a later one outweighs those before. */
enum payment_found {
    FOUND_NONE,
    FOUND_CANCELLED,
    FOUND_ACTS,  /* its buyer is to act */
    FOUND_OPEN,  /* it may still succeed */
    FOUND_OTHER, /* it succeeded, with another amount: nobody but a person can tell */
    FOUND_SUCCEEDED,
};

struct payment {
    struct payer_queue_entry entry; /* first: a payment is found by its entry */
    struct payer *payer;
    struct payment *next_in_bucket;
    enum payment_state state;
    bool orphaned; /* its shard is not ours (any more) */
    bool cancelling;
    bool acting; /* its buyer has been asked to act: it is looked at, and not sent again */
    bool asked;  /* ... and that is recorded */
    bool hinted; /* ... and something has happened while it was being looked at */
    uint64_t act_until_ms; /* monotonic: the end of that */
    enum payment_resolution resolution;
    bool probe;     /* its call tells whether others may go on */
    bool in_lookup; /* the lookup under way is for it, too */
    enum payment_found found;
    uint32_t shard;
    char sku[JOB_SKU_MAX + 1];
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    int64_t amount;
    char currency[8];
    char *payment_method;
    char *receipt_email; /* NULL: none */
    char intent_id[PAY_ID_MAX + 1];
    unsigned stored_error; /* status of the newest answer if that was an error of the API itself */
    uint64_t born_ms;      /* monotonic: when its intent became durable, before its first call */
    uint64_t noted_ms;     /* when it was last recorded as unclear; 0: never */
    char noted[PAY_CODE_MAX]; /* and with what */
    struct backoff backoff;
    struct loop_timer *timer; /* NULL until the first retry */
    uint64_t called_us;
};

struct payer_lookup {
    struct loop_timer *timer;
    struct backoff backoff;
    bool running;
    bool wanted; /* more have become unclear since it began */
    struct pager *pager;
    int64_t from_s;
};

struct payer {
    struct payer_options o;
    struct payment *buckets[PAYER_BUCKETS];
    struct payer_queue *queue;
    struct circuit_breaker gate;
    struct payer_lookup lookup;
    size_t count;
    size_t calling[PAYER_SHARDS_MAX];
    bool held[PAYER_SHARDS_MAX];
    struct loop_timer *pump_again;
};

/* Takes it out of the table and frees it; it must not be queued. */
void payer_forget(struct payment *p);
/* Puts it in line for its next call. */
void payer_enqueue(struct payment *p);
/* Its next call comes in `in_ms`. */
void payer_retry_at(struct payment *p, uint32_t in_ms);
/* Its next call comes after its backoff. */
void payer_retry_later(struct payment *p, uint32_t at_least_ms);
/* Starts calls while the gate and the gateway's window have room. */
void payer_pump(struct payer *payer);
/* What to charge; `key` (as checkout.payments.idempotency_key) is written and pointed to. */
struct pay_charge payer_charge_of(const struct payment *p, char key[PAYER_KEY_SIZE]);
/* The next one of this order behind `before` (NULL: the first); NULL: no more. */
struct payment *payer_next_of_order(struct payer *payer, const char *order_id,
                                    struct payment *before);

/* Answers to the two kinds of calls; `arg` is the payment. */
void payer_charged(const struct pay_answer *answer, void *arg);
void payer_cancelled(const struct pay_answer *answer, void *arg);
void payer_looked(const struct pay_answer *answer, void *arg);
/* Its buyer has to act, and may, for a while. */
void payer_ask_buyer(struct payment *p, const struct pay_answer *answer);
/* The same of an unclear one: what the gateway's list shows is looked at for what to do. */
void payer_find_action(struct payment *p);
/* It is neither to be sent nor looked at any more: whatever may still succeed is cancelled. */
void payer_cancel_intent(struct payment *p);
/* Common to every answer; false if the payment is not ours to go on with. */
bool payer_back(struct payment *p, const struct pay_answer *answer);
/* Reports its end, and forgets it. */
void payer_end(struct payment *p, const char *state, const char *intent, const char *code);
/* If an operator has said what became of it, it is not sent again: ends it, or looks it up. It is
 * neither queued nor called. */
bool payer_resolved(struct payment *p);
/* Records, not too often, that its end is unclear. */
void payer_note(struct payment *p, const char *code);

/* It is not sent again: it waits for a lookup. */
void payer_look_up(struct payment *p, const char *code);
int payer_lookup_init(struct payer *payer);
void payer_lookup_free(struct payer *payer);

#endif
