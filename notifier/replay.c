#include "notifier/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/database_version.h"
#include "common/shop/event_row.h"
#include "common/shop/status.h"

#define RUNS_MAX 8      /* queries at once; many that reconnect wait in a queue */
#define OTHERS_MAX 32   /* settings, the lag, the shop's figures, heartbeats, lines */
#define PAGE 64         /* events of one query: well below a socket's buffer */
#define MARGIN_MS 60000 /* shards commit side by side: an older event may appear this late */
#define STATEMENT_MS 5000
#define TCP_TIMEOUT_MS 10000
#define IDLE_IN_TRANSACTION_MS 2000
#define RETRY_MS 1000
#define NUMBER_SIZE 24

/* As enum event_column has them. The line has moved since: the place of an order that still waits
 * comes by itself. */
#define COLUMNS                                                                                    \
    "select e.event_id, e.sequence, (extract(epoch from e.created_at) * 1000)::bigint,"            \
    "       e.order_id, o.sku, o.quantity, e.status, e.reason,"                                    \
    "       null::bigint, o.amount,"                                                               \
    "       o.currency, o.reference, checkout.next_action(o.order_id, e.status, e.sequence, "      \
    "o.sequence),"                                                                                 \
    "       case e.status when 'rejected' then o.payment_problem end,"                             \
    "       case e.status when 'rejected' then o.payment_param end,"                               \
    "       o.traceparent"
/* The indexes have hashes (054_seconds.sql, 055_events_of_orders.sql). */
#define OF_USER "hashtext(o.user_id) = hashtext($1) and o.user_id = $1"
#define OF_ORDER "uuid_hash(e.order_id) = uuid_hash(o.order_id) and e.order_id = o.order_id"
#define PAGE_END " and e.event_id > $3::bigint order by e.event_id limit $4::integer"

/* The newest event of each open order, and of each that ended within $2 ms. */
static const struct pg_statement open_orders = {
    "replay_open",
    COLUMNS "  from checkout.orders o join checkout.order_events e"
            "    on " OF_ORDER " and e.sequence = o.sequence"
            " where " OF_USER " and (o.status in ('waiting', 'reserved')"
            "       or o.updated_at > now() - $2::bigint * interval '1 ms')" PAGE_END,
    4};

/* Every event of the last $2 ms. */
static const struct pg_statement recent_events = {
    "replay_recent",
    COLUMNS "  from checkout.orders o join checkout.order_events e on " OF_ORDER " where " OF_USER
            " and o.updated_at > now() - $2::bigint * interval '1 ms'"
            "   and e.created_at > now() - $2::bigint * interval '1 ms'" PAGE_END,
    4};

/* Every event after the id $2, and those of the minute before it. */
static const struct pg_statement later_events = {
    "replay_after",
    "with known as (select max(e.created_at) - interval '1 minute' as since"
    "                 from checkout.orders o join checkout.order_events e"
    "                   on " OF_ORDER "                where " OF_USER
    " and e.event_id <= $2::bigint) " COLUMNS
    "  from known cross join checkout.orders o join checkout.order_events e"
    "    on " OF_ORDER " where " OF_USER
    "   and (e.event_id > $2::bigint or e.created_at > known.since)"
    "   and checkout.refuse_old_event($2::bigint)" PAGE_END,
    4};

/* SQLSTATE of checkout.refuse_old_event: events after that id were purged. */
#define PURGED "CK006"

/* A buyer's orders are few, and an index finds them: the planner must not scan a whole table that
 * has grown since its last analyze. */
static const struct pg_statement settings = {
    "replay_settings",
    "select set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', "
    "false),"
    "       set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false)",
    0};

TAILQ_HEAD(session_queue, session);

struct replay {
    struct loop *loop;
    struct pg_cluster *cluster;
    struct pg *pg;
    struct registry *registry;
    struct stats *stats;
    unsigned server;           /* counts the servers that we were at */
    uint64_t server_ms;        /* when we came to this one */
    uint64_t server_before_ms; /* … and to the one before it */
    struct loop_timer *retry;  /* runs while the database refuses */
    struct session_queue queue;
    unsigned runs;
    struct buf text;
};

