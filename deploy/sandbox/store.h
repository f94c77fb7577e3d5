/*
 * What the gateway remembers of its ledger: for every object and idempotency key, where its last
 * record is. Some 150 bytes for each charge. Pure.
 */
#ifndef DEPLOY_SANDBOX_STORE_H
#define DEPLOY_SANDBOX_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "deploy/sandbox/ledger.h"
#include "deploy/sandbox/record.h"
#include "deploy/sandbox/store_key.h"

struct store;

struct store_intent {
    struct ledger_place place; /* of its last durable record */
    int64_t created;
    int64_t due_ms; /* 0: nothing happens to it by itself */
    bool busy;      /* a change of it is not durable yet */
};

/* A refund or a dispute. */
struct store_part {
    struct ledger_place place; /* len 0: not to be seen yet */
    uint64_t intent;
    int64_t due_ms;
};

struct store_method {
    struct ledger_place place; /* len 0: not to be seen yet */
    uint64_t customer;
    bool consumed;
};

/* Kinds of objects besides intents. */
enum store_kind { STORE_REFUNDS, STORE_DISPUTES, STORE_METHODS, STORE_CUSTOMERS, STORE_KINDS };

struct store *store_new(void);
void store_free(struct store *store); /* NULL is allowed */

/* Gives the next intent or other object its number; it is not to be seen yet. An intent is never
 * created before the one before it: lists are by time. ERR_NOMEM. */
MUST_CHECK int store_add_intent(struct store *store, int64_t now, struct intent *ret_intent);
MUST_CHECK int store_add(struct store *store, enum store_kind kind, uint64_t *ret_number);
/* The number taken last could not be recorded, and is free again. */
void store_drop_intent(struct store *store);
void store_drop(struct store *store, enum store_kind kind);
/* The record is durable: it can be seen and read. Also ends `busy`, and fills in its key. */
void store_settle(struct store *store, const struct record *record, struct ledger_place place);
/* A record from the file, in order. ERR_INVALID: its numbers do not count up; ERR_NOMEM. */
MUST_CHECK int store_load(struct store *store, const struct record *record,
                          struct ledger_place place);

/* Intents that can be seen are those below this number. */
uint64_t store_intent_count(const struct store *store);
/* NULL: no such intent (to be seen). Valid until the next store_add_intent. */
struct store_intent *store_intent(struct store *store, uint64_t number);
/* Numbers of such objects that can be seen are below this one. */
uint64_t store_count(const struct store *store, enum store_kind kind);
/* Where its last record is; len 0: there is none. */
struct ledger_place store_place(const struct store *store, enum store_kind kind, uint64_t number);
/* NULL: no such payment method (to be seen). Valid until the next store_add. */
struct store_method *store_method(struct store *store, uint64_t number);
/* Of a refund or a dispute that can be seen; else NULL. */
const struct store_part *store_part(const struct store *store, enum store_kind kind,
                                    uint64_t number);
/* Goes back from `*number` to the newest refund or dispute before it, of this intent (NULL: of
 * any), that can be seen. False: there is none. */
bool store_before(const struct store *store, enum store_kind kind, const uint64_t *intent,
                  uint64_t *number);

/* Looks a key up that is used at `now` (seconds) and is forgotten after `lasts` seconds. A new one
 * becomes busy, until store_settle or store_drop_key. ERR_NOMEM. */
MUST_CHECK int store_use_key(struct store *store, const char *key, uint64_t fingerprint,
                             int64_t now, int64_t lasts, enum store_key_state *ret_state,
                             struct ledger_place *ret_place);
/* Its request was not executed: the key is new again. */
void store_drop_key(struct store *store, const char *key);

/* Counts one more request for an order; how many there were before, in this process. */
unsigned store_ask(struct store *store, const char *order_id);
unsigned store_asked(const struct store *store, const char *order_id);

#endif
