#include "common/net/redis/redis_wire.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/err.h"

/*
 * The library's own asynchronous context frees itself around callbacks and asserts what a server
 * sends, so it is not used. Commands of one turn of the loop leave together, when the socket is
 * next writable.
 */

#define UNSENT_MAX ((size_t)16 * 1024 * 1024) /* bytes of commands not yet taken by the socket */

struct redis_wire {
    redisContext *context;
    size_t unsent; /* at most this many bytes wait for the socket */
};

struct redis_wire *redis_wire_new(int fd)
{
    struct redis_wire *wire = calloc(1, sizeof *wire);
    if (wire != NULL)
        wire->context = redisConnectFd(fd);
    if (wire == NULL || wire->context == NULL) {
        (void)close(fd);
        free(wire);
        return NULL;
    }
    wire->context->flags &= ~REDIS_BLOCK; /* the library assumes a blocking socket */
    return wire;
}

void redis_wire_free(struct redis_wire *wire)
{
    if (wire == NULL)
        return;
    redisFree(wire->context);
    free(wire);
}

const char *redis_wire_problem(const struct redis_wire *wire)
{
    return wire->context->errstr;
}

int redis_wire_append(struct redis_wire *wire, size_t argc, const char *const *argv,
                      const size_t *argv_len)
{
    char *text = NULL;
    /* The library only reads the arguments; its prototype lacks the const. */
    long long len =
        redisFormatCommandArgv(&text, (int)argc, (const char **)(uintptr_t)argv, argv_len);
    if (len < 0)
        return ERR_NOMEM;
    int code = 0;
    if ((size_t)len > UNSENT_MAX - wire->unsent)
        code = ERR_FULL;
    else if (redisAppendFormattedCommand(wire->context, text, (size_t)len) != REDIS_OK)
        code = ERR_NOMEM;
    redisFreeCommand(text);
    if (code == 0)
        wire->unsent += (size_t)len;
    return code;
}

int redis_wire_flush(struct redis_wire *wire)
{
    int done = 0;
    if (redisBufferWrite(wire->context, &done) != REDIS_OK)
        return ERR_IO;
    if (done == 0)
        return 1;
    wire->unsent = 0;
    return 0;
}

int redis_wire_read(struct redis_wire *wire)
{
    return redisBufferRead(wire->context) == REDIS_OK ? 0 : ERR_IO;
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
    if (redisGetReplyFromReader(wire->context, &raw) != REDIS_OK)
        return ERR_PARSE;
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
