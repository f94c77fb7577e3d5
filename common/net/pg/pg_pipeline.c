#include "common/net/pg/pg_pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define READS_MAX 64 /* in one turn of the loop, then others have theirs */
/* So much is sent ahead, or one larger query alone. The server works on one at a time: more would
 * only fill its receive buffer, and a window that was closed for long has been seen to stay so for
 * seconds. */
#define UNANSWERED_MAX ((size_t)48 * 1024)

struct pg_prepared {
    const struct pg_statement *statement;
    bool ready; /* the server has answered */
};

static int run_held(struct pg_pipeline *p);

/* The session is to end. Always ERR_IO. */
static int give_up(struct pg_pipeline *p, const char *problem)
{
    p->over = true;
    (void)snprintf(p->problem, sizeof p->problem, "%s", problem);
    return ERR_IO;
}

/* … for what the wire says. */
static int wire_failed(struct pg_pipeline *p)
{
    char reason[PG_REASON_SIZE];
    (void)pg_wire_reason(p->wire, reason);
    return give_up(p, reason[0] == '\0' ? "the connection was lost" : reason);
}

static void report(pg_result_cb cb, const struct pg_result *result, void *arg)
{
    if (cb != NULL)
        cb(result, arg);
}

/* ---- a session's beginning and end ---- */

void pg_pipeline_begin(struct pg_pipeline *p, struct pg_wire *wire)
{
    p->wire = wire;
    p->over = false;
    p->unflushed = false;
    p->session++;
}

void pg_pipeline_end(struct pg_pipeline *p)
{
    p->session++;
    p->over = true;
    pg_wire_free(p->wire);
    p->wire = NULL;
    p->prepared_count = 0;
}

void pg_pipeline_tell_lost(struct pg_pipeline *p)
{
    struct pg_sent *head;
    p->unanswered = 0;
    while ((head = pg_ring_head(&p->sent)) != NULL) {
        struct pg_sent sent = *head;
        pg_ring_pop(&p->sent);
        pg_wire_result_free(sent.result);
        report(sent.cb, NULL, sent.arg);
    }
    struct pg_held *held = p->script;
    p->script = NULL;
    pg_wire_result_free(p->script_result);
    p->script_result = NULL;
    if (held == NULL)
        held = pg_line_pop(&p->held);
    for (; held != NULL; held = pg_line_pop(&p->held)) {
        report(held->cb, NULL, held->arg);
        free(held);
    }
}

void pg_pipeline_free(struct pg_pipeline *p)
{
    pg_ring_free(&p->sent);
    free(p->prepared);
}

size_t pg_pipeline_pending(const struct pg_pipeline *p)
{
    return p->sent.count + p->held.count + (p->script != NULL ? 1 : 0);
}

bool pg_pipeline_waits(const struct pg_pipeline *p)
{
    return p->sent.count > 0 || p->script != NULL;
}

/* ---- sending ---- */

/* What this session knows of a statement; NULL: nothing yet. */
static struct pg_prepared *find_prepared(const struct pg_pipeline *p,
                                         const struct pg_statement *statement)
{
    for (size_t i = 0; i < p->prepared_count; i++)
        if (p->prepared[i].statement == statement)
            return &p->prepared[i];
    return NULL;
}

