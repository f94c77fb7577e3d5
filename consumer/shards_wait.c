#include "consumer/shards_wait.h"

#include "common/base/log.h"
#include "common/shop/database_version.h"
#include "common/shop/shards_serving.h"

#define ASK_MS 1000
#define STATEMENT_TIMEOUT_MS 4000
#define TCP_TIMEOUT_MS 10000
#define PENDING_MAX 4

static void answered(const struct pg_result *result, void *arg)
{
    struct shards_wait *wait = arg;
    wait->asked = false;
    if (pg_status(result) != PG_OK)
        return; /* the session says it, or it is asked again */
    wait->shards = shards_serving_read(result);
    if (wait->shards > 0) {
        loop_stop(wait->loop);
        return;
    }
    if (!wait->none_said)
        log_error(SHARDS_NONE_SERVE);
    wait->none_said = true;
}

static void ask(void *arg)
{
    struct shards_wait *wait = arg;
    if (!wait->asked && pg_is_up(wait->session))
        wait->asked = pg_query(wait->session, &shards_serving, NULL, answered, wait) == 0;
}

static void changed(bool up, const char *reason, void *arg)
{
    if (up)
        ask(arg);
    else
        log_warning("PostgreSQL is not connected", LOG_STR("reason", reason));
}

bool shards_wait_again(const struct cfg *cfg, uint32_t shards, int64_t serving)
{
    bool again = cfg_int(cfg, CFG_SHARDS) == 0;
    if (again)
        log_info("the number of shards in service has changed: starting again",
                 LOG_INT("shards", shards), LOG_INT("in_service", serving));
    else
        log_error("CHECKOUT_SHARDS differs from the number of shards in service",
                  LOG_INT("shards", shards), LOG_INT("in_service", serving));
    return again;
}

uint32_t shards_wait_run(struct shards_wait *wait, struct loop *loop, const struct cfg *cfg)
{
    const struct pg_options options = {.url = cfg_str(cfg, CFG_DATABASE_URL),
                                       .application_name = "checkout-consumer start",
                                       .greeting = &database_version_greeting,
                                       .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                                       .tcp_user_timeout_ms = TCP_TIMEOUT_MS,
                                       .pending_max = PENDING_MAX};
    *wait = (struct shards_wait){.loop = loop};
    if (cfg_int(cfg, CFG_SHARDS) > 0)
        return (uint32_t)cfg_int(cfg, CFG_SHARDS);
    wait->again = loop_timer_new(loop, ask, wait);
    wait->session = pg_open(loop, &options, changed, wait);
    if (wait->again != NULL && wait->session != NULL) {
        loop_timer_start(wait->again, ASK_MS, ASK_MS);
        loop_run(loop);
    }
    pg_close(wait->session);
    loop_timer_free(wait->again);
    wait->session = NULL;
    return wait->shards;
}

const char *shards_wait_why(const struct shards_wait *wait)
{
    if (wait->none_said)
        return SHARDS_NONE_SERVE;
    return wait->session == NULL || pg_is_up(wait->session) ? "PostgreSQL has not yet said how "
                                                              "many shards are in service"
                                                            : pg_reason(wait->session);
}
