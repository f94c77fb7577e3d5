#include "common/shop/trace.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/encode.h"
#include "common/shop/ids.h"

#define VERSION_LEN 2
#define TRACE_AT 3
#define SPAN_AT 36
#define FLAGS_AT 53
#define SAMPLED 1
#define MAC_AT 24 /* of an order's id */
#define MILLION 1000000

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

/* An id of zeros is none. */
static bool random_id(uint8_t *ret_id, size_t bytes)
{
    if (getrandom(ret_id, bytes, 0) != (ssize_t)bytes)
        return false;
    ret_id[0] |= 1;
    return true;
}

bool trace_span_new(uint8_t ret_span[TRACE_SPAN_BYTES])
{
    return random_id(ret_span, TRACE_SPAN_BYTES);
}

bool trace_ids_new(struct trace_ids *ret_ids)
{
    return random_id(ret_ids->trace, TRACE_ID_BYTES) && trace_span_new(ret_ids->span);
}

static void write_ids(const struct trace_ids *ids, const char *flags,
                      char ret_traceparent[TRACE_SIZE])
{
    char trace[HEX_SIZE(TRACE_ID_BYTES)];
    char span[HEX_SIZE(TRACE_SPAN_BYTES)];
    hex_encode(ids->trace, sizeof ids->trace, trace);
    hex_encode(ids->span, sizeof ids->span, span);
    (void)snprintf(ret_traceparent, TRACE_SIZE, "00-%s-%s-%s", trace, span, flags);
}

void trace_ids_write(const struct trace_ids *ids, char ret_traceparent[TRACE_SIZE])
{
    write_ids(ids, "01", ret_traceparent);
}

bool trace_new(char ret_traceparent[TRACE_SIZE])
{
    struct trace_ids ids;
    if (!trace_ids_new(&ids))
        return false;
    write_ids(&ids, "00", ret_traceparent);
    return true;
}

static void read_bytes(const char *digits, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ret_bytes[i] = (uint8_t)hex_byte(digits + 2 * i);
}

bool trace_ids_of(const char *traceparent, struct trace_ids *ret_ids)
{
    if (!job_traceparent_valid(traceparent, strlen(traceparent)))
        return false;
    read_bytes(traceparent + TRACE_AT, ret_ids->trace, TRACE_ID_BYTES);
    read_bytes(traceparent + SPAN_AT, ret_ids->span, TRACE_SPAN_BYTES);
    return true;
}

bool trace_samples(const char *order_id, uint32_t millionths)
{
    uint8_t mac[4];
    if (strlen(order_id) != IDS_ORDER_SIZE - 1 || !hex_valid(order_id + MAC_AT, 2 * sizeof mac))
        return false;
    read_bytes(order_id + MAC_AT, mac, sizeof mac);
    uint64_t number =
        (uint64_t)mac[0] << 24 | (uint64_t)mac[1] << 16 | (uint64_t)mac[2] << 8 | (uint64_t)mac[3];
    return (number * MILLION) >> 32 < millionths;
}
