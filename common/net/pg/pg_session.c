#include "common/net/pg/pg_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/pg/pg_hosts.h"
#include "common/net/pg/pg_url.h"

#define CONNECT_TIMEOUT_MS 5000
/* A session that ends sooner has proved nothing: the wait before the next grows on. */
#define PROVED_MS 1000
#define LOOK_AGAIN_MS 100
#define SOON_MS 100

/* A name is looked up in a thread: the resolver blocks. */
struct pg_resolve {
    struct pg *pg; /* NULL: given up meanwhile. Not touched by the thread. */
    struct pg_host host;
    unsigned round;
    int code;
    struct pg_addresses addresses;
    char reason[PG_REASON_SIZE];
};

/* The only one that changes the phase. */
static void enter(struct pg *pg, enum pg_phase phase, const char *reason)
{
    static const char *const names[] = {"idle", "resolving", "connecting", "greeting",
                                        "up",   "broken",    "closed"};
    log_debug("PostgreSQL session: new phase", LOG_STR("session", pg->application_name),
              LOG_STR("from", names[pg->phase]), LOG_STR("to", names[phase]),
              LOG_STR("reason", reason));
    pg->phase = phase;
}

/* ---- the end of a session, and of the whole ---- */

void pg_free(struct pg *pg)
{
    loop_timer_free(pg->timer);
    loop_timer_free(pg->deadline);
    pg_pipeline_free(&pg->pipeline);
    if (pg->url != NULL)
        explicit_bzero(pg->url, strlen(pg->url));
    free(pg->url);
    free(pg->application_name);
    free(pg);
}

static void disconnect(struct pg *pg)
{
    loop_watch_free(pg->watch);
    pg->watch = NULL;
    pg_wire_free(pg->wire);
    pg->wire = NULL;
    pg_pipeline_end(&pg->pipeline);
    pg_cluster_forget(pg->options.cluster, &pg->member);
    pg_pooler_end(pg);
    loop_timer_stop(pg->timer);
    loop_timer_stop(pg->deadline);
    if (pg->resolve != NULL)
        pg->resolve->pg = NULL; /* it frees itself when its thread is done */
    pg->resolve = NULL;
}

/* Ends this session (or try): tells everybody, tries again later. Only from the loop. */
static void fail(struct pg *pg, int fault, const char *reason)
{
    char copy[PG_REASON_SIZE]; /* `reason` may be ours */
    (void)snprintf(copy, sizeof copy, "%s", reason);
    bool was_up = pg->phase == PG_PHASE_UP || pg->phase == PG_PHASE_BROKEN;
    bool news = was_up || strcmp(copy, pg->reason) != 0;
    if (was_up && clock_mono_ms() - pg->up_since_ms >= PROVED_MS)
        backoff_reset(&pg->backoff);
    if (was_up)
        host_walk_lost(&pg->walk);
    else
        host_walk_failed(&pg->walk);
    enter(pg, PG_PHASE_IDLE, copy);
    disconnect(pg);
    pg->fault = fault;
    memcpy(pg->reason, copy, sizeof copy);
    pg_pipeline_tell_lost(&pg->pipeline); /* nothing is added meanwhile: the phase forbids it */
    if (pg->phase != PG_PHASE_CLOSED && news && pg->state != NULL)
        pg->state(false, pg->reason, pg->arg);
    if (pg->phase != PG_PHASE_CLOSED)
        loop_timer_start(pg->timer, fault == PG_SOON ? SOON_MS : backoff_next(&pg->backoff), 0);
}

static void connect_failed(struct pg *pg)
{
    char reason[PG_REASON_SIZE];
    int fault = pg_wire_reason(pg->wire, reason);
    fail(pg, fault, reason[0] == '\0' ? "the connection was lost" : reason);
}

void pg_session_give_up(struct pg *pg, const char *reason)
{
    pg->pipeline.over = true;
    enter(pg, PG_PHASE_BROKEN, reason);
    (void)snprintf(pg->reason, sizeof pg->reason, "%s", reason);
    loop_watch_set(pg->watch, 0);
    loop_timer_start(pg->timer, 0, 0);
}

