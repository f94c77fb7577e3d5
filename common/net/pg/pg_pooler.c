#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/pg/pg_impl.h"

/* Two sessions at once that one backend serves are not two: each transaction may run in another.
 * The second is made only behind a pooler. One that gets no place there has none because the first
 * keeps its own. */
#define PATIENCE_MS 1000
#define NUMBER_SIZE 16
#define PREPARED_ALREADY "42P05"
static const char shared_sessions[] =
    "a connection pooler shares sessions between clients (transaction or statement mode): prepared "
    "statements, notifications and locks break; give each client one (pool_mode = session), or "
    "name PostgreSQL itself in CHECKOUT_DATABASE_URL";

/* What the options of a login say (pg_wire.c), which a pooler drops; null: as the server has it. */
static const struct pg_statement settle = {
    "pg_settle",
    "select pg_backend_pid(), set_config('timezone', 'UTC', false),"
    "       set_config('datestyle', 'ISO', false), set_config('jit', 'off', false),"
    "       set_config('statement_timeout', $1, false),"
    "       set_config('idle_in_transaction_session_timeout', $2, false)",
    2};

static void settled(const struct pg_result *result, void *arg)
{
    struct pg *pg = arg;
    if (pg_status(result) == PG_LOST)
        return; /* the session has ended */
    pg->greeting.awaited--;
    if (pg_status(result) != PG_OK)
        pg->pooler.refusal = "behind a connection pooler, its settings are refused";
    else if (pg_int(result, 0, 0) != pg->backend)
        pg->pooler.refusal = shared_sessions;
}

static const char *number(char text[NUMBER_SIZE], uint32_t ms)
{
    (void)snprintf(text, NUMBER_SIZE, "%u", ms);
    return ms == 0 ? NULL : text;
}

static void send_settings(struct pg *pg)
{
    char statement[NUMBER_SIZE], idle[NUMBER_SIZE];
    const char *const params[] = {number(statement, pg->options.statement_timeout_ms),
                                  number(idle, pg->options.idle_in_transaction_timeout_ms)};
    if (pg_pipeline_query(&pg->pipeline, &settle, params, settled, pg) == 0) {
        loop_watch_set(pg->watch, pg->pipeline.unflushed ? LOOP_READ | LOOP_WRITE : LOOP_READ);
        return;
    }
    pg->pooler.refusal = "behind a connection pooler, its settings cannot be sent";
    pg->member.known(pg);
}

static void end_probe(struct pg *pg)
{
    pg->close_probe(pg->pooler.probe);
    pg->pooler.probe = NULL;
    loop_timer_stop(pg->pooler.patience);
}

/* From the loop. */
static void probed(bool up, const char *reason, void *arg)
{
    struct pg *pg = arg;
    (void)reason;
    const struct pg *probe = pg->pooler.probe;
    bool shared = up ? probe->backend == pg->backend : probe->fault == ERR_CONFLICT;
    end_probe(pg);
    if (shared) {
        pg->pooler.refusal = shared_sessions;
        pg->member.known(pg);
    } else {
        send_settings(pg);
    }
}

static void out_of_patience(void *arg)
{
    struct pg *pg = arg;
    end_probe(pg);
    send_settings(pg);
}

void pg_pooler_first(struct pg *pg, const struct pg_result *result)
{
    if (strcmp(pg_sqlstate(result), PREPARED_ALREADY) == 0)
        pg->pooler.refusal = shared_sessions;
}

int pg_pooler_begin(struct pg *pg)
{
    struct pg_options options = pg->options;
    options.cluster = NULL;
    options.greeting = NULL;
    pg->pooler.between = true;
    pg->pooler.patience = loop_timer_new(pg->loop, out_of_patience, pg);
    if (pg->pooler.patience != NULL)
        pg->pooler.probe = pg->open_probe(pg->loop, &options, pg->walk.host, probed, pg);
    if (pg->pooler.probe == NULL)
        return ERR_NOMEM;
    loop_timer_start(pg->pooler.patience, PATIENCE_MS, 0);
    return 0;
}

void pg_pooler_end(struct pg *pg)
{
    pg->close_probe(pg->pooler.probe);
    loop_timer_free(pg->pooler.patience);
    pg->pooler = (struct pg_pooler){.between = false};
}
