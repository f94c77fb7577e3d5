#include "common/net/redis/redis_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/tcp_connect.h"

#define CONNECT_MS 2000
#define HANDSHAKE_MS 3000
#define TICK_MS 1000
/* It counts turns of the loop, so that it does not take our own stall for the server's. */
#define SILENT_TICKS_MAX 2
/* A connection that ends sooner proves nothing: the wait before the next one goes on growing. */
#define PROVED_MS 1000
#define REFUSALS_LOGGED_MS 10000 /* between lines about commands that Redis refuses */

/* The only function that changes the phase. */
static void enter(struct redis *redis, enum redis_phase phase, const char *reason)
{
    static const char *const names[] = {"idle", "connecting", "login", "up", "closed"};
    log_debug("Redis connection: new phase", LOG_STR("from", names[redis->phase]),
              LOG_STR("to", names[phase]), LOG_STR("host", redis->url.host),
              LOG_BOOL("subscriber", redis->push != NULL), LOG_STR("reason", reason));
    redis->phase = phase;
}

/* ---- the end of a connection, and of the whole ---- */

static void disconnect(struct redis *redis)
{
    redis->session++;
    loop_deferred_cancel(redis->soon);
    loop_watch_free(redis->watch);
    redis->watch = NULL;
    redis_wire_free(redis->wire);
    redis->wire = NULL;
    loop_timer_stop(redis->tick);
}

static void tell_lost(struct redis *redis)
{
    static const struct redis_reply lost = {.type = REDIS_LOST};
    struct redis_due_entry entry;
    while (redis_due_pop(&redis->due, &entry)) /* the phase forbids to add any meanwhile */
        if (entry.cb != NULL)
            entry.cb(&lost, entry.arg);
}

void redis_fail(struct redis *redis, const char *what, const char *detail)
{
    char reason[REDIS_REASON_SIZE];
    (void)snprintf(reason, sizeof reason, "%s%s%s", what, detail[0] == '\0' ? "" : ": ", detail);
    bool was_up = redis->phase == REDIS_PHASE_UP;
    bool news = was_up || strcmp(reason, redis->reason) != 0;
    if (redis->fault == 0)
        redis->fault = ERR_UNAVAILABLE;
    if (was_up && clock_mono_ms() - redis->up_since_ms >= PROVED_MS)
        backoff_reset(&redis->backoff);
    if (was_up)
        host_walk_lost(&redis->walk);
    else
        host_walk_failed(&redis->walk);
    enter(redis, REDIS_PHASE_IDLE, reason);
    memcpy(redis->reason, reason, sizeof reason);
    disconnect(redis);
    tell_lost(redis);
    if (redis->phase != REDIS_PHASE_CLOSED && news && redis->state != NULL)
        redis->state(false, redis->reason, redis->arg);
    if (redis->phase != REDIS_PHASE_CLOSED)
        loop_timer_start(redis->retry, backoff_next(&redis->backoff), 0);
}

void redis_free(struct redis *redis)
{
    loop_deferred_free(redis->soon);
    loop_timer_free(redis->retry);
    loop_timer_free(redis->tick);
    redis_due_free(&redis->due);
    explicit_bzero(&redis->url, sizeof redis->url);
    free(redis);
}

/* ---- sending ---- */

int redis_enqueue(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
                  redis_reply_cb cb, void *arg)
{
    int code = redis_due_push(&redis->due, cb, arg);
    if (code < 0)
        return code;
    code = redis_wire_append(redis->wire, argc, argv, argv_len);
    if (code < 0)
        redis_due_unpush(&redis->due);
    else
        loop_defer(redis->soon); /* one write for all of this turn */
    return code;
}

void redis_flush(void *arg)
{
    struct redis *redis = arg;
    int code = redis_wire_flush(redis->wire);
    if (code < 0)
        redis_fail(redis, "connection lost", redis_wire_problem(redis->wire));
    else
        loop_watch_set(redis->watch, code == 0 ? LOOP_READ : LOOP_READ | LOOP_WRITE);
}

