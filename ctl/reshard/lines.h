/*
 * The exchange and the queues of one number of shards, as a whole: closed and opened by their
 * bindings, counted, deleted. Each call waits for RabbitMQ, and may be repeated.
 */
#ifndef CTL_RESHARD_LINES_H
#define CTL_RESHARD_LINES_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

/* All of these return an exit code, after printing the problem. RabbitMQ is met. */

/* Declares them, with the settings of topology; without bindings. */
MUST_CHECK int lines_declare(struct ctl *ctl, uint32_t shards);
/* Orders come in through the exchange from now on. */
MUST_CHECK int lines_open(struct ctl *ctl, uint32_t shards);
/* None do from now on: RabbitMQ returns them to their publishers. */
MUST_CHECK int lines_close(struct ctl *ctl, uint32_t shards);
/* Messages that wait, over all queues. */
MUST_CHECK int lines_count(struct ctl *ctl, uint32_t shards, uint64_t *ret_messages);
/* Consumers of one queue, and messages that wait in it. */
MUST_CHECK int lines_look(struct ctl *ctl, uint32_t shards, uint32_t shard, uint32_t *ret_messages,
                          uint32_t *ret_consumers);
/* What is forwarded goes through an exchange of its own, whose routing keys are the names of
 * queues: an operator may publish to no other. */
#define LINES_FORWARD "checkout.reshard"
/* It leads to all queues of both numbers. */
MUST_CHECK int lines_link(struct ctl *ctl, uint32_t from, uint32_t to);
/* It is gone. */
MUST_CHECK int lines_unlink(struct ctl *ctl, uint32_t to);
/* The queues, with all that they hold, and then the exchange. */
MUST_CHECK int lines_delete(struct ctl *ctl, uint32_t shards);

#endif
