#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/pg/pg_impl.h"

/* Two sessions at once that one backend serves are not two: each transaction may run in another.
 * The second is made only behind a pooler, and while it has no answer the first is not up. */
#define NUMBER_SIZE 16
#define PREPARED_ALREADY "42P05"
static const char shared_sessions[] =
    "a connection pooler shares sessions between clients (transaction or statement mode): prepared "
    "statements, notifications and locks break; give each client one (pool_mode = session), or "
    "name PostgreSQL itself in CHECKOUT_DATABASE_URL";
static const char no_place[] =
    "a connection pooler gives a second session no place within 5 s (its default_pool_size: at "
    "least the sessions of all programs with this login, and one more); without it, it is unknown "
    "whether it shares sessions";

/* What the options of a login say (pg_wire.c), which a pooler drops; null: as the server has it. */
static const struct pg_statement settle = {
    "pg_settle",
    "select pg_backend_pid(), set_config('timezone', 'UTC', false),"
    "       set_config('datestyle', 'ISO', false), set_config('jit', 'off', false),"
    "       set_config('statement_timeout', $1, false),"
    "       set_config('idle_in_transaction_session_timeout', $2, false)",
    2};

static void refuse(struct pg *pg, int code, const char *reason)
{
    pg->pooler.code = code;
    (void)snprintf(pg->pooler.refusal, sizeof pg->pooler.refusal, "%s", reason);
}

static const char *number(char text[NUMBER_SIZE], uint32_t ms)
{
    (void)snprintf(text, NUMBER_SIZE, "%u", ms);
    return ms == 0 ? NULL : text;
}

/* A pooler that takes its servers in turn gives the second session another one, and the first its
 * own again for its settings, but not for what it asks after them. */
static const struct pg_statement look_again = {"pg_look", "select pg_backend_pid()", 0};

/* 0: the backend is that of the first statement; else the session is refused. */
static int judge_backend(struct pg *pg, const struct pg_result *result)
{
    bool is_ours = pg_status(result) == PG_OK && pg_int(result, 0, 0) == pg->backend;
    if (is_ours)
        return 0;
    bool refused =
        pg_status(result) == PG_ERROR && strcmp(pg_sqlstate(result), PREPARED_ALREADY) != 0;
    refuse(pg, ERR_CONFLICT,
           refused ? "behind a connection pooler, its settings are refused" : shared_sessions);
    return ERR_CONFLICT;
}

static void looked(const struct pg_result *result, void *arg)
{
    struct pg *pg = arg;
    if (pg_status(result) == PG_LOST)
        return; /* the session has ended */
    pg->greeting.awaited--;
    (void)judge_backend(pg, result);
}

static void ask(struct pg *pg, const struct pg_statement *statement, const char *const *params,
                pg_result_cb cb)
{
    if (pg_pipeline_query(&pg->pipeline, statement, params, cb, pg) < 0) {
        refuse(pg, ERR_UNAVAILABLE, "behind a connection pooler, its settings cannot be sent");
        return;
    }
    pg->greeting.awaited++;
    loop_watch_set(pg->watch, pg->pipeline.unflushed ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* A transaction of its own each: only between them a pooler chooses anew. */
static void settled(const struct pg_result *result, void *arg)
{
    struct pg *pg = arg;
    if (pg_status(result) == PG_LOST)
        return;
    pg->greeting.awaited--;
    if (judge_backend(pg, result) == 0)
        ask(pg, &look_again, NULL, looked);
}

static void send_settings(struct pg *pg)
{
    char statement[NUMBER_SIZE], idle[NUMBER_SIZE];
    const char *const params[] = {number(statement, pg->options.statement_timeout_ms),
                                  number(idle, pg->options.idle_in_transaction_timeout_ms)};
    ask(pg, &settle, params, settled);
}

static void end_probe(struct pg *pg)
{
    pg->close_probe(pg->pooler.probe);
    pg->pooler.probe = NULL;
}

/* From the loop. */
static void probed(bool up, const char *reason, void *arg)
{
    struct pg *pg = arg;
    char why[PG_REASON_SIZE];
    const struct pg *probe = pg->pooler.probe;
    bool shared = up ? probe->backend == pg->backend : probe->fault == ERR_CONFLICT;
    (void)snprintf(why, sizeof why,
                   "a connection pooler gives no second session, and without it, it is unknown "
                   "whether it shares sessions: %.120s",
                   up ? "" : reason);
    end_probe(pg);
    if (shared)
        refuse(pg, ERR_CONFLICT, shared_sessions);
    else if (!up)
        refuse(pg, ERR_UNAVAILABLE, why);
    else
        send_settings(pg);
    pg->member.known(pg);
}

const char *pg_pooler_mute(const struct pg *pg)
{
    return pg->pooler.probe == NULL ? NULL : no_place;
}

void pg_pooler_first(struct pg *pg, const struct pg_result *result)
{
    if (strcmp(pg_sqlstate(result), PREPARED_ALREADY) == 0)
        refuse(pg, ERR_CONFLICT, shared_sessions);
}

void pg_pooler_begin(struct pg *pg)
{
    struct pg_options options = pg->options;
    options.cluster = NULL;
    options.greeting = NULL;
    pg->pooler.between = true;
    pg->pooler.probe = pg->open_probe(pg->loop, &options, pg->walk.host, probed, pg);
    if (pg->pooler.probe == NULL)
        refuse(pg, ERR_UNAVAILABLE, "out of memory");
    else
        pg->greeting.awaited++;
}

void pg_pooler_end(struct pg *pg)
{
    pg->close_probe(pg->pooler.probe);
    pg->pooler = (struct pg_pooler){.between = false};
}
