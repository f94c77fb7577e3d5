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
    struct bus *bus;             /* NULL: nobody wants it any more */
    const struct bus_host *host; /* a copy of its own */
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

static void set_state(struct bus *bus, enum bus_state state, const char *reason)
{
    bus->state = state;
    if (bus->cb != NULL && !bus->freed)
        bus->cb(state, reason, bus->arg);
}

static void schedule_retry(struct bus *bus)
{
    if (!bus->suspended && !bus->freed)
        loop_timer_start(bus->retry, backoff_next(&bus->backoff), 0);
}

/* The first round over all hosts is told in full, then a line now and again. */
static void attempt_failed(struct bus *bus, const char *reason)
{
    uint64_t now = clock_mono_ms();
    bus->failures++;
    schedule_retry(bus);
    if (bus->failures > bus->hosts.count && now - bus->told_ms < TELL_AGAIN_MS)
        return;
    bus->told_ms = now;
    set_state(bus, BUS_DOWN, reason);
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
static void free_old_wire(struct bus *bus)
{
    struct wire *wire = bus->old_wire;
    bus->old_wire = NULL;
    if (wire != NULL && bus->polite &&
        loop_background(bus->loop, close_work, close_done, wire) == 0)
        return;
    wire_free(wire);
}

static void drop_wire(struct bus *bus)
{
    loop_watch_free(bus->watch);
    bus->watch = NULL;
    loop_timer_stop(bus->beat);
    loop_timer_stop(bus->soon);
    loop_hook_free(bus->hook);
    bus->hook = NULL;
    if (bus->wire != NULL)
        bus->old_wire = bus->wire; /* the one before went when its callbacks had returned */
    bus->wire = NULL;
    bus->broken = false;
}

/* Between bus_enter and bus_leave. */
static void lost(struct bus *bus, const char *reason)
{
    char copy[WIRE_REASON_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", reason);
    drop_wire(bus);
    bus->state = BUS_DOWN; /* first, so that nobody opens a channel from its callback */
    bus_channels_lost(bus, copy);
    schedule_retry(bus);
    set_state(bus, BUS_DOWN, copy);
}

void bus_break(struct bus *bus, const char *reason)
{
    if (bus->broken || bus->wire == NULL)
        return;
    bus->broken = true;
    (void)snprintf(bus->reason, sizeof bus->reason, "%s", reason);
    loop_timer_start(bus->soon, 0, 0);
}

static void on_connection_frame(struct bus *bus, const struct wire_frame *frame)
{
    if (frame->kind == WIRE_BLOCKED) {
        set_state(bus, BUS_BLOCKED, frame->text);
    } else if (frame->kind == WIRE_UNBLOCKED) {
        set_state(bus, BUS_UP, NULL);
    } else if (frame->kind == WIRE_DISCONNECT) {
        char reason[WIRE_REASON_SIZE];
        (void)snprintf(reason, sizeof reason, "closed by the broker: %u %s", frame->code,
                       frame->text);
        int rc = wire_close_ok(bus->wire, 0);
        (void)rc; /* it is over either way */
        bus_break(bus, reason);
    }
}

/* Takes the frames that are here; false: the connection is gone. */
static bool take_frames(struct bus *bus)
{
    struct wire_frame frame;
    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        char reason[WIRE_REASON_SIZE];
        int rc = wire_read(bus->wire, &frame, reason);
        if (rc == 0)
            return true;
        if (rc < 0) {
            bus_break(bus, reason);
            return true;
        }
        if (frame.channel == 0)
            on_connection_frame(bus, &frame);
        else
            bus_channel_frame(bus, &frame);
        if (bus->wire == NULL || bus->freed) /* a callback suspended or closed the bus */
            return false;
        wire_release(bus->wire, &frame);
        if (bus->broken)
            return true;
    }
    loop_timer_start(bus->soon, 0, 0);
    return true;
}

static void pump(void *arg)
{
    struct bus *bus = arg;
    if (bus->wire == NULL || bus->depth > 0)
        return;
    bus_enter(bus);
    if (!bus->broken)
        (void)take_frames(bus);
    if (bus->broken && bus->wire != NULL && !bus->freed)
        lost(bus, bus->reason);
    bus_leave(bus);
}

static void on_socket(int events, void *arg)
{
    (void)events;
    pump(arg);
}

/* While it sends, the library may have taken frames off the socket: poll would not show them. */
static void before_wait(void *arg)
{
    struct bus *bus = arg;
    if (bus->wire != NULL && wire_pending(bus->wire))
        loop_timer_start(bus->soon, 0, 0);
}

/* ------------------------------------------------------------------ connecting */

static bool alloc_channels(struct bus *bus, uint16_t channel_max)
{
    if (bus->channel_max == channel_max && bus->channels != NULL && bus->closing != NULL) {
        memset(bus->closing, 0, ((size_t)channel_max + 1) * sizeof *bus->closing);
        return true; /* bus_channels_lost has emptied the rest */
    }
    free(bus->channels);
    free(bus->closing);
    bus->channels = calloc((size_t)channel_max + 1, sizeof(struct bus_channel *));
    bus->closing = calloc((size_t)channel_max + 1, sizeof *bus->closing);
    bus->channel_max = channel_max;
    bus->last_number = 0;
    return bus->channels != NULL && bus->closing != NULL;
}

static bool adopt_wire(struct bus *bus, struct wire *wire)
{
    bus->wire = wire;
    bus->watch = loop_watch_new(bus->loop, wire_fd(wire), on_socket, bus);
    bus->hook = loop_hook_new(bus->loop, before_wait, bus);
    if (bus->watch == NULL || bus->hook == NULL || !alloc_channels(bus, wire_channel_max(wire))) {
        drop_wire(bus); /* the caller's bus_leave frees it */
        return false;
    }
    loop_watch_set(bus->watch, LOOP_READ);
    uint64_t beat_ms = (uint64_t)bus->heartbeat_s * 1000 / 4;
    loop_timer_start(bus->beat, beat_ms, beat_ms);
    loop_timer_start(bus->soon, 0, 0);
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
    struct bus *bus = attempt->bus;
    if (bus == NULL) {
        wire_free(attempt->wire);
        attempt_free(attempt);
        return;
    }
    bus->attempt = NULL;
    bus_enter(bus);
    bus->fault = attempt->rc;
    if (attempt->rc != 0) {
        attempt_failed(bus, attempt->reason);
    } else if (!adopt_wire(bus, attempt->wire)) {
        attempt_failed(bus, "out of memory or descriptors");
    } else {
        bus->failures = 0;
        backoff_reset(&bus->backoff);
        set_state(bus, BUS_UP, NULL);
    }
    attempt_free(attempt);
    bus_leave(bus);
}

static struct attempt *attempt_new(struct bus *bus)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    struct bus_host *host = malloc(sizeof *host);
    if (attempt == NULL || host == NULL) {
        free(host);
        free(attempt);
        return NULL;
    }
    *host = bus->hosts.hosts[bus->next_host];
    bus->next_host = (bus->next_host + 1) % bus->hosts.count;
    attempt->bus = bus;
    attempt->host = host;
    attempt->name = strdup(bus->name);
    attempt->heartbeat_s = bus->heartbeat_s;
    if (attempt->name == NULL) {
        attempt_free(attempt);
        return NULL;
    }
    return attempt;
}

