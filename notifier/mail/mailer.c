#include "notifier/mail/mailer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "notifier/mail/mail_attempt.h"
#include "notifier/mail/mail_outcome.h"
#include "notifier/mail/mail_window.h"

#define LEASE_SPARE_MS 30000 /* of a claim, beside the attempts with their goodbyes */
#define LOG_MAIL(a) LOG_STR("order_id", (a)->order_id), LOG_TRACE((a)->base.traceparent)
#define PAUSE_FIRST_MS 1000 /* while no server is to be had */
#define PAUSE_MOST_MS 30000
#define POLICY_REFUSALS 3 /* in a row; more say something of us, not of the buyers */

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
    struct mail_window window;
    size_t policy_refusals; /* since a mail was last taken */
    size_t server;          /* the one that worked last */
    bool outage;            /* none worked: one mail at a time, after pauses, until one does */
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
    dispatch_param_text(params, attempt->end == DISPATCH_UNAVAILABLE
                                    ? "unreached" /* the time for which it is tried begins anew */
                                    : dispatch_state_word(attempt->end));
    dispatch_param_text(params, attempt->problem[0] == '\0' ? NULL : attempt->problem);
    dispatch_param_int(params, attempt->retry_ms);
}

static void log_end(const struct dispatch_attempt *base)
{
    const struct mail_attempt *attempt = (const void *)base;
    if (base->end == DISPATCH_SENT)
        log_debug("mail sent", LOG_MAIL(attempt), LOG_INT("attempt", base->number));
    else if (base->end == DISPATCH_FAILED)
        log_warning("mail failed", LOG_MAIL(attempt), LOG_INT("attempt", base->number),
                    LOG_STR("problem", base->problem));
    else
        log_info("mail not sent; will retry", LOG_MAIL(attempt), LOG_INT("attempt", base->number),
                 LOG_INT("in_ms", base->retry_ms), LOG_STR("problem", base->problem));
}

/* One that says nothing of its mail: that is due again soon, and is never given up for it. */
static void end_attempt(struct mailer *mailer, struct mail_attempt *attempt, enum dispatch_end end)
{
    bool offered = end != DISPATCH_UNAVAILABLE;
    int64_t retry_ms = mail_retry_ms(offered ? attempt->base.number : 1, roll(mailer));
    dispatch_attempt_end(&attempt->base, end, retry_ms, attempt->age_ms,
                         offered ? mailer->options.give_up_ms : INT64_MAX);
    dispatcher_ended(&attempt->base);
}

/* No server could be used. Of several attempts that find it out at once, the first counts. */
static void begin_pause(struct mailer *mailer, const struct mail_attempt *attempt)
{
    uint64_t now_ms = clock_mono_ms();
    if (mailer->outage && now_ms < mailer->pause_until_ms)
        return;
    if (!mailer->outage)
        log_error("no mail server can be used; mails wait",
                  LOG_STR("problem", attempt->base.problem));
    mailer->outage = true;
    mailer->pause_until_ms = now_ms + backoff_next(&mailer->pause);
    mail_window_close(&mailer->window);
}

static void end_outage(struct mailer *mailer)
{
    if (mailer->outage)
        log_info("a mail server can be used again");
    mailer->outage = false;
    mailer->pause_until_ms = 0;
    backoff_reset(&mailer->pause);
}

/* What follows from an answer after those before it. */
static enum dispatch_end end_of(struct mailer *mailer, const struct smtp_answer *answer)
{
    enum dispatch_end end = mail_end_of(answer);
    if (end == DISPATCH_SENT)
        mailer->policy_refusals = 0;
    if (!mail_refused_by_policy(answer))
        return end;
    return ++mailer->policy_refusals > POLICY_REFUSALS ? DISPATCH_UNAVAILABLE : end;
}

/* What the end of an attempt says of the servers. */
static void judge_server(struct mailer *mailer, const struct mail_attempt *attempt,
                         enum dispatch_end end, bool busy)
{
    if (busy && mailer->window.now > 1) {
        mail_window_busy(&mailer->window);
        log_info("mail server is busy; fewer mails at once",
                 LOG_STR("problem", attempt->base.problem), LOG_INT("mails", mailer->window.now));
    } else if (busy || end == DISPATCH_UNAVAILABLE) {
        begin_pause(mailer, attempt);
    } else {
        end_outage(mailer);
        if (end == DISPATCH_SENT)
            mail_window_taken(&mailer->window);
    }
}

/* Others may have left it meanwhile. */
static void leave_server(struct mailer *mailer, size_t server)
{
    if (mailer->server == server)
        mailer->server = (server + 1) % mailer->options.server_count;
}

static void answered(const struct smtp_answer *answer, void *arg)
{
    struct mail_attempt *attempt = arg;
    struct mailer *mailer = attempt->mailer;
    enum dispatch_end end = end_of(mailer, answer);
    attempt->call = NULL;
    attempt->base.problem[0] = '\0';
    if (end != DISPATCH_SENT)
        mail_problem_of(answer, attempt->base.problem);
    if (end == DISPATCH_UNAVAILABLE) {
        leave_server(mailer, attempt->server);
        if (++attempt->servers_tried < mailer->options.server_count) {
            try_server(mailer, attempt);
            return;
        }
    }
    judge_server(mailer, attempt, end, mail_server_busy(answer));
    end_attempt(mailer, attempt, end);
}

static void try_server(struct mailer *mailer, struct mail_attempt *attempt)
{
    const struct mailer_options *options = &mailer->options;
    attempt->server = mailer->server;
    const struct smtp_mail mail = {.server = &options->servers[attempt->server],
                                   .tls = options->tls,
                                   .ca_file = options->ca_file,
                                   .timeout_ms = options->timeout_ms,
                                   .name = options->name,
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
    size_t most = mailer->window.now;
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
    mail_window_init(&mailer->window, options->inflight);
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

struct dispatcher *mailer_dispatcher(const struct mailer *mailer)
{
    return mailer->dispatcher;
}
