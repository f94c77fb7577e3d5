#include "producer/limits/senders.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/net/address.h"
#include "common/shop/redis_keys.h"

#define NUMBER_SIZE 24
/* EVAL, script, number of keys; key; pairs */
#define ARGS_MAX (3 + 1 + 2 * (SENDERS_REPORTED + 1))

/* KEYS: the prefix. ARGV: of each address its name and how many orders; "" is the sum of all. */
static const char report_script[] =
    "local key = KEYS[1] .. math.floor(redis.call('TIME')[1] / 60) "
    "for i = 1, #ARGV, 2 do redis.call('HINCRBY', key, ARGV[i], ARGV[i+1]) end "
    "redis.call('EXPIRE', key, " REDIS_KEYS_TEXT(REDIS_KEY_SENDERS_LIFE_S) ") return 0";

struct sender {
    struct strmap_entry entry;
    int64_t orders;
    char address[ADDRESS_NAME_SIZE];
};

struct senders {
    struct redis *redis;
    struct loop_timer *timer;
    struct strmap map;
    int64_t orders; /* of all */
    size_t count;
    struct sender list[SENDERS_MAX];
};

void senders_saw(struct senders *senders, const char *address)
{
    size_t len = strlen(address);
    struct sender *sender =
        STRMAP_OF(strmap_find(&senders->map, address, len), struct sender, entry);
    senders->orders++;
    if (sender != NULL) {
        sender->orders++;
        return;
    }
    if (len == 0 || len >= ADDRESS_NAME_SIZE || senders->count == SENDERS_MAX)
        return;
    sender = &senders->list[senders->count];
    memcpy(sender->address, address, len + 1);
    sender->orders = 1;
    if (strmap_add(&senders->map, &sender->entry, sender->address, len) == 0)
        senders->count++;
}

static int by_orders(const void *a, const void *b)
{
    int64_t left = ((const struct sender *)a)->orders;
    int64_t right = ((const struct sender *)b)->orders;
    return left > right ? -1 : left < right ? 1 : 0;
}

static void forget_names(struct senders *senders)
{
    strmap_free(&senders->map);
    senders->map = (struct strmap){0};
}

static void send_counts(const struct senders *senders)
{
    char numbers[SENDERS_REPORTED + 1][NUMBER_SIZE];
    const char *argv[ARGS_MAX] = {"EVAL", report_script, "1", REDIS_KEY_SENDERS, "", numbers[0]};
    size_t lens[ARGS_MAX];
    size_t argc = 6;
    (void)snprintf(numbers[0], NUMBER_SIZE, "%" PRId64, senders->orders);
    for (size_t i = 0; i < senders->count && i < SENDERS_REPORTED; i++) {
        (void)snprintf(numbers[i + 1], NUMBER_SIZE, "%" PRId64, senders->list[i].orders);
        argv[argc++] = senders->list[i].address;
        argv[argc++] = numbers[i + 1];
    }
    for (size_t i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    if (redis_command(senders->redis, argc, argv, lens, NULL, NULL) < 0)
        log_debug("addresses of orders not reported");
}

static void report(void *arg)
{
    struct senders *senders = arg;
    if (senders->orders == 0)
        return;
    forget_names(senders); /* the list is sorted in place */
    qsort(senders->list, senders->count, sizeof senders->list[0], by_orders);
    send_counts(senders);
    senders->count = 0;
    senders->orders = 0;
}

struct senders *senders_new(struct loop *loop, struct redis *redis)
{
    struct senders *senders = calloc(1, sizeof *senders);
    if (senders == NULL)
        return NULL;
    senders->redis = redis;
    senders->timer = loop_timer_new(loop, report, senders);
    if (senders->timer == NULL) {
        free(senders);
        return NULL;
    }
    loop_timer_start(senders->timer, SENDERS_REPORT_MS, SENDERS_REPORT_MS);
    return senders;
}

void senders_free(struct senders *senders)
{
    if (senders == NULL)
        return;
    loop_timer_free(senders->timer);
    strmap_free(&senders->map);
    free(senders);
}