/* ---- replies ---- */

static bool text_is(const struct redis_reply *reply, const char *text)
{
    return reply->type == REDIS_STRING && reply->len == strlen(text) &&
           strncasecmp(reply->str, text, reply->len) == 0;
}

static bool refuses_writes(const struct redis_reply *reply)
{
    static const char prefix[] = "READONLY";
    return reply->type == REDIS_ERROR && reply->len >= sizeof prefix - 1 &&
           memcmp(reply->str, prefix, sizeof prefix - 1) == 0;
}

/* An error reply is not "nothing happened": whoever runs Redis must hear of missing rights, full
 * memory and the like. The callers treat each as if Redis were away. */
static void say_refusal(struct redis *redis, const struct redis_reply *reply)
{
    redis->refusals++;
    if (!log_due(&redis->refusal_logged_ms, REFUSALS_LOGGED_MS))
        return;
    log_error("Redis refuses commands", LOG_INT("count", (int64_t)redis->refusals),
              LOG_STR("problem", reply->str));
    redis->refusals = 0;
}

/* A pushed message is no answer; all else answers the commands in order. */
static bool is_message(const struct redis *redis, const struct redis_reply *reply)
{
    return redis->push != NULL && reply->count > 0 && text_is(&reply->items[0], "message");
}

static void deliver(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    uint64_t session = redis->session;
    struct redis_due_entry entry;
    if (is_message(redis, reply)) {
        redis->push(reply, NULL, redis->arg);
        return;
    }
    if (!redis_due_pop(&redis->due, &entry)) {
        redis_fail(redis, "Redis sent a reply without a command", "");
        return;
    }
    if (reply->type == REDIS_ERROR && redis->phase == REDIS_PHASE_UP && redis->push == NULL)
        say_refusal(redis, reply);
    if (entry.cb != NULL)
        entry.cb(reply, entry.arg);
    else if (redis->push != NULL)
        redis->push(reply, entry.arg, redis->arg);
    if (redis->session == session && refuses_writes(reply))
        redis_fail(redis, "this Redis takes no writes", "it is a replica");
}

/* Reads what has arrived. Any callback may end the connection, or close the client. */
static void read_replies(struct redis *redis)
{
    if (redis_wire_read(redis->wire) < 0) {
        redis_fail(redis, "connection lost", redis_wire_problem(redis->wire));
        return;
    }
    uint64_t session = redis->session;
    int code = 1;
    while (code > 0 && redis->session == session)
        code = redis_wire_next(redis->wire, deliver, redis);
    if (redis->session != session || code == 0)
        return;
    if (code == ERR_PARSE)
        redis_fail(redis, "Redis sent an invalid reply", redis_wire_problem(redis->wire));
    else
        redis_fail(redis, "out of memory", "");
}

static void socket_ready(int events, void *arg)
{
    struct redis *redis = arg;
    uint64_t session = redis->session;
    if ((events & LOOP_READ) != 0)
        read_replies(redis);
    if (redis->session == session && (events & LOOP_WRITE) != 0)
        redis_flush(redis);
}

/* ---- is Redis there, and is it the master? ---- */

/* HELLO's answer is a list of names and values; NULL: the role is not in it. */
static const struct redis_reply *role_in(const struct redis_reply *reply)
{
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        const struct redis_reply *name = &reply->items[i];
        if (name->type == REDIS_STRING && name->len == 4 && memcmp(name->str, "role", 4) == 0 &&
            reply->items[i + 1].type == REDIS_STRING)
            return &reply->items[i + 1];
    }
    return NULL;
}

/* Whether it is a replica, which refuses writes, and whose PUBLISH reaches no subscriber of the
 * master. False where Redis does not report its role (before 6.0, or HELLO is forbidden). */
static bool is_replica(struct redis *redis, const struct redis_reply *reply)
{
    const struct redis_reply *role = role_in(reply);
    redis->tells_role = role != NULL;
    return role != NULL && (role->len != 6 || memcmp(role->str, "master", 6) != 0);
}

