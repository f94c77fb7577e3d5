#include "common/kv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/kv_push.h"
#include "common/kv_url.h"
#include "common/log.h"

/*
 * hiredis formats commands, moves bytes and parses replies; the connection's life is ours. Its own
 * asynchronous context frees itself around callbacks and asserts what a server sends, so it is not
 * used. Commands of one turn of the loop leave together, when the socket is next found writable.
 */

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 2000
#define TICK_MS 1000
#define SILENT_TICKS_MAX                                                                           \
    2                                 /* turns of the loop are counted, so our own stall is not    \
                                         taken for the server's */
#define UNSENT_MAX (16 * 1024 * 1024) /* bytes of commands not yet taken by the socket */
#define REASON_SIZE 192

enum phase { PHASE_IDLE, PHASE_RESOLVING, PHASE_CONNECTING, PHASE_LOGIN, PHASE_UP };

struct pending {
    kv_reply_cb cb; /* NULL: nobody waits */
    void *arg;
};

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
    struct resolve *resolve;
    unsigned attempts;
    unsigned login_due;
    unsigned silent_ticks;
    bool ping_out;
    size_t unsent; /* at most this many bytes wait for the socket */

    struct pending *ring; /* answers due, oldest at `first` */
    size_t ring_cap;
    size_t first;
    size_t count;

    unsigned busy; /* calls on the stack that still touch this struct */
    bool closed;
    char reason[REASON_SIZE]; /* why it is down, as last told */
};

static void attempt(void *arg);

/* ---- answers due ---- */

static int ring_push(struct kv *kv, kv_reply_cb cb, void *arg)
{
    if (kv->count == kv->ring_cap) {
        size_t cap = kv->ring_cap == 0 ? 16 : kv->ring_cap * 2;
        struct pending *ring = calloc(cap, sizeof *ring);
        if (ring == NULL)
            return ERR_NOMEM;
        for (size_t i = 0; i < kv->count; i++)
            ring[i] = kv->ring[(kv->first + i) % kv->ring_cap];
        free(kv->ring);
        kv->ring = ring;
        kv->ring_cap = cap;
        kv->first = 0;
    }
    kv->ring[(kv->first + kv->count) % kv->ring_cap] = (struct pending){cb, arg};
    kv->count++;
    return 0;
}

static bool ring_pop(struct kv *kv, struct pending *ret_pending)
{
    if (kv->count == 0)
        return false;
    *ret_pending = kv->ring[kv->first];
    kv->first = (kv->first + 1) % kv->ring_cap;
    kv->count--;
    return true;
}

/* ---- the end of a connection, and of the whole ---- */

static void release(struct kv *kv)
{
    if (--kv->busy > 0 || !kv->closed)
        return;
    loop_timer_free(kv->retry);
    loop_timer_free(kv->tick);
    free(kv->ring);
    free(kv);
}

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
    struct pending pending;
    while (ring_pop(kv, &pending)) /* nothing is added meanwhile: the phase forbids it */
        if (pending.cb != NULL)
            pending.cb(&lost, pending.arg);
}

/* Ends this connection (or try): tells everybody, tries again later. */
static void fail(struct kv *kv, const char *what, const char *detail)
{
    char reason[REASON_SIZE];
    (void)snprintf(reason, sizeof reason, "%s%s%s", what, detail[0] == '\0' ? "" : ": ", detail);
    bool news = kv->phase == PHASE_UP || strcmp(reason, kv->reason) != 0;
    memcpy(kv->reason, reason, sizeof reason);
    kv->busy++;
    disconnect(kv);
    tell_lost(kv);
    if (!kv->closed && news && kv->state != NULL)
        kv->state(false, kv->reason, kv->arg);
    if (!kv->closed)
        loop_timer_start(kv->retry, backoff_next(&kv->backoff), 0);
    release(kv);
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
    int code = ring_push(kv, cb, arg);
    if (code < 0)
        return code;
    code = append(kv, argc, argv, argv_len);
    if (code < 0)
        kv->count--; /* takes back what was pushed just now */
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
    if (kv->phase == PHASE_CONNECTING)
        fail(kv, "no connection within 2 s", "");
    else
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
        fail(kv, "Redis refused the login", text);
        return;
    }
    if (--kv->login_due > 0)
        return;
    kv->phase = PHASE_UP;
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
    struct pending pending;
    if (!ring_pop(kv, &pending))
        fail(kv, "Redis sent a reply that nobody asked for", "");
    else if (pending.cb != NULL)
        pending.cb(reply, pending.arg);
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

