#include "notifier/mail/mail_outcome.h"

#include <stdio.h>
#include <string.h>

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

bool mail_server_busy(const struct smtp_answer *answer)
{
    if (answer->status < 400 || answer->status >= 500)
        return false;
    return !answer->offered || answer->status == 421 || answer->status == 432 ||
           answer->status == 454 || strncmp(answer->detail, "4.3.", 4) == 0 ||
           strncmp(answer->detail, "4.4.", 4) == 0;
}

bool mail_refused_by_policy(const struct smtp_answer *answer)
{
    return answer->code == ERR_REFUSED && strncmp(answer->detail, "5.7.", 4) == 0;
}

void mail_problem_of(const struct smtp_answer *answer, char ret_text[DISPATCH_PROBLEM_SIZE])
{
    if (answer->status >= 400)
        (void)snprintf(ret_text, DISPATCH_PROBLEM_SIZE, "%s: %u%s%s", answer->reason,
                       answer->status, answer->detail[0] == '\0' ? "" : " ", answer->detail);
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
