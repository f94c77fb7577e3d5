/* The idempotency keys of a store, and how often each order was asked for. Pure. */
#ifndef DEPLOY_SANDBOX_STORE_KEY_H
#define DEPLOY_SANDBOX_STORE_KEY_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "deploy/sandbox/ledger.h"
#include "deploy/sandbox/record.h"

enum store_key_state {
    STORE_KEY_NEW,
    STORE_KEY_BUSY,  /* its first request is not answered yet */
    STORE_KEY_OTHER, /* it was used for something else */
    STORE_KEY_KNOWN,
};

struct key_table;

struct key_table *key_table_new(void); /* NULL: no memory */
void key_table_free(struct key_table *keys);
/* See store_use_key and store_drop_key. */
MUST_CHECK int key_table_use(struct key_table *keys, const char *key, uint64_t fingerprint,
                             int64_t now, int64_t lasts, enum store_key_state *ret_state,
                             struct ledger_place *ret_place);
void key_table_drop(struct key_table *keys, const char *key);
/* The first result of the record's key is at `place`. */
void key_table_settle(struct key_table *keys, const struct record *record,
                      struct ledger_place place);
/* See store_ask and store_asked. */
unsigned key_table_ask(struct key_table *keys, const char *order_id);
unsigned key_table_asked(const struct key_table *keys, const char *order_id);

#endif
