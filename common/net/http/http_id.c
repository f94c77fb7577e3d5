/* The id of a request, under which its answer and its log lines can be found again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/net/http/http_impl.h"

static bool sane(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return len > 0 && len < HTTP_ID_SIZE && id[len] == '\0';
}

/* Ids of ours need not be secret, only different: a random word of the process, and a count. Made
 * for each order, so without printf. */
static void make(char ret_id[HTTP_ID_SIZE])
{
    static char word[2 * sizeof(uint64_t) + 1];
    static uint64_t count;
    char digits[24];
    size_t at = sizeof digits;
    if (word[0] == '\0') {
        uint64_t number = 0;
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            number = clock_mono_ms();
        (void)snprintf(word, sizeof word, "%016" PRIx64, number);
    }
    digits[--at] = '\0';
    for (uint64_t rest = ++count; rest > 0; rest /= 10)
        digits[--at] = (char)('0' + rest % 10);
    digits[--at] = '-';
    memcpy(ret_id, word, sizeof word - 1);
    memcpy(ret_id + sizeof word - 1, digits + at, sizeof digits - at);
}

const char *http_request_id(struct http_request *request)
{
    if (request->id[0] != '\0')
        return request->id;
    const char *given = http_request_header(request, HTTP_ID_HEADER);
    if (given != NULL && sane(given))
        memcpy(request->id, given, strlen(given) + 1);
    else
        make(request->id);
    return request->id;
}
