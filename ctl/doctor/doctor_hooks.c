/* Webhooks that wait, and endpoints that are paused. */
#include <inttypes.h>

#include "ctl/doctor/findings.h"
#include "ctl/human.h"

#define LATE_MS 300000 /* one whose endpoint answers has arrived before */

static const struct pg_statement endpoints = {
    "ctl_doctor_hooks",
    "select endpoint, paused, failures, due, oldest_ms from checkout.hooks_now()", 0};
enum { ENDPOINT, PAUSED, FAILURES, DUE, OLDEST_MS };

static void say_endpoint(struct doctor *doctor, const struct pg_result *result, int row)
{
    char age[HUMAN_SIZE];
    const char *endpoint = pg_text(result, row, ENDPOINT);
    int64_t oldest_ms = pg_int(result, row, OLDEST_MS);
    human_age(oldest_ms, age);
    if (!pg_null(result, row, PAUSED))
        doctor_say(doctor, FINDING_WARN, "webhooks",
                   "checkoutctl webhooks test NAME until it answers; then webhooks resume NAME",
                   "%s is paused: %.200s; %" PRId64 " wait", endpoint, pg_text(result, row, PAUSED),
                   pg_int(result, row, DUE));
    else if (pg_int(result, row, DUE) > 0 && oldest_ms > LATE_MS)
        doctor_say(doctor, FINDING_WARN, "webhooks",
                   "checkoutctl webhooks deliveries NAME --state due says why; does "
                   "checkout-webhooks run?",
                   "%" PRId64 " wait for %s, the oldest for %s; %" PRId64 " failures in a row",
                   pg_int(result, row, DUE), endpoint, age, pg_int(result, row, FAILURES));
    else
        doctor_say(doctor, FINDING_OK, "webhooks", "", "%s: %" PRId64 " are due", endpoint,
                   pg_int(result, row, DUE));
}

static void endpoints_came(const struct pg_result *result, void *arg)
{
    for (int row = 0; row < pg_rows(result); row++)
        say_endpoint(arg, result, row);
}

void doctor_hooks(struct doctor *doctor)
{
    (void)doctor_ask(doctor, &endpoints, endpoints_came, doctor);
}