static void connected(struct kv *kv)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(kv->redis->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0)
        fail(kv, "cannot connect", strerror(error));
    else
        login(kv);
}

static void socket_ready(int events, void *arg)
{
    struct kv *kv = arg;
    kv->busy++;
    uint64_t session = kv->session;
    if (kv->phase == PHASE_CONNECTING)
        connected(kv);
    else if ((events & LOOP_READ) != 0)
        read_replies(kv);
    if (kv->session == session && (events & LOOP_WRITE) != 0)
        flush(kv);
    release(kv);
}

static void connect_to(struct kv *kv, const char *address)
{
    kv->redis = redisConnectNonBlock(address, kv->url.port);
    if (kv->redis == NULL || kv->redis->err != 0) {
        fail(kv, "cannot connect", kv->redis == NULL ? "out of memory" : kv->redis->errstr);
        return;
    }
    int on = 1; /* else a small command waits for the acknowledgement of the one before */
    (void)setsockopt(kv->redis->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    kv->watch = loop_watch_new(kv->loop, kv->redis->fd, socket_ready, kv);
    if (kv->watch == NULL) {
        fail(kv, "cannot watch the connection", "");
        return;
    }
    kv->phase = PHASE_CONNECTING;
    kv->silent_ticks = 0;
    loop_watch_set(kv->watch, LOOP_WRITE);
    loop_timer_start(kv->tick, TICK_MS, TICK_MS);
}

/* A name is looked up in a thread: the resolver blocks. */
struct resolve {
    struct kv *kv; /* NULL: closed meanwhile. Not touched by the thread. */
    char host[KV_URL_PART_MAX + 1];
    unsigned turn; /* which of several addresses to take */
    int error;
    char address[NI_MAXHOST];
};

static void resolve_in_thread(void *arg)
{
    struct resolve *resolve = arg;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    resolve->error = getaddrinfo(resolve->host, NULL, &hints, &list);
    if (resolve->error != 0)
        return;
    unsigned count = 0;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        count++;
    const struct addrinfo *chosen = list;
    for (unsigned skip = resolve->turn % count; skip > 0; skip--)
        chosen = chosen->ai_next;
    resolve->error = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, resolve->address,
                                 sizeof resolve->address, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(list);
}

static void resolved(void *arg)
{
    struct resolve *resolve = arg;
    struct kv *kv = resolve->kv;
    if (kv != NULL) {
        kv->resolve = NULL;
        if (resolve->error != 0)
            fail(kv, "cannot resolve the host", gai_strerror(resolve->error));
        else
            connect_to(kv, resolve->address);
    }
    free(resolve);
}

static bool is_numeric(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static void attempt(void *arg)
{
    struct kv *kv = arg;
    if (is_numeric(kv->url.host)) {
        connect_to(kv, kv->url.host);
        return;
    }
    kv->phase = PHASE_RESOLVING;
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve != NULL) {
        resolve->kv = kv;
        resolve->turn = kv->attempts++;
        memcpy(resolve->host, kv->url.host, sizeof resolve->host);
    }
    if (resolve == NULL || loop_background(kv->loop, resolve_in_thread, resolved, resolve) < 0) {
        free(resolve);
        fail(kv, "cannot resolve the host", "out of memory");
        return;
    }
    kv->resolve = resolve;
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
        kv_close(kv);
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
    kv->busy++;
    if (kv->resolve != NULL)
        kv->resolve->kv = NULL;
    if (kv->retry != NULL)
        loop_timer_stop(kv->retry);
    if (kv->tick != NULL)
        disconnect(kv);
    tell_lost(kv);
    release(kv);
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
    if (kv->count >= kv->pending_max)
        return ERR_FULL;
    return enqueue(kv, argc, argv, argv_len, cb, arg);
}

int kv_send(struct kv *kv, size_t argc, const char *const *argv, const size_t *argv_len)
{
    if (kv->phase != PHASE_UP || kv->closed)
        return ERR_UNAVAILABLE;
    return append(kv, argc, argv, argv_len);
}
