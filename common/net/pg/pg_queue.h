/* The two queues of a session: what is sent and not yet answered, and what is held back by a script
 * or because enough is unanswered. */
#ifndef COMMON_NET_PG_PG_QUEUE_H
#define COMMON_NET_PG_PG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"

/* A query that is on its way. */
struct db_sent {
    db_result_cb cb; /* NULL: nobody waits */
    void *arg;
    const struct db_statement *statement;
    size_t bytes;             /* of its parameters */
    struct db_result *result; /* owned; reported once its transaction has ended */
    bool preparing;           /* the answer to its preparation is still to come */
    bool failed;              /* `result` is the error that ended its transaction */
};

/* A ring that grows. */
struct db_ring {
    struct db_sent *slots;
    size_t cap;
    size_t first;
    size_t count;
};

MUST_CHECK int db_ring_push(struct db_ring *ring, const struct db_sent *sent);
struct db_sent *db_ring_head(struct db_ring *ring); /* NULL: empty; valid until the next push */
void db_ring_pop(struct db_ring *ring);
void db_ring_free(struct db_ring *ring);

/* Bytes of all parameters. */
size_t db_params_bytes(const char *const *params, size_t count);

/* A query or a script that waits for its turn, with a copy of what it is made of. */
struct db_held {
    struct db_held *next;
    db_result_cb cb;
    void *arg;
    const struct db_statement *statement; /* NULL: a script */
    const char **params; /* point behind it; of a script: the only one is its text */
};

/* NULL: no memory. Freed by free(). */
struct db_held *db_held_new(const struct db_statement *statement, const char *const *params,
                            size_t count, db_result_cb cb, void *arg);

struct db_line {
    struct db_held *first;
    struct db_held *last;
    size_t count;
};

void db_line_push(struct db_line *line, struct db_held *held);
struct db_held *db_line_pop(struct db_line *line); /* NULL: empty */

#endif
