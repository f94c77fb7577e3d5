#include "common/net/redis/redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/redis/redis_due.h"
#include "common/net/redis/redis_push.h"
#include "common/net/redis/redis_url.h"
#include "common/net/tcp_connect.h"

/*
 * hiredis formats commands, moves bytes and parses replies; the connection's life is ours. Its own
 * asynchronous context frees itself around callbacks and asserts what a server sends, so it is not
 * used. Commands of one turn of the loop leave together, when the socket is next found writable.
 */

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 2000
#define DIAL_MS 2000
#define TICK_MS 1000
/* Turns of the loop are counted, so that our own stall is not taken for the server's. */
#define SILENT_TICKS_MAX 2
#define UNSENT_MAX ((size_t)16 * 1024 * 1024) /* bytes of commands not yet taken by the socket */
#define REASON_SIZE 192

enum phase { PHASE_IDLE, PHASE_DIALLING, PHASE_LOGIN, PHASE_UP };

struct redis {
    struct loop *loop;
    struct redis_url url;
    size_t pending_max;
    redis_push_cb push; /* NULL: replies answer commands */
    redis_state_cb state;
    void *arg;

    enum phase phase;
    uint64_t session; /* counts connections: tells a caller of callbacks that its own has ended */
    redisContext *redis;
    struct loop_watch *watch;
    struct loop_timer *retry;
    struct loop_timer *tick;
    struct backoff backoff;
    struct dialling *dialling;
    unsigned login_due;
    int fault; /* how the last try to connect failed */
    unsigned silent_ticks;
    bool ping_out;
    size_t unsent; /* at most this many bytes wait for the socket */

    struct redis_due due;

    bool closed; /* to be freed in the next turn of the loop: callers of callbacks still look at it
                  */
    char reason[REASON_SIZE]; /* why it is down, as last told */
};

/* ---- the end of a connection, and of the whole ---- */

static void disconnect(struct redis *redis)
{
    redis->session++;
    redis->phase = PHASE_IDLE;
    loop_watch_free(redis->watch);
    redis->watch = NULL;
    if (redis->redis != NULL)
        redisFree(redis->redis);
    redis->redis = NULL;
    loop_timer_stop(redis->tick);
    redis->unsent = 0;
}

static void tell_lost(struct redis *redis)
{
    static const struct redis_reply lost = {.type = REDIS_LOST};
    struct redis_due_entry entry;
    while (
        redis_due_pop(&redis->due, &entry)) /* nothing is added meanwhile: the phase forbids it */
        if (entry.cb != NULL)
            entry.cb(&lost, entry.arg);
}

/* Ends this connection (or try): tells everybody, tries again later. */
static void fail(struct redis *redis, const char *what, const char *detail)
{
    char reason[REASON_SIZE];
    (void)snprintf(reason, sizeof reason, "%s%s%s", what, detail[0] == '\0' ? "" : ": ", detail);
    if (redis->fault == 0)
        redis->fault = ERR_UNAVAILABLE;
    bool news = redis->phase == PHASE_UP || strcmp(reason, redis->reason) != 0;
    memcpy(redis->reason, reason, sizeof reason);
    disconnect(redis);
    tell_lost(redis);
    if (!redis->closed && news && redis->state != NULL)
        redis->state(false, redis->reason, redis->arg);
    if (!redis->closed)
        loop_timer_start(redis->retry, backoff_next(&redis->backoff), 0);
}

/* ---- sending ---- */

static int append(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len)
{
    char *text = NULL;
    /* The library only reads the arguments; its prototype lacks the const. */
    long long len =
        redisFormatCommandArgv(&text, (int)argc, (const char **)(uintptr_t)argv, argv_len);
    if (len < 0)
        return ERR_NOMEM;
    int code = 0;
    if ((size_t)len > UNSENT_MAX - redis->unsent)
        code = ERR_FULL;
    else if (redisAppendFormattedCommand(redis->redis, text, (size_t)len) != REDIS_OK)
        code = ERR_NOMEM;
    redisFreeCommand(text);
    if (code == 0) {
        redis->unsent += (size_t)len;
        loop_watch_set(redis->watch, LOOP_READ | LOOP_WRITE);
    }
    return code;
}

