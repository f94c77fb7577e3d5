#include "tests/fake/fake_redis.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define COMMANDS_MAX 4096
#define TEXT_MAX 65536

struct command {
    char *text;
    bool open;
    redis_reply_cb cb;
    void *arg;
};

struct redis {
    bool up;
    size_t count;
    size_t fail_after;
    int fail_code;
    struct command commands[COMMANDS_MAX]; /* all that were ever sent */
};

struct redis *fake_redis_new(void)
{
    struct redis *redis = calloc(1, sizeof *redis);
    ck_assert_ptr_nonnull(redis);
    return redis;
}

void fake_redis_up(struct redis *redis)
{
    redis->up = true;
}

static void end(struct command *command, const struct redis_reply *reply)
{
    command->open = false;
    if (command->cb != NULL)
        command->cb(reply, command->arg);
}

void fake_redis_down(struct redis *redis)
{
    const struct redis_reply lost = {.type = REDIS_LOST};
    redis->up = false;
    for (size_t i = 0; i < redis->count; i++)
        if (redis->commands[i].open)
            end(&redis->commands[i], &lost);
}

void fake_redis_fail_after(struct redis *redis, size_t count, int code)
{
    redis->fail_after = count;
    redis->fail_code = code;
}

size_t fake_redis_waiting(const struct redis *redis)
{
    size_t count = 0;
    for (size_t i = 0; i < redis->count; i++)
        count += redis->commands[i].open;
    return count;
}

static const struct command *find(const struct redis *redis, size_t number)
{
    for (size_t i = 0; i < redis->count; i++)
        if (redis->commands[i].open && number-- == 0)
            return &redis->commands[i];
    ck_abort_msg("fewer commands wait");
    return NULL;
}

const char *fake_redis_command(const struct redis *redis, size_t number)
{
    return find(redis, number)->text;
}

void fake_redis_answer(struct redis *redis, size_t number, const struct redis_reply *reply)
{
    end(&redis->commands[find(redis, number) - redis->commands], reply);
}

void fake_redis_done(struct redis *redis, size_t number)
{
    const struct redis_reply reply = {.type = REDIS_INTEGER, .integer = 1};
    fake_redis_answer(redis, number, &reply);
}

void fake_redis_refuse(struct redis *redis, size_t number)
{
    static const char text[] = "NOPERM the test says so";
    const struct redis_reply reply = {.type = REDIS_ERROR, .str = text, .len = sizeof text - 1};
    fake_redis_answer(redis, number, &reply);
}

size_t fake_redis_sent(const struct redis *redis, const char *beginning)
{
    size_t count = 0;
    for (size_t i = 0; i < redis->count; i++)
        count += strncmp(redis->commands[i].text, beginning, strlen(beginning)) == 0;
    return count;
}

/* ---- redis.h ---- */

void redis_close(struct redis *redis)
{
    if (redis == NULL)
        return;
    fake_redis_down(redis);
    for (size_t i = 0; i < redis->count; i++)
        free(redis->commands[i].text);
    free(redis);
}

bool redis_is_up(const struct redis *redis)
{
    return redis->up;
}

void redis_hurry(struct redis *redis)
{
    (void)redis;
}

int redis_command(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
                  redis_reply_cb cb, void *arg)
{
    if (!redis->up)
        return ERR_UNAVAILABLE;
    if (redis->fail_code < 0 && redis->fail_after-- == 0) {
        int code = redis->fail_code;
        redis->fail_code = 0;
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < argc; i++) {
        (void)buf_str(&text, i == 0 ? "" : " ");
        (void)buf_append(&text, argv[i], argv_len[i]);
    }
    ck_assert(!text.failed);
    ck_assert_uint_lt(redis->count, COMMANDS_MAX);
    redis->commands[redis->count++] = (struct command){text.data, true, cb, arg};
    return 0;
}
