/*
 * A crowd clicks at once, and a shop without a queue serves it in one of the ways of strategy.h.
 * Measures each buyer's wait from the click to the answer; a buyer who has none when the patience
 * is over has left. Prints one line of JSON. What was really sold stands in the tables and in the
 * gateway's list.
 */
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/client.h"
#include "tests/bench/strategies/strategy.h"

#define CLICK_AGAIN_US 100000 /* after "try again" */
#define WORKERS_MAX 512

struct waiting {
    uint32_t number;
    uint64_t due_us;
};

/* Everything behind the mutex is shared by the workers. */
struct crowd {
    const struct strategy *strategy;
    const char *database_url, *redis_host, *redis_password, *gateway_url, *gateway_key;
    unsigned redis_port, lock_ms, workers;
    uint32_t buyers, items;
    uint64_t start_us, patience_us;
    pthread_mutex_t mutex;
    struct waiting *ring; /* as many places as buyers; due times never fall */
    uint32_t head, count;
    uint32_t answers[ANSWER_BUSY + 1];
    uint32_t *times; /* of those with an answer */
    uint32_t answered;
};

/* ------------------------------------------------------------------ who is served next */

static void push(struct crowd *crowd, uint32_t number, uint64_t due_us)
{
    crowd->ring[(crowd->head + crowd->count++) % crowd->buyers] = (struct waiting){number, due_us};
}

static void pause_us(uint64_t us)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

/* The next one's number; false: all have been served, or have left. */
static bool next(struct crowd *crowd, uint32_t *ret_number)
{
    for (;;) {
        uint64_t now = client_now_us();
        bool over = now > crowd->start_us + crowd->patience_us;
        (void)pthread_mutex_lock(&crowd->mutex);
        bool any = crowd->count > 0 && !over;
        bool due = any && crowd->ring[crowd->head].due_us <= now;
        bool all = crowd->answered == crowd->buyers;
        if (due) {
            *ret_number = crowd->ring[crowd->head].number;
            crowd->head = (crowd->head + 1) % crowd->buyers;
            crowd->count--;
        }
        (void)pthread_mutex_unlock(&crowd->mutex);
        if (due)
            return true;
        if (over || all)
            return false;
        pause_us(1000); /* for whoever is to click again */
    }
}

static void record(struct crowd *crowd, uint32_t number, enum answer answer)
{
    uint64_t now = client_now_us();
    uint64_t waited = now - crowd->start_us;
    (void)pthread_mutex_lock(&crowd->mutex);
    crowd->answers[answer]++;
    if (answer == ANSWER_BUSY)
        push(crowd, number, now + CLICK_AGAIN_US);
    else if (waited <= crowd->patience_us)
        crowd->times[crowd->answered++] = (uint32_t)waited;
    (void)pthread_mutex_unlock(&crowd->mutex);
}

static void *work(void *arg)
{
    struct crowd *crowd = arg;
    struct worker worker = {.database = shop_connect(crowd->database_url),
                            .gateway = gateway_new(crowd->gateway_url, crowd->gateway_key),
                            .lock_ms = crowd->lock_ms};
    if (crowd->strategy->needs_redis) {
        worker.redis = redisConnect(crowd->redis_host, (int)crowd->redis_port);
        if (worker.redis == NULL || worker.redis->err != 0)
            client_die("no connection to Redis");
        if (crowd->redis_password != NULL)
            freeReplyObject(redisCommand(worker.redis, "AUTH %s", crowd->redis_password));
    }
    (void)pthread_mutex_lock(&crowd->mutex);
    bool last = --crowd->workers == 0;
    if (last) { /* the doors open when all are at their places */
        crowd->start_us = client_now_us();
        for (uint32_t i = 0; i < crowd->buyers; i++)
            crowd->ring[i].due_us = crowd->start_us;
    }
    (void)pthread_mutex_unlock(&crowd->mutex);
    for (bool open = last; !open; pause_us(100)) {
        (void)pthread_mutex_lock(&crowd->mutex);
        open = crowd->workers == 0;
        (void)pthread_mutex_unlock(&crowd->mutex);
    }
    for (uint32_t number; next(crowd, &number);) {
        struct buyer buyer = {.number = number, .item = (uint32_t)random() % crowd->items};
        record(crowd, number, crowd->strategy->sell(&worker, &buyer));
    }
    shop_disconnect(worker.database);
    gateway_free(worker.gateway);
    if (worker.redis != NULL)
        redisFree(worker.redis);
    return NULL;
}