/* A query in flight; the session may end before it. */
struct replay_run {
    struct replay *replay;
    struct session *session; /* NULL: has ended */
};

static void pump(struct replay *replay);

/* The only writer of a session's phase. Those that are QUEUED are in the queue, in this order. */
static void enter(struct replay *replay, struct session *session, enum session_replay_phase phase)
{
    if (session->replay.phase == SESSION_REPLAY_QUEUED)
        TAILQ_REMOVE(&replay->queue, session, replay.link);
    if (phase == SESSION_REPLAY_QUEUED)
        TAILQ_INSERT_TAIL(&replay->queue, session, replay.link);
    session->replay.phase = phase;
}

static bool can_ask(const struct replay *replay)
{
    return pg_is_up(replay->pg) && !loop_timer_active(replay->retry);
}

/* Live events flow again although the replay is not complete. */
static void postpone(struct replay *replay, struct session *session)
{
    session->replay.cursor = 0;
    session_release(session);
    enter(replay, session, SESSION_REPLAY_QUEUED);
}

static void finish(struct replay *replay, struct session *session)
{
    struct session_replay *r = &session->replay;
    uint64_t now = clock_mono_ms();
    if (r->first)
        r->first_server = replay->server;
    r->first = r->redo; /* after what changed since, so that nothing of that is older news */
    r->redo = false;
    r->since_ms = r->began_ms;
    r->covered = r->fresh;
    r->cursor = 0;
    metric_add(replay->stats->replays, 1);
    metric_observe(replay->stats->replay_seconds, (double)(now - r->began_ms) / 1000);
    bool again = r->again || r->first || session->held_lost;
    if (session->held_lost)
        buf_free(&session->held); /* the next replay reads them; and there is room again */
    r->again = false;
    session->held_lost = false;
    enter(replay, session, again ? SESSION_REPLAY_QUEUED : SESSION_REPLAY_IDLE);
    if (!again) /* else still holding: what is held comes after it */
        session_release(session);
}

static void push_row(struct replay *replay, struct session *session, const struct pg_result *result,
                     int row)
{
    const struct event event = event_of_row(result, row);
    struct envelope envelope = {.sequence = event.sequence, .id = event.id};
    envelope_set_line(&envelope, event.status, event.sku);
    buf_reset(&replay->text);
    if (envelope_parse_order(event.order_id, envelope.order) < 0 ||
        event_encode(&replay->text, &event) < 0)
        log_error("event not encoded", LOG_STR("order_id", event.order_id),
                  LOG_TRACE(event.traceparent));
    else
        session_push(session, &envelope, buf_text(&replay->text), replay->text.len);
}

static void page_came(struct replay *replay, struct session *session,
                      const struct pg_result *result)
{
    int rows = pg_rows(result);
    for (int row = 0; row < rows; row++)
        push_row(replay, session, result, row);
    if (rows < PAGE) {
        finish(replay, session);
        return;
    }
    session->replay.cursor = pg_int(result, rows - 1, EVENT_ROW_ID);
    if (ws_buffered(session->ws) <= WS_BUFFER_LOW) {
        /* At the end of the queue: one long history does not delay the others. */
        enter(replay, session, SESSION_REPLAY_QUEUED);
        return;
    }
    enter(replay, session, SESSION_REPLAY_DRAINING);
    ws_want_drained(session->ws);
}

static void refused(struct replay *replay, const struct pg_result *result)
{
    if (!loop_timer_active(replay->retry))
        log_warning("replay refused by PostgreSQL", LOG_STR("sqlstate", pg_sqlstate(result)),
                    LOG_STR("problem", pg_message(result)));
    loop_timer_start(replay->retry, RETRY_MS, 0);
}

/* Its page would have a gap: it begins anew. */
static void give_up(struct replay *replay, struct session *session)
{
    enter(replay, session, SESSION_REPLAY_IDLE);
    ws_close(session->ws, WS_CLOSE_TOO_OLD, "last_event_id is too old: connect without it", "old");
}

