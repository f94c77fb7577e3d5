/* Asks the gateway itself, as a consumer would. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/doctor/findings.h"
#include "ctl/gateway.h"

#define PATIENCE_MS 5000
#define SKEW_MAX_S 60
#define REASON_SIZE 64

struct asking {
    struct loop *loop;
    int code;
    char reason[REASON_SIZE];
    int64_t date_s;
};

static void listed(const struct pay_page *page, void *arg)
{
    struct asking *asking = arg;
    asking->code = page->code;
    (void)snprintf(asking->reason, sizeof asking->reason, "%s",
                   page->reason == NULL ? err_text(page->code) : page->reason);
    asking->date_s = page->date_s;
    loop_stop(asking->loop);
}

/* Why it cannot be asked, by the words of curl.h, and what to do. */
static const struct {
    const char *reason;
    enum finding_level level;
    const char *text;
    const char *advice;
} reasons[] = {
    {"certificate_expired", FINDING_FAIL, "its certificate has expired",
     "ask its operators to renew it; look at the clock of this host"},
    {"certificate_not_yet_valid", FINDING_FAIL, "its certificate is not valid yet",
     "look at the clock of this host"},
    {"certificate_self_signed", FINDING_FAIL, "its certificate is self-signed",
     "set CHECKOUT_GATEWAY_URL right, or name its CA in CHECKOUT_GATEWAY_CA_FILE"},
    {"certificate_of_another_host", FINDING_FAIL, "its certificate is for another host",
     "set CHECKOUT_GATEWAY_URL to the name that the certificate has"},
    {"certificate_not_trusted", FINDING_FAIL, "its certificate is not trusted",
     "name its CA in CHECKOUT_GATEWAY_CA_FILE"},
    {"ca_file_unreadable", FINDING_FAIL, "CHECKOUT_GATEWAY_CA_FILE cannot be read as certificates",
     "set it right, or leave it empty for the system's"},
    {"no_tls", FINDING_FAIL, "it does not speak TLS as we do",
     "set CHECKOUT_GATEWAY_URL right: https or http"},
    {"host_unknown", FINDING_FAIL, "its host has no address",
     "set CHECKOUT_GATEWAY_URL right; look at the name server"},
    {"connection_refused", FINDING_FAIL, "it refuses the connection",
     "set CHECKOUT_GATEWAY_URL right; look at proxies and firewalls"},
    {"not_connected", FINDING_FAIL, "no connection to it can be made",
     "look at the network between this host and the gateway"},
    {"connect_timeout", FINDING_FAIL, "no connection to it within 5 s",
     "look at the network between this host and the gateway"},
    {"http_401", FINDING_FAIL, "it refuses our key", "set CHECKOUT_GATEWAY_KEY_FILE right"},
    {"http_403", FINDING_WARN, "our key may not list payments",
     "give the key that right: payments that are unclear are looked up in the list"},
    {"timeout", FINDING_WARN, "it gives no answer within 5 s", "ask the gateway's operators"},
};

static void say_failure(struct doctor *doctor, const struct asking *asking)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (strcmp(asking->reason, reasons[i].reason) != 0)
            continue;
        doctor_say(doctor, reasons[i].level, "gateway", reasons[i].advice, "%s (%s)",
                   reasons[i].text, asking->reason);
        return;
    }
    doctor_say(doctor, FINDING_WARN, "gateway",
               "set CHECKOUT_GATEWAY_URL right, or ask the gateway's operators",
               "its list of payments cannot be read (%s)", asking->reason);
}

static void say_skew(struct doctor *doctor, const struct asking *asking)
{
    int64_t skew_s = asking->date_s == 0 ? 0 : asking->date_s - clock_wall_ms() / 1000;
    if (skew_s > SKEW_MAX_S || skew_s < -SKEW_MAX_S)
        doctor_say(doctor, FINDING_WARN, "gateway", "synchronise the clock of this host",
                   "its clock differs from this host's by %" PRId64 " s", skew_s);
}

static void ask(struct doctor *doctor, const struct cfg *cfg)
{
    struct loop *loop = doctor->ctl->loop;
    struct asking asking = {.loop = loop};
    int64_t timeout_ms = cfg_int(cfg, CFG_GATEWAY_TIMEOUT);
    struct pay *pay = gateway_open(
        loop, cfg, timeout_ms < PATIENCE_MS ? (uint32_t)timeout_ms : (uint32_t)PATIENCE_MS);
    int code = pay == NULL ? ERR_NOMEM : pay_list(pay, 0, NULL, 1, listed, &asking);
    if (code == 0)
        loop_run(loop);
    pay_free(pay);
    if (code < 0) {
        doctor_say(doctor, FINDING_FAIL, "gateway", "", "%s", err_text(code));
        return;
    }
    say_skew(doctor, &asking);
    if (asking.code == 0)
        doctor_say(doctor, FINDING_OK, "gateway", "", "it answers, and lists payments to our key");
    else
        say_failure(doctor, &asking);
}

void doctor_gateway(struct doctor *doctor)
{
    struct cfg *cfg = NULL;
    struct buf problem;
    buf_init(&problem, CTL_PROBLEM_SIZE);
    if (cfg_load_some(CFG_CTL, GATEWAY_SETTINGS, environ, &cfg, &problem) < 0)
        doctor_say(doctor, FINDING_WARN, "gateway",
                   "give doctor the CHECKOUT_GATEWAY_* settings of the consumers",
                   "it is not asked: %s", buf_text(&problem));
    else
        ask(doctor, cfg);
    cfg_free(cfg);
    buf_free(&problem);
}
