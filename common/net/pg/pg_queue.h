/* The two queues of a session: what is sent and not yet answered, and what is held back by a script
 * or because enough is unanswered. */
#ifndef COMMON_NET_PG_PG_QUEUE_H
#define COMMON_NET_PG_PG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg_result.h"

/* A query that is on its way. */
struct pg_sent {
    pg_result_cb cb; /* NULL: no caller waits */
    void *arg;
    const struct pg_statement *statement;
    size_t bytes;             /* of its parameters */
    struct pg_result *result; /* owned; reported once its transaction has ended */
    bool preparing;           /* the answer to its preparation is still to come */
    bool failed;              /* `result` is the error that ended its transaction */
};

/* A ring that grows. */
struct pg_ring {
    struct pg_sent *slots;
    size_t cap;
    size_t first;
    size_t count;
};

MUST_CHECK int pg_ring_push(struct pg_ring *ring, const struct pg_sent *sent);
struct pg_sent *pg_ring_head(struct pg_ring *ring); /* NULL: empty; valid until the next push */
void pg_ring_pop(struct pg_ring *ring);
void pg_ring_free(struct pg_ring *ring);

/* Bytes of all parameters. */
size_t pg_params_bytes(const char *const *params, size_t count);

/* A query or a script that waits for its turn, with a copy of what it is made of. */
struct pg_held {
    struct pg_held *next;
    pg_result_cb cb;
    void *arg;
    const struct pg_statement *statement; /* NULL: a script */
    const char **params; /* point behind it; of a script: the only one is its text */
};

/* NULL: no memory. Freed by free(). */
struct pg_held *pg_held_new(const struct pg_statement *statement, const char *const *params,
                            size_t count, pg_result_cb cb, void *arg);

struct pg_line {
    struct pg_held *first;
    struct pg_held *last;
    size_t count;
};

void pg_line_push(struct pg_line *line, struct pg_held *held);
struct pg_held *pg_line_pop(struct pg_line *line); /* NULL: empty */

#endif
