/* What stays unclear at the gateway, and what happens there without us. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/doctor/findings.h"
#include "ctl/human.h"

/* Of the newest day. */
static const struct pg_statement webhooks = {
    "ctl_doctor_webhooks",
    "select refused, coalesce(refused_why, ''), refused_at > coalesce(taken_at, '-infinity'),"
    "       coalesce((extract(epoch from now() - taken_at) * 1000)::bigint, -1)"
    "  from checkout.webhook_counts where greatest(taken_at, refused_at) > now() - interval '1 "
    "day'",
    0};

struct webhooks {
    bool known;
    bool refused_last;
    int64_t refused;
    int64_t taken_ms; /* -1: never */
    char why[32];
};

static void read_webhooks(const struct pg_result *result, void *arg)
{
    struct webhooks *w = arg;
    w->known = pg_rows(result) > 0;
    if (!w->known)
        return;
    w->refused = pg_int(result, 0, 0);
    (void)snprintf(w->why, sizeof w->why, "%s", pg_text(result, 0, 1));
    w->refused_last = pg_bool(result, 0, 2);
    w->taken_ms = pg_int(result, 0, 3);
}

static void check_webhooks(struct doctor *doctor)
{
    struct webhooks w = {0};
    char taken[HUMAN_SIZE + sizeof " ago"] = "never";
    char age[HUMAN_SIZE];
    if (!doctor_ask(doctor, &webhooks, read_webhooks, &w) || !w.known)
        return;
    if (w.taken_ms >= 0) {
        human_age(w.taken_ms, age);
        (void)snprintf(taken, sizeof taken, "%s ago", age);
    }
    if (w.refused_last)
        doctor_say(doctor, FINDING_WARN, "webhooks",
                   "set CHECKOUT_WEBHOOK_SECRET_FILE (and CHECKOUT_WEBHOOK_LIVEMODE) as the "
                   "gateway's page of this endpoint shows them, unless a stranger sends them",
                   "%" PRId64 " refused (the newest: %s), one last taken %s", w.refused, w.why,
                   taken);
    else
        doctor_say(doctor, FINDING_OK, "webhooks", "", "%" PRId64 " refused, one last taken %s",
                   w.refused, taken);
}

/* Payments whose refunds and disputes the gateway does not show us. */
static const struct pg_statement overdue_looks = {
    "ctl_doctor_looks",
    "select count(*), (extract(epoch from now() - min(since)) * 1000)::bigint"
    "  from checkout.return_looks where look_at < now() - interval '5 minutes'",
    0};

static void read_count_and_age(const struct pg_result *result, void *arg)
{
    int64_t *found = arg;
    found[0] = pg_int(result, 0, 0);
    found[1] = pg_int(result, 0, 1);
}

static void check_looks(struct doctor *doctor)
{
    int64_t looks[2] = {0, 0};
    char age[HUMAN_SIZE];
    if (!doctor_ask(doctor, &overdue_looks, read_count_and_age, looks) || looks[0] == 0)
        return;
    human_age(looks[1], age);
    doctor_say(doctor, FINDING_WARN, "refunds",
               "may the gateway's key read refunds? the consumers' logs say why it fails",
               "the gateway says that something happened to %" PRId64
               " payments, and they cannot be looked up; the first for %s",
               looks[0], age);
}

/* What has not cleared up by itself in a minute; the units of such charges stay held. */
static const struct pg_statement unclear = {
    "ctl_doctor_unclear",
    "select count(*), (extract(epoch from now() - min(unclear_since)) * 1000)::bigint"
    "  from checkout.payments"
    " where state = 'open' and unclear_since < now() - interval '1 minute'",
    0};

static const struct pg_statement unclear_refunds = {
    "ctl_doctor_unclear_refunds",
    "select count(*), (extract(epoch from now() - min(unclear_since)) * 1000)::bigint"
    "  from checkout.refunds"
    " where state = 'open' and unclear_since < now() - interval '1 minute'",
    0};

/* `statement` counts them, and says how old the first is; `many` is what they are. */
static void say_unclear(struct doctor *doctor, const struct pg_statement *statement,
                        const char *subject, const char *many, const char *advice)
{
    int64_t found[2] = {0, 0};
    char age[HUMAN_SIZE];
    if (!doctor_ask(doctor, statement, read_count_and_age, found) || found[0] == 0)
        return;
    human_age(found[1], age);
    doctor_say(doctor, FINDING_WARN, subject, advice, "%s: %" PRId64 ", the first for %s", many,
               found[0], age);
}

static void check_unclear(struct doctor *doctor)
{
    say_unclear(doctor, &unclear, "payments", "charges that stay unclear, their units held",
                "checkoutctl payments unknown names them: search the gateway for the order's id, "
                "then run checkoutctl payments resolve");
    say_unclear(doctor, &unclear_refunds, "refunds", "refunds that stay unclear",
                "they go on by themselves; checkoutctl payments unknown shows the gateway's "
                "answers: where it has no balance, add to it, then run checkoutctl orders refund");
}

void doctor_money(struct doctor *doctor)
{
    check_unclear(doctor);
    check_looks(doctor);
    check_webhooks(doctor);
}
