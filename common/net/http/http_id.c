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

/* Ids of ours need not be secret, only different: a random start for each process, and a count. */
static void make(char ret_id[HTTP_ID_SIZE])
{
    static uint64_t process;
    static uint64_t count;
    if (process == 0 && getrandom(&process, sizeof process, 0) != (ssize_t)sizeof process)
        process = clock_mono_ms();
    (void)snprintf(ret_id, HTTP_ID_SIZE, "%016" PRIx64 "-%" PRIx64, process, ++count);
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
