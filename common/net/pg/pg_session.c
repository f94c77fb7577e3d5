#include "common/net/pg/pg_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/pg/pg_hosts.h"
#include "common/base/err.h"

#define CONNECT_TIMEOUT_MS 5000
#define HOSTS_SIZE 4096

/* A name is looked up in a thread: the resolver blocks. */
struct resolve {
    struct db *db; /* NULL: given up meanwhile. Not touched by the thread. */
    struct db_host host;
    unsigned turn;
    int code;
    struct db_addresses addresses;
    char reason[PG_REASON_SIZE];
};

/* ---- the end of a session, and of the whole ---- */

void db_free(struct db *db)
{
    loop_timer_free(db->timer);
    db_ring_free(&db->sent);
    free(db->prepared);
    if (db->url != NULL)
        explicit_bzero(db->url, strlen(db->url));
    free(db->url);
    free(db->application_name);
    free(db);
}

void db_disconnect(struct db *db)
{
    db->session++;
    db->phase = DB_PHASE_IDLE;
    loop_watch_free(db->watch);
    db->watch = NULL;
    pg_free(db->pg);
    db->pg = NULL;
    db->prepared_count = 0;
    loop_timer_stop(db->timer);
    if (db->resolve != NULL)
        db->resolve->db = NULL; /* it frees itself when its thread is done */
    db->resolve = NULL;
}

void db_report(db_result_cb cb, const struct db_result *result, void *arg)
{
    if (cb != NULL)
        cb(result, arg);
}

/* Everybody who waits hears that the answer will not come. Nothing is added meanwhile: the phase
 * forbids it. */
void db_tell_lost(struct db *db)
{
    struct db_sent *head;
    db->unanswered = 0;
    while ((head = db_ring_head(&db->sent)) != NULL) {
        struct db_sent sent = *head;
        db_ring_pop(&db->sent);
        pg_result_free(sent.result);
        db_report(sent.cb, NULL, sent.arg);
    }
    struct db_held *held = db->script;
    db->script = NULL;
    pg_result_free(db->script_result);
    db->script_result = NULL;
    if (held == NULL)
        held = db_line_pop(&db->held);
    for (; held != NULL; held = db_line_pop(&db->held)) {
        db_report(held->cb, NULL, held->arg);
        free(held);
    }
}

/* Ends this session (or try): tells everybody, tries again later. */
void db_fail(struct db *db, int fault, const char *reason)
{
    char copy[PG_REASON_SIZE]; /* `reason` may be ours */
    (void)snprintf(copy, sizeof copy, "%s", reason);
    bool news = db->told_up || strcmp(copy, db->reason) != 0;
    db_disconnect(db);
    db->told_up = false;
    db->fault = fault;
    memcpy(db->reason, copy, sizeof copy);
    db_tell_lost(db);
    if (!db->closed && news && db->state != NULL)
        db->state(false, db->reason, db->arg);
    if (!db->closed)
        loop_timer_start(db->timer, backoff_next(&db->backoff), 0);
}

void db_fail_with_reason(struct db *db)
{
    char reason[PG_REASON_SIZE];
    int fault = pg_reason(db->pg, reason);
    db_fail(db, fault, reason[0] == '\0' ? "the connection was lost" : reason);
}

/* Gives the session up from within a caller's call: callbacks come from the loop only. */
void db_give_up(struct db *db, const char *reason)
{
    db->phase = DB_PHASE_BROKEN;
    (void)snprintf(db->reason, sizeof db->reason, "%s", reason);
    if (db->watch != NULL)
        loop_watch_set(db->watch, 0);
    loop_timer_start(db->timer, 0, 0);
}

void db_give_up_with_reason(struct db *db)
{
    char reason[PG_REASON_SIZE];
    (void)pg_reason(db->pg, reason);
    db_give_up(db, reason[0] == '\0' ? "the connection was lost" : reason);
}

/* ---- connecting ---- */

static void session_up(struct db *db)
{
    db->phase = DB_PHASE_UP;
    db->told_up = true;
    db->fault = 0;
    db->reason[0] = '\0';
    loop_timer_stop(db->timer);
    backoff_reset(&db->backoff);
    loop_watch_set(db->watch, LOOP_READ);
    if (db->state != NULL)
        db->state(true, NULL, db->arg);
}

/* libpq may have moved to another socket, perhaps under the same number: watch it afresh. */
static void watch_afresh(struct db *db, int events)
{
    loop_watch_free(db->watch);
    db->watch = loop_watch_new(db->loop, pg_fd(db->pg), db_socket_ready, db);
    if (db->watch == NULL)
        db_fail(db, ERR_UNAVAILABLE, "cannot watch the connection");
    else
        loop_watch_set(db->watch, events);
}

