#include "notifier/dispatch/dispatch_attempt.h"

const char *dispatch_end_word(enum dispatch_end end)
{
    static const char *const words[DISPATCH_ENDS] = {"sent", "again", "failed", "unavailable"};
    return words[end];
}

const char *dispatch_state_word(enum dispatch_end end)
{
    static const char *const words[DISPATCH_ENDS] = {"sent", "due", "failed", "due"};
    return words[end];
}

void dispatch_attempt_end(struct dispatch_attempt *attempt, enum dispatch_end end, int64_t retry_ms,
                          int64_t age_ms, int64_t give_up_ms)
{
    attempt->ended = true;
    attempt->end = end;
    if (end != DISPATCH_AGAIN && end != DISPATCH_UNAVAILABLE)
        return;
    attempt->retry_ms = retry_ms;
    if (age_ms + retry_ms > give_up_ms)
        attempt->end = DISPATCH_FAILED;
}
