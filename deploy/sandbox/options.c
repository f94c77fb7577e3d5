#include "deploy/sandbox/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"

#define LATENCY_MAX_MS 600000
#define API_VERSION "2023-10-16"

const char options_help[] =
    "Usage: checkout-sandbox-gateway --ledger FILE [OPTION]...\n"
    "A payment gateway for tests and demonstrations, shaped like Stripe's API: no money moves.\n"
    "\n"
    "  --listen HOST:PORT  serve here; port 0 takes a free one      [CHECKOUT_LISTEN, "
    "127.0.0.1:0]\n"
    "  --ledger FILE       keep charges and idempotency keys here   [CHECKOUT_SANDBOX_LEDGER]\n"
    "  --key-file FILE     the secret key to ask for; else any will do\n"
    "                                                               [CHECKOUT_GATEWAY_KEY_FILE]\n"
    "  --tls FILE          speak TLS with this certificate and its key, both in one PEM file\n"
    "  --bank-url URL      where buyers find the banks' pages [/3ds/ of where requests come to]\n"
    "  --webhook-url URL   tell this address of each change of a payment\n"
    "  --webhook-secret FILE  the secret that webhooks are signed with\n"
    "  --latency MS        answer payments so much later            [0]\n"
    "  --seed N            make faults by chance repeatable         [random]\n"
    "  --api-version DATE  of requests that name none               [2023-10-16]\n"
    "  --control JSON      what POST /_control takes, from the start\n"
    "  --help              this text\n"
    "  --version           the version\n"
    "\n"
    "The address is printed on standard output. What it does is what Stripe documents\n"
    "(docs/payments.md says what it has not). POST /_control changes that, and plays trouble:\n"
    "\n"
    "  latency_ms, jitter_ms   payments are answered so much later\n"
    "  mode, times             the next `times` payments (all without it) meet a fault: slow,\n"
    "                          never, charge-then-never, reset, charge-then-reset, 500,\n"
    "                          500-consumed, 500-after-charge, 400, 400-kept, 429, 409,\n"
    "                          garbage, wrong-amount, partial; none ends all trouble\n"
    "  modes                   {\"MODE\":CHANCE,...}; slow_ms of slow; seed of the dice\n"
    "  reads                   chance of a fault for what lists, looks up or cancels\n"
    "  webhooks                once, never, early, late, twice, shuffled; all_events true\n"
    "  charges                 ok, refused, unauthorized, forbidden\n"
    "  refunds                 ok, no-balance, disputed, pending, failing, unauthorized, "
    "forbidden\n"
    "  processing_ms           until what is under way ends          [3000]\n"
    "  list_late_ms            until a new intent is in lists        [0]\n"
    "  key_seconds             until an idempotency key is forgotten [86400]\n"
    "  rate_endpoint, rate_all requests a second; 0: no limit        [0, 0]\n"
    "  keep_refused            chance that a 4xx about objects is kept as its key's result [1]\n"
    "  keep_invalid            and one about the form alone          [0]\n"
    "  consume, amounts, return_url  rules of Stripe's               [true]\n"
    "  missing_method          status of an unknown payment method: 404 or 400 [404]\n"
    "  truthful                false: none of these rules, as this sandbox once was\n"
    "  livemode, cancel_processing                                   [false]\n"
    "  hurry                   true, alone: what waits for its latency is answered now\n"
    "  refund                  {\"payment_intent\":ID,\"amount\":N} at the dashboard\n"
    "  fail_refund             {\"refund\":ID}\n"
    "  dispute                 {\"payment_intent\":ID,\"amount\":N,\"reason\":TEXT}\n"
    "  close_dispute           {\"dispute\":ID,\"status\":\"won\" or \"lost\"}\n"
    "\n"
    "Payment methods: pm_card_visa, pm_card_chargeDeclined, pm_card_authenticationRequired,\n"
    "pm_card_createDispute, pm_card_refundFail, pm_usBankAccount_success, ...: templates, each "
    "use\n"
    "makes a new one. One that POST /v1/payment_methods made (type=card, card[token]=tok_visa) "
    "can\n"
    "be used once, unless it is attached to a customer. pm_sandbox_MODE meets the fault MODE at\n"
    "the first request for its order; pm_sandbox_processing, _processing_failed,\n"
    "_requires_capture, _requires_confirmation, _pays_less, _provider_decline, _attempt_failed.\n";

