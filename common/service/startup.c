#include "common/service/startup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/net/pg/pg.h"
#include "common/net/pg/pg_hosts.h"
#include "common/net/redis/redis.h"
#include "common/net/url.h"

#define PATIENCE_MS 3000
#define STATEMENT_TIMEOUT_MS 3000
#define REASON_SIZE 256
#define HEARTBEAT_S 4

/* One server's trial. */
struct trial {
    struct startup *startup;
    enum cfg_id setting;
    unsigned hosts;   /* that its URL names: any of them will do */
    unsigned tries;   /* that failed */
    unsigned unknown; /* of these: the host has no address */
    bool running;
};

struct startup {
    struct loop *loop;
    struct broker *broker;
    struct pg *pg;
    struct redis *redis;
    struct trial trials[4];
    size_t count;
    struct buf *problem;
    bool wrong;
    char gateway[PG_HOSTS_NAME_SIZE];
    int gateway_code;
    char gateway_reason[REASON_SIZE];
};

static unsigned count_hosts(const char *url)
{
    unsigned count = 1;
    for (; *url != '\0'; url++)
        if (*url == ',')
            count++;
    return count;
}

static struct trial *begin(struct startup *startup, const struct cfg *cfg, enum cfg_id setting)
{
    struct trial *trial = &startup->trials[startup->count++];
    *trial = (struct trial){.startup = startup,
                            .setting = setting,
                            .hosts = count_hosts(cfg_str(cfg, setting)),
                            .running = true};
    return trial;
}

static void end(struct trial *trial)
{
    struct startup *startup = trial->startup;
    trial->running = false;
    for (size_t i = 0; i < startup->count; i++)
        if (startup->trials[i].running)
            return;
    loop_stop(startup->loop);
}

/* A try has failed: is that a wrong setting, or is the server merely down? */
static void judge(struct trial *trial, int fault, const char *reason)
{
    struct startup *startup = trial->startup;
    if (!trial->running || startup->wrong)
        return;
    trial->tries++;
    if (fault == ERR_NOT_FOUND)
        trial->unknown++;
    if (fault == ERR_AUTH || trial->unknown == trial->hosts) {
        startup->wrong = true;
        (void)buf_printf(startup->problem, "%s: %s", cfg_name(trial->setting), reason);
        loop_stop(startup->loop);
    } else if (trial->tries >= trial->hosts) {
        end(trial);
    }
}

static void broker_changed(enum broker_state state, const char *reason, void *arg)
{
    struct trial *trial = arg;
    if (state == BROKER_DOWN)
        judge(trial, broker_fault(trial->startup->broker), reason);
    else
        end(trial);
}

static void pg_changed(bool up, const char *reason, void *arg)
{
    struct trial *trial = arg;
    if (up)
        end(trial);
    else
        judge(trial, pg_fault(trial->startup->pg), reason);
}

static void redis_changed(bool up, const char *reason, void *arg)
{
    struct trial *trial = arg;
    if (up)
        end(trial);
    else
        judge(trial, redis_fault(trial->startup->redis), reason);
}

/* Of the gateway only the name is tried: what it answers belongs to payments. */
static void resolve_gateway(void *arg)
{
    struct trial *trial = arg;
    struct startup *startup = trial->startup;
    struct pg_addresses addresses;
    startup->gateway_code =
        pg_hosts_resolve(startup->gateway, 0, &addresses, startup->gateway_reason, REASON_SIZE);
}

static void gateway_resolved(void *arg)
{
    struct trial *trial = arg;
    struct startup *startup = trial->startup;
    if (startup->gateway_code < 0)
        judge(trial, startup->gateway_code, startup->gateway_reason);
    else
        end(trial);
}

static bool given(const struct cfg *cfg, enum cfg_id setting)
{
    return cfg_str(cfg, setting)[0] != '\0'; /* else it is no setting of this program */
}

static int try_all(struct startup *startup, const struct cfg *cfg)
{
    if (given(cfg, CFG_AMQP_URL)) {
        const struct broker_options options = {cfg_str(cfg, CFG_AMQP_URL), "checkout start check",
                                               HEARTBEAT_S};
        startup->broker =
            broker_open(startup->loop, &options, broker_changed, begin(startup, cfg, CFG_AMQP_URL));
        if (startup->broker == NULL)
            return ERR_NOMEM;
    }
    if (given(cfg, CFG_DATABASE_URL)) {
        const struct pg_options options = {.url = cfg_str(cfg, CFG_DATABASE_URL),
                                           .application_name = "checkout start check",
                                           .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                                           .pending_max = 1};
        startup->pg =
            pg_open(startup->loop, &options, pg_changed, begin(startup, cfg, CFG_DATABASE_URL));
        if (startup->pg == NULL)
            return ERR_NOMEM;
    }
    if (given(cfg, CFG_REDIS_URL)) {
        startup->redis = redis_open(startup->loop, cfg_str(cfg, CFG_REDIS_URL), 1, redis_changed,
                                    begin(startup, cfg, CFG_REDIS_URL));
        if (startup->redis == NULL)
            return ERR_NOMEM;
    }
    if (!given(cfg, CFG_GATEWAY_URL))
        return 0;
    url_host_of(cfg_str(cfg, CFG_GATEWAY_URL), startup->gateway, sizeof startup->gateway);
    struct trial *trial = begin(startup, cfg, CFG_GATEWAY_URL);
    trial->hosts = 1;
    return loop_background(startup->loop, resolve_gateway, gateway_resolved, trial);
}

static void out_of_patience(void *arg)
{
    loop_stop(arg);
}

int startup_check(const struct cfg *cfg, struct buf *ret_problem)
{
    struct startup startup = {.loop = loop_new(), .problem = ret_problem};
    if (startup.loop == NULL) {
        (void)buf_str(ret_problem, "out of memory");
        return ERR_CONFIG;
    }
    struct loop_timer *patience = loop_timer_new(startup.loop, out_of_patience, startup.loop);
    int code = patience == NULL ? ERR_NOMEM : try_all(&startup, cfg);
    if (code == 0 && startup.count > 0) {
        loop_timer_start(patience, PATIENCE_MS, 0);
        loop_run(startup.loop);
    }
    startup.wrong = startup.wrong || code < 0; /* from here on nothing is judged any more */
    if (code < 0)
        (void)buf_str(ret_problem, err_text(code));
    loop_timer_free(patience);
    broker_close(startup.broker);
    pg_close(startup.pg);
    redis_close(startup.redis);
    loop_free(startup.loop);
    return startup.wrong ? ERR_CONFIG : 0;
}
