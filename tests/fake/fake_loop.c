#include "tests/fake/fake_loop.h"

#include <check.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define FIRST_MONO_MS 1000000U
#define FIRST_WALL_MS 1800000000000
#define FIRES_MAX 1000000 /* of one run: a timer that starts itself anew for now has no end */

struct loop {
    int unused;
};

struct loop_timer {
    loop_cb cb;
    void *arg;
    uint64_t due_ms;
    uint64_t repeat_ms;
    uint64_t order; /* of starting: what is due at the same instant fires in this order */
    bool active;
    TAILQ_ENTRY(loop_timer) link;
};

struct loop_hook {
    loop_cb cb;
    void *arg;
    TAILQ_ENTRY(loop_hook) link;
};

static TAILQ_HEAD(timer_list, loop_timer) timers = TAILQ_HEAD_INITIALIZER(timers);
static TAILQ_HEAD(hook_list, loop_hook) hooks = TAILQ_HEAD_INITIALIZER(hooks);
static uint64_t now_ms = FIRST_MONO_MS;
static uint64_t started;

uint64_t clock_mono_ms(void)
{
    return now_ms;
}

uint64_t clock_mono_us(void)
{
    return now_ms * 1000;
}

int64_t clock_wall_ms(void)
{
    return FIRST_WALL_MS + (int64_t)(now_ms - FIRST_MONO_MS);
}

int64_t clock_wall_us(void)
{
    return clock_wall_ms() * 1000;
}

void fake_loop_reset(void)
{
    now_ms = FIRST_MONO_MS;
}

void fake_loop_freeze(uint64_t ms)
{
    now_ms += ms;
}

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static struct loop_timer *first_due(uint64_t until_ms)
{
    struct loop_timer *first = NULL, *timer;
    TAILQ_FOREACH(timer, &timers, link)
    if (timer->active && timer->due_ms <= until_ms && (first == NULL || before(timer, first)))
        first = timer;
    return first;
}

static void fire(struct loop_timer *timer)
{
    if (timer->due_ms > now_ms)
        now_ms = timer->due_ms;
    timer->active = timer->repeat_ms > 0;
    timer->due_ms = now_ms + timer->repeat_ms;
    timer->order = started++;
    timer->cb(timer->arg); /* may free it */
}

void fake_loop_run(uint64_t ms)
{
    uint64_t until_ms = now_ms + ms;
    struct loop_timer *timer;
    for (int fires = 0; (timer = first_due(until_ms)) != NULL; fires++) {
        ck_assert_msg(fires < FIRES_MAX, "the loop does not come to rest");
        fire(timer);
    }
    if (now_ms < until_ms)
        now_ms = until_ms;
    for (struct loop_hook *hook = TAILQ_FIRST(&hooks), *next; hook != NULL; hook = next) {
        next = TAILQ_NEXT(hook, link);
        hook->cb(hook->arg);
    }
}

size_t fake_loop_timers(void)
{
    size_t count = 0;
    const struct loop_timer *timer;
    TAILQ_FOREACH(timer, &timers, link)
    count++;
    return count;
}

size_t fake_loop_running(void)
{
    size_t count = 0;
    const struct loop_timer *timer;
    TAILQ_FOREACH(timer, &timers, link)
    count += timer->active;
    return count;
}

/* ---- loop.h ---- */

struct loop *loop_new(void)
{
    return calloc(1, sizeof(struct loop));
}

void loop_free(struct loop *loop)
{
    free(loop);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_cb cb, void *arg)
{
    (void)loop;
    struct loop_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL)
        return NULL;
    timer->cb = cb;
    timer->arg = arg;
    TAILQ_INSERT_TAIL(&timers, timer, link);
    return timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    timer->active = true;
    timer->due_ms = now_ms + delay_ms;
    timer->repeat_ms = repeat_ms;
    timer->order = started++;
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer->active = false;
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return timer->active;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    TAILQ_REMOVE(&timers, timer, link);
    free(timer);
}

struct loop_hook *loop_hook_new(struct loop *loop, loop_cb cb, void *arg)
{
    (void)loop;
    struct loop_hook *hook = calloc(1, sizeof *hook);
    if (hook == NULL)
        return NULL;
    hook->cb = cb;
    hook->arg = arg;
    TAILQ_INSERT_TAIL(&hooks, hook, link);
    return hook;
}

void loop_hook_free(struct loop_hook *hook)
{
    if (hook == NULL)
        return;
    TAILQ_REMOVE(&hooks, hook, link);
    free(hook);
}

/* As a timer for now: what is deferred by a deferred call comes behind what is due already. */
struct loop_deferred {
    struct loop_timer *timer;
};

struct loop_deferred *loop_deferred_new(struct loop *loop, loop_cb cb, void *arg)
{
    struct loop_deferred *deferred = calloc(1, sizeof *deferred);
    if (deferred != NULL)
        deferred->timer = loop_timer_new(loop, cb, arg);
    return deferred;
}

void loop_defer(struct loop_deferred *deferred)
{
    if (!loop_timer_active(deferred->timer))
        loop_timer_start(deferred->timer, 0, 0);
}

void loop_deferred_cancel(struct loop_deferred *deferred)
{
    loop_timer_stop(deferred->timer);
}

void loop_deferred_free(struct loop_deferred *deferred)
{
    if (deferred == NULL)
        return;
    loop_timer_free(deferred->timer);
    free(deferred);
}
