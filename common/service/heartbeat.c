#include "common/service/heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/version.h"
#include "common/shop/database_version.h"

#define FIRST_MS 500
#define HEARTBEAT_MS 2000
#define HOST_SIZE 256
#define PLACE_SIZE 128
#define NUMBER_SIZE 24
#define WHY_MAX 2048

static const struct pg_statement statement = {
    "daemon_heartbeat",
    "select checkout.daemon_heartbeat($1, $2, $3, $4::integer, $5, $6::boolean, $7, $8::bigint,"
    " $9::bigint, $10::bigint, $11::integer)",
    11};

struct heartbeat {
    struct pg *pg;
    struct loop_timer *timer; /* NULL: freed, but an answer is awaited */
    struct heartbeat_options options;
    char host[HOST_SIZE];
    char place[PLACE_SIZE];
    char pid[NUMBER_SIZE];
    char shards_set[NUMBER_SIZE];
    unsigned unanswered;
    bool refused; /* logged */
};

static void answered(const struct pg_result *result, void *arg)
{
    struct heartbeat *h = arg;
    h->unanswered--;
    if (h->timer == NULL) {
        if (h->unanswered == 0)
            free(h);
        return;
    }
    if (pg_status(result) == PG_ERROR && !h->refused)
        log_warning("heartbeat refused by PostgreSQL", LOG_STR("problem", pg_message(result)));
    h->refused = pg_status(result) == PG_ERROR;
    if (h->refused && database_version_refused(result))
        pg_reconnect(h->pg); /* it is refused, and says why */
}

static const char *figure(const struct metric *metric, char text[NUMBER_SIZE])
{
    if (metric == NULL)
        return NULL;
    (void)snprintf(text, NUMBER_SIZE, "%.0f", metric_value(metric));
    return text;
}

static const char *dead_letters(const struct heartbeat *h, char text[NUMBER_SIZE])
{
    int64_t letters =
        h->options.dead_letters == NULL ? -1 : h->options.dead_letters(h->options.arg);
    (void)snprintf(text, NUMBER_SIZE, "%" PRId64, letters);
    return letters < 0 ? NULL : text;
}

/* `ready` NULL: it leaves. */
static void send_heartbeat(struct heartbeat *h, const char *ready, const char *why)
{
    char accepted[NUMBER_SIZE], sockets[NUMBER_SIZE], letters[NUMBER_SIZE];
    const char *const params[] = {h->options.program,
                                  h->host,
                                  h->place,
                                  h->pid,
                                  CHECKOUT_VERSION,
                                  ready,
                                  why,
                                  figure(h->options.accepted, accepted),
                                  figure(h->options.sockets, sockets),
                                  dead_letters(h, letters),
                                  h->options.shards_set == 0 ? NULL : h->shards_set};
    if (pg_query(h->pg, &statement, params, answered, h) == 0)
        h->unanswered++;
}

static void heartbeat_due(void *arg)
{
    struct heartbeat *h = arg;
    if (h->unanswered > 0 || !pg_is_up(h->pg))
        return;
    struct buf why;
    buf_init(&why, WHY_MAX);
    bool ready = h->options.ready(h->options.arg, &why);
    send_heartbeat(h, ready ? "t" : "f", buf_text(&why));
    buf_free(&why);
}

/* No two processes of a host have one admin address. Where the system chooses its port, the pid
 * tells them apart. */
static void name_ourselves(struct heartbeat *h, const char *place)
{
    size_t len = strlen(place);
    bool chosen = len >= 2 && strcmp(place + len - 2, ":0") == 0;
    if (gethostname(h->host, sizeof h->host - 1) != 0)
        (void)snprintf(h->host, sizeof h->host, "unknown");
    (void)snprintf(h->pid, sizeof h->pid, "%d", (int)getpid());
    (void)snprintf(h->shards_set, sizeof h->shards_set, "%u", h->options.shards_set);
    (void)snprintf(h->place, sizeof h->place, "%.80s%s%s", place, chosen ? "#" : "",
                   chosen ? h->pid : "");
}

struct heartbeat *heartbeat_new(struct loop *loop, struct pg *pg,
                                const struct heartbeat_options *options)
{
    struct heartbeat *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->pg = pg;
    h->options = *options;
    name_ourselves(h, options->place);
    h->timer = loop_timer_new(loop, heartbeat_due, h);
    if (h->timer == NULL) {
        free(h);
        return NULL;
    }
    loop_timer_start(h->timer, FIRST_MS, HEARTBEAT_MS);
    return h;
}

void heartbeat_leave(struct heartbeat *heartbeat)
{
    if (heartbeat == NULL || !loop_timer_active(heartbeat->timer))
        return;
    loop_timer_stop(heartbeat->timer);
    if (pg_is_up(heartbeat->pg))
        send_heartbeat(heartbeat, NULL, NULL);
}

void heartbeat_free(struct heartbeat *heartbeat)
{
    if (heartbeat == NULL)
        return;
    loop_timer_free(heartbeat->timer);
    heartbeat->timer = NULL;
    if (heartbeat->unanswered == 0) /* else the last answer frees it */
        free(heartbeat);
}
