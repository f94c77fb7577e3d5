#include "notifier/hooks/hook_outcome.h"

#include <stdio.h>

#include "common/base/attrs.h"

#define OVERLOADED_MS 5000

enum dispatch_end hook_end_of(const struct curl_response *response)
{
    if (response->code == 0)
        return response->status / 100 == 2 ? DISPATCH_SENT : DISPATCH_AGAIN;
    return response->connected ? DISPATCH_AGAIN : DISPATCH_UNAVAILABLE;
}

void hook_problem_of(const struct curl_response *response, char ret_text[DISPATCH_PROBLEM_SIZE])
{
    if (response->code == 0)
        (void)snprintf(ret_text, DISPATCH_PROBLEM_SIZE, "answered %u", response->status);
    else
        (void)snprintf(ret_text, DISPATCH_PROBLEM_SIZE, "%s", response->reason);
}

int64_t hook_hold_ms(const struct curl_response *response)
{
    if (response->code != 0)
        return 0;
    if (response->retry_after_s > 0)
        return (int64_t)response->retry_after_s * 1000;
    return response->status == 429 || response->status == 502 || response->status == 504
               ? OVERLOADED_MS
               : 0;
}

int64_t hook_retry_ms(int64_t tries, uint64_t random)
{
    static const int64_t steps_s[] = {5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
    size_t last = ARRAY_LEN(steps_s) - 1;
    size_t at = tries < 1 ? 0 : (size_t)(tries - 1);
    int64_t half = steps_s[at < last ? at : last] * 500;
    return half + (int64_t)(random % (uint64_t)(half + 1));
}

void hook_answer_of(const char *body, size_t len, char ret_text[HOOK_ANSWER_SIZE])
{
    size_t i;
    for (i = 0; i < len && i < HOOK_ANSWER_SIZE - 1; i++) {
        ret_text[i] = '?';
        if (body[i] >= ' ' && body[i] <= '~')
            ret_text[i] = body[i];
    }
    ret_text[i] = '\0';
}
