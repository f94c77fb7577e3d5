#include "common/net/redis/redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/net/tcp_connect.h"
#include "common/base/err.h"
#include "common/net/redis/redis_due.h"
#include "common/net/redis/redis_push.h"
#include "common/net/redis/redis_url.h"
#include "common/base/log.h"

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

struct kv {
    struct loop *loop;
    struct kv_url url;
    size_t pending_max;
    kv_push_cb push; /* NULL: replies answer commands */
    kv_state_cb state;
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

    struct kv_due due;

    bool closed; /* to be freed in the next turn of the loop: callers of callbacks still look at it
                  */
    char reason[REASON_SIZE]; /* why it is down, as last told */
};

/* ---- the end of a connection, and of the whole ---- */

static void disconnect(struct kv *kv)
{
    kv->session++;
    kv->phase = PHASE_IDLE;
    loop_watch_free(kv->watch);
    kv->watch = NULL;
    if (kv->redis != NULL)
        redisFree(kv->redis);
    kv->redis = NULL;
    loop_timer_stop(kv->tick);
    kv->unsent = 0;
}

static void tell_lost(struct kv *kv)
{
    static const struct kv_reply lost = {.type = KV_LOST};
    struct kv_due_entry entry;
    while (kv_due_pop(&kv->due, &entry)) /* nothing is added meanwhile: the phase forbids it */
        if (entry.cb != NULL)
            entry.cb(&lost, entry.arg);
}

/* Ends this connection (or try): tells everybody, tries again later. */
static void fail(struct kv *kv, const char *what, const char *detail)
{
    char reason[REASON_SIZE];
    (void)snprintf(reason, sizeof reason, "%s%s%s", what, detail[0] == '\0' ? "" : ": ", detail);
    if (kv->fault == 0)
        kv->fault = ERR_UNAVAILABLE;
    bool news = kv->phase == PHASE_UP || strcmp(reason, kv->reason) != 0;
    memcpy(kv->reason, reason, sizeof reason);
    disconnect(kv);
    tell_lost(kv);
    if (!kv->closed && news && kv->state != NULL)
        kv->state(false, kv->reason, kv->arg);
    if (!kv->closed)
        loop_timer_start(kv->retry, backoff_next(&kv->backoff), 0);
}

/* ---- sending ---- */

static int append(struct kv *kv, size_t argc, const char *const *argv, const size_t *argv_len)
{
    char *text = NULL;
    /* The library only reads the arguments; its prototype lacks the const. */
    long long len =
        redisFormatCommandArgv(&text, (int)argc, (const char **)(uintptr_t)argv, argv_len);
    if (len < 0)
        return ERR_NOMEM;
    int code = 0;
    if ((size_t)len > UNSENT_MAX - kv->unsent)
        code = ERR_FULL;
    else if (redisAppendFormattedCommand(kv->redis, text, (size_t)len) != REDIS_OK)
        code = ERR_NOMEM;
    redisFreeCommand(text);
    if (code == 0) {
        kv->unsent += (size_t)len;
        loop_watch_set(kv->watch, LOOP_READ | LOOP_WRITE);
    }
    return code;
}

/* Queues a command and the answer that it will get. */
static int enqueue(struct kv *kv, size_t argc, const char *const *argv, const size_t *argv_len,
                   kv_reply_cb cb, void *arg)
{
    int code = kv_due_push(&kv->due, cb, arg);
    if (code < 0)
        return code;
    code = append(kv, argc, argv, argv_len);
    if (code < 0)
        kv_due_unpush(&kv->due);
    return code;
}

static void flush(struct kv *kv)
{
    int done = 0;
    if (redisBufferWrite(kv->redis, &done) != REDIS_OK) {
        fail(kv, "connection lost", kv->redis->errstr);
        return;
    }
    if (done != 0) {
        kv->unsent = 0;
        loop_watch_set(kv->watch, LOOP_READ);
    }
}

/* ---- login and watchdog ---- */

static void ping_answered(const struct kv_reply *reply, void *arg)
{
    struct kv *kv = arg;
    if (reply->type != KV_LOST)
        kv->ping_out = false;
}

static bool send_ping(struct kv *kv)
{
    const char *const argv[] = {"PING"};
    const size_t len[] = {4};
    int code =
        kv->push != NULL ? append(kv, 1, argv, len) : enqueue(kv, 1, argv, len, ping_answered, kv);
    if (code < 0)
        return false;
    kv->ping_out = true;
    kv->silent_ticks = 0;
    return true;
}

static void tick(void *arg)
{
    struct kv *kv = arg;
    if (kv->phase == PHASE_UP && !kv->ping_out && send_ping(kv))
        return;
    if (++kv->silent_ticks < SILENT_TICKS_MAX)
        return;
    fail(kv, "no answer within 2 s", "");
}

