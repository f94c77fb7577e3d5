#include "consumer/money/attempt_memory.h"

void attempt_memory_sent(struct attempt_memory *memory, enum attempt_verb verb, int64_t now_ms)
{
    if (verb != ATTEMPT_CHARGE && verb != ATTEMPT_REFUND)
        return;
    memory->may_run = true;
    memory->sent_ms = now_ms;
}

/* The gateway keeps the first result of a key, and repeats it: nothing runs any more, and asking
 * again tells nothing new. An error of its own that comes twice alike is kept, also where it does
 * not say so; another refusal only if it says so, twice. */
static bool is_kept(const struct attempt_memory *memory, enum attempt_verb verb,
                    const struct pay_answer *answer)
{
    if ((verb != ATTEMPT_CHARGE && verb != ATTEMPT_REFUND) || !answer->of_the_api ||
        answer->outcome == PAY_BUSY)
        return false;
    bool alike = answer->http_status == memory->status;
    return answer->http_status >= 500 ? alike || answer->replayed : alike && answer->replayed;
}

static enum attempt_event unclear_or_kept(struct attempt_memory *memory, enum attempt_verb verb,
                                          const struct pay_answer *answer)
{
    bool kept = is_kept(memory, verb, answer);
    memory->status = answer->of_the_api ? answer->http_status : 0;
    return kept ? ATTEMPT_ON_KEPT : ATTEMPT_ON_UNCLEAR;
}

/* An answer may be wrong once: the same again counts. */
static enum attempt_event other_sum(struct attempt_memory *memory, enum attempt_verb verb)
{
    bool charge = verb != ATTEMPT_REFUND && verb != ATTEMPT_FIND_REFUND;
    memory->other_sums++;
    return charge && memory->other_sums < 2 ? ATTEMPT_ON_UNCLEAR : ATTEMPT_ON_OTHER_SUM;
}

static enum attempt_event no_refund(const struct attempt_memory *memory)
{
    if (memory->returned) /* by whom, the list does not tell */
        return ATTEMPT_ON_SUCCEEDED;
    if (memory->pending)
        return ATTEMPT_ON_FAILED;
    return memory->refused_now ? ATTEMPT_ON_NONE_NOW : ATTEMPT_ON_NONE;
}

static enum attempt_event event_of(struct attempt_memory *memory, enum attempt_verb verb,
                                   const struct pay_answer *answer, int64_t number,
                                   enum task_resolution word)
{
    switch (answer->outcome) {
    case PAY_SUCCEEDED:
        return ATTEMPT_ON_SUCCEEDED;
    case PAY_DECLINED:
        return ATTEMPT_ON_DECLINED;
    case PAY_CANCELLED:
        return ATTEMPT_ON_CANCELLED;
    case PAY_ACTION:
        return answer->action[0] == '\0' || word != TASK_UNRESOLVED ? ATTEMPT_ON_ACTION_VOID
                                                                    : ATTEMPT_ON_ACTION;
    case PAY_PENDING:
        memory->pending = true;
        return ATTEMPT_ON_PENDING;
    case PAY_OTHER_SUM:
        return other_sum(memory, verb);
    case PAY_REFUSED:
        memory->refused = verb == ATTEMPT_CHARGE;
        return verb == ATTEMPT_CHARGE && number > 1 ? ATTEMPT_ON_REFUSED_AGAIN : ATTEMPT_ON_REFUSED;
    case PAY_REFUSED_NOW:
        memory->refused_now = true;
        return ATTEMPT_ON_REFUSED_NOW;
    case PAY_KEY_USED:
        return ATTEMPT_ON_KEY_USED;
    case PAY_FAILED:
        return ATTEMPT_ON_FAILED;
    case PAY_ALREADY:
        memory->returned = true;
        return ATTEMPT_ON_ALREADY;
    case PAY_NOT_FOUND:
        return no_refund(memory);
    case PAY_UNAUTHORIZED:
    case PAY_FORBIDDEN:
    case PAY_BUSY:
    case PAY_ERROR:
    case PAY_UNKNOWN:
    case PAY_OUTCOMES:
        break;
    }
    return unclear_or_kept(memory, verb, answer);
}

enum attempt_event attempt_memory_answer(struct attempt_memory *memory, enum attempt_verb verb,
                                         const struct pay_answer *answer, int64_t number,
                                         enum task_resolution word, int64_t limit_ms,
                                         int64_t now_ms)
{
    memory->refused = false;
    if (answer->outcome != PAY_OTHER_SUM)
        memory->other_sums = 0;
    enum attempt_event event = event_of(memory, verb, answer, number, word);
    bool ended = event == ATTEMPT_ON_KEPT || event == ATTEMPT_ON_REFUSED_AGAIN ||
                 event == ATTEMPT_ON_REFUSED_NOW;
    if (ended) {
        memory->may_run = false;
        memory->ended_ms = now_ms;
    }
    bool nothing = event == ATTEMPT_ON_NONE || event == ATTEMPT_ON_NONE_NOW;
    if (nothing && now_ms < attempt_memory_list_tells_ms(memory, limit_ms))
        return ATTEMPT_ON_UNCLEAR; /* what was sent may still be executed */
    return event;
}

int64_t attempt_memory_list_tells_ms(const struct attempt_memory *memory, int64_t limit_ms)
{
    return memory->may_run ? memory->sent_ms + limit_ms : memory->ended_ms + ATTEMPT_LIST_LATE_MS;
}

enum attempt_event attempt_memory_not_found(const struct attempt_memory *memory, bool tells,
                                            int64_t number, enum task_resolution word,
                                            bool order_over)
{
    if (word == TASK_CAPTURED)
        return ATTEMPT_ON_NOT_FOUND_CAPTURED;
    if (word == TASK_NOT_CAPTURED || word == TASK_RELEASE)
        return ATTEMPT_ON_NOT_FOUND_LAST;
    if (memory->other_sums > 0)
        return ATTEMPT_ON_LIST_CONTRADICTS;
    if (!tells)
        return ATTEMPT_ON_LIST_UNCLEAR;
    return memory->refused || number >= ATTEMPT_MOST || order_over ? ATTEMPT_ON_NOT_FOUND_LAST
                                                                   : ATTEMPT_ON_NOT_FOUND;
}
