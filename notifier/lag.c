#include "notifier/lag.h"

#include <stdlib.h>

#include "common/base/log.h"

#define ASK_MS 2000
#define LAG_MS "3000" /* longer than a shard waits for its next owner after a crash, mostly */

static const struct pg_statement relay_lags = {"relay_lags",
                                               "select checkout.relay_lags($1::bigint)", 1};

struct lag {
    struct pg *pg;
    struct loop_timer *timer; /* NULL: freed, but a question is open */
    void (*changed)(bool lagging, void *arg);
    void *arg;
    bool asking;
    bool lagging;
    bool refused; /* logged */
};

static void answered(const struct pg_result *result, void *arg)
{
    struct lag *lag = arg;
    lag->asking = false;
    if (lag->timer == NULL) {
        free(lag);
        return;
    }
    if (pg_status(result) == PG_ERROR && !lag->refused)
        log_warning("question refused by PostgreSQL: do events wait to be published?",
                    LOG_STR("problem", pg_message(result)));
    lag->refused = pg_status(result) == PG_ERROR;
    if (pg_status(result) != PG_OK || pg_bool(result, 0, 0) == lag->lagging)
        return;
    lag->lagging = !lag->lagging;
    lag->changed(lag->lagging, lag->arg);
}

static void ask(void *arg)
{
    struct lag *lag = arg;
    static const char *const params[] = {LAG_MS};
    if (!lag->asking && pg_is_up(lag->pg))
        lag->asking = pg_query(lag->pg, &relay_lags, params, answered, lag) == 0;
}

struct lag *lag_new(struct loop *loop, struct pg *pg, void (*changed)(bool lagging, void *arg),
                    void *arg)
{
    struct lag *lag = calloc(1, sizeof *lag);
    if (lag == NULL)
        return NULL;
    *lag = (struct lag){.pg = pg, .changed = changed, .arg = arg};
    lag->timer = loop_timer_new(loop, ask, lag);
    if (lag->timer == NULL) {
        free(lag);
        return NULL;
    }
    loop_timer_start(lag->timer, ASK_MS, ASK_MS);
    return lag;
}

void lag_free(struct lag *lag)
{
    if (lag == NULL)
        return;
    loop_timer_free(lag->timer);
    lag->timer = NULL;
    if (!lag->asking) /* else its answer frees it */
        free(lag);
}
