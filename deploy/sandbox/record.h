/*
 * One line of the ledger: what was asked for under which key, and what became of it. An answer is a
 * pure function of its record (answer.h), so a key that comes again is answered as the first time.
 * Pure.
 */
#ifndef DEPLOY_SANDBOX_RECORD_H
#define DEPLOY_SANDBOX_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define RECORD_ID_SIZE 32
#define RECORD_MAX ((size_t)32 * 1024)
#define RECORD_NONE UINT64_MAX /* where a number may be absent */

/* An answer that is an error. Texts are NULL where it has none. */
struct answer_error {
    unsigned status; /* HTTP; 0: this is none */
    const char *type;
    const char *code;
    const char *param;
    const char *message;
    const char *decline_code;
    const char *message_code; /* in place of `code`, for some */
    const char *limit;        /* of a 429: Stripe-Rate-Limited-Reason */
};

enum intent_status {
    INTENT_SUCCEEDED,
    INTENT_REQUIRES_ACTION,
    INTENT_REQUIRES_PAYMENT_METHOD,
    INTENT_CANCELED,
    INTENT_PROCESSING,
    INTENT_REQUIRES_CONFIRMATION,
    INTENT_REQUIRES_CAPTURE,
};

struct intent {
    uint64_t number; /* counts up from 0 in the ledger; of each kind of object */
    enum intent_status status;
    int64_t amount;
    int64_t received;
    int64_t refunded;
    int64_t created;   /* Unix time in seconds */
    int64_t due_ms;    /* Unix time when something more happens to it; 0: nothing does */
    uint64_t method;   /* its payment method's number, or RECORD_NONE */
    uint64_t customer; /* or RECORD_NONE */
    bool live;
    bool manual;   /* captured by a call of its own */
    bool disputed; /* somebody has the money back, or wants it */
    const char *currency;
    const char *card;          /* what its payment method behaves as; NULL: it has none yet */
    const char *description;   /* NULL: none */
    const char *receipt_email; /* NULL: none */
    const char *metadata;      /* a JSON object */
    const char *bank;          /* where the pages of banks are, up to the id; NULL: no redirects */
    const char *return_url;    /* where they send the buyer back to; NULL: no redirects */
};

enum refund_status { REFUND_SUCCEEDED, REFUND_PENDING, REFUND_FAILED };

struct refund {
    uint64_t number;
    enum refund_status status;
    enum refund_status ends; /* what it becomes at `due_ms` */
    int64_t amount;
    int64_t created;
    int64_t due_ms;       /* 0: it stays */
    const char *reason;   /* NULL: none */
    const char *metadata; /* a JSON object */
};

/* A payment method that was created here, or cloned from a template (card.h) by its use. */
struct method {
    uint64_t number;
    const char *card; /* what it behaves as; NULL: the record is not about a payment method */
    uint64_t customer;
    int64_t created;
    bool consumed; /* used without a customer, or detached from one: never to be used again */
};

struct customer {
    uint64_t number;
    int64_t created;
    const char *email; /* NULL: none */
    const char *name;  /* NULL: none */
    const char *metadata;
};

enum dispute_status { DISPUTE_NEEDS_RESPONSE, DISPUTE_WON, DISPUTE_LOST };

struct dispute {
    uint64_t number;
    enum dispute_status status;
    int64_t amount;
    int64_t created;
    const char *reason;
};

enum record_kind {
    RECORD_OPENED,  /* the first of a ledger: its salt */
    RECORD_CHARGE,  /* a new intent */
    RECORD_CHANGE,  /* an intent after it was cancelled, captured, ended, or its buyer acted */
    RECORD_REFUND,  /* a refund, and its intent afterwards */
    RECORD_FAILED,  /* nothing but a key that is used up, and perhaps its payment method */
    RECORD_CONFIRM, /* an intent after it was confirmed by a call of its own */
    RECORD_REFUND_CHANGE, /* a refund that has ended otherwise, and its intent afterwards */
    RECORD_METHOD,        /* a payment method: new, attached or detached */
    RECORD_CUSTOMER,      /* a new customer */
    RECORD_DISPUTE,       /* a dispute, new or closed, and its intent afterwards */
};

struct record {
    enum record_kind kind;
    uint32_t salt;   /* of RECORD_OPENED */
    unsigned error;  /* 0, or the HTTP status that was answered although it was executed: 500 */
    bool shown;      /* `failure` shows the intent as it was */
    const char *key; /* idempotency key; NULL: none */
    uint64_t fingerprint;
    int64_t used; /* Unix time in seconds when the key was used */
    struct intent intent;
    struct refund refund;
    struct method method; /* as it is from then on; also of a charge and of a failure */
    struct customer customer;
    struct dispute dispute;
    struct answer_error failure; /* of RECORD_FAILED: what is answered; status 0: a bare 500 */
    void *memory[4];             /* what the texts of a record that was read live in */
};

const char *intent_status_text(enum intent_status status);
const char *refund_status_text(enum refund_status status);
const char *dispute_status_text(enum dispute_status status);

/* Whether the record says how its intent is from then on. */
bool record_changes_intent(const struct record *record);

/* Appends the record as a line: checksum, blank, JSON, newline. */
int record_write(const struct record *record, struct buf *out);
/* Reads a line (`len` without its newline). 0: to be freed by record_free. ERR_PARSE: the checksum
 * does not fit; ERR_INVALID: it does, but the content makes no sense. */
MUST_CHECK int record_read(const char *line, size_t len, struct record *ret_record);
void record_free(struct record *record);

/* prefix_SALTNUMBER, like pi_5f3a9c210000000000000007. */
void record_id(char ret_id[RECORD_ID_SIZE], const char *prefix, uint32_t salt, uint64_t number);
/* The number in an id of this prefix and salt; ERR_NOT_FOUND: it is none. */
MUST_CHECK int record_number(const char *id, const char *prefix, uint32_t salt,
                             uint64_t *ret_number);

#endif
