/*
 * The pool's SQL: it writes parameters and reads answers; the pool decides when to call. All of
 * these: 0, ERR_UNAVAILABLE or ERR_FULL as pg_query, ERR_NOMEM; `cb` comes only after 0.
 */
#ifndef CONSUMER_POOL_POOL_DB_H
#define CONSUMER_POOL_POOL_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"
#include "common/shop/shards_serving.h"
#include "consumer/pool/liveness.h"
#include "consumer/pool/roster.h"

/* How many shards are in service: one row, or none. */
MUST_CHECK int pool_db_service(struct pg *session, pg_result_cb cb, void *arg);
/* One row: our new id. `name` is for operators; `shards_set` is CHECKOUT_SHARDS, 0: not set. */
MUST_CHECK int pool_db_join(struct pg *session, const char *name, const char *host,
                            uint32_t shards_set, pg_result_cb cb, void *arg);
/* For pool_db_read_owners. */
MUST_CHECK int pool_db_owners(struct pg *session, uint32_t shards, pg_result_cb cb, void *arg);
/* Owners and epochs. 0, or how many shards are in service if that is not the number that was asked
 * about. */
int64_t pool_db_read_owners(const struct pg_result *result, struct roster *roster);
/* Our heartbeat: `lack` says for people why we are not ready (NULL: we are); `node`: of the
 * broker (NULL: none); with the backends of the sessions for writing. Answer: the members, for
 * pool_db_members. */
MUST_CHECK int pool_db_heartbeat(struct pg *session, int64_t member, const char *lack,
                                 const char *node, struct pg *const *writers, size_t writer_count,
                                 pg_result_cb cb, void *arg);
/* Reads at most LIVENESS_MAX rows; returns how many. */
size_t pool_db_members(const struct pg_result *result, struct member_row ret_rows[LIVENESS_MAX]);
MUST_CHECK int pool_db_leave(struct pg *session, int64_t member, pg_result_cb cb, void *arg);
/* Ends the sessions that block the take-over in session `waiting`, and those of the member `dead`;
 * 0: the previous owner lives. Answer: one row, how many it ended. */
MUST_CHECK int pool_db_free_shard(struct pg *session, const struct pg *waiting, int64_t dead,
                                  pg_result_cb cb, void *arg);
/* Notifications of commands reach this session from now on. */
MUST_CHECK int pool_db_listen(struct pg *session);

/* Of heartbeats; zeroed at first. */
#define POOL_DB_WHY_SIZE 192
struct pool_db_refusal {
    char why[POOL_DB_WHY_SIZE]; /* SQLSTATE and message; "": none since the last success */
    uint64_t logged_ms;
    unsigned times; /* since that was logged */
};
/* Notes an answer that is a refusal, and logs it once in 10 s. */
void pool_db_refused(struct pool_db_refusal *refusal, const struct pg_result *result);

#endif
