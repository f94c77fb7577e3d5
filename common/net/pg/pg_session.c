#include "common/net/pg/pg_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/pg/pg_hosts.h"

#define CONNECT_TIMEOUT_MS 5000
#define HOSTS_SIZE 4096

/* A name is looked up in a thread: the resolver blocks. */
struct resolve {
    struct pg *pg; /* NULL: given up meanwhile. Not touched by the thread. */
    struct pg_host host;
    unsigned turn;
    int code;
    struct pg_addresses addresses;
    char reason[PG_WIRE_REASON_SIZE];
};

/* ---- the end of a session, and of the whole ---- */

void pg_free(struct pg *pg)
{
    loop_timer_free(pg->timer);
    pg_ring_free(&pg->sent);
    free(pg->prepared);
    if (pg->url != NULL)
        explicit_bzero(pg->url, strlen(pg->url));
    free(pg->url);
    free(pg->application_name);
    free(pg);
}

void pg_disconnect(struct pg *pg)
{
    pg->session++;
    pg->phase = PG_PHASE_IDLE;
    loop_watch_free(pg->watch);
    pg->watch = NULL;
    pg_wire_free(pg->wire);
    pg->wire = NULL;
    pg->prepared_count = 0;
    loop_timer_stop(pg->timer);
    if (pg->resolve != NULL)
        pg->resolve->pg = NULL; /* it frees itself when its thread is done */
    pg->resolve = NULL;
}

void pg_report(pg_result_cb cb, const struct pg_result *result, void *arg)
{
    if (cb != NULL)
        cb(result, arg);
}

/* Everybody who waits hears that the answer will not come. Nothing is added meanwhile: the phase
 * forbids it. */
void pg_tell_lost(struct pg *pg)
{
    struct pg_sent *head;
    pg->unanswered = 0;
    while ((head = pg_ring_head(&pg->sent)) != NULL) {
        struct pg_sent sent = *head;
        pg_ring_pop(&pg->sent);
        pg_wire_result_free(sent.result);
        pg_report(sent.cb, NULL, sent.arg);
    }
    struct pg_held *held = pg->script;
    pg->script = NULL;
    pg_wire_result_free(pg->script_result);
    pg->script_result = NULL;
    if (held == NULL)
        held = pg_line_pop(&pg->held);
    for (; held != NULL; held = pg_line_pop(&pg->held)) {
        pg_report(held->cb, NULL, held->arg);
        free(held);
    }
}

/* Ends this session (or try): tells everybody, tries again later. */
void pg_fail(struct pg *pg, int fault, const char *reason)
{
    char copy[PG_WIRE_REASON_SIZE]; /* `reason` may be ours */
    (void)snprintf(copy, sizeof copy, "%s", reason);
    bool news = pg->told_up || strcmp(copy, pg->reason) != 0;
    pg_disconnect(pg);
    pg->told_up = false;
    pg->fault = fault;
    memcpy(pg->reason, copy, sizeof copy);
    pg_tell_lost(pg);
    if (!pg->closed && news && pg->state != NULL)
        pg->state(false, pg->reason, pg->arg);
    if (!pg->closed)
        loop_timer_start(pg->timer, backoff_next(&pg->backoff), 0);
}

void pg_fail_with_reason(struct pg *pg)
{
    char reason[PG_WIRE_REASON_SIZE];
    int fault = pg_wire_reason(pg->wire, reason);
    pg_fail(pg, fault, reason[0] == '\0' ? "the connection was lost" : reason);
}

/* Gives the session up from within a caller's call: callbacks come from the loop only. */
void pg_give_up(struct pg *pg, const char *reason)
{
    pg->phase = PG_PHASE_BROKEN;
    (void)snprintf(pg->reason, sizeof pg->reason, "%s", reason);
    if (pg->watch != NULL)
        loop_watch_set(pg->watch, 0);
    loop_timer_start(pg->timer, 0, 0);
}

void pg_give_up_with_reason(struct pg *pg)
{
    char reason[PG_WIRE_REASON_SIZE];
    (void)pg_wire_reason(pg->wire, reason);
    pg_give_up(pg, reason[0] == '\0' ? "the connection was lost" : reason);
}

/* ---- connecting ---- */

static void session_up(struct pg *pg)
{
    pg->phase = PG_PHASE_UP;
    pg->told_up = true;
    pg->fault = 0;
    pg->reason[0] = '\0';
    loop_timer_stop(pg->timer);
    backoff_reset(&pg->backoff);
    loop_watch_set(pg->watch, LOOP_READ);
    if (pg->state != NULL)
        pg->state(true, NULL, pg->arg);
}

/* libpq may have moved to another socket, perhaps under the same number: watch it afresh. */
static void watch_afresh(struct pg *pg, int events)
{
    loop_watch_free(pg->watch);
    pg->watch = loop_watch_new(pg->loop, pg_wire_fd(pg->wire), pg_socket_ready, pg);
    if (pg->watch == NULL)
        pg_fail(pg, ERR_UNAVAILABLE, "cannot watch the connection");
    else
        loop_watch_set(pg->watch, events);
}