void db_session_step(struct db *db)
{
    enum pg_poll next = pg_poll(db->pg);
    if (next == PG_POLL_FAILED) {
        db_fail_with_reason(db);
        return;
    }
    watch_afresh(db, next == PG_POLL_WRITE ? LOOP_WRITE : LOOP_READ);
    if (next == PG_POLL_UP && db->phase == DB_PHASE_CONNECTING)
        session_up(db);
}

static void connect_to(struct db *db, const char *host, const char *hostaddr, const char *port)
{
    const struct pg_target target = {&db->options, host, hostaddr, port};
    db->pg = pg_start(&target);
    if (db->pg == NULL) {
        db_fail(db, ERR_UNAVAILABLE, "out of memory");
        return;
    }
    db->phase = DB_PHASE_CONNECTING;
    loop_timer_start(db->timer, CONNECT_TIMEOUT_MS, 0);
    if (pg_fd(db->pg) < 0)
        db_fail_with_reason(db);
    else
        watch_afresh(db, LOOP_WRITE); /* libpq: at first as if it had asked to write */
}

static void resolve_in_thread(void *arg)
{
    struct resolve *resolve = arg;
    resolve->code = db_hosts_resolve(resolve->host.name, resolve->turn, &resolve->addresses,
                                     resolve->reason, sizeof resolve->reason);
}

static void resolved(void *arg)
{
    struct resolve *resolve = arg;
    struct db *db = resolve->db;
    if (db != NULL) {
        db->resolve = NULL;
        if (resolve->code < 0)
            db_fail(db, resolve->code, resolve->reason);
        else
            connect_to(db, resolve->addresses.names, resolve->addresses.addresses,
                       resolve->host.port);
    }
    free(resolve);
}

static void start_resolving(struct db *db, const struct db_host *host)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve != NULL) {
        resolve->db = db;
        resolve->host = *host;
        resolve->turn = db->attempts;
    }
    if (resolve == NULL || loop_background(db->loop, resolve_in_thread, resolved, resolve) < 0) {
        free(resolve);
        db_fail(db, ERR_UNAVAILABLE, "out of memory");
        return;
    }
    db->resolve = resolve;
    db->phase = DB_PHASE_RESOLVING;
    loop_timer_start(db->timer, CONNECT_TIMEOUT_MS, 0);
}

/* The lists of hosts, their addresses and ports of the URL; 0 or an error. */
static int read_hosts(const struct db *db, struct buf *hosts, struct buf *addresses,
                      struct buf *ports)
{
    int code = pg_url_part(db->url, "host", hosts);
    if (code == 0)
        code = pg_url_part(db->url, "hostaddr", addresses);
    return code == 0 ? pg_url_part(db->url, "port", ports) : code;
}

static void attempt(struct db *db)
{
    struct buf hosts, addresses, ports;
    struct db_host host;
    buf_init(&hosts, HOSTS_SIZE);
    buf_init(&addresses, HOSTS_SIZE);
    buf_init(&ports, HOSTS_SIZE);
    int code = read_hosts(db, &hosts, &addresses, &ports);
    bool given = addresses.len > 0; /* the URL has the addresses itself */
    if (code == 0 && !given)
        code = db_hosts_pick(buf_text(&hosts), buf_text(&ports), db->attempts, &host);
    buf_free(&hosts);
    buf_free(&addresses);
    buf_free(&ports);
    if (code < 0)
        db_fail(db, ERR_UNAVAILABLE, "the URL's hosts and ports do not match, or are too long");
    else if (given)
        connect_to(db, NULL, NULL, NULL);
    else if (db_hosts_resolvable(&host))
        start_resolving(db, &host);
    else
        connect_to(db, host.name, NULL, host.port);
    db->attempts++;
}

void db_timer_fired(void *arg)
{
    struct db *db = arg;
    if (db->closed) {
        db_free(db);
        return;
    }
    switch (db->phase) {
    case DB_PHASE_IDLE:
        attempt(db);
        break;
    case DB_PHASE_RESOLVING:
        db_fail(db, ERR_NOT_FOUND, "the host's name was not resolved within 5 s");
        break;
    case DB_PHASE_CONNECTING:
        db_fail(db, ERR_UNAVAILABLE, "no connection within 5 s");
        break;
    case DB_PHASE_BROKEN:
        db_fail(db, ERR_UNAVAILABLE, db->reason);
        break;
    case DB_PHASE_UP:
    case DB_PHASE_SCRIPT:
        break;
    }
}
