/*
 * Reads the milestones in RabbitMQ: the newest messages of the queue checkout.milestones, which say
 * how far the shop's database had come (schemas/sql/functions/milestones.sql). Reading means that
 * the broker delivers them, nothing is acknowledged, and the channel is closed: they are back then.
 * Only one program can read at a time; the others wait for it.
 */
#ifndef COMMON_SHOP_MILESTONE_READER_H
#define COMMON_SHOP_MILESTONE_READER_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"

#define MILESTONE_SIZE_MAX ((size_t)64 * 1024) /* of one, with 1,024 shards */

struct milestone_reader;

/* What came of it. Valid during the callback. */
struct milestone_reading {
    /* 0; ERR_NOT_FOUND: there is no such queue; ERR_REFUSED: we may not read it; ERR_UNAVAILABLE:
     * not now */
    int code;
    const char *problem;    /* one line; "" if code is 0 */
    const char *milestones; /* as a PostgreSQL array of text; "{}" without any */
    size_t count;
};

typedef void (*milestone_reader_cb)(const struct milestone_reading *reading, void *arg);

/* `broker` outlives what is read. NULL: no memory. */
struct milestone_reader *milestone_reader_new(struct loop *loop, struct broker *broker,
                                              milestone_reader_cb cb, void *arg);
/* Reads; `cb` comes once, from the loop, within 10 s (60 s where the broker answers nothing).
 * Nothing happens while a reading is under way. ERR_UNAVAILABLE: the broker is down. */
MUST_CHECK int milestone_reader_start(struct milestone_reader *reader);
/* Before the broker is closed: no callback comes any more. NULL is allowed. */
void milestone_reader_stop(struct milestone_reader *reader);
/* After the broker is closed, which may still answer it. NULL is allowed. */
void milestone_reader_free(struct milestone_reader *reader);

#endif
