/* Refusals of HTTP requests: problem details (RFC 9457). Pure. */
#ifndef COMMON_SHOP_PROBLEM_H
#define COMMON_SHOP_PROBLEM_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

/*
 * Every type of problem that Checkout's HTTP servers answer, once: X(name, status, last part of the
 * type's path, title, what the client should do). A test compares the tables of
 * schemas/openapi.yaml and console.openapi.yaml with these rows; the pages of the types
 * (problem_page.h) are made from them.
 */
#define PROBLEM_MAP(X)                                                                             \
    X(INVALID_REQUEST, 400, "invalid-request", "The request is not valid",                         \
      "Correct what errors or detail name. The same request will be refused again.")               \
    X(UNAUTHORIZED, 401, "unauthorized", "A valid token is needed",                                \
      "Send a token that is valid now, as Authorization: Bearer. The detail says what is wrong "   \
      "with this one.")                                                                            \
    X(FORBIDDEN, 403, "forbidden", "This is not allowed",                                          \
      "Ask the shop to allow the origin of your page (CHECKOUT_ORIGINS).")                         \
    X(CHALLENGE_REQUIRED, 403, "challenge-required",                                               \
      "Only a token that says that the item's challenge was passed can order it",                  \
      "Let the buyer pass the challenge, get a token whose claim human names it, and send the "    \
      "same order again with the same Idempotency-Key.")                                           \
    X(NOT_FOUND, 404, "not-found", "There is no such thing",                                       \
      "Check the path. An order is found only with a token of its buyer.")                         \
    X(UNKNOWN_ITEM, 404, "unknown-item", "There is no such item",                                  \
      "Check the SKU: no item of the shop has it. The order was not taken.")                       \
    X(METHOD_NOT_ALLOWED, 405, "method-not-allowed", "This method is not allowed here",            \
      "Use one of the methods that the header Allow names.")                                       \
    X(SOLD_OUT, 409, "sold-out", "This item is sold out",                                          \
      "Tell the buyer. The order was not taken.")                                                  \
    X(ITEM_IN_ANOTHER_CART, 409, "item-in-another-cart",                                           \
      "Item is currently in another cart, try again!",                                             \
      "Another buyer is paying for it. It may become free: send the order again after some "       \
      "seconds.")                                                                                  \
    X(NOT_OPEN_YET, 409, "not-open-yet", "The sale of this item has not begun",                    \
      "Send the order once opens_at has passed.")                                                  \
    X(SALE_CLOSED, 409, "sale-closed", "The sale of this item is over",                            \
      "Tell the buyer. The order was not taken.")                                                  \
    X(NOT_CANCELLABLE, 409, "not-cancellable", "This order cannot be cancelled any more",          \
      "Read the order at status_url: it is being paid for, or it has ended.")                      \
    X(REFUSED, 409, "refused", "This cannot be done",                                              \
      "Read the detail: it says why. It had no effect; ask again with a new Idempotency-Key.")     \
    X(TOO_LARGE, 413, "too-large", "The body is too large", "Send a smaller body.")                \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported-media-type", "The body must be JSON",              \
      "Send the header Content-Type: application/json.")                                           \
    X(IDEMPOTENCY_KEY_REUSED, 422, "idempotency-key-reused",                                       \
      "This Idempotency-Key belongs to another request",                                           \
      "Make a new Idempotency-Key for each new order; send an order again with the body that it "  \
      "had.")                                                                                      \
    X(UPGRADE_REQUIRED, 426, "upgrade-required", "Another version of the protocol is needed",      \
      "Connect with the version that the header Sec-WebSocket-Version names.")                     \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests",                                      \
      "Wait for as many seconds as Retry-After says, then send the same request again.")           \
    X(HEADERS_TOO_LARGE, 431, "headers-too-large", "The headers are too large",                    \
      "Send fewer or shorter headers.")                                                            \
    X(ACCEPT_UNKNOWN, 503, "accept-unknown", "It is not known yet whether the order was accepted", \
      "Send the same order again with the same Idempotency-Key (it is never taken twice), or "     \
      "read status_url.")                                                                          \
    X(OVERLOADED, 503, "overloaded", "The server cannot take more at the moment",                  \
      "Wait for as many seconds as Retry-After says, then send the same request again.")           \
    X(BROKER_UNAVAILABLE, 503, "broker-unavailable", "Orders cannot be taken at the moment",       \
      "Wait for as many seconds as Retry-After says, then send the same order again with the "     \
      "same Idempotency-Key.")                                                                     \
    X(DATABASE_UNAVAILABLE, 503, "database-unavailable", "This cannot be done at the moment",      \
      "Wait for as many seconds as Retry-After says, then send the same request again.")

enum problem_type {
#define PROBLEM_ENUM(name, status, path, title, advice) PROBLEM_##name,
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
/* What its client should do, one or two sentences. */
const char *problem_advice(enum problem_type type);
/* The type's path, which is that of its page too. */
void problem_append_path(struct buf *out, enum problem_type type);
/* The type of this path. ERR_NOT_FOUND: it is the path of no type. */
MUST_CHECK int problem_by_path(const char *path, enum problem_type *ret_type);
/* Seconds for Retry-After: what the problem says, else 2 for each 503; 0: no such header. */
unsigned problem_retry_after(const struct problem *problem);
/* Adds one more error; from the 17th on it drops them. */
void problem_add(struct problem *problem, struct problem_error error);
/* Appends the JSON document, with every text escaped. */
void problem_encode(struct buf *out, const struct problem *problem);

#endif
