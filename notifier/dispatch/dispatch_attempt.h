/* One attempt to tell somebody something, from the claim of its row to its record: the part that
 * all transports share. */
#ifndef NOTIFIER_DISPATCH_DISPATCH_ATTEMPT_H
#define NOTIFIER_DISPATCH_DISPATCH_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/service/spans.h"

#define DISPATCH_PROBLEM_SIZE 200

enum dispatch_end {
    DISPATCH_SENT,
    DISPATCH_AGAIN,       /* later: the other side does not take it now, or its answer was lost */
    DISPATCH_FAILED,      /* for ever */
    DISPATCH_UNAVAILABLE, /* the other side was not reached at all */
    DISPATCH_ENDS
};

/* The first member of a transport's own attempt. */
struct dispatch_attempt {
    TAILQ_ENTRY(dispatch_attempt) link;
    struct dispatcher *dispatcher;
    int64_t id;     /* of its row */
    int64_t number; /* of the attempt, from 1 */
    uint64_t began_ms;
    bool ended;     /* the following is to be recorded */
    bool recording; /* and is on its way */
    enum dispatch_end end;
    int64_t retry_ms; /* unless it was sent or failed */
    char problem[DISPATCH_PROBLEM_SIZE];
    const char *order_id;         /* the attempt's own text */
    char traceparent[TRACE_SIZE]; /* of its order, or of its span; "": none */
    struct span_mark span;
};

/* The word in metrics. */
const char *dispatch_end_word(enum dispatch_end end);
/* The state of its row from then on: sent, failed, or due. */
const char *dispatch_state_word(enum dispatch_end end);
/* Ends it. One that would be tried again in retry_ms, more than give_up_ms after it was first due
 * (age_ms ago), fails instead. */
void dispatch_attempt_end(struct dispatch_attempt *attempt, enum dispatch_end end, int64_t retry_ms,
                          int64_t age_ms, int64_t give_up_ms);

#endif
