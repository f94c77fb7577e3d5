/* Refusals of HTTP requests: problem details (RFC 9457). Pure. */
#ifndef COMMON_SHOP_PROBLEM_H
#define COMMON_SHOP_PROBLEM_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

/*
 * Every type of problem that Checkout's HTTP servers answer, once: X(name, status, last part of the
 * type's path, title). A test compares the table of schemas/openapi.yaml with these rows.
 */
#define PROBLEM_MAP(X)                                                                             \
    X(INVALID_REQUEST, 400, "invalid-request", "The request is not valid")                         \
    X(UNAUTHORIZED, 401, "unauthorized", "A valid token is needed")                                \
    X(FORBIDDEN, 403, "forbidden", "This is not allowed")                                          \
    X(CHALLENGE_REQUIRED, 403, "challenge-required",                                               \
      "Only a token that says that the item's challenge was passed can order it")                  \
    X(NOT_FOUND, 404, "not-found", "There is no such thing")                                       \
    X(UNKNOWN_ITEM, 404, "unknown-item", "There is no such item")                                  \
    X(METHOD_NOT_ALLOWED, 405, "method-not-allowed", "This method is not allowed here")            \
    X(SOLD_OUT, 409, "sold-out", "This item is sold out")                                          \
    X(ITEM_IN_ANOTHER_CART, 409, "item-in-another-cart",                                           \
      "Item is currently in another cart, try again!")                                             \
    X(NOT_OPEN_YET, 409, "not-open-yet", "The sale of this item has not begun")                    \
    X(SALE_CLOSED, 409, "sale-closed", "The sale of this item is over")                            \
    X(NOT_CANCELLABLE, 409, "not-cancellable", "This order cannot be cancelled any more")          \
    X(TOO_LARGE, 413, "too-large", "The body is too large")                                        \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported-media-type", "The body must be JSON")              \
    X(IDEMPOTENCY_KEY_REUSED, 422, "idempotency-key-reused",                                       \
      "This Idempotency-Key belongs to another order")                                             \
    X(UPGRADE_REQUIRED, 426, "upgrade-required", "Another version of the protocol is needed")      \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests")                                      \
    X(HEADERS_TOO_LARGE, 431, "headers-too-large", "The headers are too large")                    \
    X(ACCEPT_UNKNOWN, 503, "accept-unknown", "It is not known yet whether the order was accepted") \
    X(OVERLOADED, 503, "overloaded", "The server cannot take more at the moment")                  \
    X(BROKER_UNAVAILABLE, 503, "broker-unavailable", "Orders cannot be taken at the moment")       \
    X(DATABASE_UNAVAILABLE, 503, "database-unavailable", "This cannot be done at the moment")

enum problem_type {
#define PROBLEM_ENUM(name, status, path, title) PROBLEM_##name,
    PROBLEM_MAP(PROBLEM_ENUM)
#undef PROBLEM_ENUM
        PROBLEM_COUNT
};

#define PROBLEM_ERRORS_MAX 16

/* One error of a request. Texts are not owned. */
struct problem_error {
    const char *detail;
    const char *header; /* the header it is about, or NULL: the body */
    const char *member; /* the body's member it is about; NULL: the whole body */
    size_t member_len;
};

struct problem {
    enum problem_type type;
    const char *detail;     /* NULL: the title says all */
    const char *order_id;   /* PROBLEM_ACCEPT_UNKNOWN, _NOT_CANCELLABLE: which order */
    const char *opens_at;   /* PROBLEM_NOT_OPEN_YET: when; needs no escaping */
    const char *challenge;  /* PROBLEM_CHALLENGE_REQUIRED: which; needs no escaping */
    unsigned retry_after_s; /* 0: not said */
    struct problem_error errors[PROBLEM_ERRORS_MAX];
    size_t error_count;
};

#define PROBLEM_CONTENT_TYPE "application/problem+json"
#define PROBLEM_BYTES_MAX ((size_t)64 * 1024) /* bound of an encoded problem */

unsigned problem_status(enum problem_type type);
/* The last part of the type's path. */
const char *problem_name(enum problem_type type);
const char *problem_title(enum problem_type type);
/* Seconds for Retry-After: what the problem says, else 2 for each 503; 0: no such header. */
unsigned problem_retry_after(const struct problem *problem);
/* Adds one more error; from the 17th on it drops them. */
void problem_add(struct problem *problem, struct problem_error error);
/* Appends the JSON document, with every text escaped. */
void problem_encode(struct buf *out, const struct problem *problem);

#endif
