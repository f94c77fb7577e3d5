/* The command line of checkout-sandbox-gateway. */
#ifndef DEPLOY_SANDBOX_OPTIONS_H
#define DEPLOY_SANDBOX_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

struct options {
    char host[64];
    uint16_t port;
    const char *ledger;
    const char *key_file;    /* NULL: any key is taken */
    const char *tls_file;    /* certificate and key; NULL: HTTP without TLS */
    const char *bank_url;    /* where buyers find the banks' pages; NULL: where requests come to */
    const char *webhook_url; /* NULL: none are sent */
    const char *webhook_secret; /* a file */
    const char *api_version;    /* where a request names none */
    const char *control;        /* JSON, as of POST /_control; NULL: none */
    uint32_t latency_ms;
    bool seeded; /* else the seed is random */
    uint64_t seed;
    bool help;
    bool version;
};

extern const char options_help[];

/*
 * Reads arguments; what they do not say is taken from `get_environment` (as getenv):
 * CHECKOUT_LISTEN, CHECKOUT_SANDBOX_LEDGER, CHECKOUT_GATEWAY_KEY_FILE. Texts stay the caller's.
 * ERR_CONFIG with a line in `ret_problem`.
 */
MUST_CHECK int options_read(int argc, char *const *argv, char *(*get_environment)(const char *name),
                            struct options *ret_options, struct buf *ret_problem);

#endif
