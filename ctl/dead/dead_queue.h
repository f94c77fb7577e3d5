/*
 * The queue of dead letters. Reading means: the broker delivers them and we do not acknowledge. If
 * we die, the broker puts them back in their order. One operator at a time reads (a lock in
 * PostgreSQL), since delivered letters are hidden from all others.
 */
#ifndef CTL_DEAD_DEAD_QUEUE_H
#define CTL_DEAD_DEAD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/amqp/broker.h"
#include "ctl/ctl.h"

#define DEAD_ID_SIZE 13 /* 12 hex digits and NUL */

/* One of them; pointers are valid during the callback. */
struct dead_letter {
    char id[DEAD_ID_SIZE]; /* of its body: equal letters have one id */
    uint64_t tag;
    const char *reason;     /* ours, or the broker's; "" if unknown */
    const char *from_queue; /* where the broker took it from; "" if we published it */
    int64_t died_s;         /* since 1970; 0: not recorded */
    const void *body;
    size_t body_len;
    uint64_t body_size; /* more than body_len if the body is cut here */
    const char *type;
};

struct dead_queue;

typedef void (*dead_letter_cb)(const struct dead_letter *letter, void *arg);

/*
 * Gets all letters, in their order, and calls `cb` for each. They stay delivered until
 * dead_queue_close. 0 with `ret_queue`, or an exit code after printing the problem. Needs the
 * broker; uses the database if it is up.
 */
MUST_CHECK int dead_queue_open(struct ctl *ctl, dead_letter_cb cb, void *arg,
                               struct dead_queue **ret_queue);
/* The number of delivered letters. */
size_t dead_queue_count(const struct dead_queue *queue);
/* Ends one for good. */
void dead_queue_ack(struct dead_queue *queue, uint64_t tag);
/* What is not acknowledged goes back. NULL is allowed. */
void dead_queue_close(struct dead_queue *queue);

#endif