/* ------------------------------------------------------------------ the run */

static void serve(struct crowd *crowd)
{
    pthread_t threads[WORKERS_MAX];
    unsigned count = crowd->workers;
    for (uint32_t i = 0; i < crowd->buyers; i++)
        push(crowd, i, UINT64_MAX);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, crowd) != 0)
            client_die("no more threads");
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
}

static void print(const struct crowd *crowd)
{
    double seconds = (double)(client_now_us() - crowd->start_us) / 1e6;
    (void)printf("{\"answered\":%u,\"no_answer\":%u,\"said_sold\":%u,\"said_sold_out\":%u,"
                 "\"said_declined\":%u,\"said_try_again\":%u,\"seconds\":%.3f,",
                 crowd->answered, crowd->buyers - crowd->answered, crowd->answers[ANSWER_SOLD],
                 crowd->answers[ANSWER_SOLD_OUT], crowd->answers[ANSWER_DECLINED],
                 crowd->answers[ANSWER_BUSY], seconds);
    client_print_times("", crowd->times, crowd->answered);
    (void)printf("}\n");
}

static const struct option options[] = {
    {"strategy", required_argument, NULL, 's'},
    {"buyers", required_argument, NULL, 'b'},
    {"items", required_argument, NULL, 'i'},
    {"workers", required_argument, NULL, 'w'},
    {"database", required_argument, NULL, 'd'},
    {"redis", required_argument, NULL, 'r'},
    {"gateway", required_argument, NULL, 'g'},
    {"key", required_argument, NULL, 'k'},
    {"lock-ms", required_argument, NULL, 'l'},
    {"patience", required_argument, NULL, 'p'},
    {NULL, 0, NULL, 0},
};

static unsigned number_of(const char *text, unsigned most)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != '\0' || end == text || number == 0 || number > most)
        client_die("%s: a number from 1 to %u is needed", text, most);
    return (unsigned)number;
}

static void take_option(struct crowd *crowd, int option, char *value)
{
    switch (option) {
    case 's':
        crowd->strategy = strategy_find(value);
        break;
    case 'b':
        crowd->buyers = number_of(value, 1000000);
        break;
    case 'i':
        crowd->items = number_of(value, 1000000);
        break;
    case 'w':
        crowd->workers = number_of(value, WORKERS_MAX);
        break;
    case 'd':
        crowd->database_url = value;
        break;
    case 'g':
        crowd->gateway_url = value;
        break;
    case 'k':
        crowd->gateway_key = value;
        break;
    case 'l':
        crowd->lock_ms = number_of(value, 600000);
        break;
    case 'p':
        crowd->patience_us = UINT64_C(1000000) * number_of(value, 3600);
        break;
    case 'r': {
        char *at = strrchr(value, '@'); /* [PASSWORD@]HOST:PORT */
        char *colon = strrchr(value, ':');
        if (colon == NULL)
            client_die("%s is not host:port", value);
        *colon = '\0';
        crowd->redis_host = at == NULL ? value : at + 1;
        if (at != NULL) {
            *at = '\0';
            crowd->redis_password = value;
        }
        crowd->redis_port = number_of(colon + 1, 65535);
        break;
    }
    default:
        client_die("see tests/bench/strategies/run");
    }
}

int main(int argc, char **argv)
{
    struct crowd crowd = {.workers = 64,
                          .items = 1,
                          .buyers = 1000,
                          .lock_ms = 30000,
                          .patience_us = UINT64_C(30000000),
                          .mutex = PTHREAD_MUTEX_INITIALIZER};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        take_option(&crowd, option, optarg);
    if (crowd.strategy == NULL || crowd.database_url == NULL || crowd.gateway_url == NULL ||
        crowd.gateway_key == NULL || (crowd.strategy->needs_redis && crowd.redis_host == NULL))
        client_die("--strategy, --database, --gateway, --key and, for redis-lock, --redis are "
                   "needed; see tests/bench/strategies/run");
    srandom((unsigned)client_now_us()); /* as the buyers of `queue` choose */
    crowd.ring = calloc(crowd.buyers, sizeof *crowd.ring);
    crowd.times = calloc(crowd.buyers, sizeof *crowd.times);
    if (crowd.ring == NULL || crowd.times == NULL)
        client_die("out of memory");
    gateway_begin();
    serve(&crowd);
    print(&crowd);
    free(crowd.ring);
    free(crowd.times);
    return EXIT_SUCCESS;
}
