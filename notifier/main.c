/* checkout-notifier: pushes each buyer's events by websocket. Here its parts are tied together. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/service/daemon.h"
#include "common/service/heartbeat.h"
#include "common/service/identity.h"
#include "common/service/process.h"
#include "common/service/servers.h"
#include "common/service/stop.h"
#include "common/shop/origins.h"
#include "notifier/places.h"
#include "notifier/registry.h"
#include "notifier/replay.h"
#include "notifier/server.h"
#include "notifier/shop.h"
#include "notifier/stats.h"
#include "notifier/subscriptions.h"

#define EXIT_SETTING 2

struct notifier {
    struct daemon daemon;
    struct stats stats;
    struct identity *identity;
    struct origins *origins;
    struct registry *registry;
    struct replay *replay;
    struct heartbeat *heartbeat;
    struct shop *shop;
    struct subscriptions *subscriptions;
    struct places *places;
    struct server *server;
};

/* It needs PostgreSQL, which it can serve buyers from alone. Redis is only reported. */
static bool ready(void *arg, struct buf *ret_why)
{
    struct notifier *n = arg;
    bool database = n->replay != NULL && replay_ready(n->replay);
    bool redis = n->subscriptions != NULL && subscriptions_ready(n->subscriptions);
    if (!database)
        (void)buf_str(ret_why, "PostgreSQL is not connected\n");
    if (!redis)
        (void)buf_str(ret_why,
                      "Redis is not connected; events come from PostgreSQL, more slowly\n");
    if (stop_begun(n->daemon.stop))
        (void)buf_str(ret_why, "it is leaving\n");
    return database && !stop_begun(n->daemon.stop);
}

static void drained(void *arg)
{
    struct notifier *n = arg;
    loop_stop(n->daemon.loop);
}

static void drain(void *arg)
{
    struct notifier *n = arg;
    log_info("leaving",
             LOG_INT("sockets", n->registry == NULL ? 0 : registry_members(n->registry)));
    stop_notify_stopping();
    heartbeat_leave(n->heartbeat);
    if (n->server == NULL)
        loop_stop(n->daemon.loop);
    else
        server_drain(n->server, drained, n);
}

static int listen_for_buyers(struct notifier *n)
{
    const struct cfg *cfg = n->daemon.cfg;
    const struct server_options options = {
        .loop = n->daemon.loop,
        .host = cfg_host(cfg, CFG_LISTEN),
        .port = cfg_port(cfg, CFG_LISTEN),
        .sockets_max = (unsigned)cfg_int(cfg, CFG_CONNECTIONS_MAX),
        .ping_ms = (uint64_t)cfg_int(cfg, CFG_SOCKET_PING),
        .origins = n->origins,
        .tokens = identity_tokens(n->identity),
        .tickets = identity_tickets(n->identity),
        .registry = n->registry,
        .subscriptions = n->subscriptions,
        .replay = n->replay,
        .places = n->places,
        .stats = &n->stats,
    };
    errno = 0;
    if (server_open(&options, &n->server) == 0)
        return 0;
    (void)fprintf(stderr, "%s: %s: cannot listen on %s: %s\n", n->daemon.name, cfg_name(CFG_LISTEN),
                  cfg_str(cfg, CFG_LISTEN), strerror(errno));
    return EXIT_SETTING;
}

static int listen_to_line(const char *sku, void *arg)
{
    struct notifier *n = arg;
    return subscriptions_listen_line(n->subscriptions, sku);
}

static void unlisten_line(const char *sku, void *arg)
{
    struct notifier *n = arg;
    subscriptions_unlisten_line(n->subscriptions, sku);
}

static void line_heard(const char *sku, size_t sku_len, const char *text, size_t len, void *arg)
{
    struct notifier *n = arg;
    places_heard(n->places, sku, sku_len, text, len);
}

static bool watch_lines(struct notifier *n)
{
    const struct places_channels channels = {
        .listen = listen_to_line, .unlisten = unlisten_line, .arg = n};
    n->places = places_new(n->daemon.loop, replay_session(n->replay), &channels, &n->stats);
    if (n->places == NULL)
        return false;
    subscriptions_on_line(n->subscriptions, line_heard, n);
    return true;
}

static bool watch_shop(struct notifier *n)
{
    const struct heartbeat_options options = {
        .place = cfg_str(n->daemon.cfg, CFG_ADMIN_LISTEN),
        .program = "notifier",
        .sockets = n->stats.sockets,
        .ready = ready,
        .arg = n,
    };
    struct pg *pg = replay_session(n->replay);
    n->heartbeat = heartbeat_new(n->daemon.loop, pg, &options);
    n->shop = shop_new(n->daemon.loop, pg, n->daemon.metrics);
    return n->heartbeat != NULL && n->shop != NULL;
}

static int start(struct notifier *n)
{
    const struct cfg *cfg = n->daemon.cfg;
    const char *problem; /* the settings were checked */
    int code = identity_open(&n->daemon, &n->identity);
    if (code != 0)
        return code;
    stats_init(&n->stats, n->daemon.metrics);
    n->stats.spans = n->daemon.spans;
    const struct redis_server redis = servers_redis(cfg);
    n->registry = registry_new((size_t)cfg_int(cfg, CFG_CONNECTIONS_MAX),
                               (size_t)cfg_int(cfg, CFG_SOCKETS_PER_USER));
    if (n->registry != NULL)
        n->replay =
            replay_new(n->daemon.loop, cfg_str(cfg, CFG_DATABASE_URL), n->registry, &n->stats);
    if (origins_new(cfg_str(cfg, CFG_ORIGINS), &n->origins, &problem) == 0 && n->registry != NULL &&
        n->replay != NULL)
        n->subscriptions =
            subscriptions_new(n->daemon.loop, &redis, n->registry, n->replay, &n->stats);
    if (n->subscriptions == NULL || !watch_lines(n) || !watch_shop(n)) {
        log_error("cannot start", LOG_STR("problem", "out of memory"));
        return 1;
    }
    return listen_for_buyers(n);
}

int main(int argc, char **argv)
{
    struct notifier n = {0};
    const struct daemon_program program = {
        .name = "checkout-notifier",
        .summary = "Pushes each buyer's events by websocket.",
        .cfg_program = CFG_NOTIFIER,
        .servers = {&contact_pg, &contact_redis},
        .ready = ready,
        .drain = drain,
        .arg = &n,
    };
    int code;
    if (!daemon_open(&program, argc, argv, &n.daemon, &code))
        return process_end(code);
    code = start(&n);
    if (code == 0) {
        stop_notify_ready();
        loop_run(n.daemon.loop);
    }
    server_close(n.server);
    subscriptions_free(n.subscriptions);
    heartbeat_free(n.heartbeat);
    shop_free(n.shop);
    replay_free(n.replay);
    places_free(n.places); /* its questions have their answers now */
    registry_free(n.registry);
    identity_close(n.identity);
    origins_free(n.origins);
    daemon_close(&n.daemon);
    return process_end(code);
}
