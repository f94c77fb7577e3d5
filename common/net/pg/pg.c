#include "common/net/pg/pg_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 2000
#define READS_MAX 64 /* in one turn of the loop, then others have theirs */
/* So much is sent ahead, or one larger query alone. The server works on one at a time: more would
 * only fill its receive buffer, and a window that was closed for long has been seen to stay so for
 * seconds. */
#define UNANSWERED_MAX ((size_t)48 * 1024)

static void run_held(struct db *db);

/* ---- sending ---- */

/* What this session knows of a statement; NULL: nothing yet. */
static struct db_prepared *find_prepared(const struct db *db, const struct db_statement *statement)
{
    for (size_t i = 0; i < db->prepared_count; i++)
        if (db->prepared[i].statement == statement)
            return &db->prepared[i];
    return NULL;
}

static int mark_prepared(struct db *db, const struct db_statement *statement)
{
    if (db->prepared_count == db->prepared_cap) {
        size_t cap = db->prepared_cap == 0 ? 16 : db->prepared_cap * 2;
        struct db_prepared *grown = realloc(db->prepared, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        db->prepared = grown;
        db->prepared_cap = cap;
    }
    db->prepared[db->prepared_count++] = (struct db_prepared){statement, false};
    return 0;
}

static void unmark_prepared(struct db *db, const struct db_statement *statement)
{
    struct db_prepared *prepared = find_prepared(db, statement);
    if (prepared != NULL)
        *prepared = db->prepared[--db->prepared_count];
}

/* Watches for room in the socket only while something waits for it; 0 or ERR_IO. */
static int flush(struct db *db)
{
    int left = pg_flush(db->pg);
    if (left < 0)
        return left;
    loop_watch_set(db->watch, left > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    return 0;
}

/* The first use prepares the statement. While that is unanswered it may still fail, so a further
 * use goes without it. */
static int send_messages(struct db *db, const struct db_statement *statement,
                         const char *const *params, bool prepare, bool ready)
{
    int code = prepare ? pg_send_prepare(db->pg, statement) : 0;
    if (code == 0)
        code = pg_send_query(db->pg, statement, params, prepare || ready);
    if (code == 0)
        code = pg_send_sync(db->pg);
    return code == 0 ? flush(db) : code;
}

/* Sends now; 0, ERR_NOMEM, or ERR_UNAVAILABLE when the session broke over it. */
static int send_query(struct db *db, const struct db_statement *statement,
                      const char *const *params, db_result_cb cb, void *arg)
{
    const struct db_prepared *known = find_prepared(db, statement);
    bool prepare = known == NULL;
    bool ready = known != NULL && known->ready;
    struct db_sent sent = {.cb = cb,
                           .arg = arg,
                           .statement = statement,
                           .bytes = db_params_bytes(params, (size_t)statement->params),
                           .preparing = prepare};
    int code = prepare ? mark_prepared(db, statement) : 0;
    if (code < 0)
        return code;
    code = db_ring_push(&db->sent, &sent);
    if (code < 0) {
        if (prepare)
            unmark_prepared(db, statement);
        return code;
    }
    if (send_messages(db, statement, params, prepare, ready) == 0) {
        db->unanswered += sent.bytes;
        return 0;
    }
    db->sent.count--; /* takes back what was pushed just now: the caller is told at once */
    db_give_up_with_reason(db);
    return ERR_UNAVAILABLE;
}

/* ---- scripts, and what they hold back ---- */

static void start_script(struct db *db, struct db_held *script)
{
    db->script = script;
    db->script_result = NULL;
    db->script_failed = false;
    db->phase = DB_PHASE_SCRIPT;
    if (pg_set_pipeline(db->pg, false) < 0 || pg_send_script(db->pg, script->params[0]) < 0 ||
        flush(db) < 0)
        db_give_up_with_reason(db);
}

/* Whether a query of these parameters may be sent before what is sent is answered. */
static bool may_send(const struct db *db, const struct db_statement *statement,
                     const char *const *params)
{
    return db->sent.count == 0 ||
           db->unanswered + db_params_bytes(params, (size_t)statement->params) <= UNANSWERED_MAX;
}

/* Sends what was held back, up to the next script, which waits until the pipeline is empty. */
static void run_held(struct db *db)
{
    while (db->phase == DB_PHASE_UP && db->held.first != NULL) {
        if (db->held.first->statement == NULL) {
            if (db->sent.count == 0)
                start_script(db, db_line_pop(&db->held));
            return;
        }
        struct db_held *held = db->held.first;
        if (!may_send(db, held->statement, held->params))
            return;
        if (send_query(db, held->statement, held->params, held->cb, held->arg) < 0) {
            if (db->phase == DB_PHASE_UP)
                db_give_up(db, "out of memory");
            return; /* it stays in the line, and hears of the loss there */
        }
        free(db_line_pop(&db->held));
    }
}

static void end_script(struct db *db)
{
    struct db_held *script = db->script;
    struct db_result *result = db->script_result;
    if (pg_set_pipeline(db->pg, true) < 0) {
        db_fail_with_reason(db);
        return;
    }
    db->script = NULL;
    db->script_result = NULL;
    db->phase = DB_PHASE_UP;
    db_report(script->cb, result, script->arg);
    pg_result_free(result);
    free(script);
    if (!db->closed)
        run_held(db);
}

/* The first error counts, else the last result. */
static void take_script_event(struct db *db, enum pg_event event, struct db_result *result)
{
    if (event == PG_END) {
        end_script(db);
    } else if (event != PG_RESULT && event != PG_ERROR) {
        db_fail_with_reason(db);
    } else if (db->script_failed) {
        pg_result_free(result);
    } else {
        pg_result_free(db->script_result);
        db->script_result = result;
        db->script_failed = event == PG_ERROR;
    }
}

/* ---- receiving ---- */

/* A prepared statement whose tables or functions have changed since cannot be used any more. */
static bool is_outdated(const struct db_result *error)
{
    const char *state = db_sqlstate(error);
    return strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0;
}

/* The transaction of the oldest query has ended: only now is its result true. */
static void complete(struct db *db)
{
    struct db_sent sent = *db_ring_head(&db->sent);
    db_ring_pop(&db->sent);
    db->unanswered -= sent.bytes;
    bool outdated = sent.failed && !sent.preparing && is_outdated(sent.result);
    if (sent.failed && sent.preparing)
        unmark_prepared(db, sent.statement);
    db_report(sent.cb, sent.result, sent.arg);
    pg_result_free(sent.result);
    if (outdated && !db->closed && db->phase == DB_PHASE_UP)
        db_give_up(db, "a prepared statement is outdated");
}

static void take_result(struct db *db, bool error, struct db_result *result)
{
    struct db_sent *head = db_ring_head(&db->sent);
    if (!error && head->preparing) {
        struct db_prepared *prepared = find_prepared(db, head->statement);
        head->preparing = false;
        if (prepared != NULL)
            prepared->ready = true;
        pg_result_free(result);
    } else if (head->failed) {
        pg_result_free(result);
    } else {
        pg_result_free(head->result); /* an error may come after it, from the commit */
        head->result = result;
        head->failed = error;
    }
}

static void take_event(struct db *db, enum pg_event event, struct db_result *result)
{
    switch (event) {
    case PG_RESULT:
    case PG_ERROR:
        take_result(db, event == PG_ERROR, result);
        return;
    case PG_SYNC:
        if (db_ring_head(&db->sent)->result == NULL)
            db_fail(db, ERR_UNAVAILABLE, "the server left a query without an answer");
        else
            complete(db);
        return;
    case PG_FATAL:
        db_fail_with_reason(db);
        return;
    case PG_END:
    case PG_ABORTED:
    case PG_WAIT:
        return;
    }
}

/* Hands out what has arrived; false when this session ended over it. */
static bool take_events(struct db *db)
{
    uint64_t session = db->session;
    while (db->script != NULL || db->sent.count > 0) {
        struct db_result *result = NULL;
        enum pg_event event = pg_next(db->pg, &result);
        if (event == PG_WAIT || (event == PG_END && pg_is_lost(db->pg)))
            break;
        if (db->script != NULL)
            take_script_event(db, event, result);
        else
            take_event(db, event, result);
        if (db->session != session || db->closed || db->phase == DB_PHASE_BROKEN)
            return false;
    }
    while (pg_notification(db->pg, db->notify, db->notify_arg))
        if (db->session != session || db->closed || db->phase == DB_PHASE_BROKEN)
            return false;
    return true;
}

static void receive(struct db *db)
{
    for (int reads = 0; reads < READS_MAX; reads++) {
        if (pg_consume(db->pg) < 0) {
            if (take_events(db)) /* what came before the end is still true */
                db_fail_with_reason(db);
            return;
        }
        if (!take_events(db))
            return;
        if (!pg_readable(db->pg))
            break;
    }
    run_held(db);
    if (db->phase != DB_PHASE_BROKEN && flush(db) < 0)
        db_fail_with_reason(db);
}

void db_socket_ready(int events, void *arg)
{
    struct db *db = arg;
    uint64_t session = db->session;
    if (db->phase == DB_PHASE_CONNECTING) {
        db_session_step(db);
    } else if (db->phase == DB_PHASE_UP || db->phase == DB_PHASE_SCRIPT) {
        if ((events & LOOP_WRITE) != 0 && flush(db) < 0)
            db_fail_with_reason(db);
        if ((events & LOOP_READ) != 0 && db->session == session)
            receive(db);
    }
}

/* ---- the public calls ---- */

struct db *db_open(struct loop *loop, const struct db_options *options, db_state_cb state,
                   void *arg)
{
    struct db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return NULL;
    db->loop = loop;
    db->state = state;
    db->arg = arg;
    db->options = *options;
    db->options.url = db->url = strdup(options->url);
    db->options.application_name = db->application_name = strdup(options->application_name);
    db->timer = loop_timer_new(loop, db_timer_fired, db);
    backoff_init(&db->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS,
                 clock_mono_us() ^ ((uint64_t)getpid() << 40));
    if (db->url == NULL || db->application_name == NULL || db->timer == NULL) {
        db_free(db);
        return NULL;
    }
    loop_timer_start(db->timer, 0, 0); /* not from here: the caller does not hold `db` yet */
    return db;
}

void db_close(struct db *db)
{
    if (db == NULL || db->closed)
        return;
    db->closed = true;
    db_disconnect(db);
    db_tell_lost(db);
    loop_timer_start(db->timer, 0, 0); /* frees it */
}

bool db_is_up(const struct db *db)
{
    return db->phase == DB_PHASE_UP || db->phase == DB_PHASE_SCRIPT;
}

int db_fault(const struct db *db)
{
    return db->fault;
}

const char *db_server_version(const struct db *db)
{
    return db_is_up(db) ? pg_server_version(db->pg) : "";
}

int db_backend_pid(const struct db *db)
{
    return db_is_up(db) ? pg_backend_pid(db->pg) : 0;
}

size_t db_pending(const struct db *db)
{
    return db->sent.count + db->held.count + (db->script != NULL ? 1 : 0);
}

void db_reconnect(struct db *db)
{
    if (db->phase == DB_PHASE_UP || db->phase == DB_PHASE_SCRIPT)
        db_give_up(db, "asked to connect anew");
}

static int hold(struct db *db, const struct db_statement *statement, const char *const *params,
                size_t count, db_result_cb cb, void *arg)
{
    struct db_held *held = db_held_new(statement, params, count, cb, arg);
    if (held == NULL)
        return ERR_NOMEM;
    db_line_push(&db->held, held);
    return 0;
}

/* Whether one more may be queued: 0, ERR_UNAVAILABLE, ERR_FULL. */
static int admit(const struct db *db)
{
    if (!db_is_up(db) || db->closed)
        return ERR_UNAVAILABLE;
    return db_pending(db) >= db->options.pending_max ? ERR_FULL : 0;
}

int db_query(struct db *db, const struct db_statement *statement, const char *const *params,
             db_result_cb cb, void *arg)
{
    int code = admit(db);
    if (code < 0)
        return code;
    if (db->phase == DB_PHASE_SCRIPT || db->held.first != NULL || !may_send(db, statement, params))
        return hold(db, statement, params, (size_t)statement->params, cb, arg);
    return send_query(db, statement, params, cb, arg);
}

int db_script(struct db *db, const char *sql, db_result_cb cb, void *arg)
{
    int code = admit(db);
    if (code == 0)
        code = hold(db, NULL, &sql, 1, cb, arg);
    if (code == 0)
        run_held(db);
    return code;
}

void db_on_notify(struct db *db, db_notify_cb cb, void *arg)
{
    db->notify = cb;
    db->notify_arg = arg;
}
