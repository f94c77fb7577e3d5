/*
 * Which published messages of a channel still wait for the broker's word. Pure: no I/O. Messages
 * are numbered 1, 2, 3, … as AMQP numbers them after confirm.select.
 */
#ifndef COMMON_NET_AMQP_BROKER_CONFIRMS_H
#define COMMON_NET_AMQP_BROKER_CONFIRMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define BROKER_CONFIRMS_MAX 65536 /* messages that may wait on one channel */

struct broker_confirms {
    uint64_t first; /* number of the oldest one that is kept */
    size_t count;   /* kept from `first` on, settled ones in between included */
    size_t head;    /* where `first` is in the ring */
    size_t cap;     /* a power of two, or 0 */
    uint8_t *marks;
};

void broker_confirms_init(struct broker_confirms *confirms);
void broker_confirms_free(struct broker_confirms *confirms);

/* The number of the next message, which waits from now on. ERR_FULL or ERR_NOMEM. */
MUST_CHECK int broker_confirms_add(struct broker_confirms *confirms, uint64_t *ret_sequence);
/* Takes back the newest one, which was not sent after all. */
void broker_confirms_undo(struct broker_confirms *confirms);
/* The broker sent message `sequence` back: its ack, which follows, will mean "returned". */
void broker_confirms_returned(struct broker_confirms *confirms, uint64_t sequence);
/*
 * Takes one message off that an ack or nack of `tag` settles; call it until it says false.
 * A number that waits no longer, or never did, settles nothing.
 */
bool broker_confirms_take(struct broker_confirms *confirms, uint64_t tag, bool multiple,
                          uint64_t *ret_sequence, bool *ret_returned);

#endif
