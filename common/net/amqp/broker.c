#include "common/net/amqp/broker_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 2000
#define TELL_AGAIN_MS 10000 /* a connect that keeps failing is reported this often */
#define FRAMES_PER_TURN 512 /* then the loop's other work has its turn */

/* A connect on its way through a background thread, which touches nothing else. */
struct attempt {
    struct broker *broker;          /* NULL: nobody wants it any more */
    const struct broker_host *host; /* a copy of its own */
    char *name;
    uint32_t heartbeat_s;
    struct wire *wire;
    int rc;
    char reason[WIRE_REASON_SIZE];
};

static void start_attempt(void *arg);
static void pump(void *arg);

static void attempt_free(struct attempt *attempt)
{
    if (attempt == NULL)
        return;
    if (attempt->host != NULL)
        explicit_bzero((void *)(uintptr_t)attempt->host, sizeof *attempt->host);
    free((void *)(uintptr_t)attempt->host);
    free(attempt->name);
    free(attempt);
}

static void set_state(struct broker *broker, enum broker_state state, const char *reason)
{
    broker->state = state;
    if (broker->cb != NULL && !broker->freed)
        broker->cb(state, reason, broker->arg);
}

static void schedule_retry(struct broker *broker)
{
    if (!broker->suspended && !broker->freed)
        loop_timer_start(broker->retry, backoff_next(&broker->backoff), 0);
}

/* The first round over all hosts is told in full, then a line now and again. */
static void attempt_failed(struct broker *broker, const char *reason)
{
    uint64_t now = clock_mono_ms();
    broker->failures++;
    schedule_retry(broker);
    if (broker->failures > broker->hosts.count && now - broker->told_ms < TELL_AGAIN_MS)
        return;
    broker->told_ms = now;
    set_state(broker, BROKER_DOWN, reason);
}

/* ------------------------------------------------------------------ while connected */

static void close_work(void *arg)
{
    wire_close(arg);
}

static void close_done(void *arg)
{
    (void)arg;
}

/* The polite close awaits an answer, since what we acked just before counts: in the background. */
static void free_old_wire(struct broker *broker)
{
    struct wire *wire = broker->old_wire;
    broker->old_wire = NULL;
    if (wire != NULL && broker->polite &&
        loop_background(broker->loop, close_work, close_done, wire) == 0)
        return;
    wire_free(wire);
}

static void drop_wire(struct broker *broker)
{
    loop_watch_free(broker->watch);
    broker->watch = NULL;
    loop_timer_stop(broker->beat);
    loop_deferred_cancel(broker->soon);
    loop_hook_free(broker->hook);
    broker->hook = NULL;
    if (broker->wire != NULL)
        broker->old_wire = broker->wire; /* the one before went when its callbacks had returned */
    broker->wire = NULL;
    broker->broken = false;
}

/* Between broker_enter and broker_leave. */
static void lost(struct broker *broker, const char *reason)
{
    char copy[WIRE_REASON_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", reason);
    drop_wire(broker);
    broker->state = BROKER_DOWN; /* first, so that nobody opens a channel from its callback */
    broker_channels_lost(broker, copy);
    schedule_retry(broker);
    set_state(broker, BROKER_DOWN, copy);
}

void broker_break(struct broker *broker, const char *reason)
{
    if (broker->broken || broker->wire == NULL)
        return;
    broker->broken = true;
    (void)snprintf(broker->reason, sizeof broker->reason, "%s", reason);
    loop_defer(broker->soon);
}

static void on_connection_frame(struct broker *broker, const struct wire_frame *frame)
{
    if (frame->kind == WIRE_BLOCKED) {
        set_state(broker, BROKER_BLOCKED, frame->text);
    } else if (frame->kind == WIRE_UNBLOCKED) {
        set_state(broker, BROKER_UP, NULL);
    } else if (frame->kind == WIRE_DISCONNECT) {
        char reason[WIRE_REASON_SIZE];
        (void)snprintf(reason, sizeof reason, "closed by the broker: %u %s", frame->code,
                       frame->text);
        int rc = wire_close_ok(broker->wire, 0);
        (void)rc; /* it is over either way */
        broker_break(broker, reason);
    }
}

/* Takes the frames that are here; false: the connection is gone. */
static bool take_frames(struct broker *broker)
{
    struct wire_frame frame;
    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        char reason[WIRE_REASON_SIZE];
        int rc = wire_read(broker->wire, &frame, reason);
        if (rc == 0)
            return true;
        if (rc < 0) {
            broker_break(broker, reason);
            return true;
        }
        if (frame.channel == 0)
            on_connection_frame(broker, &frame);
        else
            broker_channel_frame(broker, &frame);
        if (broker->wire == NULL || broker->freed) /* a callback suspended or closed the broker */
            return false;
        wire_release(broker->wire, &frame);
        if (broker->broken)
            return true;
    }
    loop_defer(broker->soon);
    return true;
}