/* Queues a command and the answer that it will get. */
static int enqueue(struct redis *redis, size_t argc, const char *const *argv,
                   const size_t *argv_len, redis_reply_cb cb, void *arg)
{
    int code = redis_due_push(&redis->due, cb, arg);
    if (code < 0)
        return code;
    code = append(redis, argc, argv, argv_len);
    if (code < 0)
        redis_due_unpush(&redis->due);
    return code;
}

static void flush(struct redis *redis)
{
    int done = 0;
    if (redisBufferWrite(redis->redis, &done) != REDIS_OK) {
        fail(redis, "connection lost", redis->redis->errstr);
        return;
    }
    if (done != 0) {
        redis->unsent = 0;
        loop_watch_set(redis->watch, LOOP_READ);
    }
}

/* ---- login and watchdog ---- */

static void ping_answered(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    if (reply->type != REDIS_LOST)
        redis->ping_out = false;
}

static bool send_ping(struct redis *redis)
{
    const char *const argv[] = {"PING"};
    const size_t len[] = {4};
    int code = redis->push != NULL ? append(redis, 1, argv, len)
                                   : enqueue(redis, 1, argv, len, ping_answered, redis);
    if (code < 0)
        return false;
    redis->ping_out = true;
    redis->silent_ticks = 0;
    return true;
}

static void tick(void *arg)
{
    struct redis *redis = arg;
    if (redis->phase == PHASE_UP && !redis->ping_out && send_ping(redis))
        return;
    if (++redis->silent_ticks < SILENT_TICKS_MAX)
        return;
    fail(redis, "no answer within 2 s", "");
}

static void login_answered(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    if (reply->type == REDIS_LOST)
        return;
    if (reply->type == REDIS_ERROR) {
        char text[REASON_SIZE];
        (void)snprintf(text, sizeof text, "%.*s", (int)(reply->len < 100 ? reply->len : 100),
                       reply->str);
        bool passing = strncmp(text, "LOADING", 7) == 0 || strncmp(text, "BUSY", 4) == 0;
        redis->fault = passing ? ERR_UNAVAILABLE : ERR_AUTH;
        fail(redis, "Redis refused the login", text);
        return;
    }
    if (--redis->login_due > 0)
        return;
    redis->phase = PHASE_UP;
    redis->fault = 0;
    redis->reason[0] = '\0';
    redis->ping_out = false;
    redis->silent_ticks = 0;
    backoff_reset(&redis->backoff);
    if (redis->state != NULL)
        redis->state(true, NULL, redis->arg);
}

static int login_command(struct redis *redis, size_t argc, const char *const *argv)
{
    size_t len[3];
    for (size_t i = 0; i < argc; i++)
        len[i] = strlen(argv[i]);
    redis->login_due++;
    return enqueue(redis, argc, argv, len, login_answered, redis);
}

static void login(struct redis *redis)
{
    char database[12];
    (void)snprintf(database, sizeof database, "%u", (unsigned)redis->url.database);
    const struct redis_url *url = &redis->url;
    redis->phase = PHASE_LOGIN;
    redis->silent_ticks = 0;
    redis->login_due = 0;
    int code = 0;
    if (url->user[0] != '\0')
        code = login_command(redis, 3, (const char *const[]){"AUTH", url->user, url->password});
    else if (url->password[0] != '\0')
        code = login_command(redis, 2, (const char *const[]){"AUTH", url->password});
    if (code == 0)
        code = login_command(redis, 2, (const char *const[]){"SELECT", database});
    if (code == 0) /* tells a server that wants a password, or is still loading */
        code = login_command(redis, 1, (const char *const[]){"PING"});
    if (code < 0)
        fail(redis, "cannot log in", err_text(code));
}

/* ---- replies ---- */

static enum redis_type type_of(const redisReply *from)
{
    switch (from->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REDIS_STRING;
    case REDIS_REPLY_INTEGER:
        return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    default:
        return REDIS_NIL;
    }
}

