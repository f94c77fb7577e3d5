#include "consumer/milestones/milestone_fetch.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/base/err.h"

#define PATIENCE_MS 15000 /* to connect, and to read */

struct milestone_fetch {
    struct loop *loop;
    struct broker_options options;
    milestone_reader_cb cb;
    void *arg;
    bool under_way;
    struct broker *broker; /* NULL: nothing is open */
    struct milestone_reader *reader;
    struct loop_timer *limit; /* of a reading; behind it, the end of its connection */
};

static void hang_up(struct milestone_fetch *fetch)
{
    loop_timer_stop(fetch->limit);
    milestone_reader_stop(fetch->reader);
    broker_close(fetch->broker); /* it may still answer the reader */
    milestone_reader_free(fetch->reader);
    fetch->broker = NULL;
    fetch->reader = NULL;
}

/* Reader and connection end in the next turn: this may be a call of theirs. */
static void came(const struct milestone_reading *reading, void *arg)
{
    struct milestone_fetch *fetch = arg;
    fetch->under_way = false;
    loop_timer_start(fetch->limit, 0, 0);
    fetch->cb(reading, fetch->arg);
}

static void fail(struct milestone_fetch *fetch, const char *problem)
{
    const struct milestone_reading reading = {
        .code = ERR_UNAVAILABLE, .problem = problem, .milestones = "{}"};
    came(&reading, fetch);
}

static void changed(enum broker_state state, const char *reason, void *arg)
{
    struct milestone_fetch *fetch = arg;
    if (!fetch->under_way)
        return;
    if (state == BROKER_DOWN) {
        fail(fetch, reason);
        return;
    }
    if (fetch->reader != NULL)
        return;
    fetch->reader = milestone_reader_new(fetch->loop, fetch->broker, came, fetch);
    int code = fetch->reader == NULL ? ERR_NOMEM : milestone_reader_start(fetch->reader);
    if (code < 0)
        fail(fetch, err_text(code));
}

static void limit_due(void *arg)
{
    struct milestone_fetch *fetch = arg;
    if (fetch->under_way)
        fail(fetch, "RabbitMQ does not answer");
    hang_up(fetch);
}

int milestone_fetch_start(struct milestone_fetch *fetch)
{
    if (fetch->under_way)
        return 0;
    hang_up(fetch);
    fetch->broker = broker_open(fetch->loop, &fetch->options, changed, fetch);
    if (fetch->broker == NULL)
        return ERR_NOMEM;
    fetch->under_way = true;
    loop_timer_start(fetch->limit, PATIENCE_MS, 0);
    return 0;
}

struct milestone_fetch *milestone_fetch_new(struct loop *loop, const struct broker_options *options,
                                            milestone_reader_cb cb, void *arg)
{
    struct milestone_fetch *fetch = calloc(1, sizeof *fetch);
    if (fetch == NULL)
        return NULL;
    *fetch = (struct milestone_fetch){.loop = loop, .options = *options, .cb = cb, .arg = arg};
    fetch->limit = loop_timer_new(loop, limit_due, fetch);
    if (fetch->limit == NULL) {
        free(fetch);
        return NULL;
    }
    return fetch;
}

void milestone_fetch_free(struct milestone_fetch *fetch)
{
    if (fetch == NULL)
        return;
    hang_up(fetch);
    loop_timer_free(fetch->limit);
    free(fetch);
}
