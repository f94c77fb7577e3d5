#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "ctl/audit/audit_database.h"
#include "ctl/audit/audit_gateway.h"
#include "ctl/audit/audit_markers.h"
#include "ctl/audit/audit_report.h"
#include "ctl/command.h"
#include "ctl/gateway.h"

#define OLDER_USUAL_MS INT64_C(3600000)
#define DURATION_MAX_MS (INT64_C(3660) * 24 * OLDER_USUAL_MS) /* ten years */

static int duration(const struct command_args *args, const char *name, int64_t usual_ms,
                    int64_t *ret_ms)
{
    const char *text = command_option(&command_audit, args, name);
    int64_t ms = usual_ms;
    if (text != NULL && (cfg_parse_duration(text, &ms) < 0 || ms < 0 || ms > DURATION_MAX_MS))
        return ctl_complain(CTL_USAGE, "--%s: \"%.40s\" is no duration with its unit (ms, s, m, h)",
                            name, text);
    *ret_ms = ms;
    return CTL_FINE;
}

/* Redis is compared where its URL is set. */
static uint64_t redis_setting(void)
{
    const char *url = getenv("CHECKOUT_REDIS_URL");
    return url != NULL && url[0] != '\0' ? CFG_BIT(REDIS_URL) : 0;
}

/* Reads the settings again, with these. */
static int load(struct ctl *ctl, cfg_set settings)
{
    struct cfg *cfg;
    struct buf problem;
    buf_init(&problem, CTL_PROBLEM_SIZE);
    int exit_code = CTL_FINE;
    if (cfg_load_some(CFG_CTL, command_audit.settings | settings, environ, &cfg, &problem) < 0) {
        exit_code = ctl_complain(CTL_USAGE, "%s (--no-gateway checks the database alone)",
                                 buf_text(&problem));
    } else {
        cfg_free(ctl->cfg);
        ctl->cfg = cfg;
    }
    buf_free(&problem);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    bool gateway = !command_switch(&command_audit, args, "no-gateway");
    int64_t older_ms = 0, since_ms = 0;
    int exit_code = duration(args, "older", OLDER_USUAL_MS, &older_ms);
    if (exit_code == CTL_FINE)
        exit_code = duration(args, "since", 0, &since_ms);
    if (exit_code == CTL_FINE && (gateway || redis_setting() != 0))
        exit_code = load(ctl, redis_setting() | (gateway ? GATEWAY_SETTINGS : 0));
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    struct audit_report report;
    uint64_t start_ms = clock_mono_ms();
    audit_report_begin(&report, ctl->json);
    exit_code = audit_database(ctl, older_ms, &report);
    if (exit_code == CTL_FINE && gateway)
        exit_code = audit_gateway(ctl, since_ms, &report);
    if (exit_code == CTL_FINE)
        exit_code = audit_markers(ctl, &report);
    audit_report_end(&report, exit_code == CTL_FINE, clock_mono_ms() - start_ms);
    if (report.violations > 0)
        exit_code = CTL_FAILED;
    audit_report_free(&report);
    return exit_code;
}

const struct command command_audit = {
    .words = "audit",
    .operands = "",
    .summary = "checks the promises against the tables and the gateway",
    .details =
        "Prints each violation with its ids, what to do, and what was checked. In one snapshot of "
        "the tables: the sums of each item, the history of each order, waitlists and turns, "
        "payments, epochs. At the gateway: each capture has its confirmed order, once and over the "
        "same amount, and each of our captures is in the list; what does not agree is checked a "
        "second time after the listing. This part needs CHECKOUT_GATEWAY_URL and "
        "CHECKOUT_GATEWAY_KEY_FILE as the consumers have them; --no-gateway leaves it out. In "
        "Redis (with CHECKOUT_REDIS_URL): how many orders were admitted more than 5 min ago and "
        "have no row; this is no violation by itself. An order that was honoured more than an hour "
        "after its sale closed is a note, no violation. The audit may run during a sale. It "
        "changes nothing itself: consumers look at refunds and disputes of the gateway that are "
        "not recorded, and record them. Exit code 1 with any violation.",
    .options = {{"older", "DURATION", "payments open for longer are stuck (default 1h)"},
                {"since", "DURATION", "at the gateway, only what is not older (all)"},
                {"no-gateway", NULL, "only the database"}},
    .settings = CFG_BIT(DATABASE_URL),
    .patient = true,
    .run = run,
};
