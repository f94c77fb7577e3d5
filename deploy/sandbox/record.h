/*
 * One line of the ledger: what was asked for under which key, and what became of it. An answer is a
 * pure function of its record (answer.h), so a key that comes again is answered as the first time.
 * Pure.
 */
#ifndef DEPLOY_SANDBOX_RECORD_H
#define DEPLOY_SANDBOX_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define RECORD_ID_SIZE 32
#define RECORD_MAX ((size_t)32 * 1024)

enum intent_status {
    INTENT_SUCCEEDED,
    INTENT_REQUIRES_ACTION,
    INTENT_REQUIRES_PAYMENT_METHOD,
    INTENT_CANCELED,
};

struct intent {
    uint64_t number; /* counts up from 0 in the ledger */
    enum intent_status status;
    int64_t amount;
    int64_t refunded;
    int64_t created; /* Unix time in seconds */
    const char *currency;
    const char *method;        /* payment method */
    const char *description;   /* NULL: none */
    const char *receipt_email; /* NULL: none */
    const char *metadata;      /* a JSON object */
    const char *bank;          /* where the pages of banks are, up to the id; NULL: no redirects */
    const char *return_url;    /* where they send the buyer back to; NULL: no redirects */
};

struct refund {
    uint64_t number;
    int64_t amount;
    int64_t created;
    const char *reason;   /* NULL: none */
    const char *metadata; /* a JSON object */
};

enum record_kind {
    RECORD_OPENED, /* the first of a ledger: its salt */
    RECORD_CHARGE, /* a new intent */
    RECORD_CANCEL, /* an intent after it was cancelled, or its buyer has acted */
    RECORD_REFUND, /* a refund, and its intent afterwards */
    RECORD_FAILED, /* nothing but a key that is used up */
};

struct record {
    enum record_kind kind;
    uint32_t salt;   /* of RECORD_OPENED */
    unsigned error;  /* 0, or the HTTP status that was answered although it was executed: 500 */
    const char *key; /* idempotency key; NULL: none */
    uint64_t fingerprint;
    struct intent intent;
    struct refund refund;
    void *memory[3]; /* what the texts of a record that was read live in */
};

const char *intent_status_text(enum intent_status status);

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
