#include <string.h>

#include "common/service/cfg_impl.h"

/*
 * What Kubernetes puts into every container for each Service of the namespace: of one called
 * checkout-producer, CHECKOUT_PRODUCER_SERVICE_HOST, …_SERVICE_PORT, …_SERVICE_PORT_<name>, …_PORT,
 * …_PORT_<number>_TCP, and of the last one …_ADDR, …_PORT, …_PROTO.
 */

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len >= end_len && memcmp(name + len - end_len, end, end_len) == 0;
}

static bool holds(const char *name, size_t len, const char *part)
{
    return memmem(name, len, part, strlen(part)) != NULL;
}

static bool is_address(const char *value)
{
    return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0 ||
           strncmp(value, "sctp://", 7) == 0;
}

/* …_PORT_<number>_TCP with what may follow: the name from its last _PORT_ and a digit on. */
static bool is_numbered_port(const char *name, size_t len)
{
    static const char *const protocols[] = {"_TCP", "_UDP", "_SCTP"};
    static const char *const details[] = {"", "_ADDR", "_PORT", "_PROTO"};
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        size_t kept = len - strlen(details[i]);
        if (!ends_with(name, len, details[i]))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(protocols); k++) {
            if (!ends_with(name, kept, protocols[k]))
                continue;
            size_t end = kept - strlen(protocols[k]);
            size_t digits = end;
            while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
                digits--;
            if (digits < end && ends_with(name, digits, "_PORT_"))
                return true;
        }
    }
    return false;
}

bool cfg_is_service_link(const char *entry)
{
    size_t len = strcspn(entry, "=");
    const char *value = entry + len + (entry[len] == '=');
    return ends_with(entry, len, "_SERVICE_HOST") || ends_with(entry, len, "_SERVICE_PORT") ||
           holds(entry, len, "_SERVICE_PORT_") || is_numbered_port(entry, len) ||
           (ends_with(entry, len, "_PORT") && is_address(value));
}