static int mark_prepared(struct pg_pipeline *p, const struct pg_statement *statement)
{
    if (p->prepared_count == p->prepared_cap) {
        size_t cap = p->prepared_cap == 0 ? 16 : p->prepared_cap * 2;
        struct pg_prepared *grown = realloc(p->prepared, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        p->prepared = grown;
        p->prepared_cap = cap;
    }
    p->prepared[p->prepared_count++] = (struct pg_prepared){statement, false};
    return 0;
}

static void unmark_prepared(struct pg_pipeline *p, const struct pg_statement *statement)
{
    struct pg_prepared *prepared = find_prepared(p, statement);
    if (prepared != NULL)
        *prepared = p->prepared[--p->prepared_count];
}

int pg_pipeline_flush(struct pg_pipeline *p)
{
    int left = pg_wire_flush(p->wire);
    if (left < 0)
        return wire_failed(p);
    p->unflushed = left > 0;
    return 0;
}

/* The first use prepares the statement. While that is unanswered it may still fail, so a further
 * use goes without it. */
static int send_messages(struct pg_pipeline *p, const struct pg_statement *statement,
                         const char *const *params, bool prepare, bool ready)
{
    int code = prepare ? pg_wire_send_prepare(p->wire, statement) : 0;
    if (code == 0)
        code = pg_wire_send_query(p->wire, statement, params, prepare || ready);
    if (code == 0)
        code = pg_wire_send_sync(p->wire);
    return code == 0 ? pg_pipeline_flush(p) : wire_failed(p);
}

/* Sends now; 0, ERR_NOMEM or ERR_IO. */
static int send_query(struct pg_pipeline *p, const struct pg_statement *statement,
                      const char *const *params, pg_result_cb cb, void *arg)
{
    const struct pg_prepared *known = find_prepared(p, statement);
    bool prepare = known == NULL;
    bool ready = known != NULL && known->ready;
    struct pg_sent sent = {.cb = cb,
                           .arg = arg,
                           .statement = statement,
                           .bytes = pg_params_bytes(params, (size_t)statement->params),
                           .preparing = prepare};
    int code = prepare ? mark_prepared(p, statement) : 0;
    if (code < 0)
        return code;
    if (p->sent.count == 0)
        p->waits_since_ms = clock_mono_ms();
    code = pg_ring_push(&p->sent, &sent);
    if (code < 0) {
        if (prepare)
            unmark_prepared(p, statement);
        return code;
    }
    code = send_messages(p, statement, params, prepare, ready);
    if (code == 0)
        p->unanswered += sent.bytes;
    else
        p->sent.count--; /* takes back what was pushed just now: the caller gets the error */
    return code;
}

/* Whether a query of these parameters may be sent before what is sent is answered. */
static bool may_send(const struct pg_pipeline *p, const struct pg_statement *statement,
                     const char *const *params)
{
    return p->sent.count == 0 ||
           p->unanswered + pg_params_bytes(params, (size_t)statement->params) <= UNANSWERED_MAX;
}

static int hold(struct pg_pipeline *p, const struct pg_statement *statement,
                const char *const *params, size_t count, pg_result_cb cb, void *arg)
{
    struct pg_held *held = pg_held_new(statement, params, count, cb, arg);
    if (held == NULL)
        return ERR_NOMEM;
    pg_line_push(&p->held, held);
    return 0;
}

int pg_pipeline_query(struct pg_pipeline *p, const struct pg_statement *statement,
                      const char *const *params, pg_result_cb cb, void *arg)
{
    if (p->script != NULL || p->held.first != NULL || !may_send(p, statement, params))
        return hold(p, statement, params, (size_t)statement->params, cb, arg);
    return send_query(p, statement, params, cb, arg);
}

/* ---- scripts, and what they hold back ---- */

static int start_script(struct pg_pipeline *p, struct pg_held *script)
{
    p->script = script;
    p->script_result = NULL;
    p->script_failed = false;
    p->waits_since_ms = clock_mono_ms();
    if (pg_wire_set_pipeline(p->wire, false) < 0 ||
        pg_wire_send_script(p->wire, script->params[0]) < 0)
        return wire_failed(p);
    return pg_pipeline_flush(p);
}

/* Sends what was held back, up to the next script, which waits until the pipeline is empty. What
 * cannot be sent stays in the line, and hears of the loss there. */
static int run_held(struct pg_pipeline *p)
{
    while (p->script == NULL && p->held.first != NULL) {
        struct pg_held *held = p->held.first;
        if (held->statement == NULL)
            return p->sent.count > 0 ? 0 : start_script(p, pg_line_pop(&p->held));
        if (!may_send(p, held->statement, held->params))
            return 0;
        int code = send_query(p, held->statement, held->params, held->cb, held->arg);
        if (code < 0)
            return code == ERR_IO ? code : give_up(p, "out of memory");
        free(pg_line_pop(&p->held));
    }
    return 0;
}

int pg_pipeline_script(struct pg_pipeline *p, const char *sql, pg_result_cb cb, void *arg)
{
    int code = hold(p, NULL, &sql, 1, cb, arg);
    if (code == 0 && run_held(p) < 0)
        return 0; /* the script itself waits, and hears that it is lost */
    return code;
}

static int end_script(struct pg_pipeline *p)
{
    struct pg_held *script = p->script;
    struct pg_result *result = p->script_result;
    if (pg_wire_set_pipeline(p->wire, true) < 0)
        return wire_failed(p);
    p->script = NULL;
    p->script_result = NULL;
    uint64_t session = p->session;
    report(script->cb, result, script->arg);
    pg_wire_result_free(result);
    free(script);
    return p->session == session && !p->over ? run_held(p) : ERR_CLOSED;
}

/* The first error counts, else the last result. */
static int take_script_event(struct pg_pipeline *p, enum pg_wire_event event,
                             struct pg_result *result)
{
    if (event == PG_WIRE_END)
        return end_script(p);
    if (event != PG_WIRE_RESULT && event != PG_WIRE_ERROR)
        return wire_failed(p);
    if (p->script_failed) {
        pg_wire_result_free(result);
    } else {
        pg_wire_result_free(p->script_result);
        p->script_result = result;
        p->script_failed = event == PG_WIRE_ERROR;
    }
    return 0;
}

/* ---- receiving ---- */

/* Why a session in which a query fails so cannot go on; NULL: it can. */
static const char *ends_session(const struct pg_sent *sent)
{
    const char *state = pg_sqlstate(sent->result);
    if (strcmp(state, "25006") == 0)
        return "the server has become read-only";
    /* a prepared statement whose tables or functions have changed since cannot be used any more */
    if (!sent->preparing && (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0))
        return "a prepared statement is outdated";
    return NULL;
}

/* The transaction of the oldest query has ended: only now is its result true. */
static int complete(struct pg_pipeline *p)
{
    struct pg_sent sent = *pg_ring_head(&p->sent);
    pg_ring_pop(&p->sent);
    p->unanswered -= sent.bytes;
    p->waits_since_ms = clock_mono_ms();
    const char *problem = sent.failed ? ends_session(&sent) : NULL;
    if (sent.failed && sent.preparing)
        unmark_prepared(p, sent.statement);
    uint64_t session = p->session;
    report(sent.cb, sent.result, sent.arg);
    pg_wire_result_free(sent.result);
    if (p->session != session || p->over)
        return ERR_CLOSED;
    if (problem == NULL)
        return 0;
    (void)give_up(p, problem);
    return ERR_REFUSED;
}

static void take_result(struct pg_pipeline *p, bool error, struct pg_result *result)
{
    struct pg_sent *head = pg_ring_head(&p->sent);
    if (!error && head->preparing) {
        struct pg_prepared *prepared = find_prepared(p, head->statement);
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

static int take_event(struct pg_pipeline *p, enum pg_wire_event event, struct pg_result *result)
{
    switch (event) {
    case PG_WIRE_RESULT:
    case PG_WIRE_ERROR:
        take_result(p, event == PG_WIRE_ERROR, result);
        return 0;
    case PG_WIRE_SYNC:
        if (pg_ring_head(&p->sent)->result == NULL)
            return give_up(p, "the server left a query without an answer");
        return complete(p);
    case PG_WIRE_FATAL:
        return wire_failed(p);
    case PG_WIRE_END:
    case PG_WIRE_ABORTED:
    case PG_WIRE_WAIT:
        return 0;
    }
    return 0;
}

/* Hands out what has arrived. */
static int take_events(struct pg_pipeline *p)
{
    uint64_t session = p->session;
    while (p->script != NULL || p->sent.count > 0) {
        struct pg_result *result = NULL;
        enum pg_wire_event event = pg_wire_next(p->wire, &result);
        if (event == PG_WIRE_WAIT || (event == PG_WIRE_END && pg_wire_is_lost(p->wire)))
            break;
        int code =
            p->script != NULL ? take_script_event(p, event, result) : take_event(p, event, result);
        if (code < 0)
            return code;
    }
    while (pg_wire_notification(p->wire, p->notify, p->notify_arg))
        if (p->session != session || p->over)
            return ERR_CLOSED;
    return 0;
}

int pg_pipeline_receive(struct pg_pipeline *p)
{
    for (int reads = 0; reads < READS_MAX; reads++) {
        bool lost = pg_wire_consume(p->wire) < 0;
        int code = take_events(p); /* what came before the end is still true */
        if (code < 0)
            return code;
        if (lost)
            return wire_failed(p);
        if (!pg_wire_readable(p->wire))
            break;
    }
    int code = run_held(p);
    return code < 0 ? code : pg_pipeline_flush(p);
}
