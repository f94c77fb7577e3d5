#include "producer/admission/redis_vouch.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "producer/admission/redis_info.h"

#define ASK_EACH_MS 1000
#define SILENT_MS 3000 /* then its process may be another one by now */
#define LOG_EACH_MS 60000

/* A question under way; its answer frees it. */
struct inquiry {
    struct redis_vouch *vouch; /* NULL: gone, or the connection has ended since */
};

struct redis_vouch {
    struct redis *redis;
    uint64_t after_ms;
    struct metric *vouching;
    struct loop_timer *again;
    struct inquiry *under_way;
    bool known;             /* the process that is connected has answered */
    uint64_t heard_ms;      /* when that was */
    struct redis_info info; /* its answer; kept without a connection; run_id "": none yet */
    bool lost;              /* keys, as far as anybody knows */
    uint64_t lost_ms;       /* when that was seen last */
    uint64_t logged_ms;     /* 0: never */
};

/* How `now` shows that keys were lost since `before`; NULL: it does not. */
static const char *loss(const struct redis_info *before, const struct redis_info *now)
{
    static const struct redis_info fresh;
    bool same = strcmp(before->run_id, now->run_id) == 0;
    const struct redis_info *base = same ? before : &fresh;
    if (!same && before->run_id[0] != '\0')
        return "another process";
    if (now->replica)
        return "replica";
    if (now->followed[0] != '\0' && strcmp(now->followed, base->followed) != 0)
        return "was a replica";
    for (int n = 0; n < REDIS_INFO_LOSSES; n++)
        if (now->numbers[n] != base->numbers[n])
            return redis_info_loss_name((enum redis_info_loss)n);
    return NULL;
}

static void tell(struct redis_vouch *vouch, const char *why)
{
    if (!redis_vouches(vouch) && log_due(&vouch->logged_ms, LOG_EACH_MS))
        log_info("Redis may have lost keys: PostgreSQL is asked about each order until Redis "
                 "vouches",
                 LOG_STR("why", why), LOG_INT("up_s", (int64_t)(vouch->info.up_ms / 1000)),
                 LOG_INT("vouches_after_s", (int64_t)(vouch->after_ms / 1000)));
}

static void heard(struct redis_vouch *vouch, const struct redis_reply *reply)
{
    struct redis_info now;
    vouch->known =
        reply->type == REDIS_STRING && redis_info_read(reply->str, reply->len, &now) == 0;
    if (!vouch->known)
        return;
    bool first = vouch->info.run_id[0] == '\0';
    const char *why = loss(&vouch->info, &now);
    vouch->heard_ms = clock_mono_ms();
    vouch->info = now;
    if (why != NULL) {
        vouch->lost = true;
        vouch->lost_ms = vouch->heard_ms;
        tell(vouch, why);
    } else if (first) {
        tell(vouch, "young");
    }
}

static void answered(const struct redis_reply *reply, void *arg)
{
    struct inquiry *inquiry = arg;
    struct redis_vouch *vouch = inquiry->vouch;
    if (vouch != NULL) {
        vouch->under_way = NULL;
        heard(vouch, reply);
        metric_set(vouch->vouching, redis_vouches(vouch));
    }
    free(inquiry);
}

static void inquire(void *arg)
{
    static const char *const argv[] = {"INFO", "ALL"};
    static const size_t len[] = {4, 3};
    struct redis_vouch *vouch = arg;
    metric_set(vouch->vouching, redis_vouches(vouch));
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
    metric_set(vouch->vouching, 0);
    if (!up) {
        loop_timer_stop(vouch->again);
        return;
    }
    loop_timer_start(vouch->again, ASK_EACH_MS, ASK_EACH_MS);
    inquire(vouch);
}

bool redis_vouches(const struct redis_vouch *vouch)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t since_ms = now_ms - vouch->heard_ms;
    return vouch->known && since_ms < SILENT_MS && !vouch->info.replica &&
           vouch->info.up_ms + since_ms >= vouch->after_ms &&
           (!vouch->lost || now_ms - vouch->lost_ms >= vouch->after_ms);
}

struct redis_vouch *redis_vouch_new(struct loop *loop, struct redis *redis, uint64_t after_ms,
                                    struct metric *vouching)
{
    struct redis_vouch *vouch = calloc(1, sizeof *vouch);
    if (vouch == NULL)
        return NULL;
    vouch->redis = redis;
    vouch->after_ms = after_ms;
    vouch->vouching = vouching;
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
