/* The gateway: requests in, records into the ledger, answers out once they are durable. */
#ifndef DEPLOY_SANDBOX_GATEWAY_H
#define DEPLOY_SANDBOX_GATEWAY_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"

struct gateway;

struct gateway_options {
    const char *host;
    uint16_t port; /* 0: a free one */
    const char *ledger;
    const char *secret_key;      /* "": any is taken */
    const char *tls_certificate; /* PEM text; NULL: HTTP without TLS */
    const char *tls_key;
    const char *bank_url; /* where buyers find the banks' pages; NULL: where the request came to */
    const char *webhook_url;    /* NULL: no webhooks */
    const char *webhook_secret; /* outlives it, as the URL */
    const char *api_version;    /* where a request names none */
    const char *control;        /* JSON, as of POST /_control; NULL: none */
    uint32_t latency_ms;
    uint64_t seed;  /* of the dice of faults */
    loop_cb broken; /* the ledger cannot be written any more: leave */
    void *arg;
};

/* On a negative result `ret_problem` holds a line for people. `secret_key` and the PEM texts must
 * outlive it. */
MUST_CHECK int gateway_open(struct loop *loop, const struct gateway_options *options,
                            struct gateway **ret_gateway, struct buf *ret_problem);
uint16_t gateway_port(const struct gateway *gateway);
/* Takes nothing new, ends what waits on purpose, and calls `done` when what was begun is durable
 * and answered. */
void gateway_drain(struct gateway *gateway, loop_cb done, void *arg);
/* NULL is allowed. */
void gateway_close(struct gateway *gateway);

#endif