void pg_session_step(struct pg *pg)
{
    enum pg_wire_poll next = pg_wire_poll(pg->wire);
    if (next == PG_WIRE_POLL_FAILED) {
        pg_fail_with_reason(pg);
        return;
    }
    watch_afresh(pg, next == PG_WIRE_POLL_WRITE ? LOOP_WRITE : LOOP_READ);
    if (next == PG_WIRE_POLL_UP && pg->phase == PG_PHASE_CONNECTING)
        session_up(pg);
}

static void connect_to(struct pg *pg, const char *host, const char *hostaddr, const char *port)
{
    const struct pg_wire_target target = {&pg->options, host, hostaddr, port};
    pg->wire = pg_wire_start(&target);
    if (pg->wire == NULL) {
        pg_fail(pg, ERR_UNAVAILABLE, "out of memory");
        return;
    }
    pg->phase = PG_PHASE_CONNECTING;
    loop_timer_start(pg->timer, CONNECT_TIMEOUT_MS, 0);
    if (pg_wire_fd(pg->wire) < 0)
        pg_fail_with_reason(pg);
    else
        watch_afresh(pg, LOOP_WRITE); /* libpq: at first as if it had asked to write */
}

static void resolve_in_thread(void *arg)
{
    struct resolve *resolve = arg;
    resolve->code = pg_hosts_resolve(resolve->host.name, resolve->turn, &resolve->addresses,
                                     resolve->reason, sizeof resolve->reason);
}

static void resolved(void *arg)
{
    struct resolve *resolve = arg;
    struct pg *pg = resolve->pg;
    if (pg != NULL) {
        pg->resolve = NULL;
        if (resolve->code < 0)
            pg_fail(pg, resolve->code, resolve->reason);
        else
            connect_to(pg, resolve->addresses.names, resolve->addresses.addresses,
                       resolve->host.port);
    }
    free(resolve);
}

static void start_resolving(struct pg *pg, const struct pg_host *host)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve != NULL) {
        resolve->pg = pg;
        resolve->host = *host;
        resolve->turn = pg->attempts;
    }
    if (resolve == NULL || loop_background(pg->loop, resolve_in_thread, resolved, resolve) < 0) {
        free(resolve);
        pg_fail(pg, ERR_UNAVAILABLE, "out of memory");
        return;
    }
    pg->resolve = resolve;
    pg->phase = PG_PHASE_RESOLVING;
    loop_timer_start(pg->timer, CONNECT_TIMEOUT_MS, 0);
}

/* The lists of hosts, their addresses and ports of the URL; 0 or an error. */
static int read_hosts(const struct pg *pg, struct buf *hosts, struct buf *addresses,
                      struct buf *ports)
{
    int code = pg_wire_url_part(pg->url, "host", hosts);
    if (code == 0)
        code = pg_wire_url_part(pg->url, "hostaddr", addresses);
    return code == 0 ? pg_wire_url_part(pg->url, "port", ports) : code;
}

static void attempt(struct pg *pg)
{
    struct buf hosts, addresses, ports;
    struct pg_host host;
    buf_init(&hosts, HOSTS_SIZE);
    buf_init(&addresses, HOSTS_SIZE);
    buf_init(&ports, HOSTS_SIZE);
    int code = read_hosts(pg, &hosts, &addresses, &ports);
    bool given = addresses.len > 0; /* the URL has the addresses itself */
    if (code == 0 && !given)
        code = pg_hosts_pick(buf_text(&hosts), buf_text(&ports), pg->attempts, &host);
    buf_free(&hosts);
    buf_free(&addresses);
    buf_free(&ports);
    if (code < 0)
        pg_fail(pg, ERR_UNAVAILABLE, "the URL's hosts and ports do not match, or are too long");
    else if (given)
        connect_to(pg, NULL, NULL, NULL);
    else if (pg_hosts_resolvable(&host))
        start_resolving(pg, &host);
    else
        connect_to(pg, host.name, NULL, host.port);
    pg->attempts++;
}

void pg_timer_fired(void *arg)
{
    struct pg *pg = arg;
    if (pg->closed) {
        pg_free(pg);
        return;
    }
    switch (pg->phase) {
    case PG_PHASE_IDLE:
        attempt(pg);
        break;
    case PG_PHASE_RESOLVING:
        pg_fail(pg, ERR_NOT_FOUND, "the host's name was not resolved within 5 s");
        break;
    case PG_PHASE_CONNECTING:
        pg_fail(pg, ERR_UNAVAILABLE, "no connection within 5 s");
        break;
    case PG_PHASE_BROKEN:
        pg_fail(pg, ERR_UNAVAILABLE, pg->reason);
        break;
    case PG_PHASE_UP:
    case PG_PHASE_SCRIPT:
        break;
    }
}
