/* What the notifier reads of an event, which it passes on: unchanged, but for a place of before. No
 * I/O. */
#ifndef NOTIFIER_ENVELOPE_H
#define NOTIFIER_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/shop/trace.h"

#define ENVELOPE_TEXT_MAX ((size_t)16 * 1024) /* bytes of one event */
#define ENVELOPE_ORDER_SIZE 16

struct envelope {
    unsigned char order[ENVELOPE_ORDER_SIZE]; /* the UUID in binary */
    int64_t sequence;
    bool final;      /* the order ends with it */
    bool waits;      /* it is on the waitlist of `sku`, which is "" where it is not known */
    int64_t id;      /* of the event; 0: not known */
    int64_t place;   /* its place in line at that moment; 0: not said */
    int64_t time_ms; /* its commit, by the database's clock; 0: unknown, or not to be counted */
    char sku[JOB_SKU_MAX + 1];
    uint64_t came_us;              /* monotonic: when a live one came */
    char order_id[IDS_ORDER_SIZE]; /* of a live one */
    char traceparent[TRACE_SIZE];  /* of a live one; "": none */
};

/* Copies what tells of a waitlist into an envelope; NULL: not known. */
void envelope_set_line(struct envelope *envelope, const char *status, const char *sku);

/* Reads one of Checkout's CloudEvents. ERR_PARSE: it is none. */
MUST_CHECK int envelope_parse(const char *text, size_t len, struct envelope *ret_envelope);

/* Appends an event without its place in line. Of the buffer's errors, and ERR_PARSE. */
MUST_CHECK int envelope_without_place(const char *text, size_t len, struct buf *out);

/* Reads a UUID of 36 characters. */
MUST_CHECK int envelope_parse_order(const char *text, unsigned char ret_order[ENVELOPE_ORDER_SIZE]);

#endif