static void login_answered(const struct kv_reply *reply, void *arg)
{
    struct kv *kv = arg;
    if (reply->type == KV_LOST)
        return;
    if (reply->type == KV_ERROR) {
        char text[REASON_SIZE];
        (void)snprintf(text, sizeof text, "%.*s", (int)(reply->len < 100 ? reply->len : 100),
                       reply->str);
        bool passing = strncmp(text, "LOADING", 7) == 0 || strncmp(text, "BUSY", 4) == 0;
        kv->fault = passing ? ERR_UNAVAILABLE : ERR_AUTH;
        fail(kv, "Redis refused the login", text);
        return;
    }
    if (--kv->login_due > 0)
        return;
    kv->phase = PHASE_UP;
    kv->fault = 0;
    kv->reason[0] = '\0';
    kv->ping_out = false;
    kv->silent_ticks = 0;
    backoff_reset(&kv->backoff);
    if (kv->state != NULL)
        kv->state(true, NULL, kv->arg);
}

static int login_command(struct kv *kv, size_t argc, const char *const *argv)
{
    size_t len[3];
    for (size_t i = 0; i < argc; i++)
        len[i] = strlen(argv[i]);
    kv->login_due++;
    return enqueue(kv, argc, argv, len, login_answered, kv);
}

static void login(struct kv *kv)
{
    char database[12];
    (void)snprintf(database, sizeof database, "%u", (unsigned)kv->url.database);
    const struct kv_url *url = &kv->url;
    kv->phase = PHASE_LOGIN;
    kv->silent_ticks = 0;
    kv->login_due = 0;
    int code = 0;
    if (url->user[0] != '\0')
        code = login_command(kv, 3, (const char *const[]){"AUTH", url->user, url->password});
    else if (url->password[0] != '\0')
        code = login_command(kv, 2, (const char *const[]){"AUTH", url->password});
    if (code == 0)
        code = login_command(kv, 2, (const char *const[]){"SELECT", database});
    if (code == 0) /* tells a server that wants a password, or is still loading */
        code = login_command(kv, 1, (const char *const[]){"PING"});
    if (code < 0)
        fail(kv, "cannot log in", err_text(code));
}

/* ---- replies ---- */

static enum kv_type type_of(const redisReply *from)
{
    switch (from->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return KV_STRING;
    case REDIS_REPLY_INTEGER:
        return KV_INTEGER;
    case REDIS_REPLY_ARRAY:
        return KV_ARRAY;
    case REDIS_REPLY_ERROR:
        return KV_ERROR;
    default:
        return KV_NIL;
    }
}

static void reply_clear(const struct kv_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        reply_clear(&reply->items[i]);
    free((void *)(uintptr_t)reply->items); /* const is for the callbacks: this is its owner */
}