static void pump(void *arg)
{
    struct broker *broker = arg;
    if (broker->wire == NULL || broker->depth > 0)
        return;
    broker_enter(broker);
    if (!broker->broken)
        (void)take_frames(broker);
    if (broker->broken && broker->wire != NULL && !broker->freed)
        lost(broker, broker->reason);
    broker_leave(broker);
}

static void on_socket(int events, void *arg)
{
    (void)events;
    pump(arg);
}

/* While it sends, the library may have taken frames off the socket: poll would not show them. */
static void before_wait(void *arg)
{
    struct broker *broker = arg;
    if (broker->wire != NULL && wire_pending(broker->wire))
        loop_defer(broker->soon);
}

/* ------------------------------------------------------------------ connecting */

static bool alloc_channels(struct broker *broker, uint16_t channel_max)
{
    if (broker->channel_max == channel_max && broker->channels != NULL && broker->closing != NULL) {
        memset(broker->closing, 0, ((size_t)channel_max + 1) * sizeof *broker->closing);
        return true; /* broker_channels_lost has emptied the rest */
    }
    free(broker->channels);
    free(broker->closing);
    broker->channels = calloc((size_t)channel_max + 1, sizeof(struct broker_channel *));
    broker->closing = calloc((size_t)channel_max + 1, sizeof *broker->closing);
    broker->channel_max = channel_max;
    broker->last_number = 0;
    return broker->channels != NULL && broker->closing != NULL;
}

static bool adopt_wire(struct broker *broker, struct wire *wire)
{
    broker->wire = wire;
    broker->watch = loop_watch_new(broker->loop, wire_fd(wire), on_socket, broker);
    broker->hook = loop_hook_new(broker->loop, before_wait, broker);
    if (broker->watch == NULL || broker->hook == NULL ||
        !alloc_channels(broker, wire_channel_max(wire))) {
        drop_wire(broker); /* the caller's broker_leave frees it */
        return false;
    }
    loop_watch_set(broker->watch, LOOP_READ);
    uint64_t beat_ms = (uint64_t)broker->heartbeat_s * 1000 / 4;
    loop_timer_start(broker->beat, beat_ms, beat_ms);
    loop_defer(broker->soon);
    return true;
}

static void attempt_work(void *arg)
{
    struct attempt *attempt = arg;
    attempt->rc = wire_connect(attempt->host, attempt->name, attempt->heartbeat_s, &attempt->wire,
                               attempt->reason);
}

static void attempt_done(void *arg)
{
    struct attempt *attempt = arg;
    struct broker *broker = attempt->broker;
    if (broker == NULL) {
        wire_free(attempt->wire);
        attempt_free(attempt);
        return;
    }
    broker->attempt = NULL;
    broker_enter(broker);
    broker->fault = attempt->rc;
    if (attempt->rc != 0) {
        attempt_failed(broker, attempt->reason);
    } else if (!adopt_wire(broker, attempt->wire)) {
        attempt_failed(broker, "out of memory or descriptors");
    } else {
        broker->failures = 0;
        backoff_reset(&broker->backoff);
        set_state(broker, BROKER_UP, NULL);
    }
    attempt_free(attempt);
    broker_leave(broker);
}

static struct attempt *attempt_new(struct broker *broker)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    struct broker_host *host = malloc(sizeof *host);
    if (attempt == NULL || host == NULL) {
        free(host);
        free(attempt);
        return NULL;
    }
    *host = broker->hosts.hosts[broker->next_host];
    (void)snprintf(broker->node, sizeof broker->node, "%s:%u", host->host, host->port);
    broker->next_host = (broker->next_host + 1) % broker->hosts.count;
    attempt->broker = broker;
    attempt->host = host;
    attempt->name = strdup(broker->name);
    attempt->heartbeat_s = broker->heartbeat_s;
    if (attempt->name == NULL) {
        attempt_free(attempt);
        return NULL;
    }
    return attempt;
}

