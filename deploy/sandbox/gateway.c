#include "deploy/sandbox/gateway_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "deploy/sandbox/change.h"
#include "deploy/sandbox/happen.h"
#include "deploy/sandbox/later.h"

#define CONNECTIONS_MAX 8192
#define IDLE_TIMEOUT_S 120
#define BODY_MAX ((size_t)8192)
#define HEAD_MEMORY ((size_t)12 * 1024) /* the heads of clients of payments are short */
#define OUT_MAX ((size_t)8 * 1024 * 1024)

static int load(const struct record *record, struct ledger_place place, void *arg)
{
    struct gateway *g = arg;
    return store_load(g->store, record, place);
}

static void broken(void *arg)
{
    struct gateway *g = arg;
    g->broken(g->broken_arg);
}

static int open_http(struct gateway *g, const struct gateway_options *options, struct buf *problem)
{
    const struct http_options http = {.host = options->host,
                                      .port = options->port,
                                      .connections_max = CONNECTIONS_MAX,
                                      .idle_timeout_s = IDLE_TIMEOUT_S,
                                      .body_max = BODY_MAX,
                                      .head_memory = HEAD_MEMORY,
                                      .tls_certificate = options->tls_certificate,
                                      .tls_key = options->tls_key};
    int code = http_server_open(g->loop, &http, gateway_handle, g, &g->http);
    if (code < 0)
        (void)buf_printf(problem, "cannot serve on %s:%u: %s", options->host, options->port,
                         code == ERR_NOMEM ? "out of memory" : strerror(errno));
    return code;
}

/* The controls that hold from the start. */
static int read_control(struct gateway *g, const struct gateway_options *options,
                        struct buf *problem)
{
    const char *json = options->control;
    if (json == NULL)
        return 0;
    (void)buf_str(problem, "--control: ");
    int code = faults_read(&g->faults, json, strlen(json), problem);
    if (code == 0)
        buf_reset(problem);
    return code;
}

int gateway_open(struct loop *loop, const struct gateway_options *options,
                 struct gateway **ret_gateway, struct buf *ret_problem)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ERR_NOMEM;
    g->loop = loop;
    g->secret_key = options->secret_key;
    g->version = options->api_version;
    g->tls = options->tls_certificate != NULL;
    g->bank_url = options->bank_url;
    g->broken = options->broken;
    g->broken_arg = options->arg;
    TAILQ_INIT(&g->open);
    TAILQ_INIT(&g->idle);
    TAILQ_INIT(&g->changes);
    buf_init(&g->out, OUT_MAX);
    faults_init(&g->faults, options->seed);
    g->faults.latency_ms = options->latency_ms;
    g->store = store_new();
    g->later = later_new(g, happen);
    const struct ledger_options ledger = {.path = options->ledger,
                                          .salt = (uint32_t)(options->seed ^ options->seed >> 32),
                                          .load = load,
                                          .broken = broken,
                                          .arg = g};
    int code =
        g->store == NULL || g->later == NULL ? ERR_NOMEM : read_control(g, options, ret_problem);
    if (code == 0)
        code = ledger_open(loop, &ledger, &g->ledger, ret_problem);
    if (code == 0 && options->webhook_url != NULL) {
        g->webhooks = webhooks_new(loop, options->webhook_url, options->webhook_secret);
        code = g->webhooks == NULL ? ERR_NOMEM : 0;
    }
    if (code == 0)
        code = open_http(g, options, ret_problem);
    if (code < 0) {
        gateway_close(g);
        return code;
    }
    later_load(g->later);
    *ret_gateway = g;
    return 0;
}

uint16_t gateway_port(const struct gateway *gateway)
{
    return http_server_port(gateway->http);
}

void gateway_drain(struct gateway *gateway, loop_cb done, void *arg)
{
    gateway->draining = true;
    gateway->drained = done;
    gateway->drained_arg = arg;
    http_server_drain(gateway->http);
    payment_drain(gateway);
}

void gateway_close(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    http_server_close(gateway->http);
    payment_free_all(gateway);
    change_free_all(gateway);
    later_free(gateway->later);
    webhooks_free(gateway->webhooks);
    ledger_close(gateway->ledger);
    store_free(gateway->store);
    buf_free(&gateway->out);
    free(gateway);
}
