#include "producer/orders/line_paces.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"
#include "common/shop/line_news.h"
#include "common/shop/redis_keys.h"

#define TICK_MS 10000
#define CHANNEL_SIZE (sizeof REDIS_CHANNEL_LINE + JOB_SKU_MAX)

struct line_pace {
    char channel[CHANNEL_SIZE];
    int64_t step_ms; /* 0: not known */
    uint64_t heard_ms;
    uint64_t asked_ms;
    struct strmap_entry of_all;
};

struct line_paces {
    struct line_paces_channels channels;
    struct loop_timer *tick;
    struct strmap lines; /* by channel */
};

static struct line_pace *find(const struct line_paces *paces, const char *channel, size_t len)
{
    return STRMAP_OF(strmap_find(&paces->lines, channel, len), struct line_pace, of_all);
}

static void forget(struct line_paces *paces, struct line_pace *pace)
{
    strmap_remove(&paces->lines, &pace->of_all);
    free(pace);
}

/* NULL: there is no room for it. */
static struct line_pace *add(struct line_paces *paces, const char *channel, size_t len)
{
    if (paces->lines.count >= LINE_PACES_MAX)
        return NULL;
    struct line_pace *pace = calloc(1, sizeof *pace);
    if (pace == NULL)
        return NULL;
    (void)snprintf(pace->channel, sizeof pace->channel, "%s", channel);
    if (strmap_add(&paces->lines, &pace->of_all, pace->channel, len) < 0) {
        free(pace);
        return NULL;
    }
    if (paces->channels.listen(pace->channel, paces->channels.arg) < 0) {
        forget(paces, pace);
        return NULL;
    }
    return pace;
}

int64_t line_paces_wait_s(struct line_paces *paces, const char *sku, int64_t place)
{
    char channel[CHANNEL_SIZE];
    int len = snprintf(channel, sizeof channel, REDIS_CHANNEL_LINE "%s", sku);
    if (len < 0 || (size_t)len >= sizeof channel)
        return 0;
    uint64_t now_ms = clock_mono_ms();
    struct line_pace *pace = find(paces, channel, (size_t)len);
    if (pace == NULL)
        pace = add(paces, channel, (size_t)len);
    if (pace == NULL)
        return 0;
    pace->asked_ms = now_ms;
    int64_t wait_ms;
    if (pace->step_ms == 0 || now_ms - pace->heard_ms > LINE_PACES_OLD_MS ||
        __builtin_mul_overflow(place, pace->step_ms, &wait_ms))
        return 0;
    return wait_ms / 1000 + (wait_ms % 1000 > 0);
}

void line_paces_heard(struct line_paces *paces, const char *channel, size_t channel_len,
                      const char *message, size_t len)
{
    struct line_pace *pace = find(paces, channel, channel_len);
    struct line_news news;
    if (pace == NULL)
        return; /* it was left just now */
    if (line_news_parse(message, len, &news) < 0) {
        log_warning("message from Redis is no line", LOG_INT("bytes", len));
        return;
    }
    pace->step_ms = news.behind_ms == LINE_CLOCK_STANDS ? 0 : news.pace_ms;
    pace->heard_ms = clock_mono_ms();
}

static void tick_due(void *arg)
{
    struct line_paces *paces = arg;
    uint64_t now_ms = clock_mono_ms();
    struct strmap_entry *next;
    for (struct strmap_entry *e = strmap_next(&paces->lines, NULL); e != NULL; e = next) {
        struct line_pace *pace = STRMAP_OF(e, struct line_pace, of_all);
        next = strmap_next(&paces->lines, e);
        if (now_ms - pace->asked_ms <= LINE_PACES_KEEP_MS)
            continue;
        paces->channels.unlisten(pace->channel, paces->channels.arg);
        forget(paces, pace);
    }
}

struct line_paces *line_paces_new(struct loop *loop, const struct line_paces_channels *channels)
{
    struct line_paces *paces = calloc(1, sizeof *paces);
    if (paces == NULL)
        return NULL;
    paces->channels = *channels;
    paces->tick = loop_timer_new(loop, tick_due, paces);
    if (paces->tick == NULL) {
        free(paces);
        return NULL;
    }
    loop_timer_start(paces->tick, TICK_MS, TICK_MS);
    return paces;
}

void line_paces_free(struct line_paces *paces)
{
    if (paces == NULL)
        return;
    struct strmap_entry *next;
    for (struct strmap_entry *e = strmap_next(&paces->lines, NULL); e != NULL; e = next) {
        next = strmap_next(&paces->lines, e);
        forget(paces, STRMAP_OF(e, struct line_pace, of_all));
    }
    strmap_free(&paces->lines);
    loop_timer_free(paces->tick);
    free(paces);
}
