/* What became of the gateway's events, where somebody can see it: metrics, one line of log in a
 * while, and for doctor a row in the database. Anybody can send events that are refused, so none of
 * this grows with them. */
#ifndef PRODUCER_WEBHOOK_RECORD_H
#define PRODUCER_WEBHOOK_RECORD_H

#include "common/base/attrs.h"
#include "producer/api.h"

enum webhook_end {
    WEBHOOK_TAKEN,
    WEBHOOK_UNSIGNED, /* its signature is missing or wrong */
    WEBHOOK_TOO_OLD,  /* ... or made at another time than now */
    WEBHOOK_UNREADABLE,
    WEBHOOK_OTHER_MODE, /* of test payments at a shop that sells, or the other way round */
    WEBHOOK_ENDS
};

struct webhook_record;

/* NULL: no memory. `api` outlives it. */
struct webhook_record *webhook_record_new(struct api *api);
void webhook_record_free(struct webhook_record *record); /* NULL is allowed */
void webhook_record_add(struct webhook_record *record, enum webhook_end end);

#endif
