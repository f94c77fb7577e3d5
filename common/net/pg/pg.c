#include "common/net/pg/pg_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/pg/pg_url.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 2000
#define ANSWER_SPARE_MS 1000 /* beyond the statement timeout */
#define LIMIT_UNKNOWN UINT32_MAX
#define NUMBER_SIZE 16

int pg_url_check(const char *url, const char **ret_problem)
{
    return pg_wire_url_check(url, ret_problem);
}

static void outdated(const char *reason, void *arg)
{
    struct pg *pg = arg;
    if (pg_is_up(pg))
        pg_session_give_up(pg, reason);
}

struct pg *pg_open(struct loop *loop, const struct pg_options *options, pg_state_cb state,
                   void *arg)
{
    struct pg *pg = calloc(1, sizeof *pg);
    if (pg == NULL)
        return NULL;
    pg->loop = loop;
    pg->state = state;
    pg->arg = arg;
    pg->options = *options;
    pg->open_probe = pg_open_probe;
    pg->close_probe = pg_close;
    if (options->answer_timeout_ms == 0 && options->statement_timeout_ms > 0)
        pg->options.answer_timeout_ms = options->statement_timeout_ms + ANSWER_SPARE_MS;
    pg->options.url = pg->url = strdup(options->url);
    pg->options.application_name = pg->application_name = strdup(options->application_name);
    pg->timer = loop_timer_new(loop, pg_timer_fired, pg);
    pg->deadline = loop_timer_new(loop, pg_deadline_fired, pg);
    if (pg->url == NULL || pg->application_name == NULL || pg->timer == NULL ||
        pg->deadline == NULL) {
        pg_free(pg);
        return NULL;
    }
    uint64_t seed = clock_mono_us() ^ ((uint64_t)getpid() << 40);
    backoff_init(&pg->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, seed);
    host_walk_init(&pg->walk, pg_url_hosts(options->url), seed);
    pg->member.known = pg_session_known;
    pg->member.outdated = outdated;
    pg->member.arg = pg;
    if (options->cluster != NULL)
        pg_cluster_join(options->cluster, &pg->member);
    loop_timer_start(pg->timer, 0, 0); /* not from here: the caller does not hold `pg` yet */
    return pg;
}

struct pg *pg_open_probe(struct loop *loop, const struct pg_options *options, size_t host,
                         pg_state_cb state, void *arg)
{
    struct pg *pg = pg_open(loop, options, state, arg);
    if (pg == NULL)
        return NULL;
    pg->probe = true;
    pg->walk.host = host;
    return pg;
}

void pg_close(struct pg *pg)
{
    if (pg != NULL && pg->phase != PG_PHASE_CLOSED)
        pg_session_close(pg);
}

bool pg_is_up(const struct pg *pg)
{
    return pg->phase == PG_PHASE_UP;
}

bool pg_moved(const struct pg *pg)
{
    return pg->member.moved;
}

int pg_fault(const struct pg *pg)
{
    return pg->fault;
}

const char *pg_reason(const struct pg *pg)
{
    return pg->reason;
}

const char *pg_server_version(const struct pg *pg)
{
    return pg_is_up(pg) ? pg_wire_server_version(pg->pipeline.wire) : "";
}

int pg_backend_pid(const struct pg *pg)
{
    return pg_is_up(pg) ? pg->backend : 0;
}

bool pg_pooled(const struct pg *pg)
{
    return pg_is_up(pg) && pg->pooler.between;
}

int pg_password_hash(struct pg *pg, const char *user, const char *password, char *ret_text,
                     size_t size)
{
    return pg_is_up(pg) ? pg_wire_password_hash(pg->pipeline.wire, user, password, ret_text, size)
                        : ERR_UNAVAILABLE;
}

size_t pg_pending(const struct pg *pg)
{
    return pg_pipeline_pending(&pg->pipeline);
}

void pg_reconnect(struct pg *pg)
{
    if (pg_is_up(pg))
        pg_session_give_up(pg, "asked to connect anew");
}

/* Whether one more may be queued: 0, ERR_UNAVAILABLE, ERR_FULL. */
static int admit(const struct pg *pg)
{
    if (!pg_is_up(pg))
        return ERR_UNAVAILABLE;
    return pg_pending(pg) >= pg->options.pending_max ? ERR_FULL : 0;
}

int pg_query(struct pg *pg, const struct pg_statement *statement, const char *const *params,
             pg_result_cb cb, void *arg)
{
    int code = admit(pg);
    if (code < 0)
        return code;
    code = pg_pipeline_query(&pg->pipeline, statement, params, cb, arg);
    pg_session_called(pg);
    return code == ERR_IO ? ERR_UNAVAILABLE : code;
}

static void limited(const struct pg_result *result, void *arg)
{
    struct pg *pg = arg;
    if (pg_status(result) == PG_ERROR)
        pg->limit_ms = LIMIT_UNKNOWN; /* the next call sends it again */
}

int pg_limit(struct pg *pg, uint32_t ms)
{
    static const struct pg_statement statement = {
        "limit", "select set_config('statement_timeout', $1, false)", 1};
    char text[NUMBER_SIZE];
    const char *params[1] = {text};
    if (pg_is_up(pg) && pg->limit_ms == ms)
        return 0;
    (void)snprintf(text, sizeof text, "%u", ms);
    int code = pg_query(pg, &statement, params, limited, pg);
    if (code == 0)
        pg->limit_ms = ms;
    return code;
}

void pg_patience(struct pg *pg, uint32_t ms)
{
    pg->options.answer_timeout_ms = ms;
    loop_timer_stop(pg->deadline);
    pg_session_called(pg); /* what waits already has the new bound */
}

int pg_script(struct pg *pg, const char *sql, pg_result_cb cb, void *arg)
{
    int code = admit(pg);
    if (code < 0)
        return code;
    code = pg_pipeline_script(&pg->pipeline, sql, cb, arg);
    pg_session_called(pg);
    return code;
}

void pg_on_notify(struct pg *pg, pg_notify_cb cb, void *arg)
{
    pg->pipeline.notify = cb;
    pg->pipeline.notify_arg = arg;
}