static void start_attempt(void *arg)
{
    struct broker *broker = arg;
    if (broker->attempt != NULL || broker->wire != NULL || broker->suspended)
        return;
    struct attempt *attempt = attempt_new(broker);
    if (attempt == NULL ||
        loop_background(broker->loop, attempt_work, attempt_done, attempt) != 0) {
        attempt_free(attempt);
        schedule_retry(broker); /* memory is out: nothing to say that helps, but it may pass */
        return;
    }
    broker->attempt = attempt;
}

/* ------------------------------------------------------------------ life */

static void broker_free(struct broker *broker)
{
    if (broker->channels != NULL)
        broker_channels_free(broker);
    broker_graveyard_clear(broker);
    loop_timer_free(broker->retry);
    loop_timer_free(broker->beat);
    loop_deferred_free(broker->soon);
    broker_url_free(&broker->hosts);
    free(broker->channels);
    free(broker->closing);
    free(broker->name);
    free(broker);
}

void broker_enter(struct broker *broker)
{
    broker->depth++;
}

void broker_leave(struct broker *broker)
{
    if (--broker->depth > 0)
        return;
    free_old_wire(broker);
    broker_graveyard_clear(broker);
    if (broker->freed)
        broker_free(broker);
}

struct broker *broker_open(struct loop *loop, const struct broker_options *options,
                           broker_state_cb cb, void *arg)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL)
        return NULL;
    const char *problem = NULL;
    broker->loop = loop;
    broker->cb = cb;
    broker->arg = arg;
    broker->heartbeat_s = options->heartbeat_s > 0 ? options->heartbeat_s : 1;
    broker->name = strdup(options->name);
    broker->retry = loop_timer_new(loop, start_attempt, broker);
    broker->beat = loop_timer_new(loop, pump, broker);
    broker->soon = loop_deferred_new(loop, pump, broker);
    if (broker->name == NULL || broker->retry == NULL || broker->beat == NULL ||
        broker->soon == NULL || broker_url_parse(options->urls, &broker->hosts, &problem) != 0) {
        broker_free(broker);
        return NULL;
    }
    uint64_t seed = clock_mono_us() ^ ((uint64_t)getpid() << 32);
    backoff_init(&broker->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, seed);
    broker->next_host = (size_t)(seed % broker->hosts.count);
    start_attempt(broker);
    return broker;
}

void broker_close(struct broker *broker)
{
    if (broker == NULL)
        return;
    if (broker->attempt != NULL)
        broker->attempt->broker = NULL;
    broker->attempt = NULL;
    broker->polite = !broker->broken;
    drop_wire(broker);
    loop_timer_stop(broker->retry);
    broker->state = BROKER_DOWN;
    broker->freed = true;
    broker_enter(broker);
    broker_questions_end(broker);
    broker_leave(broker); /* frees it, unless a callback of it is still running */
}

enum broker_state broker_state(const struct broker *broker)
{
    return broker->state;
}

const char *broker_server_version(const struct broker *broker)
{
    return broker->wire == NULL ? "" : wire_server_version(broker->wire);
}

int broker_fault(const struct broker *broker)
{
    return broker->state == BROKER_DOWN ? broker->fault : 0;
}

void broker_suspend(struct broker *broker, const char *reason)
{
    broker->suspended = true;
    loop_timer_stop(broker->retry);
    if (broker->attempt != NULL)
        broker->attempt->broker = NULL;
    broker->attempt = NULL;
    if (broker->wire == NULL)
        return;
    broker_enter(broker);
    lost(broker, reason);
    broker_leave(broker);
}

void broker_resume(struct broker *broker)
{
    if (!broker->suspended)
        return;
    broker->suspended = false;
    backoff_reset(&broker->backoff);
    start_attempt(broker);
}

void broker_move(struct broker *broker, const char *reason)
{
    if (broker->wire == NULL)
        return;
    broker_suspend(broker, reason);
    broker_resume(broker);
}

const char *broker_node(const struct broker *broker)
{
    return broker->node;
}
