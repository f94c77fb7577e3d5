#include "producer/admission/redis_info.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"

#define NEVER_FOLLOWED "0000000000000000000000000000000000000000"

struct text {
    const char *at;
    size_t len;
};

/* What stands behind `name` at the begin of a line, up to the line's end. False: no such line. */
static bool find(struct text info, const char *name, struct text *ret_value)
{
    size_t name_len = strlen(name);
    const char *at = memmem(info.at, info.len, name, name_len);
    if (at == NULL)
        return false;
    at += name_len;
    size_t left = info.len - (size_t)(at - info.at);
    const char *end = memchr(at, '\r', left);
    *ret_value = (struct text){at, end == NULL ? left : (size_t)(end - at)};
    return true;
}

static bool read_number(struct text info, const char *name, uint64_t *ret_number)
{
    struct text value;
    int64_t number;
    if (!find(info, name, &value))
        return false;
    const char *comma = memchr(value.at, ',', value.len); /* calls=1,usec=… */
    size_t len = comma == NULL ? value.len : (size_t)(comma - value.at);
    if (parse_intn(value.at, len, 0, INT64_MAX / 1000, &number) < 0)
        return false;
    *ret_number = (uint64_t)number;
    return true;
}

static bool read_id(struct text info, const char *name, char ret_id[REDIS_INFO_ID_SIZE])
{
    struct text value;
    if (!find(info, name, &value) || value.len == 0 || value.len >= REDIS_INFO_ID_SIZE)
        return false;
    memcpy(ret_id, value.at, value.len);
    ret_id[value.len] = '\0';
    return true;
}

/* A command that was never called has no line. */
static bool read_calls(struct text info, struct redis_info *i)
{
    static const char *const names[REDIS_INFO_LOSSES] = {
        [REDIS_INFO_FLUSHALL] = "\ncmdstat_flushall:calls=",
        [REDIS_INFO_FLUSHDB] = "\ncmdstat_flushdb:calls=",
        [REDIS_INFO_SWAPDB] = "\ncmdstat_swapdb:calls=",
        [REDIS_INFO_DEBUG] = "\ncmdstat_debug:calls=",
        [REDIS_INFO_RESET] = "\ncmdstat_config|resetstat:calls=", /* from Redis 7.0 on */
    };
    for (size_t n = 0; n < REDIS_INFO_LOSSES; n++) {
        struct text value;
        if (names[n] != NULL && find(info, names[n], &value) &&
            !read_number(info, names[n], &i->numbers[n]))
            return false;
    }
    return true;
}

int redis_info_read(const char *text, size_t len, struct redis_info *ret_info)
{
    struct text info = {text, len};
    struct text role;
    struct text commands;
    struct redis_info i = {.up_ms = 0};
    if (!read_id(info, "\nrun_id:", i.run_id) ||
        !read_number(info, "\nuptime_in_seconds:", &i.up_ms) || !find(info, "\nrole:", &role) ||
        !read_id(info, "\nmaster_replid2:", i.followed) ||
        !read_number(info, "\nevicted_keys:", &i.numbers[REDIS_INFO_EVICTED]) ||
        !find(info, "\n# Commandstats", &commands) || !read_calls(info, &i))
        return ERR_PARSE;
    i.up_ms *= 1000;
    i.replica = role.len != 6 || memcmp(role.at, "master", 6) != 0;
    if (strcmp(i.followed, NEVER_FOLLOWED) == 0)
        i.followed[0] = '\0';
    *ret_info = i;
    return 0;
}

const char *redis_info_loss_name(enum redis_info_loss loss)
{
    static const char *const names[REDIS_INFO_LOSSES] = {
        [REDIS_INFO_EVICTED] = "evicted", [REDIS_INFO_FLUSHALL] = "flushall",
        [REDIS_INFO_FLUSHDB] = "flushdb", [REDIS_INFO_SWAPDB] = "swapdb",
        [REDIS_INFO_DEBUG] = "debug",     [REDIS_INFO_RESET] = "config resetstat",
    };
    return names[loss];
}
