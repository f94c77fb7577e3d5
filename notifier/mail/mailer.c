#include "notifier/mail/mailer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/pg/pg.h"
#include "common/shop/database_version.h"
#include "notifier/mail/mail_attempt.h"

#define POLL_MS 500
#define LOOK_MS 10000 /* between looks at how many are due */
#define STATEMENT_MS 10000
#define TCP_TIMEOUT_MS 10000
#define IDLE_IN_TRANSACTION_MS 2000
#define LEASE_SPARE_MS 30000 /* of a claim, beside the attempts with their goodbyes */
#define PAUSE_FIRST_MS 1000  /* while no server is to be had */
#define PAUSE_MOST_MS 30000
#define DRAIN_MS 20000
#define LOG_EACH_MS 10000
#define NUMBER_SIZE 24

static const struct pg_statement claim_statement = {
    "claim_mails",
    "select " MAIL_CLAIM_COLUMNS
    " from checkout.claim_mails($1::text, $2::integer, $3::bigint, $4::integer)",
    4};
static const struct pg_statement finish_statement = {
    "finish_mail",
    "select checkout.finish_mail($1::bigint, $2::integer, $3::text, $4::text, $5::bigint)", 5};
static const struct pg_statement overdue_statement = {
    "mails_overdue", "select mails, oldest_s from checkout.mails_overdue()", 0};

TAILQ_HEAD(attempt_list, mail_attempt);

struct mailer {
    struct mailer_options options;
    struct pg_cluster *cluster;
    struct pg *pg;
    struct loop_timer *poll;
    struct loop_timer *drain_limit;
    struct attempt_list attempts;
    size_t count;  /* of them */
    bool claiming; /* a claim is on its way */
    bool looking;  /* so is the look at what is due */
    uint64_t looked_ms;
    size_t server; /* the one that worked last */
    bool outage;   /* none worked: one mail at a time, after pauses, until one does */
    uint64_t pause_until_ms;
    struct backoff pause;
    uint64_t logged_ms;
    struct backoff dice; /* only for its random numbers */
    loop_cb drained;     /* not NULL: it is leaving */
    void *drained_arg;
};

static void claim(struct mailer *mailer);
static void try_server(struct mailer *mailer, struct mail_attempt *attempt);

static uint64_t roll(struct mailer *mailer)
{
    return (uint64_t)backoff_next(&mailer->dice) * UINT64_C(2654435761);
}

static void check_drained(struct mailer *mailer)
{
    if (mailer->drained != NULL && mailer->count == 0 && !mailer->claiming)
        mailer->drained(mailer->drained_arg);
}

static void forget(struct mailer *mailer, struct mail_attempt *attempt)
{
    TAILQ_REMOVE(&mailer->attempts, attempt, link);
    mailer->count--;
    metric_set(mailer->options.stats->in_flight, (double)mailer->count);
    mail_attempt_free(attempt);
}

/* ---- the record ---- */

static void recorded(const struct pg_result *result, void *arg)
{
    struct mail_attempt *attempt = arg;
    struct mailer *mailer = attempt->owner;
    attempt->recording = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR && log_due(&mailer->logged_ms, LOG_EACH_MS))
            log_error("mail not recorded", LOG_STR("order_id", attempt->order_id),
                      LOG_STR("problem", pg_message(result)));
        return; /* the timer tries again */
    }
    forget(mailer, attempt);
    claim(mailer);
    check_drained(mailer);
}

static void record(struct mailer *mailer, struct mail_attempt *attempt)
{
    char id[NUMBER_SIZE], number[NUMBER_SIZE], retry[NUMBER_SIZE];
    const char *state = attempt->end == MAIL_SENT     ? "sent"
                        : attempt->end == MAIL_FAILED ? "failed"
                                                      : "due";
    const char *const params[] = {id, number, state,
                                  attempt->problem[0] == '\0' ? NULL : attempt->problem, retry};
    (void)snprintf(id, sizeof id, "%" PRId64, attempt->mail_id);
    (void)snprintf(number, sizeof number, "%" PRId64, attempt->number);
    (void)snprintf(retry, sizeof retry, "%" PRId64, attempt->retry_ms);
    attempt->recording = pg_query(mailer->pg, &finish_statement, params, recorded, attempt) == 0;
}

/* ---- the attempt ---- */

static void log_end(const struct mail_attempt *attempt)
{
    if (attempt->end == MAIL_SENT)
        log_debug("mail sent", LOG_STR("order_id", attempt->order_id),
                  LOG_INT("attempt", attempt->number));
    else if (attempt->end == MAIL_FAILED)
        log_warning("mail failed", LOG_STR("order_id", attempt->order_id),
                    LOG_INT("attempt", attempt->number), LOG_STR("problem", attempt->problem));
    else
        log_info("mail not sent; will retry", LOG_STR("order_id", attempt->order_id),
                 LOG_INT("attempt", attempt->number), LOG_INT("in_ms", attempt->retry_ms),
                 LOG_STR("problem", attempt->problem));
}