static void reply_clear(const struct redis_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        reply_clear(&reply->items[i]);
    free((void *)(uintptr_t)reply->items); /* const is for the callbacks: this is its owner */
}

/* Texts stay the library's. Depth is bounded by its parser. False: no memory. */
static bool reply_from(const redisReply *from, struct redis_reply *to)
{
    *to = (struct redis_reply){.type = type_of(from), .integer = from->integer};
    if (to->type == REDIS_STRING || to->type == REDIS_ERROR) {
        to->str = from->str;
        to->len = from->len;
    }
    if (to->type != REDIS_ARRAY || from->elements == 0)
        return true;
    struct redis_reply *items = calloc(from->elements, sizeof *items);
    if (items == NULL)
        return false;
    to->items = items;
    for (size_t i = 0; i < from->elements; i++) {
        to->count = i + 1;
        if (!reply_from(from->element[i], &items[i]))
            return false;
    }
    return true;
}

static bool text_is(const struct redis_reply *reply, const char *text)
{
    return reply->type == REDIS_STRING && reply->len == strlen(text) &&
           strncasecmp(reply->str, text, reply->len) == 0;
}

static void deliver(struct redis *redis, const struct redis_reply *reply)
{
    if (redis->push != NULL && redis->phase == PHASE_UP) {
        /* PONG without a channel, ["pong", ""] with one */
        if (text_is(reply, "pong") || (reply->count > 0 && text_is(&reply->items[0], "pong")))
            redis->ping_out = false;
        else
            redis->push(reply, redis->arg);
        return;
    }
    struct redis_due_entry entry;
    if (!redis_due_pop(&redis->due, &entry))
        fail(redis, "Redis sent a reply that nobody asked for", "");
    else if (entry.cb != NULL)
        entry.cb(reply, entry.arg);
}

/* Takes what has arrived. Any callback may end the connection, or close the whole. */
static void read_replies(struct redis *redis)
{
    if (redisBufferRead(redis->redis) != REDIS_OK) {
        fail(redis, "connection lost", redis->redis->errstr);
        return;
    }
    uint64_t session = redis->session;
    while (redis->session == session) {
        void *raw = NULL;
        if (redisGetReplyFromReader(redis->redis, &raw) != REDIS_OK) {
            fail(redis, "Redis sent what is no reply", redis->redis->errstr);
            return;
        }
        if (raw == NULL)
            return;
        struct redis_reply reply;
        if (reply_from(raw, &reply))
            deliver(redis, &reply);
        else
            fail(redis, "out of memory", "");
        reply_clear(&reply);
        freeReplyObject(raw);
    }
}

/* ---- connecting ---- */

static void socket_ready(int events, void *arg)
{
    struct redis *redis = arg;
    uint64_t session = redis->session;
    if ((events & LOOP_READ) != 0)
        read_replies(redis);
    if (redis->session == session && (events & LOOP_WRITE) != 0)
        flush(redis);
}

/* Takes the connected socket over. */
static void take_socket(struct redis *redis, int fd)
{
    redis->redis = redisConnectFd(fd);
    if (redis->redis == NULL) {
        (void)close(fd);
        fail(redis, "cannot connect", "out of memory");
        return;
    }
    redis->redis->flags &= ~REDIS_BLOCK; /* the library supposes a blocking socket */
    redis->watch = loop_watch_new(redis->loop, fd, socket_ready, redis);
    if (redis->watch == NULL) {
        fail(redis, "cannot watch the connection", "");
        return;
    }
    loop_timer_start(redis->tick, TICK_MS, TICK_MS);
    login(redis);
}

/* Names are looked up and sockets connected in a thread: the resolver blocks. */
struct dialling {
    struct redis *redis; /* NULL: closed meanwhile. Not touched by the thread. */
    char host[REDIS_URL_PART_MAX + 1];
    uint16_t port;
    int code;
    int fd;
    char reason[REASON_SIZE - 24];
};

