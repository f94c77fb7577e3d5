/*
 * How many orders a customer, or an address, may send in a time. Redis counts them for all
 * producers, within the query that admission asks anyway. While it does not answer, each process
 * counts by itself those that it lets in.
 *
 * A repeat of an order that was let in takes no place and is never refused. Without Redis it is
 * known by PostgreSQL, or if this process let it in; another one counts as new. So a customer who
 * sends, to all processes together, no more different orders in the limit's time than its number is
 * refused a repeat by none. One who sends more may be, by a process that did not let the order in,
 * until it is decided: a repeat has the same bytes as a new order, and to accept one needs only the
 * broker.
 */
#ifndef PRODUCER_LIMITS_LIMITS_H
#define PRODUCER_LIMITS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/rate.h"

enum limit_kind {
    LIMIT_USER,
    LIMIT_ADDRESS,
    LIMIT_KINDS,
    LIMIT_OPEN = LIMIT_KINDS, /* not a rate: how many orders of a customer may be open at once */
    LIMIT_ALL
};

/* Whom an order counts for; NULL: a kind without a limit. The texts are not owned. */
struct limit_names {
    const char *of[LIMIT_KINDS];
};

struct limit_refusal {
    enum limit_kind kind;
    int64_t wait_us; /* until there is a place */
};

struct limits;

/* A count of 0: no limit. NULL: no memory. */
struct limits *limits_new(const struct rate rates[LIMIT_KINDS]);
void limits_free(struct limits *limits); /* NULL is allowed */

/* How many orders of one customer may be open at once; 0, as before the call: any number. Only
 * Redis counts them. */
void limits_bound_open(struct limits *limits, int64_t max);

/* The rates that have a limit; returns how many. */
size_t limits_kinds(const struct limits *limits, enum limit_kind ret_kinds[LIMIT_KINDS]);
/* Of LIMIT_OPEN: the number alone, in no time. */
const struct rate *limits_rate(const struct limits *limits, enum limit_kind kind);
/* What the kind is called to clients. */
const char *limit_kind_name(enum limit_kind kind);

enum limits_answer {
    LIMITS_TAKEN,   /* it may come in, and has taken a place of each kind */
    LIMITS_KNOWN,   /* it may come in: it did before */
    LIMITS_REFUSED, /* *ret_refusal says why */
};

/* Without Redis: whether an order may come in now. */
MUST_CHECK enum limits_answer limits_ask(struct limits *limits, const struct limit_names *names,
                                         const char *order_id, int64_t now_us,
                                         struct limit_refusal *ret_refusal);
/* Whether this order came in by limits_ask, not long ago. */
bool limits_know(struct limits *limits, const char *order_id);
/* An order that had LIMITS_TAKEN was not accepted after all. */
void limits_put_back(struct limits *limits, const struct limit_names *names, const char *order_id);

#endif
