/*
 * Keeps the newest milestone in RabbitMQ (the queue checkout.milestones): one at a time, each
 * confirmed before the next. What waits longer is replaced by what is newer.
 */
#ifndef COMMON_SHOP_MILESTONE_WRITER_H
#define COMMON_SHOP_MILESTONE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/amqp/broker.h"

struct milestone_writer;

/* The milestone is safe; `reserved` as given. From the loop, or from milestone_writer_put: it was
 * safe before.
 */
typedef void (*milestone_writer_cb)(int64_t reserved, void *arg);

/* The broker outlives it. NULL: no memory. */
struct milestone_writer *milestone_writer_new(struct broker *broker, milestone_writer_cb cb,
                                              void *arg);
/* Before the broker is closed: nothing is published any more. NULL is allowed. */
void milestone_writer_stop(struct milestone_writer *writer);
void milestone_writer_free(struct milestone_writer *writer); /* NULL is allowed */

/* Publishes `milestone` unless it is the newest one kept. ERR_NOMEM, ERR_FULL (it is too long). */
MUST_CHECK int milestone_writer_put(struct milestone_writer *writer, const char *milestone,
                                    int64_t reserved);
/* Call it every 100 ms: goes on with what waits. Returns how long that has, in ms; 0: nothing does.
 */
uint64_t milestone_writer_tick(struct milestone_writer *writer);

#endif
