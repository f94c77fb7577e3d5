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
/* A connection that ends sooner has proved nothing: the wait before the next grows on. */
#define PROVED_MS 1000

static void pump(void *arg);

static void tell_state(struct broker *broker, const char *reason)
{
    if (broker->cb != NULL && broker->phase != BROKER_PHASE_CLOSED)
        broker->cb(broker_state(broker), reason, broker->arg);
}

static void schedule_retry(struct broker *broker)
{
    if (broker->phase == BROKER_PHASE_IDLE)
        loop_timer_start(broker->retry, backoff_next(&broker->backoff), 0);
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
    loop_timer_stop(broker->heartbeat);
    loop_deferred_cancel(broker->soon);
    loop_hook_free(broker->hook);
    broker->hook = NULL;
    if (broker->wire != NULL)
        broker->old_wire = broker->wire; /* the previous one went when its callbacks had returned */
    broker->wire = NULL;
}

/* Between broker_enter and broker_leave. `next`: IDLE or SUSPENDED. */
static void lost(struct broker *broker, enum broker_phase next, const char *reason)
{
    char copy[WIRE_REASON_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", reason);
    if (clock_mono_ms() - broker->up_since_ms >= PROVED_MS)
        backoff_reset(&broker->backoff);
    host_walk_lost(&broker->walk);
    /* first, so that no channel is opened from a callback */
    broker_enter_phase(broker, next, copy);
    drop_wire(broker);
    broker_channels_lost(broker, copy);
    schedule_retry(broker);
    tell_state(broker, copy);
}

static void on_connection_frame(struct broker *broker, const struct wire_frame *frame)
{
    if (frame->kind == WIRE_BLOCKED) {
        broker_enter_phase(broker, BROKER_PHASE_BLOCKED, frame->text);
        tell_state(broker, frame->text);
    } else if (frame->kind == WIRE_UNBLOCKED) {
        broker->answered_ms = clock_mono_ms(); /* from now on it can answer again */
        broker_enter_phase(broker, BROKER_PHASE_UP, "no longer blocked");
        tell_state(broker, NULL);
    } else if (frame->kind == WIRE_DISCONNECT) {
        char reason[WIRE_REASON_SIZE];
        (void)snprintf(reason, sizeof reason, "closed by the broker: %u %s", frame->code,
                       frame->text);
        int rc = wire_close_ok(broker->wire, 0);
        (void)rc; /* it is over either way */
        broker_break(broker, reason);
    }
}

/* Takes the frames that are here; false: there may be more. The socket is asked again only with
 * `all`: asking once more than there is to read costs two system calls, and the loop tells of what
 * comes later. */
static bool take_frames(struct broker *broker, bool all)
{
    struct wire_frame frame;
    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        char reason[WIRE_REASON_SIZE];
        int rc = wire_read(broker->wire, &frame, reason);
        if (rc < 0)
            broker_break(broker, reason);
        if (rc <= 0)
            return true;
        if (frame.channel == 0)
            on_connection_frame(broker, &frame);
        else
            broker_channel_frame(broker, &frame);
        if (broker->wire == NULL) /* a callback suspended or closed the broker */
            return true;
        wire_release(broker->wire, &frame);
        if (broker->phase == BROKER_PHASE_BROKEN || (!all && !wire_pending(broker->wire)))
            return true;
    }
    loop_defer(broker->soon);
    return false;
}

/* `look`: also for what is overdue; only where nothing that has come is still to be read. */
static void serve(struct broker *broker, bool look)
{
    if (broker->wire == NULL || broker->depth > 0)
        return;
    broker_enter(broker);
    if (broker_is_usable(broker) && take_frames(broker, look) && look && broker_is_usable(broker))
        broker_channels_look(broker, clock_mono_ms());
    if (broker->phase == BROKER_PHASE_BROKEN)
        lost(broker, BROKER_PHASE_IDLE, broker->reason);
    broker_leave(broker);
}

static void pump(void *arg)
{
    serve(arg, false);
}

static void on_heartbeat(void *arg)
{
    serve(arg, true);
}

static void on_socket(int events, void *arg)
{
    (void)events;
    serve(arg, false);
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
    broker->room = 0;
    broker->watch = loop_watch_new(broker->loop, wire_fd(wire), on_socket, broker);
    broker->hook = loop_hook_new(broker->loop, before_wait, broker);
    if (broker->watch == NULL || broker->hook == NULL ||
        !alloc_channels(broker, wire_channel_max(wire))) {
        drop_wire(broker); /* the caller's broker_leave frees it */
        return false;
    }
    loop_watch_set(broker->watch, LOOP_READ);
    uint64_t period_ms = (uint64_t)broker->heartbeat_s * 1000 / 4;
    loop_timer_start(broker->heartbeat, period_ms, period_ms);
    loop_defer(broker->soon);
    return true;
}

/* Logs each failure of the first round over all hosts, then a line now and again. */
static void attempt_failed(struct broker *broker, const char *reason)
{
    uint64_t now = clock_mono_ms();
    broker->failures++;
    host_walk_failed(&broker->walk);
    broker_enter_phase(broker, BROKER_PHASE_IDLE, reason);
    schedule_retry(broker);
    if (broker->failures > broker->hosts.count && now - broker->logged_ms < TELL_AGAIN_MS)
        return;
    broker->logged_ms = now;
    tell_state(broker, reason);
}

