#include "common/base/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <uv.h>

#include "common/base/err.h"

#define CALLS_END_MS 200 /* loop_free waits so long for calls in the background */

TAILQ_HEAD(deferred_list, loop_deferred);

struct loop {
    uv_loop_t uv;
    uv_prepare_t turn_end;        /* runs what is due; active while anything is */
    uv_idle_t awake;              /* so that the loop does not wait before it */
    struct deferred_list due;     /* at the end of this turn */
    struct deferred_list running; /* at the end of the previous turn, not called yet */
    unsigned calls;               /* in the background */
    struct loop *next_left;
};

/* Loops that are freed but for calls in the background. */
static struct loop *left_behind;

struct loop_deferred {
    struct loop *loop;
    loop_cb cb;
    void *arg;
    struct deferred_list *in; /* NULL: not requested */
    TAILQ_ENTRY(loop_deferred) link;
};

/* Each handle embeds its uv handle first, so that the close callback can free it. */
struct loop_timer {
    uv_timer_t uv;
    loop_cb cb;
    void *arg;
};

struct loop_watch {
    uv_poll_t uv;
    loop_watch_cb cb;
    void *arg;
    int events;
};

struct loop_hook {
    uv_prepare_t uv;
    loop_cb cb;
    void *arg;
};

struct loop_signal {
    uv_signal_t uv;
    loop_cb cb;
    void *arg;
};

struct work {
    uv_work_t uv;
    loop_cb work;
    loop_cb done;
    void *arg;
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop != NULL && uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    if (loop != NULL) {
        loop->uv.data = loop;
        (void)uv_prepare_init(&loop->uv, &loop->turn_end); /* these two always return 0 */
        (void)uv_idle_init(&loop->uv, &loop->awake);
        TAILQ_INIT(&loop->due);
        TAILQ_INIT(&loop->running);
    }
    return loop;
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* its result only tells whether handles are left */
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void calls_late(uv_timer_t *uv)
{
    (void)uv; /* it ends the turn of the loop */
}

/* Lets closes and calls end. False: calls still run. */
static bool finish(struct loop *loop)
{
    uv_timer_t late;
    (void)uv_timer_init(&loop->uv, &late); /* these two cannot fail */
    (void)uv_timer_start(&late, calls_late, CALLS_END_MS, 0);
    while (loop->calls > 0 && uv_is_active((uv_handle_t *)&late) != 0)
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&late, NULL);
    if (loop->calls > 0) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT); /* `late` is closed */
        return false;
    }
    while (uv_loop_close(&loop->uv) ==
           UV_EBUSY) /* closes are pending: their callbacks free memory */
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    return true;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    uv_close((uv_handle_t *)&loop->turn_end, NULL);
    uv_close((uv_handle_t *)&loop->awake, NULL);
    if (finish(loop)) {
        free(loop);
        return;
    }
    loop->next_left = left_behind;
    left_behind = loop;
}

unsigned loop_calls_left(void)
{
    unsigned calls = 0;
    for (const struct loop *loop = left_behind; loop != NULL; loop = loop->next_left)
        calls += loop->calls;
    return calls;
}

void *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_handle(void *handle)
{
    if (handle != NULL)
        uv_close(handle, closed);
}

static void timer_fired(uv_timer_t *uv)
{
    struct loop_timer *timer = (struct loop_timer *)uv;
    timer->cb(timer->arg);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_cb cb, void *arg)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL)
        return NULL;
    (void)uv_timer_init(&loop->uv, &timer->uv); /* always 0 */
    timer->cb = cb;
    timer->arg = arg;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    uv_update_time(timer->uv.loop); /* else the time of this turn shortens the delay */
    (void)uv_timer_start(&timer->uv, timer_fired, delay_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    (void)uv_timer_stop(&timer->uv);
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv) != 0;
}

void loop_timer_free(struct loop_timer *timer)
{
    close_handle(timer);
}

static void watch_fired(uv_poll_t *uv, int status, int uv_events);

static void poll_again(struct loop_watch *watch)
{
    int uv_events = 0;
    if ((watch->events & LOOP_READ) != 0)
        uv_events |= UV_READABLE;
    if ((watch->events & LOOP_WRITE) != 0)
        uv_events |= UV_WRITABLE;
    if (uv_events == 0)
        (void)uv_poll_stop(&watch->uv);
    else
        (void)uv_poll_start(&watch->uv, uv_events, watch_fired);
}