static int wrong(struct buf *problem, const char *name, const char *why)
{
    (void)buf_printf(problem, "%s %s", name, why);
    return ERR_CONFIG;
}

static int read_number(const char *name, const char *text, int64_t most, uint64_t *ret_number,
                       struct buf *problem)
{
    int64_t number;
    if (parse_int(text, 0, most, &number) < 0)
        return wrong(problem, name, "needs a whole number in its range");
    *ret_number = (uint64_t)number;
    return 0;
}

static int read_listen(const char *name, const char *text, struct options *options,
                       struct buf *problem)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    uint64_t port;
    if (len == 0 || len >= sizeof options->host)
        return wrong(problem, name, "needs HOST:PORT, like 127.0.0.1:8090");
    int code = read_number(name, colon + 1, UINT16_MAX, &port, problem);
    if (code < 0)
        return code;
    bool bracketed = len > 2 && text[0] == '[' && colon[-1] == ']';
    memcpy(options->host, text + (bracketed ? 1 : 0), len - (bracketed ? 2 : 0));
    options->host[len - (bracketed ? 2 : 0)] = '\0';
    options->port = (uint16_t)port;
    return 0;
}

static int read_option(const char *name, const char *value, struct options *options,
                       struct buf *problem)
{
    uint64_t number = 0;
    int code = 0;
    if (strcmp(name, "--listen") == 0)
        return read_listen(name, value, options, problem);
    if (strcmp(name, "--ledger") == 0) {
        options->ledger = value;
    } else if (strcmp(name, "--key-file") == 0) {
        options->key_file = value;
    } else if (strcmp(name, "--bank-url") == 0) {
        if (strncmp(value, "http", 4) != 0 || strpbrk(value, "\"\\ <>&'") != NULL)
            return wrong(problem, name, "needs a URL that ends with /3ds/");
        options->bank_url = value;
    } else if (strcmp(name, "--webhook-url") == 0) {
        options->webhook_url = value;
    } else if (strcmp(name, "--webhook-secret") == 0) {
        options->webhook_secret = value;
    } else if (strcmp(name, "--api-version") == 0) {
        options->api_version = value;
    } else if (strcmp(name, "--control") == 0) {
        options->control = value;
    } else if (strcmp(name, "--tls") == 0) {
        options->tls_file = value;
    } else if (strcmp(name, "--latency") == 0) {
        code = read_number(name, value, LATENCY_MAX_MS, &number, problem);
        options->latency_ms = (uint32_t)number;
    } else if (strcmp(name, "--seed") == 0) {
        code = read_number(name, value, INT64_MAX, &options->seed, problem);
        options->seeded = true;
    } else {
        return wrong(problem, name, "is no option; see --help");
    }
    return code;
}

static int read_environment(char *(*get)(const char *name), struct options *options,
                            struct buf *problem)
{
    const char *listen = get("CHECKOUT_LISTEN");
    options->ledger = get("CHECKOUT_SANDBOX_LEDGER");
    options->key_file = get("CHECKOUT_GATEWAY_KEY_FILE");
    return read_listen("CHECKOUT_LISTEN", listen == NULL ? "127.0.0.1:0" : listen, options,
                       problem);
}

int options_read(int argc, char *const *argv, char *(*get_environment)(const char *name),
                 struct options *ret_options, struct buf *ret_problem)
{
    struct options options = {.api_version = API_VERSION};
    int code = read_environment(get_environment, &options, ret_problem);
    for (int i = 1; i < argc && code == 0; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            ret_options->help = true;
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            ret_options->version = true;
            return 0;
        }
        code = i + 1 < argc ? read_option(argv[i], argv[i + 1], &options, ret_problem)
                            : wrong(ret_problem, argv[i], "needs a value; see --help");
    }
    if (code < 0)
        return code;
    if (options.ledger == NULL || options.ledger[0] == '\0')
        return wrong(ret_problem, "--ledger", "is needed: the file that keeps the charges");
    if ((options.webhook_url == NULL) != (options.webhook_secret == NULL))
        return wrong(ret_problem, "--webhook-url", "and --webhook-secret come together");
    *ret_options = options;
    return 0;
}
