#include "producer/admission/redis_vouch.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define ASK_EACH_MS 10000
#define RUN_ID_SIZE 41

/* A question under way; its answer frees it. */
struct inquiry {
    struct redis_vouch *vouch; /* NULL: gone, or the connection has ended since */
};

struct redis_vouch {
    struct redis *redis;
    uint64_t after_ms;
    struct loop_timer *again;
    struct inquiry *under_way;
    bool known;               /* the process that is connected has answered */
    uint64_t heard_ms;        /* when that was */
    uint64_t up_ms;           /* and how long it had been up then */
    char run_id[RUN_ID_SIZE]; /* of that process */
};

/* The value of `name:` in an INFO text, up to its line's end; NULL: it is not there. */
static const char *info_value(const char *text, size_t len, const char *name, size_t *ret_len)
{
    const char *at = memmem(text, len, name, strlen(name));
    if (at == NULL)
        return NULL;
    at += strlen(name);
    size_t left = len - (size_t)(at - text);
    const char *end = memchr(at, '\r', left);
    *ret_len = end == NULL ? left : (size_t)(end - at);
    return at;
}

static bool read_uptime(const struct redis_reply *reply, uint64_t *ret_ms)
{
    char digits[20];
    size_t len;
    int64_t seconds;
    const char *value = info_value(reply->str, reply->len, "\nuptime_in_seconds:", &len);
    if (value == NULL || len >= sizeof digits)
        return false;
    memcpy(digits, value, len);
    digits[len] = '\0';
    if (parse_digits(digits, &seconds) == 0 || seconds > INT64_MAX / 1000)
        return false;
    *ret_ms = (uint64_t)seconds * 1000;
    return true;
}

static void read_run_id(const struct redis_reply *reply, char ret_id[RUN_ID_SIZE])
{
    size_t len;
    const char *value = info_value(reply->str, reply->len, "\nrun_id:", &len);
    if (value == NULL || len >= RUN_ID_SIZE)
        len = 0;
    if (len > 0)
        memcpy(ret_id, value, len);
    ret_id[len] = '\0';
}

/* Another process behind the same connection (a proxy's) is known by its id. */
static void heard(struct redis_vouch *vouch, const struct redis_reply *reply)
{
    char run_id[RUN_ID_SIZE];
    vouch->known = reply->type == REDIS_STRING && read_uptime(reply, &vouch->up_ms);
    if (!vouch->known)
        return;
    vouch->heard_ms = clock_mono_ms();
    read_run_id(reply, run_id);
    if (strcmp(run_id, vouch->run_id) == 0)
        return;
    memcpy(vouch->run_id, run_id, sizeof run_id);
    if (!redis_vouches(vouch))
        log_info("Redis is young: PostgreSQL is asked about each order until Redis vouches",
                 LOG_INT("up_s", (int64_t)(vouch->up_ms / 1000)),
                 LOG_INT("vouches_after_s", (int64_t)(vouch->after_ms / 1000)));
}

static void answered(const struct redis_reply *reply, void *arg)
{
    struct inquiry *inquiry = arg;
    struct redis_vouch *vouch = inquiry->vouch;
    if (vouch != NULL) {
        vouch->under_way = NULL;
        heard(vouch, reply);
    }
    free(inquiry);
}

static void inquire(void *arg)
{
    static const char *const argv[] = {"INFO", "server"};
    static const size_t len[] = {4, 6};
    struct redis_vouch *vouch = arg;
    if (vouch->under_way != NULL)
        return;
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);
    if (inquiry == NULL)
        return; /* the next turn of the timer asks again */
    inquiry->vouch = vouch;
    vouch->under_way = inquiry;
    if (redis_command(vouch->redis, 2, argv, len, answered, inquiry) < 0) {
        vouch->under_way = NULL;
        free(inquiry);
    }
}

static void drop_inquiry(struct redis_vouch *vouch)
{
    if (vouch->under_way != NULL)
        vouch->under_way->vouch = NULL;
    vouch->under_way = NULL;
}

void redis_vouch_connected(struct redis_vouch *vouch, bool up)
{
    vouch->known = false;
    drop_inquiry(vouch);
    if (!up) {
        loop_timer_stop(vouch->again);
        return;
    }
    loop_timer_start(vouch->again, ASK_EACH_MS, ASK_EACH_MS);
    inquire(vouch);
}

/* An answer too many that does not come is not waited for: the age may be another process' now. */
bool redis_vouches(const struct redis_vouch *vouch)
{
    uint64_t since_ms = clock_mono_ms() - vouch->heard_ms;
    return vouch->known && since_ms < 3 * (uint64_t)ASK_EACH_MS &&
           vouch->up_ms + since_ms >= vouch->after_ms;
}

struct redis_vouch *redis_vouch_new(struct loop *loop, struct redis *redis, uint64_t after_ms)
{
    struct redis_vouch *vouch = calloc(1, sizeof *vouch);
    if (vouch == NULL)
        return NULL;
    vouch->redis = redis;
    vouch->after_ms = after_ms;
    vouch->again = loop_timer_new(loop, inquire, vouch);
    if (vouch->again == NULL) {
        redis_vouch_free(vouch);
        return NULL;
    }
    return vouch;
}

void redis_vouch_free(struct redis_vouch *vouch)
{
    if (vouch == NULL)
        return;
    drop_inquiry(vouch);
    loop_timer_free(vouch->again);
    free(vouch);
}
