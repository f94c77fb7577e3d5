#include "common/net/redis/redis_wire.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/*
 * The library parses replies. Its contexts are not used: the asynchronous one frees itself around
 * callbacks and asserts what a server sends, and neither speaks TLS in each release of Debian. Nor
 * does it format commands: it prints and copies each argument, a twentieth of an order's cost.
 * Commands of one turn of the loop leave together, when the socket is next writable.
 */

#define UNSENT_MAX ((size_t)16 * 1024 * 1024) /* bytes of commands not yet taken by the socket */
#define KEPT_MAX ((size_t)64 * 1024)          /* a larger buffer goes once it is empty */

struct redis_wire {
    redisReader *reader;
    int fd;
    struct tls *tls; /* NULL: plain */
    struct buf out;
    size_t sent; /* of `out` */
    char problem[160];
};

struct redis_wire *redis_wire_new(int fd, struct tls *tls)
{
    struct redis_wire *wire = calloc(1, sizeof *wire);
    if (wire != NULL)
        wire->reader = redisReaderCreate();
    if (wire == NULL || wire->reader == NULL) {
        tls_free(tls);
        (void)close(fd);
        free(wire);
        return NULL;
    }
    wire->fd = fd;
    wire->tls = tls;
    buf_init(&wire->out, UNSENT_MAX);
    return wire;
}

void redis_wire_free(struct redis_wire *wire)
{
    if (wire == NULL)
        return;
    redisReaderFree(wire->reader);
    tls_free(wire->tls);
    (void)close(wire->fd);
    buf_free(&wire->out);
    free(wire);
}

const char *redis_wire_problem(const struct redis_wire *wire)
{
    return wire->problem;
}

static void set_problem(struct redis_wire *wire, const char *text)
{
    (void)snprintf(wire->problem, sizeof wire->problem, "%s", text);
}

static int add_count(struct buf *out, char kind, size_t count)
{
    (void)buf_char(out, kind);
    (void)buf_int(out, (int64_t)count);
    return buf_append(out, "\r\n", 2);
}

static int add_argument(struct buf *out, const char *value, size_t len)
{
    int code = add_count(out, '$', len);
    if (code == 0)
        code = buf_append(out, value, len);
    return code < 0 ? code : buf_append(out, "\r\n", 2);
}

int redis_wire_append(struct redis_wire *wire, size_t argc, const char *const *argv,
                      const size_t *argv_len)
{
    struct buf *out = &wire->out;
    size_t before = out->len;
    int code = add_count(out, '*', argc);
    for (size_t i = 0; i < argc && !out->failed; i++)
        code = add_argument(out, argv[i], argv_len[i]);
    if (!out->failed)
        return 0;
    out->failed = false; /* a command that does not fit is the caller's matter alone */
    out->len = before;
    return code < 0 ? code : ERR_NOMEM;
}

/* ---- bytes ---- */

/* As of tls_write. */
static int put(struct redis_wire *wire, const char *data, size_t size)
{
    if (wire->tls != NULL) {
        int code = tls_write(wire->tls, data, size);
        if (code < 0)
            set_problem(wire, tls_problem(wire->tls));
        return code;
    }
    ssize_t n = send(wire->fd, data, size, MSG_NOSIGNAL);
    if (n >= 0)
        return (int)n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    set_problem(wire, strerror(errno));
    return ERR_IO;
}

/* As of tls_read. */
static int get(struct redis_wire *wire, char *ret_data, size_t size)
{
    if (wire->tls != NULL) {
        int code = tls_read(wire->tls, ret_data, size);
        if (code < 0)
            set_problem(wire, tls_problem(wire->tls));
        return code;
    }
    ssize_t n = recv(wire->fd, ret_data, size, 0);
    if (n > 0)
        return (int)n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    set_problem(wire, n == 0 ? "Server closed the connection" : strerror(errno));
    return n == 0 ? ERR_CLOSED : ERR_IO;
}

int redis_wire_flush(struct redis_wire *wire)
{
    while (wire->sent < wire->out.len) {
        int n = put(wire, wire->out.data + wire->sent, wire->out.len - wire->sent);
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            return 1;
        wire->sent += (size_t)n;
    }
    wire->sent = 0;
    if (wire->out.cap > KEPT_MAX)
        buf_free(&wire->out);
    else
        buf_reset(&wire->out);
    return 0;
}

int redis_wire_read(struct redis_wire *wire)
{
    char data[TLS_RECORD_MAX];
    int n = get(wire, data, sizeof data);
    if (n > 0 && redisReaderFeed(wire->reader, data, (size_t)n) != REDIS_OK) {
        set_problem(wire, wire->reader->errstr);
        return ERR_IO;
    }
    return n < 0 ? ERR_IO : 0;
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

/* The library keeps the texts. Depth is bounded by its parser. False: no memory. */
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

int redis_wire_next(struct redis_wire *wire, redis_reply_cb cb, void *arg)
{
    void *raw = NULL;
    if (redisReaderGetReply(wire->reader, &raw) != REDIS_OK) {
        set_problem(wire, wire->reader->errstr);
        return ERR_PARSE;
    }
    if (raw == NULL)
        return 0;
    struct redis_reply reply;
    bool whole = reply_from(raw, &reply);
    if (whole)
        cb(&reply, arg); /* may free the wire: touch only locals after it */
    reply_clear(&reply);
    freeReplyObject(raw);
    return whole ? 1 : ERR_NOMEM;
}