void pg_session_close(struct pg *pg)
{
    enter(pg, PG_PHASE_CLOSED, NULL);
    disconnect(pg);
    pg_cluster_leave(pg->options.cluster, &pg->member);
    pg_pipeline_tell_lost(&pg->pipeline);
    loop_timer_start(pg->timer, 0, 0); /* frees it */
}

/* ---- while it is up ---- */

static void watch_and_wait(struct pg *pg)
{
    loop_watch_set(pg->watch, pg->pipeline.unflushed ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    if (pg->options.answer_timeout_ms > 0 && pg_pipeline_waits(&pg->pipeline) &&
        !loop_timer_active(pg->deadline))
        loop_timer_start(pg->deadline, pg->options.answer_timeout_ms, 0);
}

void pg_session_called(struct pg *pg)
{
    if (pg->phase != PG_PHASE_UP)
        return;
    if (pg->pipeline.over)
        pg_session_give_up(pg, pg->pipeline.problem);
    else
        watch_and_wait(pg);
}

/* What the pipeline made of the socket. */
static void served(struct pg *pg, int code)
{
    if (code == ERR_CLOSED)
        return; /* a callback has seen to it */
    if (code == ERR_REFUSED)
        pg_session_give_up(pg, pg->pipeline.problem);
    else if (code < 0)
        fail(pg, ERR_UNAVAILABLE, pg->pipeline.problem);
    else
        watch_and_wait(pg);
}

/* Timers come before sockets: what has arrived while we were slow is taken first. */
void pg_deadline_fired(void *arg)
{
    struct pg *pg = arg;
    uint64_t session = pg->pipeline.session;
    if (pg->phase != PG_PHASE_UP)
        return;
    bool came = pg_wire_readable(pg->pipeline.wire);
    if (came)
        served(pg, pg_pipeline_receive(&pg->pipeline));
    if (pg->pipeline.session != session || pg->phase != PG_PHASE_UP ||
        !pg_pipeline_waits(&pg->pipeline))
        return;
    uint64_t waited_ms = clock_mono_ms() - pg->pipeline.waits_since_ms;
    uint32_t limit_ms = pg->options.answer_timeout_ms;
    if (!came && waited_ms >= limit_ms) {
        char reason[PG_REASON_SIZE];
        (void)snprintf(reason, sizeof reason, "no answer to a query within %u ms", limit_ms);
        fail(pg, ERR_UNAVAILABLE, reason);
        return;
    }
    uint64_t left_ms = waited_ms >= limit_ms ? 0 : limit_ms - waited_ms;
    loop_timer_start(pg->deadline, left_ms < LOOK_AGAIN_MS ? LOOK_AGAIN_MS : left_ms, 0);
}

/* ---- connecting ---- */

static void session_up(struct pg *pg)
{
    enter(pg, PG_PHASE_UP, NULL);
    pg->up_since_ms = clock_mono_ms();
    pg->fault = 0;
    pg->limit_ms = pg->options.statement_timeout_ms;
    pg->reason[0] = '\0';
    loop_timer_stop(pg->timer);
    loop_watch_set(pg->watch, LOOP_READ);
    if (pg->state != NULL)
        pg->state(true, NULL, pg->arg);
}

static void greeted(const struct pg_result *result, void *arg)
{
    struct pg *pg = arg;
    if (pg_status(result) == PG_LOST)
        return; /* the session has ended */
    pg->greeting.awaited--;
    pg->greeting.code = pg->options.greeting->judge(result, pg->greeting.reason, PG_REASON_SIZE);
}

static void identified(const struct pg_result *result, void *arg)
{
    struct pg *pg = arg;
    if (pg_status(result) == PG_LOST)
        return;
    pg->greeting.awaited--;
    pg->member.identity = pg_identity_of(result);
    pg_pooler_first(pg, result);
    int backend = pg->member.identity.backend;
    bool pooled = backend != 0 && backend != pg->backend;
    if (backend != 0)
        pg->backend = backend;
    if (pooled && !pg->probe)
        pg_pooler_begin(pg);
}

/* Everything is known: whether this server suits. */
static void judge(struct pg *pg)
{
    int code = pg->greeting.code;
    /* an old primary first: its version may be old, too */
    if (pg->options.cluster != NULL) {
        char reason[PG_REASON_SIZE];
        int place = pg_cluster_judge(pg->options.cluster, &pg->member, reason, sizeof reason);
        if (place < 0) {
            fail(pg, place, reason);
            return;
        }
    }
    if (pg->pooler.code < 0)
        fail(pg, pg->pooler.code, pg->pooler.refusal);
    else if (code < 0)
        fail(pg, code, pg->greeting.reason);
    else
        session_up(pg);
}

void pg_session_known(void *arg)
{
    struct pg *pg = arg;
    if (--pg->greeting.awaited == 0)
        judge(pg);
}

/* Queues the first statements; how many answers are awaited. */
static int send_greeting(struct pg *pg)
{
    struct pg_cluster *cluster = pg->options.cluster;
    const struct pg_greeting *greeting = pg->options.greeting;
    int code = 0;
    pg->greeting.awaited = 0;
    pg->greeting.code = 0;
    if (cluster != NULL || pg->probe) {
        pg->greeting.awaited++;
        code = pg_pipeline_query(&pg->pipeline, &pg_identity_statement, NULL, identified, pg);
    }
    if (code == 0 && greeting != NULL) {
        pg->greeting.awaited++;
        code = pg_pipeline_query(&pg->pipeline, greeting->statement, NULL, greeted, pg);
    }
    if (code == 0 && cluster != NULL && !pg_cluster_asked(cluster, &pg->member))
        pg->greeting.awaited++;
    return code;
}

/* The connection stands: asks whether this server suits. */
static void greet(struct pg *pg)
{
    pg->backend = pg_wire_backend_pid(pg->wire);
    pg_pipeline_begin(&pg->pipeline, pg->wire);
    pg->wire = NULL;
    enter(pg, PG_PHASE_GREETING, NULL);
    if (send_greeting(pg) < 0)
        fail(pg, ERR_UNAVAILABLE, "the first statement could not be sent");
    else if (pg->greeting.awaited == 0)
        session_up(pg);
    else
        loop_watch_set(pg->watch, pg->pipeline.unflushed ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* What the pipeline made of the socket while the first answers are awaited. */
static void greeting_served(struct pg *pg, int code)
{
    if (code == ERR_CLOSED)
        return;
    if (code < 0)
        fail(pg, ERR_UNAVAILABLE, pg->pipeline.problem);
    else if (pg->greeting.awaited == 0)
        judge(pg);
    else
        loop_watch_set(pg->watch, pg->pipeline.unflushed ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void socket_ready(int events, void *arg);

/* libpq may have moved to another socket, perhaps under the same number: a new watch. */
static void watch_anew(struct pg *pg, int events)
{
    loop_watch_free(pg->watch);
    pg->watch = loop_watch_new(pg->loop, pg_wire_fd(pg->wire), socket_ready, pg);
    if (pg->watch == NULL)
        fail(pg, ERR_UNAVAILABLE, "cannot watch the connection");
    else
        loop_watch_set(pg->watch, events);
}

static void connect_step(struct pg *pg)
{
    enum pg_wire_poll next = pg_wire_poll(pg->wire);
    if (next == PG_WIRE_POLL_FAILED) {
        connect_failed(pg);
        return;
    }
    watch_anew(pg, next == PG_WIRE_POLL_WRITE ? LOOP_WRITE : LOOP_READ);
    if (next == PG_WIRE_POLL_UP && pg->phase == PG_PHASE_CONNECTING)
        greet(pg);
}

static void socket_ready(int events, void *arg)
{
    struct pg *pg = arg;
    if (pg->phase == PG_PHASE_CONNECTING) {
        connect_step(pg);
    } else if (pg->phase == PG_PHASE_GREETING || pg->phase == PG_PHASE_UP) {
        bool greeting = pg->phase == PG_PHASE_GREETING;
        int code = (events & LOOP_WRITE) != 0 ? pg_pipeline_flush(&pg->pipeline) : 0;
        if (code == 0 && (events & LOOP_READ) != 0)
            code = pg_pipeline_receive(&pg->pipeline);
        (greeting ? greeting_served : served)(pg, code);
    }
}

static void connect_to(struct pg *pg, const char *host, const char *hostaddr, const char *port)
{
    const struct pg_options *options = &pg->options;
    const struct pg_wire_target target = {.url = options->url,
                                          .application_name = options->application_name,
                                          .statement_timeout_ms = options->statement_timeout_ms,
                                          .idle_in_transaction_timeout_ms =
                                              options->idle_in_transaction_timeout_ms,
                                          .tcp_user_timeout_ms = options->tcp_user_timeout_ms,
                                          .writable = !pg->probe,
                                          .any = pg->probe,
                                          .host = host,
                                          .hostaddr = hostaddr,
                                          .port = port};
    pg->wire = pg_wire_start(&target);
    if (pg->wire == NULL) {
        fail(pg, ERR_UNAVAILABLE, "out of memory");
        return;
    }
    enter(pg, PG_PHASE_CONNECTING, NULL);
    loop_timer_start(pg->timer, CONNECT_TIMEOUT_MS, 0);
    if (pg_wire_fd(pg->wire) < 0)
        connect_failed(pg);
    else
        watch_anew(pg, LOOP_WRITE); /* libpq: at first as if it had asked to write */
}

static void resolve_in_thread(void *arg)
{
    struct pg_resolve *resolve = arg;
    resolve->code = pg_hosts_resolve(resolve->host.name, resolve->round, &resolve->addresses,
                                     resolve->reason, sizeof resolve->reason);
}

static void resolved(void *arg)
{
    struct pg_resolve *resolve = arg;
    struct pg *pg = resolve->pg;
    if (pg != NULL) {
        pg->resolve = NULL;
        if (resolve->code < 0)
            fail(pg, resolve->code, resolve->reason);
        else
            connect_to(pg, resolve->addresses.names, resolve->addresses.addresses,
                       resolve->host.port);
    }
    free(resolve);
}

static void start_resolving(struct pg *pg, const struct pg_host *host)
{
    struct pg_resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve != NULL) {
        resolve->pg = pg;
        resolve->host = *host;
        resolve->round = pg->walk.round;
    }
    if (resolve == NULL || loop_background(pg->loop, resolve_in_thread, resolved, resolve) < 0) {
        free(resolve);
        fail(pg, ERR_UNAVAILABLE, "out of memory");
        return;
    }
    pg->resolve = resolve;
    enter(pg, PG_PHASE_RESOLVING, host->name);
    loop_timer_start(pg->timer, CONNECT_TIMEOUT_MS, 0);
}

static void attempt(struct pg *pg)
{
    struct pg_host host = {.name = ""};
    struct pg_host address = {.name = ""};
    int code = pg_url_host(pg->url, pg->walk.host, &host, &address);
    const struct pg_host *shown = host.name[0] == '\0' ? &address : &host;
    (void)snprintf(pg->member.place, sizeof pg->member.place, "%s:%s", shown->name,
                   shown->port[0] == '\0' ? "5432" : shown->port);
    if (code < 0)
        fail(pg, ERR_UNAVAILABLE, "the URL's hosts and ports do not match, or are too long");
    else if (address.name[0] != '\0')
        connect_to(pg, host.name[0] == '\0' ? NULL : host.name, address.name, address.port);
    else if (pg_hosts_resolvable(&host))
        start_resolving(pg, &host);
    else
        connect_to(pg, host.name, NULL, host.port);
}

void pg_timer_fired(void *arg)
{
    struct pg *pg = arg;
    switch (pg->phase) {
    case PG_PHASE_IDLE:
        attempt(pg);
        break;
    case PG_PHASE_RESOLVING:
        fail(pg, ERR_UNAVAILABLE, "the host's name was not resolved within 5 s");
        break;
    case PG_PHASE_CONNECTING:
    case PG_PHASE_GREETING:
        fail(pg, ERR_UNAVAILABLE,
             pg_pooler_mute(pg) != NULL ? pg_pooler_mute(pg) : "no connection within 5 s");
        break;
    case PG_PHASE_BROKEN:
        fail(pg, ERR_UNAVAILABLE, pg->reason);
        break;
    case PG_PHASE_CLOSED:
        pg_free(pg);
        break;
    case PG_PHASE_UP:
        break;
    }
}
