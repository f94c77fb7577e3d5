/* What Redis' INFO says about its process, as far as it tells whether keys may have been lost.
 * Pure. */
#ifndef PRODUCER_ADMISSION_REDIS_INFO_H
#define PRODUCER_ADMISSION_REDIS_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define REDIS_INFO_ID_SIZE 41

/* Each has a number that is 0 in a process that has lost no key so, and changes when it does. */
enum redis_info_loss {
    REDIS_INFO_EVICTED, /* for want of memory */
    REDIS_INFO_FLUSHALL,
    REDIS_INFO_FLUSHDB,
    REDIS_INFO_SWAPDB,
    REDIS_INFO_DEBUG, /* can load an old snapshot, or clear all */
    REDIS_INFO_RESET, /* CONFIG RESETSTAT: the numbers above begin at 0 again */
    REDIS_INFO_LOSSES
};

struct redis_info {
    char run_id[REDIS_INFO_ID_SIZE]; /* of the process */
    uint64_t up_ms;                  /* how long it has been up */
    bool replica;
    char followed[REDIS_INFO_ID_SIZE]; /* whose history it has continued, promoted; "": none */
    uint64_t numbers[REDIS_INFO_LOSSES];
};

/* ERR_PARSE: the text of INFO ALL lacks something that is needed. */
MUST_CHECK int redis_info_read(const char *text, size_t len, struct redis_info *ret_info);
/* For a log. */
const char *redis_info_loss_name(enum redis_info_loss loss);

#endif
