/* The daemons by their heartbeats, of the consumers the dead ones, and whether the sale moves. */
#include <inttypes.h>
#include <string.h>

#include "ctl/doctor/findings.h"
#include "ctl/human.h"

#define PAYMENT_SLOW_MS 10000  /* a buyer who waits longer than this closes the page */
#define NAMED_MOST 8           /* of a kind; many may have died at once */
#define WAITING_LONG_MS 600000 /* two thirds of the usual time that an order may wait */

static const struct pg_statement daemons = {
    "ctl_doctor_daemons",
    "select program, host, place, dead, ready, coalesce(not_ready, ''), heartbeat_age_ms"
    "  from checkout.list_daemons() where program <> 'consumer' or dead",
    0};
enum { PROGRAM, HOST, PLACE, DEAD, READY, NOT_READY, AGE_MS };

static const struct pg_statement sales = {
    "ctl_doctor_sales",
    "select open_payments, payment_ms, waiting, waiting_ms from checkout.sales_now()", 0};

static const struct {
    const char *program;
    const char *subject;
    const char *without; /* what happens while there is none; NULL: a shop may do without */
} kinds[] = {{"producer", "producers", "start one; no orders are taken meanwhile"},
             {"notifier", "notifiers", "start one; buyers' pages ask for news meanwhile"},
             {"mailer", "mailers", NULL},
             {"webhooks", "webhook senders", NULL},
             {"console", "consoles", NULL},
             {"consumer", "consumers", NULL}}; /* those that live: doctor_members */

static void say_daemon(struct doctor *doctor, const char *subject, const struct pg_result *result,
                       int row)
{
    char age[HUMAN_SIZE];
    human_age(pg_int(result, row, AGE_MS), age);
    if (pg_bool(result, row, DEAD))
        doctor_say(doctor, FINDING_WARN, subject,
                   strcmp(subject, "consumers") == 0
                       ? "restart it; it is forgotten 10 minutes after its last heartbeat"
                       : "restart it; it is forgotten an hour after its last heartbeat",
                   "%s at %s: no heartbeat for %s", pg_text(result, row, HOST),
                   pg_text(result, row, PLACE), age);
    else if (!pg_bool(result, row, READY))
        doctor_say(doctor, FINDING_WARN, subject, "mend what it says; its log has the details",
                   "%s at %s is not ready: %.200s", pg_text(result, row, HOST),
                   pg_text(result, row, PLACE), pg_text(result, row, NOT_READY));
}

static void daemons_came(const struct pg_result *result, void *arg)
{
    struct doctor *doctor = arg;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        int64_t ready = 0, known = 0, ill = 0;
        for (int row = 0; row < pg_rows(result); row++) {
            if (strcmp(pg_text(result, row, PROGRAM), kinds[i].program) != 0)
                continue;
            bool well = pg_bool(result, row, READY) && !pg_bool(result, row, DEAD);
            known++;
            ready += well;
            ill += !well;
            if (!well && ill <= NAMED_MOST)
                say_daemon(doctor, kinds[i].subject, result, row);
        }
        if (ill > NAMED_MOST)
            doctor_say(doctor, FINDING_WARN, kinds[i].subject, "",
                       "%" PRId64 " more are dead or not ready", ill - NAMED_MOST);
        if (ready == 0 && kinds[i].without == NULL)
            continue;
        if (ready == 0)
            doctor_say(doctor, known > 0 ? FINDING_FAIL : FINDING_WARN, kinds[i].subject,
                       kinds[i].without, "none is alive and ready");
        else
            doctor_say(doctor, FINDING_OK, kinds[i].subject, "", "%" PRId64 " alive and ready",
                       ready);
    }
}

void doctor_daemons(struct doctor *doctor)
{
    (void)doctor_ask(doctor, &daemons, daemons_came, doctor);
}

static void sales_came(const struct pg_result *result, void *arg)
{
    struct doctor *doctor = arg;
    char payment_age[HUMAN_SIZE], waiting_age[HUMAN_SIZE];
    int64_t payment_ms = pg_int(result, 0, 1), waiting_ms = pg_int(result, 0, 3);
    human_age(payment_ms, payment_age);
    human_age(waiting_ms, waiting_age);
    if (payment_ms >= PAYMENT_SLOW_MS)
        doctor_say(doctor, FINDING_WARN, "payments",
                   "is the gateway slow? its status page, and `checkoutctl payments unknown`",
                   "%" PRId64 " wait for the gateway, the first for %s", pg_int(result, 0, 0),
                   payment_age);
    else
        doctor_say(doctor, FINDING_OK, "payments", "", "they go on; %" PRId64 " are open",
                   pg_int(result, 0, 0));
    if (waiting_ms >= WAITING_LONG_MS ||
        (pg_int(result, 0, 2) > 0 && payment_ms >= PAYMENT_SLOW_MS))
        doctor_say(doctor, FINDING_WARN, "waitlists",
                   "they move when payments end: see `checkoutctl top`",
                   "%" PRId64 " orders wait, the first for %s", pg_int(result, 0, 2), waiting_age);
    else
        doctor_say(doctor, FINDING_OK, "waitlists", "", "%" PRId64 " orders wait",
                   pg_int(result, 0, 2));
}

void doctor_pace(struct doctor *doctor)
{
    (void)doctor_ask(doctor, &sales, sales_came, doctor);
}