/* Texts stay the library's. Depth is bounded by its parser. False: no memory. */
static bool reply_from(const redisReply *from, struct kv_reply *to)
{
    *to = (struct kv_reply){.type = type_of(from), .integer = from->integer};
    if (to->type == KV_STRING || to->type == KV_ERROR) {
        to->str = from->str;
        to->len = from->len;
    }
    if (to->type != KV_ARRAY || from->elements == 0)
        return true;
    struct kv_reply *items = calloc(from->elements, sizeof *items);
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

static bool text_is(const struct kv_reply *reply, const char *text)
{
    return reply->type == KV_STRING && reply->len == strlen(text) &&
           strncasecmp(reply->str, text, reply->len) == 0;
}

static void deliver(struct kv *kv, const struct kv_reply *reply)
{
    if (kv->push != NULL && kv->phase == PHASE_UP) {
        /* PONG without a channel, ["pong", ""] with one */
        if (text_is(reply, "pong") || (reply->count > 0 && text_is(&reply->items[0], "pong")))
            kv->ping_out = false;
        else
            kv->push(reply, kv->arg);
        return;
    }
    struct kv_due_entry entry;
    if (!kv_due_pop(&kv->due, &entry))
        fail(kv, "Redis sent a reply that nobody asked for", "");
    else if (entry.cb != NULL)
        entry.cb(reply, entry.arg);
}

/* Takes what has arrived. Any callback may end the connection, or close the whole. */
static void read_replies(struct kv *kv)
{
    if (redisBufferRead(kv->redis) != REDIS_OK) {
        fail(kv, "connection lost", kv->redis->errstr);
        return;
    }
    uint64_t session = kv->session;
    while (kv->session == session) {
        void *raw = NULL;
        if (redisGetReplyFromReader(kv->redis, &raw) != REDIS_OK) {
            fail(kv, "Redis sent what is no reply", kv->redis->errstr);
            return;
        }
        if (raw == NULL)
            return;
        struct kv_reply reply;
        if (reply_from(raw, &reply))
            deliver(kv, &reply);
        else
            fail(kv, "out of memory", "");
        reply_clear(&reply);
        freeReplyObject(raw);
    }
}

/* ---- connecting ---- */

static void socket_ready(int events, void *arg)
{
    struct kv *kv = arg;
    uint64_t session = kv->session;
    if ((events & LOOP_READ) != 0)
        read_replies(kv);
    if (kv->session == session && (events & LOOP_WRITE) != 0)
        flush(kv);
}

/* Takes the connected socket over. */
static void take_socket(struct kv *kv, int fd)
{
    kv->redis = redisConnectFd(fd);
    if (kv->redis == NULL) {
        (void)close(fd);
        fail(kv, "cannot connect", "out of memory");
        return;
    }
    kv->redis->flags &= ~REDIS_BLOCK; /* the library supposes a blocking socket */
    kv->watch = loop_watch_new(kv->loop, fd, socket_ready, kv);
    if (kv->watch == NULL) {
        fail(kv, "cannot watch the connection", "");
        return;
    }
    loop_timer_start(kv->tick, TICK_MS, TICK_MS);
    login(kv);
}

/* Names are looked up and sockets connected in a thread: the resolver blocks. */
struct dialling {
    struct kv *kv; /* NULL: closed meanwhile. Not touched by the thread. */
    char host[KV_URL_PART_MAX + 1];
    uint16_t port;
    int code;
    int fd;
    char reason[REASON_SIZE - 24];
};

static void dial_in_thread(void *arg)
{
    struct dialling *dialling = arg;
    dialling->code = dial_tcp(dialling->host, dialling->port, DIAL_MS, &dialling->fd,
                              dialling->reason, sizeof dialling->reason);
}

static void dialled(void *arg)
{
    struct dialling *dialling = arg;
    struct kv *kv = dialling->kv;
    if (kv == NULL) {
        if (dialling->code == 0)
            (void)close(dialling->fd);
    } else {
        kv->dialling = NULL;
        kv->fault = dialling->code;
        if (dialling->code < 0)
            fail(kv, "cannot connect", dialling->reason);
        else
            take_socket(kv, dialling->fd);
    }
    free(dialling);
}

static void destroy(struct kv *kv)
{
    loop_timer_free(kv->retry);
    loop_timer_free(kv->tick);
    kv_due_free(&kv->due);
    free(kv);
}

static void attempt(void *arg)
{
    struct kv *kv = arg;
    if (kv->closed) {
        destroy(kv);
        return;
    }
    struct dialling *dialling = calloc(1, sizeof *dialling);
    if (dialling != NULL) {
        dialling->kv = kv;
        dialling->port = kv->url.port;
        memcpy(dialling->host, kv->url.host, sizeof dialling->host);
    }
    if (dialling == NULL || loop_background(kv->loop, dial_in_thread, dialled, dialling) < 0) {
        free(dialling);
        fail(kv, "cannot connect", "out of memory");
        return;
    }
    kv->phase = PHASE_DIALLING;
    kv->dialling = dialling;
}

/* ---- the public calls ---- */

static struct kv *open_any(struct loop *loop, const char *url, kv_push_cb push, kv_state_cb state,
                           void *arg)
{
    struct kv *kv = calloc(1, sizeof *kv);
    const char *problem = NULL;
    if (kv == NULL)
        return NULL;
    if (kv_url_parse(url, &kv->url, &problem) < 0) {
        log_error("wrong Redis URL", LOG_STR("problem", problem));
        free(kv);
        return NULL;
    }
    kv->loop = loop;
    kv->push = push;
    kv->state = state;
    kv->arg = arg;
    kv->retry = loop_timer_new(loop, attempt, kv);
    kv->tick = loop_timer_new(loop, tick, kv);
    backoff_init(&kv->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS,
                 clock_mono_us() ^ ((uint64_t)getpid() << 40));
    if (kv->retry == NULL || kv->tick == NULL) {
        destroy(kv);
        return NULL;
    }
    loop_timer_start(kv->retry, 0, 0); /* not from here: the caller does not hold `kv` yet */
    return kv;
}

struct kv *kv_open(struct loop *loop, const char *url, size_t pending_max, kv_state_cb state,
                   void *arg)
{
    struct kv *kv = open_any(loop, url, NULL, state, arg);
    if (kv != NULL)
        kv->pending_max = pending_max;
    return kv;
}

struct kv *kv_open_push(struct loop *loop, const char *url, kv_push_cb push, kv_state_cb state,
                        void *arg)
{
    return open_any(loop, url, push, state, arg);
}

void kv_close(struct kv *kv)
{
    if (kv == NULL || kv->closed)
        return;
    kv->closed = true;
    if (kv->dialling != NULL)
        kv->dialling->kv = NULL;
    disconnect(kv);
    tell_lost(kv);
    loop_timer_start(kv->retry, 0, 0); /* frees it */
}

int kv_fault(const struct kv *kv)
{
    return kv->phase == PHASE_UP ? 0 : kv->fault;
}

bool kv_is_up(const struct kv *kv)
{
    return kv->phase == PHASE_UP;
}

int kv_command(struct kv *kv, size_t argc, const char *const *argv, const size_t *argv_len,
               kv_reply_cb cb, void *arg)
{
    if (kv->phase != PHASE_UP || kv->closed)
        return ERR_UNAVAILABLE;
    if (kv->due.count >= kv->pending_max)
        return ERR_FULL;
    return enqueue(kv, argc, argv, argv_len, cb, arg);
}

int kv_send(struct kv *kv, size_t argc, const char *const *argv, const size_t *argv_len)
{
    if (kv->phase != PHASE_UP || kv->closed)
        return ERR_UNAVAILABLE;
    return append(kv, argc, argv, argv_len);
}