static void ping_answered(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    if (reply->type == REDIS_LOST)
        return;
    redis->silent_ticks = 0;
    if (redis->tells_role && is_replica(redis, reply))
        redis_fail(redis, "this Redis is a replica now", "");
}

/* On a connection for commands, each ping also asks for the role. */
static int send_ping(struct redis *redis)
{
    bool role = redis->tells_role && redis->push == NULL;
    const char *const argv[] = {role ? "HELLO" : "PING"};
    const size_t len[] = {strlen(argv[0])};
    return redis_enqueue(redis, 1, argv, len, ping_answered, redis);
}

void redis_tick(void *arg)
{
    struct redis *redis = arg;
    if (redis->phase == REDIS_PHASE_UP && redis->silent_ticks == 0 && send_ping(redis) == 0) {
        redis->silent_ticks = 1;
        return;
    }
    if (++redis->silent_ticks > SILENT_TICKS_MAX)
        redis_fail(redis, "no answer within 2 s", "");
}

/* ---- login ---- */

static void logged_in(struct redis *redis)
{
    enter(redis, REDIS_PHASE_UP, NULL);
    redis->fault = 0;
    redis->reason[0] = '\0';
    redis->silent_ticks = 0;
    redis->up_since_ms = clock_mono_ms();
    if (redis->state != NULL)
        redis->state(true, NULL, redis->arg);
}

static void login_refused(struct redis *redis, const struct redis_reply *reply)
{
    char text[REDIS_REASON_SIZE];
    (void)snprintf(text, sizeof text, "%.*s", (int)(reply->len < 100 ? reply->len : 100),
                   reply->str);
    bool passing = strncmp(text, "LOADING", 7) == 0 || strncmp(text, "BUSY", 4) == 0 ||
                   strncmp(text, "MASTERDOWN", 10) == 0;
    redis->fault = passing ? ERR_UNAVAILABLE : ERR_AUTH;
    redis_fail(redis, "Redis refused the login", text);
}

static void login_answered(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    if (reply->type == REDIS_LOST)
        return;
    if (reply->type == REDIS_ERROR)
        login_refused(redis, reply);
    else if (--redis->login_due == 0)
        logged_in(redis);
}

/* A replica passes on what its master publishes, but one that was demoted may have no master. */
static void role_answered(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    if (reply->type == REDIS_LOST)
        return;
    if (is_replica(redis, reply))
        redis_fail(redis, "this Redis is a replica", "");
    else if (--redis->login_due == 0)
        logged_in(redis);
}

static int login_command(struct redis *redis, size_t argc, const char *const *argv,
                         redis_reply_cb cb)
{
    size_t len[3];
    for (size_t i = 0; i < argc; i++)
        len[i] = strlen(argv[i]);
    redis->login_due++;
    return redis_enqueue(redis, argc, argv, len, cb, redis);
}

static void login(struct redis *redis)
{
    const struct redis_url *url = &redis->url;
    char database[12];
    (void)snprintf(database, sizeof database, "%u", (unsigned)url->database);
    enter(redis, REDIS_PHASE_LOGIN, NULL);
    redis->silent_ticks = 1;
    redis->login_due = 0;
    int code = 0;
    if (url->user[0] != '\0')
        code = login_command(redis, 3, (const char *const[]){"AUTH", url->user, url->password},
                             login_answered);
    else if (url->password[0] != '\0')
        code =
            login_command(redis, 2, (const char *const[]){"AUTH", url->password}, login_answered);
    if (code == 0 && url->database != 0) /* 0 is the default, and SELECT may be forbidden */
        code = login_command(redis, 2, (const char *const[]){"SELECT", database}, login_answered);
    if (code == 0) /* its answer shows a server that needs a password or is still loading */
        code = login_command(redis, 1, (const char *const[]){"PING"}, login_answered);
    if (code == 0)
        code = login_command(redis, 1, (const char *const[]){"HELLO"}, role_answered);
    if (code < 0)
        redis_fail(redis, "cannot log in", err_text(code));
}

