/*
 * Reads the gateway's list of intents, newest first, to its end. A page that fails is asked for
 * again, some times and with backoff, so that a gateway that fails now and then can be read all the
 * same, however long its list is.
 */
#ifndef CONSUMER_MONEY_PAGER_H
#define CONSUMER_MONEY_PAGER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/pay/pay.h"

struct pager;

struct pager_options {
    struct loop *loop;
    struct pay *pay;
    /* A page, valid during the call. */
    void (*page)(const struct pay_intent *intents, size_t count, void *arg);
    /* `code` 0: all was read; or what ended it. The next reading may be started. */
    void (*end)(int code, void *arg);
    void *arg;
};

/* NULL: no memory. */
struct pager *pager_new(const struct pager_options *options);
/* A page under way must have been ended by pay_free before. NULL is allowed. */
void pager_free(struct pager *pager);
/* Reads what was created at `from_s` or later (0: all). Not while a reading is under way; calls
 * back from the loop only. */
void pager_start(struct pager *pager, int64_t from_s);

#endif
