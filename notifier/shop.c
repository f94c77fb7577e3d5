#include "notifier/shop.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/shop/shards_serving.h"

#define FIRST_MS 500
#define ASK_MS 5000
#define SHARE 20 /* the database is busy with it for a twentieth of the time at most */
#define LABELS_SIZE 64
#define HOT_RANKS 5

static const struct pg_statement lines_now = {
    "lines_now", "select shard, waiting, oldest_ms from checkout.lines_now()", 0};
static const struct pg_statement hot_items = {
    "hot_items", "select orders, waiting from checkout.hot_items(5) order by rank", 0};
static const struct pg_statement shop_now = {
    "shop_now", "select unserved, stopped, unclear, unclear_ms from checkout.shop_now()", 0};
static const struct pg_statement refunds_owed = {"refunds_owed", "select checkout.refunds_owed()",
                                                 0};
static const struct pg_statement count_daemons = {
    "count_daemons", "select program, ready, not_ready, dead from checkout.count_daemons()", 0};

struct shop_shard {
    struct metric *waiting;
    struct metric *oldest;
};

/* The item that so many orders are for, whichever it is now. */
struct shop_hot {
    struct metric *orders;
    struct metric *waiting;
};

struct shop {
    struct pg *pg;
    struct metrics *metrics;
    struct loop_timer *timer; /* NULL: freed, but answers are awaited */
    unsigned unanswered;
    uint64_t asked_ms;
    bool refused; /* logged */
    struct metric *unserved;
    struct metric *stopped;
    struct metric *unclear;
    struct metric *unclear_oldest;
    struct metric *owed;
    struct shop_hot of_rank[HOT_RANKS];     /* the hottest first */
    struct shop_shard of_shard[SHARDS_MAX]; /* made when first seen */
};

static void show_lines(struct shop *shop, const struct pg_result *result)
{
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t shard = pg_int(result, row, 0);
        if (shard < 0 || shard >= SHARDS_MAX)
            continue;
        struct shop_shard *s = &shop->of_shard[shard];
        if (s->waiting == NULL) {
            char labels[LABELS_SIZE];
            (void)snprintf(labels, sizeof labels, "shard=\"%d\"", (int)shard);
            s->waiting = metrics_gauge(shop->metrics, "checkout_waiting_orders",
                                       "Orders that wait for an item.", labels);
            s->oldest =
                metrics_gauge(shop->metrics, "checkout_waiting_oldest_seconds",
                              "How long the oldest of the waiting orders has waited.", labels);
        }
        metric_set(s->waiting, (double)pg_int(result, row, 1));
        metric_set(s->oldest, (double)pg_int(result, row, 2) / 1000);
    }
    for (size_t i = (size_t)pg_rows(result); i < SHARDS_MAX; i++) { /* there were more before */
        metric_set(shop->of_shard[i].waiting, 0);
        metric_set(shop->of_shard[i].oldest, 0);
    }
}

static void show_hot(struct shop *shop, const struct pg_result *result)
{
    for (int i = 0; i < HOT_RANKS; i++) {
        bool known = i < pg_rows(result);
        metric_set(shop->of_rank[i].orders, known ? (double)pg_int(result, i, 0) : 0);
        metric_set(shop->of_rank[i].waiting, known ? (double)pg_int(result, i, 1) : 0);
    }
}

static void show_sums(struct shop *shop, const struct pg_result *result)
{
    metric_set(shop->unserved, (double)pg_int(result, 0, 0));
    metric_set(shop->stopped, (double)pg_int(result, 0, 1));
    metric_set(shop->unclear, (double)pg_int(result, 0, 2));
    metric_set(shop->unclear_oldest, (double)pg_int(result, 0, 3) / 1000);
}

static void show_daemons(struct shop *shop, const struct pg_result *result)
{
    static const char *const states[] = {"ready", "not_ready", "dead"};
    for (int row = 0; row < pg_rows(result); row++)
        for (int i = 0; i < (int)ARRAY_LEN(states); i++) {
            char labels[LABELS_SIZE];
            (void)snprintf(labels, sizeof labels, "program=\"%.20s\",state=\"%s\"",
                           pg_text(result, row, 0), states[i]);
            metric_set(metrics_gauge(shop->metrics, "checkout_daemons",
                                     "Daemons of the shop, by their heartbeats.", labels),
                       (double)pg_int(result, row, 1 + i));
        }
}