static void end_attempt(struct mailer *mailer, struct mail_attempt *attempt, enum mail_end end)
{
    struct mail_stats *stats = mailer->options.stats;
    mail_attempt_end(attempt, end, mailer->options.give_up_ms, roll(mailer));
    metric_add(stats->attempts[attempt->end], 1);
    metric_observe(stats->attempt_seconds, (double)(clock_mono_ms() - attempt->began_ms) / 1000);
    log_end(attempt);
    record(mailer, attempt);
}

/* No server could be used. */
static void begin_pause(struct mailer *mailer, const struct mail_attempt *attempt)
{
    uint32_t ms = backoff_next(&mailer->pause);
    if (!mailer->outage)
        log_error("no mail server can be used; mails wait", LOG_STR("problem", attempt->problem));
    mailer->outage = true;
    mailer->pause_until_ms = clock_mono_ms() + ms;
}

static void end_outage(struct mailer *mailer)
{
    if (mailer->outage)
        log_info("a mail server can be used again");
    mailer->outage = false;
    mailer->pause_until_ms = 0;
    backoff_reset(&mailer->pause);
}

static void answered(const struct smtp_answer *answer, void *arg)
{
    struct mail_attempt *attempt = arg;
    struct mailer *mailer = attempt->owner;
    enum mail_end end = mail_end_of(answer);
    attempt->call = NULL;
    attempt->problem[0] = '\0';
    if (end != MAIL_SENT)
        mail_problem_of(answer, attempt->problem);
    if (end != MAIL_UNAVAILABLE) {
        if (answer->status > 0)
            end_outage(mailer);
        end_attempt(mailer, attempt, end);
        return;
    }
    if (++attempt->servers_tried < mailer->options.server_count) {
        mailer->server = (mailer->server + 1) % mailer->options.server_count;
        try_server(mailer, attempt);
        return;
    }
    begin_pause(mailer, attempt);
    end_attempt(mailer, attempt, end);
}

static void try_server(struct mailer *mailer, struct mail_attempt *attempt)
{
    const struct mailer_options *options = &mailer->options;
    const struct smtp_mail mail = {.server = &options->servers[mailer->server],
                                   .tls = options->tls,
                                   .ca_file = options->ca_file,
                                   .timeout_ms = options->timeout_ms,
                                   .from = options->shop.from,
                                   .to = attempt->to,
                                   .data = buf_text(&attempt->message),
                                   .len = attempt->message.len};
    int code = smtp_send(options->loop, &mail, answered, attempt, &attempt->call);
    if (code == 0)
        return;
    (void)snprintf(attempt->problem, sizeof attempt->problem, "%s", err_text(code));
    end_attempt(mailer, attempt, code == ERR_INVALID ? MAIL_FAILED : MAIL_AGAIN);
}

/* ---- the claim ---- */

static void claimed(const struct pg_result *result, void *arg)
{
    struct mailer *mailer = arg;
    mailer->claiming = false;
    if (pg_status(result) == PG_ERROR && log_due(&mailer->logged_ms, LOG_EACH_MS))
        log_error("mails not claimed", LOG_STR("problem", pg_message(result)));
    int rows = pg_status(result) == PG_OK ? pg_rows(result) : 0;
    for (int row = 0; row < rows; row++) {
        struct mail_attempt *attempt =
            mail_attempt_new(result, row, mailer->options.templates, &mailer->options.shop);
        if (attempt == NULL)
            continue; /* its claim runs out */
        attempt->owner = mailer;
        TAILQ_INSERT_TAIL(&mailer->attempts, attempt, link);
        mailer->count++;
        if (attempt->ended)
            end_attempt(mailer, attempt, MAIL_FAILED);
        else
            try_server(mailer, attempt);
    }
    metric_set(mailer->options.stats->in_flight, (double)mailer->count);
    check_drained(mailer);
}

/* As many as have a place. */
static void claim(struct mailer *mailer)
{
    const struct mailer_options *options = &mailer->options;
    size_t most = mailer->outage ? 1 : options->inflight;
    if (mailer->drained != NULL || mailer->claiming || mailer->count >= most ||
        clock_mono_ms() < mailer->pause_until_ms)
        return;
    char places[NUMBER_SIZE], lease[NUMBER_SIZE], bound[NUMBER_SIZE];
    const char *const params[] = {options->name, places, lease, bound};
    (void)snprintf(places, sizeof places, "%zu", most - mailer->count);
    (void)snprintf(lease, sizeof lease, "%" PRIu64,
                   2 * (uint64_t)options->timeout_ms * options->server_count + LEASE_SPARE_MS);
    (void)snprintf(bound, sizeof bound, "%" PRId64, options->per_address);
    mailer->claiming = pg_query(mailer->pg, &claim_statement, params, claimed, mailer) == 0;
}

