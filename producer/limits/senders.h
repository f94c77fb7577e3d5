/*
 * From which addresses orders come, for `checkoutctl doctor`: behind a proxy that is not trusted
 * all clients are one address, and limits of addresses would refuse everybody. Each process adds
 * its counts to those of all producers in Redis, every SENDERS_REPORT_MS.
 */
#ifndef PRODUCER_LIMITS_SENDERS_H
#define PRODUCER_LIMITS_SENDERS_H

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis.h"

#define SENDERS_REPORT_MS 2000
#define SENDERS_MAX                                                                                \
    256 /* addresses that are counted between two reports; of others, only the sum */
#define SENDERS_REPORTED 4 /* those with the most orders */

struct senders;

/* `redis` must outlive it. NULL: no memory. */
struct senders *senders_new(struct loop *loop, struct redis *redis);
void senders_free(struct senders *senders); /* NULL is allowed */

/* An order came from there; "": it is not known from where. */
void senders_saw(struct senders *senders, const char *address);

#endif
