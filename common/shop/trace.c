#include "common/shop/trace.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/encode.h"

#define VERSION_LEN 2
#define FLAGS_AT 53
#define SAMPLED 1

/* https://www.w3.org/TR/trace-context/, "Versioning of traceparent": a later one begins like 00, a
 * "-" ends what 00 knows, and of its flags only `sampled` is known. */
static bool read_later(const char *header, size_t len, char trace[TRACE_SIZE])
{
    if (!hex_valid(header, VERSION_LEN) || memcmp(header, "00", VERSION_LEN) == 0 ||
        memcmp(header, "ff", VERSION_LEN) == 0 ||
        (len > JOB_TRACEPARENT_MAX && header[JOB_TRACEPARENT_MAX] != '-'))
        return false;
    memcpy(trace, header, JOB_TRACEPARENT_MAX);
    memcpy(trace, "00", VERSION_LEN);
    trace[JOB_TRACEPARENT_MAX] = '\0';
    if (!job_traceparent_valid(trace, JOB_TRACEPARENT_MAX))
        return false;
    bool sampled = (hex_byte(header + FLAGS_AT) & SAMPLED) != 0;
    memcpy(trace + FLAGS_AT, sampled ? "01" : "00", 2);
    return true;
}

bool trace_read(const char *header, char ret_traceparent[TRACE_SIZE])
{
    char trace[TRACE_SIZE];
    size_t len = strlen(header);
    if (job_traceparent_valid(header, len)) {
        memcpy(ret_traceparent, header, TRACE_SIZE);
        return true;
    }
    if (len < JOB_TRACEPARENT_MAX || !read_later(header, len, trace))
        return false;
    memcpy(ret_traceparent, trace, TRACE_SIZE);
    return true;
}

bool trace_new(char ret_traceparent[TRACE_SIZE])
{
    uint8_t ids[16 + 8];
    char text[2 * sizeof ids + 1];
    if (getrandom(ids, sizeof ids, 0) != (ssize_t)sizeof ids)
        return false;
    ids[0] |= 1; /* an id of zeros is none */
    ids[16] |= 1;
    hex_encode(ids, sizeof ids, text);
    (void)snprintf(ret_traceparent, TRACE_SIZE, "00-%.32s-%.16s-00", text, text + 32);
    return true;
}
