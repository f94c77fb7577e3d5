/*
 * When something happens by itself (happen.h): a debit under way ends, a pending refund ends or a
 * made one fails, a charge is disputed. Times are in the ledger, so a restart delays nothing beyond
 * its own duration.
 */
#ifndef DEPLOY_SANDBOX_LATER_H
#define DEPLOY_SANDBOX_LATER_H

#include "deploy/sandbox/gateway_impl.h"

/* The time of a refund or of an intent has come. */
typedef void (*later_cb)(struct gateway *gateway, bool refund, uint64_t number);

/* NULL: no memory. */
struct later *later_new(struct gateway *gateway, later_cb due);
void later_free(struct later *later); /* NULL is allowed */
/* Notes what is still to happen after all records of the file. */
void later_load(struct later *later);
/* Notes what is to happen after this record, which is durable. */
void later_note(struct later *later, const struct record *record);
/* The object is busy: its time comes again in a moment. */
void later_put_off(struct later *later, bool refund, uint64_t number);

#endif
