/* From a request to a job, or to a problem that names everything that is wrong. Pure. */
#ifndef PRODUCER_ORDER_REQUEST_H
#define PRODUCER_ORDER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/http/http_values.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/problem.h"

#define ORDER_REQUEST_BODY_MAX 4096
#define ORDER_REQUEST_SCRATCH (ORDER_REQUEST_BODY_MAX + 1)

/* The parts of a POST /v1/orders that count. Texts are not owned; NULL: the header is absent. */
struct order_request {
    const char *user; /* of the verified token */
    struct http_body_kind kind;
    const char *key; /* Idempotency-Key */
    size_t key_count;
    const char *traceparent;
    const char *body;
    size_t body_len;
    bool body_too_large;
    int64_t now_ms; /* when it is accepted, since 1970 */
};

/*
 * 0 with a complete job, whose texts point into `input`, or into `scratch` (ORDER_REQUEST_SCRATCH
 * bytes). ERR_INVALID with `ret_problem` filled, whose texts may point into `scratch` as well.
 * ERR_NOMEM.
 */
MUST_CHECK int order_request_read(struct ids *ids, const struct order_request *input, char *scratch,
                                  struct job *ret_job, struct problem *ret_problem);

#endif