static void dial_in_thread(void *arg)
{
    struct dialling *dialling = arg;
    dialling->code = tcp_connect(dialling->host, dialling->port, DIAL_MS, &dialling->fd,
                                 dialling->reason, sizeof dialling->reason);
}

static void dialled(void *arg)
{
    struct dialling *dialling = arg;
    struct redis *redis = dialling->redis;
    if (redis == NULL) {
        if (dialling->code == 0)
            (void)close(dialling->fd);
    } else {
        redis->dialling = NULL;
        redis->fault = dialling->code;
        if (dialling->code < 0)
            fail(redis, "cannot connect", dialling->reason);
        else
            take_socket(redis, dialling->fd);
    }
    free(dialling);
}

static void destroy(struct redis *redis)
{
    loop_timer_free(redis->retry);
    loop_timer_free(redis->tick);
    redis_due_free(&redis->due);
    free(redis);
}

static void attempt(void *arg)
{
    struct redis *redis = arg;
    if (redis->closed) {
        destroy(redis);
        return;
    }
    struct dialling *dialling = calloc(1, sizeof *dialling);
    if (dialling != NULL) {
        dialling->redis = redis;
        dialling->port = redis->url.port;
        memcpy(dialling->host, redis->url.host, sizeof dialling->host);
    }
    if (dialling == NULL || loop_background(redis->loop, dial_in_thread, dialled, dialling) < 0) {
        free(dialling);
        fail(redis, "cannot connect", "out of memory");
        return;
    }
    redis->phase = PHASE_DIALLING;
    redis->dialling = dialling;
}

/* ---- the public calls ---- */

static struct redis *open_any(struct loop *loop, const char *url, redis_push_cb push,
                              redis_state_cb state, void *arg)
{
    struct redis *redis = calloc(1, sizeof *redis);
    const char *problem = NULL;
    if (redis == NULL)
        return NULL;
    if (redis_url_parse(url, &redis->url, &problem) < 0) {
        log_error("wrong Redis URL", LOG_STR("problem", problem));
        free(redis);
        return NULL;
    }
    redis->loop = loop;
    redis->push = push;
    redis->state = state;
    redis->arg = arg;
    redis->retry = loop_timer_new(loop, attempt, redis);
    redis->tick = loop_timer_new(loop, tick, redis);
    backoff_init(&redis->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS,
                 clock_mono_us() ^ ((uint64_t)getpid() << 40));
    if (redis->retry == NULL || redis->tick == NULL) {
        destroy(redis);
        return NULL;
    }
    loop_timer_start(redis->retry, 0, 0); /* not from here: the caller does not hold `redis` yet */
    return redis;
}

struct redis *redis_open(struct loop *loop, const char *url, size_t pending_max,
                         redis_state_cb state, void *arg)
{
    struct redis *redis = open_any(loop, url, NULL, state, arg);
    if (redis != NULL)
        redis->pending_max = pending_max;
    return redis;
}

struct redis *redis_open_push(struct loop *loop, const char *url, redis_push_cb push,
                              redis_state_cb state, void *arg)
{
    return open_any(loop, url, push, state, arg);
}

void redis_close(struct redis *redis)
{
    if (redis == NULL || redis->closed)
        return;
    redis->closed = true;
    if (redis->dialling != NULL)
        redis->dialling->redis = NULL;
    disconnect(redis);
    tell_lost(redis);
    loop_timer_start(redis->retry, 0, 0); /* frees it */
}

int redis_fault(const struct redis *redis)
{
    return redis->phase == PHASE_UP ? 0 : redis->fault;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->phase == PHASE_UP;
}

int redis_command(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
                  redis_reply_cb cb, void *arg)
{
    if (redis->phase != PHASE_UP || redis->closed)
        return ERR_UNAVAILABLE;
    if (redis->due.count >= redis->pending_max)
        return ERR_FULL;
    return enqueue(redis, argc, argv, argv_len, cb, arg);
}

int redis_send(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len)
{
    if (redis->phase != PHASE_UP || redis->closed)
        return ERR_UNAVAILABLE;
    return append(redis, argc, argv, argv_len);
}