static void answered(const struct pg_result *result, void *arg)
{
    struct replay_run *run = arg;
    struct replay *replay = run->replay;
    struct session *session = run->session;
    free(run);
    replay->runs--;
    enum pg_status status = pg_status(result);
    bool purged = status == PG_ERROR && strcmp(pg_sqlstate(result), PURGED) == 0;
    if (status == PG_ERROR && !purged)
        refused(replay, result);
    if (session != NULL) {
        session->replay.run = NULL;
        if (status == PG_OK)
            page_came(replay, session, result);
        else if (purged)
            give_up(replay, session);
        else
            postpone(replay, session);
    }
    if (status != PG_LOST)
        pump(replay);
}

/* Asks for the next page of a session. */
static int ask(struct replay *replay, struct session *session)
{
    struct session_replay *r = &session->replay;
    char span[NUMBER_SIZE];
    char cursor[NUMBER_SIZE];
    char page[NUMBER_SIZE];
    const char *const params[] = {registry_user_name(session->member.user), span, cursor, page};
    const struct pg_statement *statement = &recent_events;
    if (r->cursor == 0) {
        r->began_ms = clock_mono_ms();
        r->fresh = registry_user_heard(session->member.user);
    }
    (void)snprintf(span, sizeof span, "%" PRIu64, clock_mono_ms() - r->since_ms + MARGIN_MS);
    if (r->first && r->after_id >= 0) {
        statement = &later_events;
        (void)snprintf(span, sizeof span, "%" PRId64, r->after_id);
    } else if (r->first) {
        statement = &open_orders;
    }
    (void)snprintf(page, sizeof page, "%d", PAGE);
    (void)snprintf(cursor, sizeof cursor, "%" PRId64, r->cursor);
    struct replay_run *run = malloc(sizeof *run);
    if (run == NULL)
        return ERR_NOMEM;
    *run = (struct replay_run){replay, session};
    int code = pg_query(replay->pg, statement, params, answered, run);
    if (code < 0) {
        free(run);
        return code;
    }
    r->run = run;
    enter(replay, session, SESSION_REPLAY_READING);
    replay->runs++;
    session_hold(session);
    return 0;
}

static void pump(struct replay *replay)
{
    struct session *session = NULL;
    while (replay->runs < RUNS_MAX && can_ask(replay) &&
           (session = TAILQ_FIRST(&replay->queue)) != NULL) {
        if (ask(replay, session) == 0)
            continue;
        postpone(replay, session);
        loop_timer_start(replay->retry, RETRY_MS, 0);
    }
}

static void retry_due(void *arg)
{
    pump(arg);
}

static void set_up(const struct pg_result *result, void *arg)
{
    (void)arg;
    if (pg_status(result) == PG_ERROR)
        log_warning("session settings refused by PostgreSQL",
                    LOG_STR("problem", pg_message(result)));
}

/*
 * The server before may have lacked what the new one has (an old primary knows nothing of what
 * happened since), and its replays count for nothing: sockets are replayed from our arrival there
 * on, and those whose first replay came from it get that again, too.
 */
static void replay_anew(struct registry_member *member, void *arg)
{
    struct replay *replay = arg;
    struct session *session = member->owner;
    struct session_replay *r = &session->replay;
    r->redo = r->redo || (!r->first && r->first_server + 1 == replay->server);
    if (r->since_ms > replay->server_before_ms)
        r->since_ms = replay->server_before_ms;
    r->again = false;
    r->cursor = 0;
    session_hold(session);
    if (r->phase != SESSION_REPLAY_QUEUED) /* else it keeps its turn */
        enter(replay, session, SESSION_REPLAY_QUEUED);
}

static void server_changed(struct replay *replay)
{
    bool first = replay->server == 0;
    replay->server++;
    replay->server_before_ms = replay->server_ms;
    replay->server_ms = clock_mono_ms();
    if (first)
        return;
    log_info("another database server: replaying all sockets",
             LOG_INT("sockets", registry_members(replay->registry)));
    registry_each_all(replay->registry, replay_anew, replay);
}

