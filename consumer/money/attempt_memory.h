/*
 * What an attempt remembers of its answers, and which event of the machine (attempt.h) the next one
 * is. Pure.
 */
#ifndef CONSUMER_MONEY_ATTEMPT_MEMORY_H
#define CONSUMER_MONEY_ATTEMPT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/pay/pay.h"
#include "consumer/money/attempt.h"
#include "consumer/task.h"

/* A list may be late by so much: what has just been executed may not be in it. */
#define ATTEMPT_LIST_LATE_MS 5000
#define ATTEMPT_MOST 3 /* attempts of an order */

struct attempt_memory {  /* zeroed at first */
    unsigned status;     /* of the newest answer if that was an error of the API itself */
    unsigned other_sums; /* answers in a row that say that another sum was taken */
    bool refused;        /* the newest is a definite refusal */
    bool pending;        /* a refund: the gateway has taken it up */
    bool returned;       /* ... it says that nothing is left to give back */
    bool refused_now;    /* ... it is refused for now */
    bool may_run;     /* a call under its key may still be executed, begun at `sent_ms` or before */
    int64_t sent_ms;  /* the newest such call */
    int64_t ended_ms; /* when it was known that nothing runs */
};

/* A call under its idempotency key leaves. */
void attempt_memory_sent(struct attempt_memory *memory, enum attempt_verb verb, int64_t now_ms);
/* An answer has come. `number`: of the attempt; `word`: what a person says of it; `limit_ms`:
 * within which the gateway ends what it executes. */
enum attempt_event attempt_memory_answer(struct attempt_memory *memory, enum attempt_verb verb,
                                         const struct pay_answer *answer, int64_t number,
                                         enum task_resolution word, int64_t limit_ms,
                                         int64_t now_ms);

/* From when on a list that does not show it tells that nothing came of it. */
int64_t attempt_memory_list_tells_ms(const struct attempt_memory *memory, int64_t limit_ms);

/* The list does not show it. `tells`: it was read late enough; `order_over`: the order's time is.
 */
enum attempt_event attempt_memory_not_found(const struct attempt_memory *memory, bool tells,
                                            int64_t number, enum task_resolution word,
                                            bool order_over);

#endif