/* ---- connecting ---- */

/* A thread resolves names and connects sockets, since the resolver blocks. */
struct redis_dialling {
    struct redis *redis; /* NULL: closed meanwhile. The thread does not touch it. */
    char host[REDIS_URL_PART_MAX + 1];
    uint16_t port;
    bool secure;
    struct tls_files files;
    unsigned round;
    int code;
    int fd;
    struct tls *tls; /* NULL: plain */
    char reason[REDIS_REASON_SIZE - 24];
};

static void secure_in_thread(struct redis_dialling *dialling)
{
    char problem[sizeof dialling->reason - 64];
    dialling->tls = tls_connect(dialling->fd, dialling->host, &dialling->files, HANDSHAKE_MS,
                                problem, sizeof problem);
    if (dialling->tls != NULL)
        return;
    (void)close(dialling->fd);
    dialling->code = ERR_UNAVAILABLE;
    (void)snprintf(dialling->reason, sizeof dialling->reason, "%.40s:%u: %s", dialling->host,
                   dialling->port, problem);
}

static void connect_in_thread(void *arg)
{
    struct redis_dialling *dialling = arg;
    dialling->code = tcp_connect(dialling->host, dialling->port, dialling->round, CONNECT_MS,
                                 &dialling->fd, dialling->reason, sizeof dialling->reason);
    if (dialling->code == 0 && dialling->secure)
        secure_in_thread(dialling);
}

/* Takes the connected socket and its TLS. */
static void take_socket(struct redis *redis, int fd, struct tls *tls)
{
    redis->wire = redis_wire_new(fd, tls);
    if (redis->wire == NULL) {
        redis_fail(redis, "cannot connect", "out of memory");
        return;
    }
    redis->watch = loop_watch_new(redis->loop, fd, socket_ready, redis);
    if (redis->watch == NULL) {
        redis_fail(redis, "cannot watch the connection", "");
        return;
    }
    loop_watch_set(redis->watch, LOOP_READ);
    loop_timer_start(redis->tick, TICK_MS, TICK_MS);
    login(redis);
}

static void dialled(void *arg)
{
    struct redis_dialling *dialling = arg;
    struct redis *redis = dialling->redis;
    if (redis == NULL) {
        if (dialling->code == 0) {
            tls_free(dialling->tls);
            (void)close(dialling->fd);
        }
    } else {
        redis->dialling = NULL;
        redis->fault = dialling->code;
        if (dialling->code < 0)
            redis_fail(redis, "cannot connect", dialling->reason);
        else
            take_socket(redis, dialling->fd, dialling->tls);
    }
    free(dialling);
}

static void attempt(struct redis *redis)
{
    struct redis_dialling *dialling = calloc(1, sizeof *dialling);
    if (dialling != NULL) {
        dialling->redis = redis;
        dialling->port = redis->url.port;
        dialling->secure = redis->url.tls;
        dialling->files = redis->files;
        dialling->round = redis->walk.round;
        memcpy(dialling->host, redis->url.host, sizeof dialling->host);
    }
    if (dialling == NULL ||
        loop_background(redis->loop, connect_in_thread, dialled, dialling) < 0) {
        free(dialling);
        redis_fail(redis, "cannot connect", "out of memory");
        return;
    }
    enter(redis, REDIS_PHASE_CONNECTING, NULL);
    redis->dialling = dialling;
}

void redis_retry_due(void *arg)
{
    struct redis *redis = arg;
    if (redis->phase == REDIS_PHASE_CLOSED)
        redis_free(redis);
    else
        attempt(redis);
}

void redis_end(struct redis *redis)
{
    enter(redis, REDIS_PHASE_CLOSED, NULL);
    if (redis->dialling != NULL)
        redis->dialling->redis = NULL;
    disconnect(redis);
    tell_lost(redis);
    loop_timer_start(redis->retry, 0, 0); /* frees it */
}
