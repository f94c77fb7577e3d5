/*
 * Captures of the gateway as arrays of PostgreSQL, to compare them with the tables; and those that
 * did not agree at the first check, kept for the second.
 */
#ifndef CTL_AUDIT_AUDIT_SUSPECTS_H
#define CTL_AUDIT_AUDIT_SUSPECTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/pg/pg.h"
#include "common/pay/pay.h"
#include "ctl/ctl.h"

#define AUDIT_SUSPECTS_MAX ((size_t)2000)

struct audit_suspects {
    struct buf intents, orders, amounts, currencies;
    size_t count;
};

void audit_suspects_init(struct audit_suspects *suspects);
void audit_suspects_free(struct audit_suspects *suspects);
/* Empties it. */
void audit_suspects_reset(struct audit_suspects *suspects);
/* ERR_FULL. */
MUST_CHECK int audit_suspects_add(struct audit_suspects *suspects, const char *intent_id,
                                  const char *order_id, int64_t amount, const char *currency);
/* Compares them with the tables: `rows` gets AUDIT_COLUMNS, then amount and currency of the list.
 * They take no more until they are reset. */
MUST_CHECK int audit_suspects_compare(struct ctl *ctl, struct audit_suspects *suspects,
                                      pg_result_cb rows, void *arg);

#endif