static void attempt_done(int code, struct wire *wire, const char *reason, void *arg)
{
    struct broker *broker = arg;
    broker->attempt = NULL;
    broker_enter(broker);
    broker->fault = code;
    if (code != 0) {
        attempt_failed(broker, reason);
    } else if (!adopt_wire(broker, wire)) {
        attempt_failed(broker, "out of memory or descriptors");
    } else {
        broker->failures = 0;
        broker->up_since_ms = clock_mono_ms();
        broker_enter_phase(broker, BROKER_PHASE_UP, NULL);
        tell_state(broker, NULL);
    }
    broker_leave(broker);
}

static void start_attempt(void *arg)
{
    struct broker *broker = arg;
    if (broker->phase != BROKER_PHASE_IDLE)
        return;
    const struct broker_host *host = &broker->hosts.hosts[broker->walk.host];
    (void)snprintf(broker->node, sizeof broker->node, "%s:%u", host->host, host->port);
    broker->attempt = broker_attempt_start(broker->loop, host, broker->walk.round, broker->name,
                                           broker->heartbeat_s, attempt_done, broker);
    if (broker->attempt == NULL)
        schedule_retry(broker); /* out of memory: a log line would not help, and it may pass */
    else
        broker_enter_phase(broker, BROKER_PHASE_CONNECTING, NULL);
}

static void give_up_attempt(struct broker *broker)
{
    broker_attempt_give_up(broker->attempt);
    broker->attempt = NULL;
    loop_timer_stop(broker->retry);
}

/* ------------------------------------------------------------------ life */

static void broker_free(struct broker *broker)
{
    if (broker->channels != NULL)
        broker_channels_free(broker);
    loop_timer_free(broker->retry);
    loop_timer_free(broker->heartbeat);
    loop_deferred_free(broker->soon);
    broker_url_free(&broker->hosts);
    free(broker->channels);
    free(broker->closing);
    free(broker->name);
    free(broker);
}

static void at_rest(void *arg)
{
    struct broker *broker = arg;
    free_old_wire(broker);
    broker_graveyard_clear(broker);
    if (broker->phase == BROKER_PHASE_CLOSED)
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
    broker->at_rest = at_rest;
    broker->heartbeat_s = options->heartbeat_s > 0 ? options->heartbeat_s : 1;
    broker->name = strdup(options->name);
    broker->retry = loop_timer_new(loop, start_attempt, broker);
    broker->heartbeat = loop_timer_new(loop, on_heartbeat, broker);
    broker->soon = loop_deferred_new(loop, pump, broker);
    if (broker->name == NULL || broker->retry == NULL || broker->heartbeat == NULL ||
        broker->soon == NULL || broker_url_parse(options->urls, &broker->hosts, &problem) != 0) {
        broker_free(broker);
        return NULL;
    }
    for (size_t i = 0; i < broker->hosts.count; i++)
        broker->hosts.hosts[i].files = options->tls;
    uint64_t seed = clock_mono_us() ^ ((uint64_t)getpid() << 32);
    backoff_init(&broker->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, seed);
    host_walk_init(&broker->walk, broker->hosts.count, seed);
    start_attempt(broker);
    return broker;
}

void broker_close(struct broker *broker)
{
    if (broker == NULL)
        return;
    give_up_attempt(broker);
    broker->polite = broker_is_usable(broker);
    broker_enter_phase(broker, BROKER_PHASE_CLOSED, "closed by its owner");
    drop_wire(broker);
    broker_enter(broker);
    broker_questions_end(broker);
    broker_leave(broker); /* frees it, unless a callback of it is still running */
}

enum broker_state broker_state(const struct broker *broker)
{
    if (broker->phase == BROKER_PHASE_UP)
        return BROKER_UP;
    return broker->phase == BROKER_PHASE_BLOCKED ? BROKER_BLOCKED : BROKER_DOWN;
}

const char *broker_server_version(const struct broker *broker)
{
    return broker->wire == NULL ? "" : wire_server_version(broker->wire);
}

uint16_t broker_channels(const struct broker *broker)
{
    return broker_state(broker) == BROKER_DOWN ? 0 : broker->channel_max;
}

int broker_fault(const struct broker *broker)
{
    return broker_state(broker) == BROKER_DOWN ? broker->fault : 0;
}

void broker_suspend(struct broker *broker, const char *reason)
{
    if (broker->phase == BROKER_PHASE_SUSPENDED)
        return;
    give_up_attempt(broker);
    if (broker->wire == NULL) {
        broker_enter_phase(broker, BROKER_PHASE_SUSPENDED, reason);
        return;
    }
    broker_enter(broker);
    lost(broker, BROKER_PHASE_SUSPENDED, reason);
    broker_leave(broker);
}

void broker_resume(struct broker *broker)
{
    if (broker->phase != BROKER_PHASE_SUSPENDED)
        return;
    backoff_reset(&broker->backoff);
    broker_enter_phase(broker, BROKER_PHASE_IDLE, "resumed");
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

size_t broker_node_count(const struct broker *broker)
{
    return broker->hosts.count;
}