static void watch_fired(uv_poll_t *uv, int status, int uv_events)
{
    struct loop_watch *watch = (struct loop_watch *)uv;
    int events = 0;
    if (status < 0)
        events = watch->events;
    if ((uv_events & UV_READABLE) != 0)
        events |= LOOP_READ;
    if ((uv_events & UV_WRITABLE) != 0)
        events |= LOOP_WRITE;
    watch->cb(events, watch->arg);
    /* libuv stops polling at an error, but there may be more to read before the error */
    if (status < 0 && uv_is_closing((uv_handle_t *)uv) == 0)
        poll_again(watch);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_cb cb, void *arg)
{
    struct loop_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    if (uv_poll_init(&loop->uv, &watch->uv, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->cb = cb;
    watch->arg = arg;
    return watch;
}

void loop_watch_set(struct loop_watch *watch, int events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    poll_again(watch);
}

void loop_watch_free(struct loop_watch *watch)
{
    if (watch == NULL)
        return;
    (void)uv_poll_stop(&watch->uv);
    close_handle(watch);
}

static void hook_fired(uv_prepare_t *uv)
{
    struct loop_hook *hook = (struct loop_hook *)uv;
    hook->cb(hook->arg);
}

struct loop_hook *loop_hook_new(struct loop *loop, loop_cb cb, void *arg)
{
    struct loop_hook *hook = calloc(1, sizeof *hook);
    if (hook == NULL)
        return NULL;
    (void)uv_prepare_init(&loop->uv, &hook->uv); /* these two always return 0 */
    (void)uv_prepare_start(&hook->uv, hook_fired);
    hook->cb = cb;
    hook->arg = arg;
    return hook;
}

void loop_hook_free(struct loop_hook *hook)
{
    close_handle(hook);
}

/* ---- the end of a turn ---- */

static void stay_awake(uv_idle_t *uv)
{
    (void)uv; /* it only has to be active */
}

static void turn_ended(uv_prepare_t *uv)
{
    struct loop *loop = uv->data;
    struct loop_deferred *deferred;
    while ((deferred = TAILQ_FIRST(&loop->due)) != NULL) {
        TAILQ_REMOVE(&loop->due, deferred, link);
        TAILQ_INSERT_TAIL(&loop->running, deferred, link);
        deferred->in = &loop->running;
    }
    while ((deferred = TAILQ_FIRST(&loop->running)) != NULL) {
        loop_deferred_cancel(deferred); /* its own call may defer it again */
        deferred->cb(deferred->arg);
    }
    if (!TAILQ_EMPTY(&loop->due))
        return;
    (void)uv_prepare_stop(&loop->turn_end);
    (void)uv_idle_stop(&loop->awake);
}

struct loop_deferred *loop_deferred_new(struct loop *loop, loop_cb cb, void *arg)
{
    struct loop_deferred *deferred = calloc(1, sizeof *deferred);
    if (deferred == NULL)
        return NULL;
    deferred->loop = loop;
    deferred->cb = cb;
    deferred->arg = arg;
    return deferred;
}

void loop_defer(struct loop_deferred *deferred)
{
    struct loop *loop = deferred->loop;
    if (deferred->in != NULL)
        return;
    if (TAILQ_EMPTY(&loop->due)) {
        loop->turn_end.data = loop;
        (void)uv_prepare_start(&loop->turn_end, turn_ended); /* these two fail only without a cb */
        (void)uv_idle_start(&loop->awake, stay_awake);
    }
    TAILQ_INSERT_TAIL(&loop->due, deferred, link);
    deferred->in = &loop->due;
}

void loop_deferred_cancel(struct loop_deferred *deferred)
{
    if (deferred->in == NULL)
        return;
    TAILQ_REMOVE(deferred->in, deferred, link);
    deferred->in = NULL;
}

void loop_deferred_free(struct loop_deferred *deferred)
{
    if (deferred == NULL)
        return;
    loop_deferred_cancel(deferred);
    free(deferred);
}

static void signal_fired(uv_signal_t *uv, int signal_number)
{
    (void)signal_number;
    struct loop_signal *handle = (struct loop_signal *)uv;
    handle->cb(handle->arg);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_cb cb, void *arg)
{
    struct loop_signal *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        return NULL;
    (void)uv_signal_init(&loop->uv,
                         &handle->uv); /* fails only without pipes, then start fails too */
    handle->cb = cb;
    handle->arg = arg;
    if (uv_signal_start(&handle->uv, signal_fired, signal_number) != 0) {
        close_handle(handle);
        return NULL;
    }
    return handle;
}

void loop_signal_free(struct loop_signal *handle)
{
    close_handle(handle);
}

static void work_in_thread(uv_work_t *uv)
{
    struct work *work = (struct work *)uv;
    work->work(work->arg);
}

static void work_done(uv_work_t *uv, int status)
{
    (void)status; /* we never cancel */
    struct work *work = (struct work *)uv;
    struct loop *loop = uv->loop->data;
    loop->calls--;
    loop_cb done = work->done;
    void *arg = work->arg;
    free(work);
    done(arg);
}

int loop_background(struct loop *loop, loop_cb work_cb, loop_cb done, void *arg)
{
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL)
        return ERR_NOMEM;
    work->work = work_cb;
    work->done = done;
    work->arg = arg;
    if (uv_queue_work(&loop->uv, &work->uv, work_in_thread, work_done) != 0) {
        free(work);
        return ERR_UNAVAILABLE;
    }
    loop->calls++;
    return 0;
}