static void start_attempt(void *arg)
{
    struct bus *bus = arg;
    if (bus->attempt != NULL || bus->wire != NULL || bus->suspended)
        return;
    struct attempt *attempt = attempt_new(bus);
    if (attempt == NULL || loop_background(bus->loop, attempt_work, attempt_done, attempt) != 0) {
        attempt_free(attempt);
        schedule_retry(bus); /* memory is out: nothing to say that helps, but it may pass */
        return;
    }
    bus->attempt = attempt;
}

/* ------------------------------------------------------------------ life */

static void bus_free(struct bus *bus)
{
    if (bus->channels != NULL)
        bus_channels_free(bus);
    bus_graveyard_clear(bus);
    loop_timer_free(bus->retry);
    loop_timer_free(bus->beat);
    loop_timer_free(bus->soon);
    bus_url_free(&bus->hosts);
    free(bus->channels);
    free(bus->closing);
    free(bus->name);
    free(bus);
}

void bus_enter(struct bus *bus)
{
    bus->depth++;
}

void bus_leave(struct bus *bus)
{
    if (--bus->depth > 0)
        return;
    free_old_wire(bus);
    bus_graveyard_clear(bus);
    if (bus->freed)
        bus_free(bus);
}

struct bus *bus_open(struct loop *loop, const struct bus_options *options, bus_state_cb cb,
                     void *arg)
{
    struct bus *bus = calloc(1, sizeof *bus);
    if (bus == NULL)
        return NULL;
    const char *problem = NULL;
    bus->loop = loop;
    bus->cb = cb;
    bus->arg = arg;
    bus->heartbeat_s = options->heartbeat_s > 0 ? options->heartbeat_s : 1;
    bus->name = strdup(options->name);
    bus->retry = loop_timer_new(loop, start_attempt, bus);
    bus->beat = loop_timer_new(loop, pump, bus);
    bus->soon = loop_timer_new(loop, pump, bus);
    if (bus->name == NULL || bus->retry == NULL || bus->beat == NULL || bus->soon == NULL ||
        bus_url_parse(options->urls, &bus->hosts, &problem) != 0) {
        bus_free(bus);
        return NULL;
    }
    uint64_t seed = clock_mono_us() ^ ((uint64_t)getpid() << 32);
    backoff_init(&bus->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, seed);
    bus->next_host = (size_t)(seed % bus->hosts.count);
    start_attempt(bus);
    return bus;
}

void bus_close(struct bus *bus)
{
    if (bus == NULL)
        return;
    if (bus->attempt != NULL)
        bus->attempt->bus = NULL;
    bus->attempt = NULL;
    bus->polite = !bus->broken;
    drop_wire(bus);
    loop_timer_stop(bus->retry);
    bus->state = BUS_DOWN;
    bus->freed = true;
    bus_enter(bus);
    bus_questions_end(bus);
    bus_leave(bus); /* frees it, unless a callback of it is still running */
}

enum bus_state bus_state(const struct bus *bus)
{
    return bus->state;
}

const char *bus_server_version(const struct bus *bus)
{
    return bus->wire == NULL ? "" : wire_server_version(bus->wire);
}

int bus_fault(const struct bus *bus)
{
    return bus->state == BUS_DOWN ? bus->fault : 0;
}

void bus_suspend(struct bus *bus, const char *reason)
{
    bus->suspended = true;
    loop_timer_stop(bus->retry);
    if (bus->attempt != NULL)
        bus->attempt->bus = NULL;
    bus->attempt = NULL;
    if (bus->wire == NULL)
        return;
    bus_enter(bus);
    lost(bus, reason);
    bus_leave(bus);
}

void bus_resume(struct bus *bus)
{
    if (!bus->suspended)
        return;
    bus->suspended = false;
    backoff_reset(&bus->backoff);
    start_attempt(bus);
}
