#include "producer/limits/open_orders.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/identity/names.h"
#include "common/shop/redis_keys.h"

#define TICK_MS 500
#define NUMBER_SIZE 24
#define LOOKS_MAX 256 /* customers in one query */
#define PARAM_MAX ((size_t)LOOKS_MAX * (6 * JWT_USER_SIZE + 3))
#define KEY_SIZE (sizeof REDIS_KEY_OPEN + JWT_USER_SIZE)

/* Of the latest orders of each: a customer with more orders since is no question of this limit. */
static const struct pg_statement look = {
    "producer_open_orders",
    "select u.user_id, o.order_id"
    "  from unnest($1::text[]) u(user_id)"
    "  cross join lateral ("
    "   select l.order_id"
    "     from (select x.order_id, x.status from checkout.orders x"
    "            where hashtext(x.user_id) = hashtext(u.user_id) and x.user_id = u.user_id"
    "              and x.created_at > now() - interval '1 day'"
    "            order by x.created_at desc limit 1000) l"
    "    where l.status in ('waiting', 'reserved') limit $2::bigint) o",
    2};

/* Redis' own clock says until when it counts. */
static const char add_script[] =
    "local time = redis.call('TIME') "
    "local till = time[1] * 1000 + " REDIS_KEYS_TEXT(
        REDIS_KEY_OPEN_LIFE_MS) " "
                                "redis.call('ZADD', KEYS[1], string.format('%.0f', till), ARGV[1]) "
                                "redis.call('PEXPIRE', KEYS[1], " REDIS_KEYS_TEXT(
                                    REDIS_KEY_OPEN_LIFE_MS) ") return 0";

struct customer {
    TAILQ_ENTRY(customer) link;
    struct strmap_entry entry;
    uint64_t due_ms;
    bool open; /* the look that is under way has found an order */
    bool asked;
    char name[];
};

TAILQ_HEAD(customer_list, customer);

struct open_orders {
    struct redis *redis;
    const struct sessions *sessions;
    struct loop_timer *timer;
    struct strmap map;
    struct customer_list list; /* by due_ms */
    bool asking;
    char max[NUMBER_SIZE];
    struct buf names;
};

static void forget(struct open_orders *open, struct customer *customer)
{
    strmap_remove(&open->map, &customer->entry);
    TAILQ_REMOVE(&open->list, customer, link);
    free(customer);
}

static struct customer *find(const struct open_orders *open, const char *user)
{
    return STRMAP_OF(strmap_find(&open->map, user, strlen(user)), struct customer, entry);
}

static void look_later(struct open_orders *open, struct customer *customer)
{
    TAILQ_REMOVE(&open->list, customer, link);
    customer->due_ms = clock_mono_ms() + OPEN_ORDERS_LOOK_MS;
    customer->asked = false;
    TAILQ_INSERT_TAIL(&open->list, customer, link);
}

void open_orders_saw(struct open_orders *open, const char *user)
{
    size_t len = strlen(user);
    if (open == NULL || find(open, user) != NULL)
        return;
    struct customer *customer = malloc(sizeof *customer + len + 1);
    if (customer == NULL)
        return;
    memcpy(customer->name, user, len + 1);
    customer->asked = false;
    if (strmap_add(&open->map, &customer->entry, customer->name, len) < 0) {
        free(customer);
        return;
    }
    customer->due_ms = clock_mono_ms() + OPEN_ORDERS_LOOK_MS;
    TAILQ_INSERT_TAIL(&open->list, customer, link);
    if (open->map.count > OPEN_ORDERS_USERS_MAX)
        forget(open, TAILQ_FIRST(&open->list));
}

static void count_order(struct open_orders *open, const char *user, const char *order_id)
{
    char key[KEY_SIZE];
    int len = snprintf(key, sizeof key, REDIS_KEY_OPEN "%s", user);
    const char *argv[] = {"EVAL", add_script, "1", key, order_id};
    const size_t lens[] = {4, sizeof add_script - 1, 1, (size_t)len, strlen(order_id)};
    if (redis_command(open->redis, ARRAY_LEN(argv), argv, lens, NULL, NULL) < 0)
        log_debug("open order not counted; the next look counts it");
}

/* Those that were asked about: who has an open order is looked at again. */
static void end_look(struct open_orders *open, bool answered)
{
    struct customer *customer = TAILQ_FIRST(&open->list);
    while (customer != NULL && customer->asked) {
        struct customer *next = TAILQ_NEXT(customer, link);
        if (answered && !customer->open)
            forget(open, customer);
        else
            look_later(open, customer);
        customer = next;
    }
}

static void found(const struct pg_result *result, void *arg)
{
    struct open_orders *open = arg;
    bool good = pg_status(result) == PG_OK;
    open->asking = false;
    if (pg_status(result) == PG_ERROR)
        log_warning("open orders not read", LOG_STR("problem", pg_message(result)));
    for (int row = 0; good && row < pg_rows(result); row++) {
        struct customer *customer = find(open, pg_text(result, row, 0));
        if (customer != NULL)
            customer->open = true;
        count_order(open, pg_text(result, row, 0), pg_text(result, row, 1));
    }
    end_look(open, good);
}

static void ask(void *arg)
{
    struct open_orders *open = arg;
    uint64_t now_ms = clock_mono_ms();
    size_t count = 0;
    struct customer *customer;
    if (open->asking)
        return;
    buf_reset(&open->names);
    pg_array_begin(&open->names);
    TAILQ_FOREACH(customer, &open->list, link)
    {
        if (customer->due_ms > now_ms || count == LOOKS_MAX)
            break;
        customer->asked = true;
        customer->open = false;
        pg_array_text(&open->names, customer->name);
        count++;
    }
    pg_array_end(&open->names);
    const char *params[] = {buf_text(&open->names), open->max};
    open->asking = count > 0 && !open->names.failed && redis_is_up(open->redis) &&
                   pg_query(open->sessions->reads, &look, params, found, open) == 0;
    if (!open->asking)
        end_look(open, false);
}

struct open_orders *open_orders_new(struct loop *loop, struct redis *redis,
                                    const struct sessions *sessions, int64_t max)
{
    struct open_orders *open = calloc(1, sizeof *open);
    if (open == NULL)
        return NULL;
    open->redis = redis;
    open->sessions = sessions;
    (void)snprintf(open->max, sizeof open->max, "%" PRId64, max);
    TAILQ_INIT(&open->list);
    buf_init(&open->names, PARAM_MAX);
    open->timer = loop_timer_new(loop, ask, open);
    if (open->timer == NULL) {
        open_orders_free(open);
        return NULL;
    }
    loop_timer_start(open->timer, TICK_MS, TICK_MS);
    return open;
}

void open_orders_free(struct open_orders *open)
{
    if (open == NULL)
        return;
    while (!TAILQ_EMPTY(&open->list))
        forget(open, TAILQ_FIRST(&open->list));
    strmap_free(&open->map);
    loop_timer_free(open->timer);
    buf_free(&open->names);
    free(open);
}