static void database_changed(bool up, const char *reason, void *arg)
{
    struct replay *replay = arg;
    metric_set(replay->stats->database_up, up);
    if (up) {
        log_info("PostgreSQL is connected");
        if (replay->server == 0 || pg_moved(replay->pg))
            server_changed(replay);
        if (pg_query(replay->pg, &settings, NULL, set_up, NULL) < 0)
            log_warning("session settings not sent");
        pump(replay);
        return;
    }
    log_warning("PostgreSQL is not connected; live events flow, replays wait",
                LOG_STR("reason", reason));
    struct session *session = NULL;
    TAILQ_FOREACH(session, &replay->queue, replay.link)
    session_release(session);
}

struct replay *replay_new(struct loop *loop, const char *url, struct registry *registry,
                          struct stats *stats)
{
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return NULL;
    replay->cluster = pg_cluster_new(loop, url, "checkout-notifier check");
    /* It writes heartbeats alone, but it reads from the server that takes writes: a standby lags
     * behind the events that Redis has passed on already, and what it lacks would count as
     * replayed. */
    const struct pg_options options = {
        .url = url,
        .cluster = replay->cluster,
        .application_name = "checkout-notifier",
        .greeting = &database_version_greeting,
        .statement_timeout_ms = STATEMENT_MS,
        .idle_in_transaction_timeout_ms = IDLE_IN_TRANSACTION_MS,
        .tcp_user_timeout_ms = TCP_TIMEOUT_MS,
        .pending_max = RUNS_MAX + OTHERS_MAX,
    };
    replay->loop = loop;
    replay->registry = registry;
    replay->stats = stats;
    TAILQ_INIT(&replay->queue);
    buf_init(&replay->text, ENVELOPE_TEXT_MAX);
    replay->retry = loop_timer_new(loop, retry_due, replay);
    if (replay->cluster != NULL)
        replay->pg = pg_open(loop, &options, database_changed, replay);
    if (replay->retry == NULL || replay->pg == NULL) {
        replay_free(replay);
        return NULL;
    }
    return replay;
}

void replay_free(struct replay *replay)
{
    if (replay == NULL)
        return;
    pg_close(replay->pg);
    pg_cluster_free(replay->cluster);
    loop_timer_free(replay->retry);
    buf_free(&replay->text);
    free(replay);
}

struct lag *replay_watch_lag(struct replay *replay, void (*changed)(bool lagging, void *arg),
                             void *arg)
{
    return lag_new(replay->loop, replay->pg, changed, arg);
}

struct pg *replay_session(const struct replay *replay)
{
    return replay->pg;
}

bool replay_ready(const struct replay *replay)
{
    return pg_is_up(replay->pg);
}

void replay_welcome(struct session *session, int64_t after_id)
{
    session->replay =
        (struct session_replay){.first = true, .after_id = after_id, .since_ms = clock_mono_ms()};
}

void replay_request(struct replay *replay, struct session *session)
{
    struct session_replay *r = &session->replay;
    if (r->phase == SESSION_REPLAY_QUEUED && r->cursor == 0)
        return; /* not started: it will see everything */
    if (r->phase != SESSION_REPLAY_IDLE) {
        r->again = true;
        return;
    }
    if (can_ask(replay))
        session_hold(session);
    enter(replay, session, SESSION_REPLAY_QUEUED);
    pump(replay);
}

void replay_stream_lost(struct session *session)
{
    struct session_replay *r = &session->replay;
    if (r->covered)
        r->since_ms = clock_mono_ms();
    r->covered = false;
    r->fresh = false;
}

void replay_drained(struct replay *replay, struct session *session)
{
    if (session->replay.phase != SESSION_REPLAY_DRAINING)
        return;
    enter(replay, session, SESSION_REPLAY_QUEUED);
    pump(replay);
}

void replay_forget(struct replay *replay, struct session *session)
{
    enter(replay, session, SESSION_REPLAY_IDLE);
    if (session->replay.run != NULL)
        session->replay.run->session = NULL;
    session->replay.run = NULL;
}
