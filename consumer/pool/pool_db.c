#include "consumer/pool/pool_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/version.h"

#define NUMBER_SIZE 24
#define LOG_EACH_MS 10000
#define PIDS_MAX 4096 /* bytes */
#define SERVING (-1)  /* in place of a shard: so many are in service now */

static const struct pg_statement join_statement = {
    "join_pool",
    "select checkout.join_pool($1::text, $2::text, $3::integer, $4::text, $5::integer)", 5};
static const struct pg_statement heartbeat_statement = {
    "heartbeat",
    "select member_id, heartbeats, ready, locked from checkout.heartbeat($1::bigint, $2::boolean,"
    " $3::integer[], $4::text, $5::text)",
    5};
static const struct pg_statement owners_statement = {
    "owners",
    "select shard, owner, epoch from checkout.shards where shards = $1::integer"
    " union all select -1, shards, 0 from checkout.service where shards <> $1::integer",
    1};
static const struct pg_statement leave_statement = {"leave_pool",
                                                    "select checkout.leave_pool($1::bigint)", 1};
static const struct pg_statement listen_statement = {"listen", "listen checkout_commands", 0};
static const struct pg_statement free_shard_statement = {
    "free_shard", "select checkout.free_shard($1::integer, $2::bigint)", 2};

static const char *number(char text[NUMBER_SIZE], int64_t value)
{
    (void)snprintf(text, NUMBER_SIZE, "%" PRId64, value);
    return text;
}

int pool_db_service(struct pg *session, pg_result_cb cb, void *arg)
{
    return pg_query(session, &shards_serving, NULL, cb, arg);
}

int pool_db_join(struct pg *session, const char *name, const char *host, uint32_t shards_set,
                 pg_result_cb cb, void *arg)
{
    char pid[NUMBER_SIZE], shards[NUMBER_SIZE];
    const char *params[] = {name, host, number(pid, getpid()), CHECKOUT_VERSION,
                            shards_set == 0 ? NULL : number(shards, shards_set)};
    return pg_query(session, &join_statement, params, cb, arg);
}

int pool_db_owners(struct pg *session, uint32_t shards, pg_result_cb cb, void *arg)
{
    char text[NUMBER_SIZE];
    const char *params[] = {number(text, shards)};
    return pg_query(session, &owners_statement, params, cb, arg);
}

int64_t pool_db_read_owners(const struct pg_result *result, struct roster *roster)
{
    int64_t serving = 0;
    for (int row = 0; pg_status(result) == PG_OK && row < pg_rows(result); row++) {
        int64_t shard = pg_int(result, row, 0);
        if (shard == SERVING)
            serving = pg_int(result, row, 1);
        else
            roster_read(roster, shard, pg_int(result, row, 1), pg_int(result, row, 2));
    }
    return serving;
}

int pool_db_heartbeat(struct pg *session, int64_t member, const char *lack, const char *node,
                      struct pg *const *writers, size_t writer_count, pg_result_cb cb, void *arg)
{
    struct buf pids;
    buf_init(&pids, PIDS_MAX);
    pg_array_begin(&pids);
    for (size_t i = 0; i < writer_count; i++)
        pg_array_int(&pids, pg_backend_pid(writers[i]));
    pg_array_end(&pids);
    char id[NUMBER_SIZE];
    const char *params[] = {number(id, member), lack == NULL ? "true" : "false", buf_text(&pids),
                            lack, node};
    int code = pids.failed ? ERR_NOMEM : pg_query(session, &heartbeat_statement, params, cb, arg);
    buf_free(&pids);
    return code;
}

size_t pool_db_members(const struct pg_result *result, struct member_row ret_rows[LIVENESS_MAX])
{
    size_t count = 0;
    for (int row = 0; row < pg_rows(result) && count < LIVENESS_MAX; row++)
        ret_rows[count++] = (struct member_row){.id = pg_int(result, row, 0),
                                                .heartbeat = pg_int(result, row, 1),
                                                .ready = pg_bool(result, row, 2),
                                                .locked = pg_bool(result, row, 3)};
    return count;
}

int pool_db_leave(struct pg *session, int64_t member, pg_result_cb cb, void *arg)
{
    char id[NUMBER_SIZE];
    const char *params[] = {number(id, member)};
    return pg_query(session, &leave_statement, params, cb, arg);
}

int pool_db_free_shard(struct pg *session, const struct pg *waiting, int64_t dead, pg_result_cb cb,
                       void *arg)
{
    char pid[NUMBER_SIZE], id[NUMBER_SIZE];
    const char *params[] = {number(pid, pg_backend_pid(waiting)),
                            dead == 0 ? NULL : number(id, dead)};
    return pg_query(session, &free_shard_statement, params, cb, arg);
}

int pool_db_listen(struct pg *session)
{
    return pg_query(session, &listen_statement, NULL, NULL, NULL);
}

void pool_db_refused(struct pool_db_refusal *refusal, const struct pg_result *result)
{
    if (pg_status(result) != PG_ERROR)
        return;
    (void)snprintf(refusal->why, sizeof refusal->why, "%s: %s", pg_sqlstate(result),
                   pg_message(result));
    refusal->times++;
    if (!log_due(&refusal->logged_ms, LOG_EACH_MS))
        return;
    log_error("heartbeat refused by the database", LOG_STR("problem", refusal->why),
              LOG_INT("times", refusal->times));
    refusal->times = 0;
}