static void looked(const struct pg_result *result, void *arg)
{
    struct mailer *mailer = arg;
    mailer->looking = false;
    if (pg_status(result) != PG_OK)
        return;
    metric_set(mailer->options.stats->overdue, (double)pg_int(result, 0, 0));
    metric_set(mailer->options.stats->overdue_seconds, strtod(pg_text(result, 0, 1), NULL));
}

static void look(struct mailer *mailer)
{
    if (mailer->looking || clock_mono_ms() < mailer->looked_ms + LOOK_MS)
        return;
    mailer->looked_ms = clock_mono_ms();
    mailer->looking = pg_query(mailer->pg, &overdue_statement, NULL, looked, mailer) == 0;
}

static void poll_due(void *arg)
{
    struct mailer *mailer = arg;
    struct mail_attempt *attempt;
    if (!pg_is_up(mailer->pg))
        return;
    TAILQ_FOREACH(attempt, &mailer->attempts, link)
    if (attempt->ended && !attempt->recording)
        record(mailer, attempt);
    claim(mailer);
    look(mailer);
}

static void database_changed(bool up, const char *reason, void *arg)
{
    struct mailer *mailer = arg;
    metric_set(mailer->options.stats->database_up, up ? 1 : 0);
    if (up)
        poll_due(mailer);
    else
        log_warning("PostgreSQL is not connected; mails wait", LOG_STR("reason", reason));
}

/* ---- life ---- */

static void drain_too_long(void *arg)
{
    struct mailer *mailer = arg;
    log_warning("leaving before all mails are recorded; some may be sent again",
                LOG_INT("mails", mailer->count));
    mailer->drained(mailer->drained_arg);
}

static bool open_parts(struct mailer *mailer)
{
    const struct mailer_options *options = &mailer->options;
    mailer->cluster = pg_cluster_new(options->loop, options->database_url, "checkout-mailer check");
    const struct pg_options pg = {.url = options->database_url,
                                  .cluster = mailer->cluster,
                                  .application_name = "checkout-mailer",
                                  .greeting = &database_version_greeting,
                                  .statement_timeout_ms = STATEMENT_MS,
                                  .idle_in_transaction_timeout_ms = IDLE_IN_TRANSACTION_MS,
                                  .tcp_user_timeout_ms = TCP_TIMEOUT_MS,
                                  .pending_max = options->inflight + 4};
    mailer->poll = loop_timer_new(options->loop, poll_due, mailer);
    mailer->drain_limit = loop_timer_new(options->loop, drain_too_long, mailer);
    if (mailer->cluster != NULL)
        mailer->pg = pg_open(options->loop, &pg, database_changed, mailer);
    return mailer->poll != NULL && mailer->drain_limit != NULL && mailer->pg != NULL;
}

struct mailer *mailer_new(const struct mailer_options *options)
{
    struct mailer *mailer = calloc(1, sizeof *mailer);
    if (mailer == NULL)
        return NULL;
    mailer->options = *options;
    TAILQ_INIT(&mailer->attempts);
    backoff_init(&mailer->pause, PAUSE_FIRST_MS, PAUSE_MOST_MS, clock_mono_us());
    backoff_init(&mailer->dice, UINT32_MAX, UINT32_MAX, (uint64_t)getpid() ^ clock_mono_us());
    if (!open_parts(mailer)) {
        mailer_free(mailer);
        return NULL;
    }
    loop_timer_start(mailer->poll, POLL_MS, POLL_MS);
    return mailer;
}

void mailer_free(struct mailer *mailer)
{
    if (mailer == NULL)
        return;
    pg_close(mailer->pg);
    pg_cluster_free(mailer->cluster);
    loop_timer_free(mailer->poll);
    loop_timer_free(mailer->drain_limit);
    for (struct mail_attempt *attempt; (attempt = TAILQ_FIRST(&mailer->attempts)) != NULL;) {
        if (attempt->call != NULL)
            smtp_forget(attempt->call);
        forget(mailer, attempt);
    }
    free(mailer);
}

bool mailer_ready(const struct mailer *mailer)
{
    return pg_is_up(mailer->pg);
}

void mailer_drain(struct mailer *mailer, loop_cb drained, void *arg)
{
    mailer->drained = drained;
    mailer->drained_arg = arg;
    loop_timer_start(mailer->drain_limit, DRAIN_MS, 0);
    check_drained(mailer);
}
