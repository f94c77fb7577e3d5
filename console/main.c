/* checkout-console: the shop's own API, and the operators' page. Here its parts are made and tied
 * together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/service/daemon.h"
#include "common/service/heartbeat.h"
#include "common/service/identity.h"
#include "common/service/process.h"
#include "common/service/stop.h"
#include "common/shop/origins.h"
#include "common/shop/problem_respond.h"
#include "console/call.h"
#include "console/feed.h"
#include "console/ops.h"
#include "console/page.h"
#include "console/routes.h"
#include "console/watch.h"

#define EXIT_SETTING 2
#define CONNECTIONS_MAX 512
#define IDLE_TIMEOUT_S 75
#define DRAIN_TICK_MS 20
#define DRAIN_MAX_MS 8000

struct program {
    struct daemon daemon;
    struct console console;
    struct identity *identity;
    struct heartbeat *heartbeat;
    struct http_server *http;
    struct loop_timer *drain;
    uint64_t drain_until_ms;
};

static bool ready(void *arg, struct buf *ret_why)
{
    const struct program *p = arg;
    const struct sessions *sessions = &p->console.sessions;
    bool reads = sessions->reads != NULL && pg_is_up(sessions->reads);
    bool writes = sessions->writes != NULL && pg_is_up(sessions->writes);
    if (!reads)
        (void)buf_str(ret_why, "PostgreSQL is not connected\n");
    else if (!writes)
        (void)buf_str(ret_why, "PostgreSQL session for changes is not connected\n");
    if (stop_begun(p->daemon.stop))
        (void)buf_str(ret_why, "it is leaving\n");
    return reads && writes && !stop_begun(p->daemon.stop);
}

/* ---- leaving ---- */

static void draining(void *arg)
{
    struct program *p = arg;
    if (http_server_pending(p->http) > 0 && clock_mono_ms() < p->drain_until_ms)
        return;
    log_info("left");
    loop_stop(p->daemon.loop);
}

static void drain(void *arg)
{
    struct program *p = arg;
    p->console.leaving = true;
    stop_notify_stopping();
    heartbeat_leave(p->heartbeat);
    if (p->http == NULL) {
        loop_stop(p->daemon.loop);
        return;
    }
    log_info("leaving: answering open requests", LOG_INT("requests", http_server_pending(p->http)));
    http_server_drain(p->http);
    watch_drain(p->console.watch);
    feed_drain(p->console.feed);
    p->drain_until_ms = clock_mono_ms() + DRAIN_MAX_MS;
    loop_timer_start(p->drain, DRAIN_TICK_MS, DRAIN_TICK_MS);
}

/* ---- life ---- */

static bool open_parts(struct program *p)
{
    struct console *console = &p->console;
    const struct cfg *cfg = p->daemon.cfg;
    stats_init(&console->stats, p->daemon.metrics);
    const struct sessions_options database = {.url = cfg_str(cfg, CFG_DATABASE_URL),
                                              .program = "checkout-console",
                                              .without_reads = "requests are refused",
                                              .without_writes = "changes are refused",
                                              .up = console->stats.database_up};
    const struct heartbeat_options heartbeat = {
        .place = cfg_str(cfg, CFG_ADMIN_LISTEN), .program = "console", .ready = ready, .arg = p};
    console->loop = p->daemon.loop;
    console->tokens = identity_tokens(p->identity);
    console->watch = watch_new(console);
    console->feed = feed_new(console);
    console->ops = ops_new(console);
    p->drain = loop_timer_new(console->loop, draining, p);
    if (console->watch == NULL || console->feed == NULL || console->ops == NULL ||
        p->drain == NULL || !sessions_open(&console->sessions, console->loop, &database))
        return false;
    ops_begin(console->ops);
    p->heartbeat = heartbeat_new(console->loop, console->sessions.reads, &heartbeat);
    return p->heartbeat != NULL;
}

static int start(struct program *p)
{
    const struct cfg *cfg = p->daemon.cfg;
    int code = identity_open_console(&p->daemon, &p->identity);
    if (code != 0)
        return code;
    if (!open_parts(p)) {
        log_error("cannot start", LOG_STR("problem", "out of memory"));
        return EXIT_FAILURE;
    }
    const struct http_options http = {.host = cfg_host(cfg, CFG_CONSOLE_LISTEN),
                                      .port = cfg_port(cfg, CFG_CONSOLE_LISTEN),
                                      .connections_max = CONNECTIONS_MAX,
                                      .idle_timeout_s = IDLE_TIMEOUT_S,
                                      .body_max = CALL_BODY_MAX,
                                      .refuse = problem_refuse};
    errno = 0;
    if (http_server_open(p->daemon.loop, &http, routes_handle, &p->console, &p->http) < 0) {
        (void)fprintf(stderr, "%s: %s: cannot listen on %s: %s\n", p->daemon.name,
                      cfg_name(CFG_CONSOLE_LISTEN), cfg_str(cfg, CFG_CONSOLE_LISTEN),
                      strerror(errno));
        return EXIT_SETTING;
    }
    p->console.origins =
        page_origins(cfg_str(cfg, CFG_CONSOLE_ORIGINS), http.host, http_server_port(p->http));
    if (p->console.origins == NULL) {
        log_error("cannot start", LOG_STR("problem", "out of memory"));
        return EXIT_FAILURE;
    }
    log_info("listening", LOG_STR("host", http.host), LOG_INT("port", http_server_port(p->http)));
    return 0;
}

/* Frees first what answers its requests when it ends, and last the server with all others. */
static void close_all(struct program *p)
{
    p->console.leaving = true;
    heartbeat_free(p->heartbeat);
    sessions_close(&p->console.sessions);
    watch_free(p->console.watch);
    feed_free(p->console.feed);
    ops_free(p->console.ops);
    origins_free(p->console.origins);
    http_server_close(p->http);
    identity_close(p->identity);
    loop_timer_free(p->drain);
}

static void serve(struct program *p)
{
    stop_notify_ready();
    loop_run(p->daemon.loop);
}

int main(int argc, char **argv)
{
    static struct program p; /* zero */
    const struct daemon_program program = {
        .name = "checkout-console",
        .summary = "The shop's own API: items, orders, refunds, events; the operators' page.",
        .cfg_program = CFG_CONSOLE,
        .servers = {&contact_pg},
        .ready = ready,
        .drain = drain,
        .arg = &p,
    };
    int exit_code;
    if (!daemon_open(&program, argc, argv, &p.daemon, &exit_code))
        return process_end(exit_code);
    exit_code = start(&p);
    if (exit_code == 0)
        serve(&p);
    close_all(&p);
    daemon_close(&p.daemon);
    return process_end(exit_code);
}
