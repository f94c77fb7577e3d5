#include "producer/webhook/webhook_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define LOG_EACH_MS 60000
#define NOTE_EACH_MS 10000
#define NUMBER_SIZE 24

static const struct pg_statement note_webhooks = {
    "producer_note_webhooks",
    "select checkout.hear_gateway(null, null, null, null, null, null, $1::bigint, $2::bigint, "
    "$3::text)",
    3};

static const char *const words[WEBHOOK_ENDS] = {
    [WEBHOOK_TAKEN] = "taken",           [WEBHOOK_UNSIGNED] = "signature",
    [WEBHOOK_TOO_OLD] = "time",          [WEBHOOK_UNREADABLE] = "unreadable",
    [WEBHOOK_OTHER_MODE] = "other_mode",
};

struct webhook_record {
    struct api *api;
    struct metric *ends[WEBHOOK_ENDS];
    struct loop_timer *timer;
    uint64_t logged_ms; /* 0: never */
    uint64_t unlogged;
    /* not in the database yet */
    uint64_t taken;
    uint64_t refused;
    enum webhook_end last_refusal;
};

static void noted(const struct pg_result *result, void *arg)
{
    (void)arg;
    if (pg_status(result) == PG_ERROR)
        log_warning("webhooks not counted", LOG_STR("problem", pg_message(result)));
}

/* What is lost on its way is not counted again: it is for people, and roughly. */
static void note(void *arg)
{
    struct webhook_record *r = arg;
    char taken[NUMBER_SIZE], refused[NUMBER_SIZE];
    if (r->taken + r->refused == 0)
        return;
    (void)snprintf(taken, sizeof taken, "%" PRIu64, r->taken);
    (void)snprintf(refused, sizeof refused, "%" PRIu64, r->refused);
    const char *params[] = {taken, refused, r->refused == 0 ? NULL : words[r->last_refusal]};
    loop_timer_start(r->timer, NOTE_EACH_MS, 0);
    if (pg_query(r->api->sessions.writes, &note_webhooks, params, noted, r) < 0)
        return; /* again when the timer ends */
    r->taken = 0;
    r->refused = 0;
}

struct webhook_record *webhook_record_new(struct api *api)
{
    struct webhook_record *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->api = api;
    r->timer = loop_timer_new(api->loop, note, r);
    if (r->timer == NULL) {
        free(r);
        return NULL;
    }
    for (int end = 0; end < WEBHOOK_ENDS; end++)
        r->ends[end] = stats_webhooks(&api->stats, words[end]);
    return r;
}

void webhook_record_free(struct webhook_record *record)
{
    if (record == NULL)
        return;
    loop_timer_free(record->timer);
    free(record);
}

static void log_refused(struct webhook_record *r, enum webhook_end end)
{
    r->unlogged++;
    if (!log_due(&r->logged_ms, LOG_EACH_MS))
        return;
    log_warning("webhook refused; check CHECKOUT_WEBHOOK_SECRET_FILE and _LIVEMODE",
                LOG_STR("why", words[end]), LOG_INT("refused", r->unlogged));
    r->unlogged = 0;
}

void webhook_record_add(struct webhook_record *record, enum webhook_end end)
{
    metric_add(record->ends[end], 1);
    if (end == WEBHOOK_TAKEN) {
        record->taken++;
    } else {
        record->refused++;
        record->last_refusal = end;
        log_refused(record, end);
    }
    if (!loop_timer_active(record->timer))
        note(record);
}