/* Whether its rows, if any, are to be shown. After the last answer the next round is due. */
static bool came(struct shop *shop, const struct pg_result *result)
{
    shop->unanswered--;
    if (shop->timer == NULL) {
        if (shop->unanswered == 0)
            free(shop);
        return false;
    }
    if (shop->unanswered == 0) {
        uint64_t rest_ms = (clock_mono_ms() - shop->asked_ms) * SHARE;
        loop_timer_start(shop->timer, rest_ms > ASK_MS ? rest_ms : ASK_MS, 0);
    }
    if (pg_status(result) == PG_ERROR && !shop->refused) {
        shop->refused = true;
        log_warning("question refused by PostgreSQL: how does the shop stand?",
                    LOG_STR("problem", pg_message(result)));
    }
    return pg_status(result) == PG_OK;
}

static void lines_came(const struct pg_result *result, void *arg)
{
    if (came(arg, result))
        show_lines(arg, result);
}

static void hot_came(const struct pg_result *result, void *arg)
{
    if (came(arg, result))
        show_hot(arg, result);
}

static void sums_came(const struct pg_result *result, void *arg)
{
    if (came(arg, result))
        show_sums(arg, result);
}

static void owed_came(const struct pg_result *result, void *arg)
{
    struct shop *shop = arg;
    if (came(shop, result))
        metric_set(shop->owed, (double)pg_int(result, 0, 0));
}

static void daemons_came(const struct pg_result *result, void *arg)
{
    if (came(arg, result))
        show_daemons(arg, result);
}

static void ask(void *arg)
{
    struct shop *shop = arg;
    shop->asked_ms = clock_mono_ms();
    shop->unanswered = 0;
    if (pg_is_up(shop->pg)) {
        shop->unanswered += pg_query(shop->pg, &lines_now, NULL, lines_came, shop) == 0;
        shop->unanswered += pg_query(shop->pg, &hot_items, NULL, hot_came, shop) == 0;
        shop->unanswered += pg_query(shop->pg, &shop_now, NULL, sums_came, shop) == 0;
        shop->unanswered += pg_query(shop->pg, &refunds_owed, NULL, owed_came, shop) == 0;
        shop->unanswered += pg_query(shop->pg, &count_daemons, NULL, daemons_came, shop) == 0;
    }
    if (shop->unanswered == 0)
        loop_timer_start(shop->timer, ASK_MS, 0);
}

static void add_hot(struct shop *shop)
{
    for (int i = 0; i < HOT_RANKS; i++) {
        char labels[LABELS_SIZE];
        (void)snprintf(labels, sizeof labels, "rank=\"%d\"", i + 1);
        shop->of_rank[i].orders = metrics_gauge(
            shop->metrics, "checkout_hot_item_orders",
            "Orders decided in the last 10 s for the item of this rank, 1 being the hottest.",
            labels);
        shop->of_rank[i].waiting =
            metrics_gauge(shop->metrics, "checkout_hot_item_waiting",
                          "Orders that wait for the item of this rank.", labels);
    }
}

struct shop *shop_new(struct loop *loop, struct pg *pg, struct metrics *metrics)
{
    struct shop *shop = calloc(1, sizeof *shop);
    if (shop == NULL)
        return NULL;
    shop->pg = pg;
    shop->metrics = metrics;
    shop->unserved = metrics_gauge(metrics, "checkout_shards_unserved",
                                   "Shards that no living consumer serves.", NULL);
    shop->stopped = metrics_gauge(metrics, "checkout_shards_payments_stopped",
                                  "Shards whose payments are stopped.", NULL);
    shop->unclear = metrics_gauge(metrics, "checkout_unclear_payments",
                                  "Charges and refunds of which the gateway has not said what "
                                  "became of them.",
                                  NULL);
    shop->unclear_oldest = metrics_gauge(metrics, "checkout_unclear_oldest_seconds",
                                         "How long the oldest of them has been unclear.", NULL);
    shop->owed = metrics_gauge(metrics, "checkout_refunds_owed",
                               "Refunds that failed, of money that a buyer is owed.", NULL);
    add_hot(shop);
    shop->timer = loop_timer_new(loop, ask, shop);
    if (shop->timer == NULL) {
        free(shop);
        return NULL;
    }
    loop_timer_start(shop->timer, FIRST_MS, 0);
    return shop;
}

void shop_free(struct shop *shop)
{
    if (shop == NULL)
        return;
    loop_timer_free(shop->timer);
    shop->timer = NULL;
    if (shop->unanswered == 0) /* else the last answer frees it */
        free(shop);
}
