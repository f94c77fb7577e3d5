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

static void run_held(struct pg *pg);

/* ---- sending ---- */

/* What this session knows of a statement; NULL: nothing yet. */
static struct pg_prepared *find_prepared(const struct pg *pg, const struct pg_statement *statement)
{
    for (size_t i = 0; i < pg->prepared_count; i++)
        if (pg->prepared[i].statement == statement)
            return &pg->prepared[i];
    return NULL;
}

static int mark_prepared(struct pg *pg, const struct pg_statement *statement)
{
    if (pg->prepared_count == pg->prepared_cap) {
        size_t cap = pg->prepared_cap == 0 ? 16 : pg->prepared_cap * 2;
        struct pg_prepared *grown = realloc(pg->prepared, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        pg->prepared = grown;
        pg->prepared_cap = cap;
    }
    pg->prepared[pg->prepared_count++] = (struct pg_prepared){statement, false};
    return 0;
}

static void unmark_prepared(struct pg *pg, const struct pg_statement *statement)
{
    struct pg_prepared *prepared = find_prepared(pg, statement);
    if (prepared != NULL)
        *prepared = pg->prepared[--pg->prepared_count];
}

/* Watches for room in the socket only while something waits for it; 0 or ERR_IO. */
static int flush(struct pg *pg)
{
    int left = pg_wire_flush(pg->wire);
    if (left < 0)
        return left;
    loop_watch_set(pg->watch, left > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    return 0;
}

/* The first use prepares the statement. While that is unanswered it may still fail, so a further
 * use goes without it. */
static int send_messages(struct pg *pg, const struct pg_statement *statement,
                         const char *const *params, bool prepare, bool ready)
{
    int code = prepare ? pg_wire_send_prepare(pg->wire, statement) : 0;
    if (code == 0)
        code = pg_wire_send_query(pg->wire, statement, params, prepare || ready);
    if (code == 0)
        code = pg_wire_send_sync(pg->wire);
    return code == 0 ? flush(pg) : code;
}

/* Sends now; 0, ERR_NOMEM, or ERR_UNAVAILABLE when the session broke over it. */
static int send_query(struct pg *pg, const struct pg_statement *statement,
                      const char *const *params, pg_result_cb cb, void *arg)
{
    const struct pg_prepared *known = find_prepared(pg, statement);
    bool prepare = known == NULL;
    bool ready = known != NULL && known->ready;
    struct pg_sent sent = {.cb = cb,
                           .arg = arg,
                           .statement = statement,
                           .bytes = pg_params_bytes(params, (size_t)statement->params),
                           .preparing = prepare};
    int code = prepare ? mark_prepared(pg, statement) : 0;
    if (code < 0)
        return code;
    code = pg_ring_push(&pg->sent, &sent);
    if (code < 0) {
        if (prepare)
            unmark_prepared(pg, statement);
        return code;
    }
    if (send_messages(pg, statement, params, prepare, ready) == 0) {
        pg->unanswered += sent.bytes;
        return 0;
    }
    pg->sent.count--; /* takes back what was pushed just now: the caller is told at once */
    pg_give_up_with_reason(pg);
    return ERR_UNAVAILABLE;
}

/* ---- scripts, and what they hold back ---- */

static void start_script(struct pg *pg, struct pg_held *script)
{
    pg->script = script;
    pg->script_result = NULL;
    pg->script_failed = false;
    pg->phase = PG_PHASE_SCRIPT;
    if (pg_wire_set_pipeline(pg->wire, false) < 0 ||
        pg_wire_send_script(pg->wire, script->params[0]) < 0 || flush(pg) < 0)
        pg_give_up_with_reason(pg);
}

/* Whether a query of these parameters may be sent before what is sent is answered. */
static bool may_send(const struct pg *pg, const struct pg_statement *statement,
                     const char *const *params)
{
    return pg->sent.count == 0 ||
           pg->unanswered + pg_params_bytes(params, (size_t)statement->params) <= UNANSWERED_MAX;
}

/* Sends what was held back, up to the next script, which waits until the pipeline is empty. */
static void run_held(struct pg *pg)
{
    while (pg->phase == PG_PHASE_UP && pg->held.first != NULL) {
        if (pg->held.first->statement == NULL) {
            if (pg->sent.count == 0)
                start_script(pg, pg_line_pop(&pg->held));
            return;
        }
        struct pg_held *held = pg->held.first;
        if (!may_send(pg, held->statement, held->params))
            return;
        if (send_query(pg, held->statement, held->params, held->cb, held->arg) < 0) {
            if (pg->phase == PG_PHASE_UP)
                pg_give_up(pg, "out of memory");
            return; /* it stays in the line, and hears of the loss there */
        }
        free(pg_line_pop(&pg->held));
    }
}

static void end_script(struct pg *pg)
{
    struct pg_held *script = pg->script;
    struct pg_result *result = pg->script_result;
    if (pg_wire_set_pipeline(pg->wire, true) < 0) {
        pg_fail_with_reason(pg);
        return;
    }
    pg->script = NULL;
    pg->script_result = NULL;
    pg->phase = PG_PHASE_UP;
    pg_report(script->cb, result, script->arg);
    pg_wire_result_free(result);
    free(script);
    if (!pg->closed)
        run_held(pg);
}

/* The first error counts, else the last result. */
static void take_script_event(struct pg *pg, enum pg_wire_event event, struct pg_result *result)
{
    if (event == PG_WIRE_END) {
        end_script(pg);
    } else if (event != PG_WIRE_RESULT && event != PG_WIRE_ERROR) {
        pg_fail_with_reason(pg);
    } else if (pg->script_failed) {
        pg_wire_result_free(result);
    } else {
        pg_wire_result_free(pg->script_result);
        pg->script_result = result;
        pg->script_failed = event == PG_WIRE_ERROR;
    }
}

/* ---- receiving ---- */

/* A prepared statement whose tables or functions have changed since cannot be used any more. */
static bool is_outdated(const struct pg_result *error)
{
    const char *state = pg_sqlstate(error);
    return strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0;
}

/* The transaction of the oldest query has ended: only now is its result true. */
static void complete(struct pg *pg)
{
    struct pg_sent sent = *pg_ring_head(&pg->sent);
    pg_ring_pop(&pg->sent);
    pg->unanswered -= sent.bytes;
    bool outdated = sent.failed && !sent.preparing && is_outdated(sent.result);
    if (sent.failed && sent.preparing)
        unmark_prepared(pg, sent.statement);
    pg_report(sent.cb, sent.result, sent.arg);
    pg_wire_result_free(sent.result);
    if (outdated && !pg->closed && pg->phase == PG_PHASE_UP)
        pg_give_up(pg, "a prepared statement is outdated");
}

static void take_result(struct pg *pg, bool error, struct pg_result *result)
{
    struct pg_sent *head = pg_ring_head(&pg->sent);
    if (!error && head->preparing) {
        struct pg_prepared *prepared = find_prepared(pg, head->statement);
        head->preparing = false;
        if (prepared != NULL)
            prepared->ready = true;
        pg_wire_result_free(result);
    } else if (head->failed) {
        pg_wire_result_free(result);
    } else {
        pg_wire_result_free(head->result); /* an error may come after it, from the commit */
        head->result = result;
        head->failed = error;
    }
}

static void take_event(struct pg *pg, enum pg_wire_event event, struct pg_result *result)
{
    switch (event) {
    case PG_WIRE_RESULT:
    case PG_WIRE_ERROR:
        take_result(pg, event == PG_WIRE_ERROR, result);
        return;
    case PG_WIRE_SYNC:
        if (pg_ring_head(&pg->sent)->result == NULL)
            pg_fail(pg, ERR_UNAVAILABLE, "the server left a query without an answer");
        else
            complete(pg);
        return;
    case PG_WIRE_FATAL:
        pg_fail_with_reason(pg);
        return;
    case PG_WIRE_END:
    case PG_WIRE_ABORTED:
    case PG_WIRE_WAIT:
        return;
    }
}

/* Hands out what has arrived; false when this session ended over it. */
static bool take_events(struct pg *pg)
{
    uint64_t session = pg->session;
    while (pg->script != NULL || pg->sent.count > 0) {
        struct pg_result *result = NULL;
        enum pg_wire_event event = pg_wire_next(pg->wire, &result);
        if (event == PG_WIRE_WAIT || (event == PG_WIRE_END && pg_wire_is_lost(pg->wire)))
            break;
        if (pg->script != NULL)
            take_script_event(pg, event, result);
        else
            take_event(pg, event, result);
        if (pg->session != session || pg->closed || pg->phase == PG_PHASE_BROKEN)
            return false;
    }
    while (pg_wire_notification(pg->wire, pg->notify, pg->notify_arg))
        if (pg->session != session || pg->closed || pg->phase == PG_PHASE_BROKEN)
            return false;
    return true;
}

static void receive(struct pg *pg)
{
    for (int reads = 0; reads < READS_MAX; reads++) {
        if (pg_wire_consume(pg->wire) < 0) {
            if (take_events(pg)) /* what came before the end is still true */
                pg_fail_with_reason(pg);
            return;
        }
        if (!take_events(pg))
            return;
        if (!pg_wire_readable(pg->wire))
            break;
    }
    run_held(pg);
    if (pg->phase != PG_PHASE_BROKEN && flush(pg) < 0)
        pg_fail_with_reason(pg);
}

void pg_socket_ready(int events, void *arg)
{
    struct pg *pg = arg;
    uint64_t session = pg->session;
    if (pg->phase == PG_PHASE_CONNECTING) {
        pg_session_step(pg);
    } else if (pg->phase == PG_PHASE_UP || pg->phase == PG_PHASE_SCRIPT) {
        if ((events & LOOP_WRITE) != 0 && flush(pg) < 0)
            pg_fail_with_reason(pg);
        if ((events & LOOP_READ) != 0 && pg->session == session)
            receive(pg);
    }
}

/* ---- the public calls ---- */

struct pg *pg_open(struct loop *loop, const struct pg_options *options, pg_state_cb state,
                   void *arg)
{
    struct pg *pg = calloc(1, sizeof *pg);
    if (pg == NULL)
        return NULL;
    pg->loop = loop;
    pg->state = state;
    pg->arg = arg;
    pg->options = *options;
    pg->options.url = pg->url = strdup(options->url);
    pg->options.application_name = pg->application_name = strdup(options->application_name);
    pg->timer = loop_timer_new(loop, pg_timer_fired, pg);
    backoff_init(&pg->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS,
                 clock_mono_us() ^ ((uint64_t)getpid() << 40));
    if (pg->url == NULL || pg->application_name == NULL || pg->timer == NULL) {
        pg_free(pg);
        return NULL;
    }
    loop_timer_start(pg->timer, 0, 0); /* not from here: the caller does not hold `pg` yet */
    return pg;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL || pg->closed)
        return;
    pg->closed = true;
    pg_disconnect(pg);
    pg_tell_lost(pg);
    loop_timer_start(pg->timer, 0, 0); /* frees it */
}

bool pg_is_up(const struct pg *pg)
{
    return pg->phase == PG_PHASE_UP || pg->phase == PG_PHASE_SCRIPT;
}

int pg_fault(const struct pg *pg)
{
    return pg->fault;
}

const char *pg_server_version(const struct pg *pg)
{
    return pg_is_up(pg) ? pg_wire_server_version(pg->wire) : "";
}

int pg_backend_pid(const struct pg *pg)
{
    return pg_is_up(pg) ? pg_wire_backend_pid(pg->wire) : 0;
}

size_t pg_pending(const struct pg *pg)
{
    return pg->sent.count + pg->held.count + (pg->script != NULL ? 1 : 0);
}

void pg_reconnect(struct pg *pg)
{
    if (pg->phase == PG_PHASE_UP || pg->phase == PG_PHASE_SCRIPT)
        pg_give_up(pg, "asked to connect anew");
}

static int hold(struct pg *pg, const struct pg_statement *statement, const char *const *params,
                size_t count, pg_result_cb cb, void *arg)
{
    struct pg_held *held = pg_held_new(statement, params, count, cb, arg);
    if (held == NULL)
        return ERR_NOMEM;
    pg_line_push(&pg->held, held);
    return 0;
}

/* Whether one more may be queued: 0, ERR_UNAVAILABLE, ERR_FULL. */
static int admit(const struct pg *pg)
{
    if (!pg_is_up(pg) || pg->closed)
        return ERR_UNAVAILABLE;
    return pg_pending(pg) >= pg->options.pending_max ? ERR_FULL : 0;
}

int pg_query(struct pg *pg, const struct pg_statement *statement, const char *const *params,
             pg_result_cb cb, void *arg)
{
    int code = admit(pg);
    if (code < 0)
        return code;
    if (pg->phase == PG_PHASE_SCRIPT || pg->held.first != NULL || !may_send(pg, statement, params))
        return hold(pg, statement, params, (size_t)statement->params, cb, arg);
    return send_query(pg, statement, params, cb, arg);
}

int pg_script(struct pg *pg, const char *sql, pg_result_cb cb, void *arg)
{
    int code = admit(pg);
    if (code == 0)
        code = hold(pg, NULL, &sql, 1, cb, arg);
    if (code == 0)
        run_held(pg);
    return code;
}

void pg_on_notify(struct pg *pg, pg_notify_cb cb, void *arg)
{
    pg->notify = cb;
    pg->notify_arg = arg;
}
