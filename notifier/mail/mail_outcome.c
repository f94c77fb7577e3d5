#include "notifier/mail/mail_outcome.h"

#include <stdio.h>

#include "common/base/err.h"

#define RETRY_FIRST_MS 30000
#define RETRY_MOST_MS 3600000

enum dispatch_end mail_end_of(const struct smtp_answer *answer)
{
    switch (answer->code) {
    case 0:
        return DISPATCH_SENT;
    case ERR_REFUSED:
        return answer->status >= 500 ? DISPATCH_FAILED : DISPATCH_AGAIN;
    case ERR_AUTH:
    case ERR_UNAVAILABLE:
        return DISPATCH_UNAVAILABLE;
    default:
        return DISPATCH_AGAIN;
    }
}

void mail_problem_of(const struct smtp_answer *answer, char ret_text[DISPATCH_PROBLEM_SIZE])
{
    if (answer->status >= 400)
        (void)snprintf(ret_text, DISPATCH_PROBLEM_SIZE, "%s: %u", answer->reason, answer->status);
    else
        (void)snprintf(ret_text, DISPATCH_PROBLEM_SIZE, "%s", answer->reason);
}

int64_t mail_retry_ms(int64_t attempts, uint64_t random)
{
    int64_t step = RETRY_FIRST_MS;
    for (int64_t i = 1; i < attempts && step < RETRY_MOST_MS; i++)
        step *= 2;
    if (step > RETRY_MOST_MS)
        step = RETRY_MOST_MS;
    return step / 2 + (int64_t)(random % (uint64_t)(step / 2 + 1));
}
