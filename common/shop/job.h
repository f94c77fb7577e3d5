/* Checkout jobs and the message of 1 to 256 of them (schemas/checkout.jobs.v1.schema.json). */
#ifndef COMMON_SHOP_JOB_H
#define COMMON_SHOP_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/shop/ids.h"

#define JOB_BATCH_MAX 256           /* jobs of one message */
#define JOB_MESSAGE_MAX (64 * 1024) /* bytes of one message as we publish it */
/* Bytes of one message as we take it: 256 of the longest jobs fit, unless characters are escaped
 * that need not be. */
#define JOB_MESSAGE_ACCEPT ((size_t)1024 * 1024)
#define JOB_ANY_SHARD UINT32_MAX /* to job_batch_parse: each job's item says its shard */
#define JOB_TYPE "checkout.jobs.v1"
#define JOB_MESSAGE_HEAD "{\"version\":1,\"jobs\":["
#define JOB_MESSAGE_TAIL "]}"

#define JOB_SKU_MAX 64
#define JOB_USER_MAX 255
#define JOB_METHOD_MAX 255
#define JOB_REFERENCE_MAX 64
#define JOB_TRACEPARENT_MAX 55
#define JOB_CUSTOMER_MAX 64
#define JOB_CHALLENGE_MAX 64
#define JOB_HUMAN_MAX 255
#define JOB_LOCALE_MAX 35
#define JOB_QUANTITY_MAX 100
#define JOB_PRICE_MAX 99999999999 /* minor units */

/* What a buyer orders. Strings are not owned. */
struct job {
    char order_id[IDS_ORDER_SIZE];
    const char *user_id;
    const char *sku;
    int64_t quantity;
    const char *payment_method;
    const char *receipt_email; /* NULL: none */
    bool has_unit_price;
    int64_t unit_price;    /* minor units: what the buyer saw */
    const char *reference; /* NULL: none */
    char accepted_at[CLOCK_RFC3339_SIZE];
    char fingerprint[IDS_FINGERPRINT_SIZE]; /* of what was ordered: same key, other body */
    const char *traceparent;                /* NULL: none */
    const char *gateway_customer; /* whose saved payment methods it may use, at the gateway; NULL:
                                     none. Of the buyer's token, never of the order's body. */
    const char *human;   /* the challenges that the buyer passed, with a blank between two; NULL:
                            none. Of the buyer's token alone, too. */
    const char *mail_to; /* the address that gets mails about it; NULL: no mails */
    const char *locale;  /* the buyer's language, as BCP 47 writes it; NULL: none */
};

/* Appends one job as a JSON object. */
int job_encode(struct buf *out, const struct job *job);

/* The job's fingerprint over sku, quantity, payment_method, receipt_email, unit_price, reference.
 */
MUST_CHECK int job_fingerprint(const struct job *job, char ret_hex[IDS_FINGERPRINT_SIZE]);

/* Checks of single fields, for producer and consumer. `len` excludes any NUL. */
/* 1-64 of [A-Za-z0-9._-]; not ".", not "..", no "-" at the beginning. */
bool job_sku_valid(const char *sku, size_t len);
bool job_user_valid(const char *user, size_t len); /* 1-255 bytes, no control characters */
bool job_reference_valid(const char *reference, size_t len); /* 1-64 visible ASCII */
bool job_method_valid(const char *method, size_t len);       /* 1-255 visible ASCII */
bool job_customer_valid(const char *text, size_t len);       /* 1-64 of [A-Za-z0-9_-] */
bool job_locale_valid(const char *text, size_t len);         /* like de or zh-Hant-TW; 2-35 bytes */
bool job_traceparent_valid(const char *text, size_t len);    /* W3C trace context, version 00 */
bool job_challenge_valid(const char *text, size_t len);      /* 1-64 of [A-Za-z0-9._-] */
/* 1-255 bytes: challenges, with one blank between two. */
bool job_human_valid(const char *text, size_t len);

/* Whether `challenge` is one of those of a valid `human` (NULL: none). */
bool job_passed(const char *human, const char *challenge);

/* The result of reading one member of `jobs`. */
enum job_verdict {
    JOB_GOOD,
    JOB_BAD,        /* its id verifies, a field is wrong: reject it as invalid */
    JOB_UNREADABLE, /* no object, or no verifiable id: send it to the dead letters */
};

struct job_entry {
    enum job_verdict verdict;
    struct job job; /* JOB_GOOD: complete; JOB_BAD: order_id, user_id, and what else was valid */
    const char *problem; /* static text; NULL if good */
    char *raw;           /* its text, owned by the batch; NULL if it is good, or without memory */
};

struct job_batch {
    struct job_entry *entries;
    size_t count;
    void *document; /* what the strings point into */
};

/*
 * Reads a message's body for `shard` of `shards`. 0 with `ret_batch` (job_batch_free), or ERR_PARSE
 * with a static text in `ret_problem`: no JSON, wrong version, 0 or more than 256 jobs, members
 * besides these two; then the whole message is dead. A job of another shard is JOB_BAD, unless any
 * will do (JOB_ANY_SHARD).
 * Members of a job that this version does not know are ignored.
 */
MUST_CHECK int job_batch_parse(const void *body, size_t len, uint32_t shard, uint32_t shards,
                               struct ids *ids, struct job_batch *ret_batch,
                               const char **ret_problem);
void job_batch_free(struct job_batch *batch);

#endif
