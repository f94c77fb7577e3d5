#include "notifier/mail/mailer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "notifier/dispatch/dispatcher.h"
#include "notifier/mail/mail_attempt.h"
#include "notifier/mail/mail_outcome.h"

#define LEASE_SPARE_MS 30000 /* of a claim, beside the attempts with their goodbyes */
#define PAUSE_FIRST_MS 1000  /* while no server is to be had */
#define PAUSE_MOST_MS 30000

static const struct pg_statement claim_statement = {
    "claim_mails",
    "select " MAIL_CLAIM_COLUMNS
    " from checkout.claim_mails($1::text, $2::integer, $3::bigint, $4::integer) c",
    4};
static const struct pg_statement finish_statement = {
    "finish_mail",
    "select checkout.finish_mail($1::bigint, $2::integer, $3::text, $4::text, $5::bigint)", 5};
static const struct pg_statement overdue_statement = {
    "mails_overdue", "select mails, oldest_s from checkout.mails_overdue()", 0};

struct mailer {
    struct mailer_options options;
    struct dispatcher *dispatcher;
    size_t server; /* the one that worked last */
    bool outage;   /* none worked: one mail at a time, after pauses, until one does */
    uint64_t pause_until_ms;
    struct backoff pause;
    struct backoff dice; /* only for its random numbers */
};

static void try_server(struct mailer *mailer, struct mail_attempt *attempt);

static uint64_t roll(struct mailer *mailer)
{
    return (uint64_t)backoff_next(&mailer->dice) * UINT64_C(2654435761);
}

/* ---- the attempt ---- */

static void record(const struct dispatch_attempt *attempt, struct dispatch_params *params)
{
    dispatch_param_int(params, attempt->id);
    dispatch_param_int(params, attempt->number);
    dispatch_param_text(params, dispatch_state_word(attempt->end));
    dispatch_param_text(params, attempt->problem[0] == '\0' ? NULL : attempt->problem);
    dispatch_param_int(params, attempt->retry_ms);
}

static void log_end(const struct dispatch_attempt *base)
{
    const struct mail_attempt *attempt = (const void *)base;
    if (base->end == DISPATCH_SENT)
        log_debug("mail sent", LOG_STR("order_id", attempt->order_id),
                  LOG_INT("attempt", base->number));
    else if (base->end == DISPATCH_FAILED)
        log_warning("mail failed", LOG_STR("order_id", attempt->order_id),
                    LOG_INT("attempt", base->number), LOG_STR("problem", base->problem));
    else
        log_info("mail not sent; will retry", LOG_STR("order_id", attempt->order_id),
                 LOG_INT("attempt", base->number), LOG_INT("in_ms", base->retry_ms),
                 LOG_STR("problem", base->problem));
}

static void end_attempt(struct mailer *mailer, struct mail_attempt *attempt, enum dispatch_end end)
{
    dispatch_attempt_end(&attempt->base, end, mail_retry_ms(attempt->base.number, roll(mailer)),
                         attempt->age_ms, mailer->options.give_up_ms);
    dispatcher_ended(&attempt->base);
}

/* No server could be used. */
static void begin_pause(struct mailer *mailer, const struct mail_attempt *attempt)
{
    uint32_t ms = backoff_next(&mailer->pause);
    if (!mailer->outage)
        log_error("no mail server can be used; mails wait",
                  LOG_STR("problem", attempt->base.problem));
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
    struct mailer *mailer = attempt->mailer;
    enum dispatch_end end = mail_end_of(answer);
    attempt->call = NULL;
    attempt->base.problem[0] = '\0';
    if (end != DISPATCH_SENT)
        mail_problem_of(answer, attempt->base.problem);
    if (end != DISPATCH_UNAVAILABLE) {
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
    (void)snprintf(attempt->base.problem, sizeof attempt->base.problem, "%s", err_text(code));
    end_attempt(mailer, attempt, code == ERR_INVALID ? DISPATCH_FAILED : DISPATCH_AGAIN);
}

static void try_once(struct dispatch_attempt *attempt, void *arg)
{
    try_server(arg, (struct mail_attempt *)attempt);
}

/* ---- the claim ---- */

/* As many as have a place. */
static bool may_claim(size_t count, struct dispatch_params *params, void *arg)
{
    struct mailer *mailer = arg;
    const struct mailer_options *options = &mailer->options;
    size_t most = mailer->outage ? 1 : options->inflight;
    if (count >= most || clock_mono_ms() < mailer->pause_until_ms)
        return false;
    dispatch_param_text(params, dispatcher_name(mailer->dispatcher));
    dispatch_param_int(params, (int64_t)(most - count));
    dispatch_param_int(params, 2 * (int64_t)options->timeout_ms * (int64_t)options->server_count +
                                   LEASE_SPARE_MS);
    dispatch_param_int(params, options->per_address);
    return true;
}

static struct dispatch_attempt *make(const struct pg_result *result, int row, void *arg)
{
    struct mailer *mailer = arg;
    struct mail_attempt *attempt =
        mail_attempt_new(result, row, mailer->options.templates, &mailer->options.shop);
    if (attempt == NULL)
        return NULL;
    attempt->mailer = mailer;
    return &attempt->base;
}

static void free_attempt(struct dispatch_attempt *attempt)
{
    mail_attempt_free((struct mail_attempt *)attempt);
}

static const struct dispatch_transport transport = {
    .rows = "mails",
    .span = "send mail",
    .claim = &claim_statement,
    .finish = &finish_statement,
    .overdue = &overdue_statement,
    .may_claim = may_claim,
    .make = make,
    .try_once = try_once,
    .record = record,
    .log_end = log_end,
    .free_attempt = free_attempt,
};

/* ---- life ---- */

struct mailer *mailer_new(const struct mailer_options *options)
{
    struct mailer *mailer = calloc(1, sizeof *mailer);
    if (mailer == NULL)
        return NULL;
    mailer->options = *options;
    backoff_init(&mailer->pause, PAUSE_FIRST_MS, PAUSE_MOST_MS, clock_mono_us());
    backoff_init(&mailer->dice, UINT32_MAX, UINT32_MAX, (uint64_t)getpid() ^ clock_mono_us());
    mailer->dispatcher =
        dispatcher_new(&(struct dispatcher_options){.loop = options->loop,
                                                    .database_url = options->database_url,
                                                    .application_name = "checkout-mailer",
                                                    .transport = &transport,
                                                    .arg = mailer,
                                                    .inflight = options->inflight,
                                                    .stats = options->stats,
                                                    .program = "mailer",
                                                    .place = options->place,
                                                    .ready = options->ready,
                                                    .ready_arg = options->ready_arg});
    if (mailer->dispatcher == NULL) {
        mailer_free(mailer);
        return NULL;
    }
    return mailer;
}

void mailer_free(struct mailer *mailer)
{
    if (mailer == NULL)
        return;
    dispatcher_free(mailer->dispatcher);
    free(mailer);
}

bool mailer_ready(const struct mailer *mailer)
{
    return dispatcher_ready(mailer->dispatcher);
}

void mailer_drain(struct mailer *mailer, loop_cb drained, void *arg)
{
    dispatcher_drain(mailer->dispatcher, drained, arg);
}
