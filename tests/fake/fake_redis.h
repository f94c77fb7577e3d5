/*
 * A scripted Redis in place of common/net/redis/redis.c: commands wait until the test answers them,
 * in any order.
 */
#ifndef TESTS_FAKE_REDIS_H
#define TESTS_FAKE_REDIS_H

#include <stddef.h>

#include "common/net/redis/redis.h"

/* A connection that is down; free it by redis_close. */
struct redis *fake_redis_new(void);
void fake_redis_up(struct redis *redis);
/* Every pending command is lost. */
void fake_redis_down(struct redis *redis);
/* redis_command gives `code` after `count` more commands (once). */
void fake_redis_fail_after(struct redis *redis, size_t count, int code);

/* Commands without an answer; the n-th of them, oldest first, as one text with blanks between. */
size_t fake_redis_waiting(const struct redis *redis);
const char *fake_redis_command(const struct redis *redis, size_t number);
/* Answers the n-th of them. */
void fake_redis_answer(struct redis *redis, size_t number, const struct redis_reply *reply);
/* Answers the n-th with the integer 1, or with an error. */
void fake_redis_done(struct redis *redis, size_t number);
void fake_redis_refuse(struct redis *redis, size_t number);
/* How many commands whose text begins so were ever sent. */
size_t fake_redis_sent(const struct redis *redis, const char *beginning);

#endif
