/*
 * The ledger: an append-only file of records (record.h). What is appended while one fdatasync runs
 * (in a thread, so the loop goes on) is written and synced together by the next.
 */
#ifndef DEPLOY_SANDBOX_LEDGER_H
#define DEPLOY_SANDBOX_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "deploy/sandbox/record.h"

struct ledger;

/* Where a record is in the file. */
struct ledger_place {
    uint64_t offset;
    uint32_t len; /* without its newline; 0: nowhere */
};

/* Waits for a record to be durable; embedded in what waits, and in no list once `cb` is called. */
struct ledger_wait {
    TAILQ_ENTRY(ledger_wait) link;
    loop_cb cb;
    void *arg;
};

struct ledger_options {
    const char *path;
    uint32_t salt; /* for a ledger that does not exist yet */
    /* Called within ledger_open for each record, in order; its texts are valid during the call. A
     * negative result ends the opening. */
    int (*load)(const struct record *record, struct ledger_place place, void *arg);
    loop_cb broken; /* it cannot be written any more: nothing is durable from here on */
    void *arg;
};

/*
 * Opens, or makes, the file; holds a lock on it. A torn last record is cut off. ERR_CONFLICT:
 * another process uses it; ERR_PARSE: it is damaged before its end; ERR_IO; ERR_NOMEM. On an error
 * `ret_problem` holds a line for people.
 */
MUST_CHECK int ledger_open(struct loop *loop, const struct ledger_options *options,
                           struct ledger **ret_ledger, struct buf *ret_problem);
/* The ids of this ledger carry it. */
uint32_t ledger_salt(const struct ledger *ledger);
/* Calls wait->cb (with `cb` and `arg` set by the caller) from the loop when `record` is durable.
 * ERR_FULL: too much waits already, or the record is too long. */
MUST_CHECK int ledger_append(struct ledger *ledger, const struct record *record,
                             struct ledger_wait *wait, struct ledger_place *ret_place);
/* Reads a durable record; free it by record_free. */
MUST_CHECK int ledger_read(struct ledger *ledger, struct ledger_place place,
                           struct record *ret_record);
/* Whether everything appended is durable, and its callbacks done. */
bool ledger_idle(const struct ledger *ledger);
/* The ledger must be idle, or broken. NULL is allowed. */
void ledger_close(struct ledger *ledger);

#endif
