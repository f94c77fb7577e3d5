#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/human.h"
#include "ctl/listing.h"
#include "ctl/pool/hot.h"
#include "ctl/pool/pool_view.h"
#include "ctl/pool/sales.h"
#include "ctl/pool/shards.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

#define INTERVAL_USUAL_MS 1000
#define INTERVAL_LEAST_MS 100
#define INTERVAL_MOST_MS 3600000
#define ROWS_USUAL 24
#define ROWS_OF_FRAME                                                                              \
    12 /* head, hot items, sums, stopped payments, set aside, blank lines, headings, the cursor's; \
          the sales have their own */
#define ITEMS_MAX 100
#define NUMBER_SIZE 24
#define DOCUMENT_MAX ((size_t)8 * 1024 * 1024)
#define SCREEN_ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define SCREEN_LEAVE "\033[?25h\033[?1049l"
#define SCREEN_CLEAR "\033[H\033[J"

static const struct pg_statement busy_items = {
    "ctl_busy_items",
    "select sku, shard, stock, held, sold, waiting, oldest_ms, paused"
    "  from checkout.show_busy_items($1::integer)",
    1};
enum {
    ITEM_SKU,
    ITEM_SHARD,
    ITEM_STOCK,
    ITEM_HELD,
    ITEM_SOLD,
    ITEM_WAITING,
    ITEM_OLDEST,
    ITEM_PAUSED
};
static const struct table_column item_columns[] = {
    {"ITEM", "sku", TABLE_TEXT},           {"SHARD", "shard", TABLE_NUMBER},
    {"STOCK", "stock", TABLE_NUMBER},      {"HELD", "held", TABLE_NUMBER},
    {"SOLD", "sold", TABLE_NUMBER},        {"LINE", "waiting", TABLE_NUMBER},
    {"OLDEST", "oldest_ms", TABLE_NUMBER}, {"PAUSED", "paused", TABLE_BOOL},
};

static const struct pg_statement count_aside = {
    "ctl_count_aside",
    "select (select count(*) from checkout.items_aside),"
    "       (select count(*) from checkout.jobs_aside),"
    "       (select (extract(epoch from now() - min(since)) * 1000)::bigint"
    "          from checkout.items_aside)",
    0};

/* What cannot be decided now. */
struct aside_sum {
    int64_t items;
    int64_t jobs;
    int64_t oldest_ms; /* 0: none is set aside */
};

/* What was read besides the shards. */
struct findings {
    struct aside_sum aside;
    struct sales sales;
    struct table *hot;
    struct table *items;
};

struct top {
    struct ctl *ctl;
    int64_t interval_ms;
    bool once;
    bool terminal;
    bool stopping;
    bool sleeping;
    struct loop_timer *timer;
};

/* ---- what hurts ---- */

static const struct pool_view *sorted_view; /* for the comparison below; one thread */

static int hurt(const struct view_shard *shard)
{
    const struct view_member *owner = pool_view_member(sorted_view, shard->owner);
    if (owner == NULL || !owner->locked || owner->heartbeat_age_ms >= VIEW_LIVE_MS)
        return 2;
    return shard->paused || shard->stopped[0] != '\0' ? 1 : 0;
}

static int compare(int64_t a, int64_t b)
{
    return (a < b) - (a > b);
}

/* Unserved ones first, then paused ones, then by age, depth and unpublished events. */
static int by_hurt(const void *left, const void *right)
{
    const struct view_shard *a = *(const struct view_shard *const *)left;
    const struct view_shard *b = *(const struct view_shard *const *)right;
    int order = compare(hurt(a), hurt(b));
    if (order == 0)
        order = compare(view_shard_oldest_ms(a), view_shard_oldest_ms(b));
    if (order == 0)
        order = compare(a->queued, b->queued);
    if (order == 0)
        order = compare(a->unrelayed, b->unrelayed);
    return order != 0 ? order : compare(b->shard, a->shard);
}

static const struct view_shard **sort(const struct pool_view *view)
{
    const struct view_shard **order = calloc(view->shard_count, sizeof(void *));
    if (order == NULL)
        return NULL;
    for (size_t i = 0; i < view->shard_count; i++)
        order[i] = &view->shards[i];
    sorted_view = view;
    qsort(order, view->shard_count, sizeof(void *), by_hurt);
    return order;
}

/* ---- showing ---- */

static size_t screen_rows(void)
{
    size_t rows = terminal_rows();
    return rows > 0 ? rows : ROWS_USUAL;
}

/* The first `count` items, with ages for people. */
static int print_items(const struct table *items, size_t count)
{
    struct table *table = table_new(item_columns, ARRAY_LEN(item_columns));
    int code = table == NULL ? ERR_NOMEM : 0;
    for (size_t row = 0; row < table_rows(items) && row < count && code == 0; row++) {
        const char *values[ARRAY_LEN(item_columns)];
        char sku[40], age[HUMAN_SIZE];
        for (size_t i = 0; i < ARRAY_LEN(item_columns); i++)
            values[i] = table_value(items, row, i);
        human_short(values[ITEM_SKU], 32, sku, sizeof sku);
        human_age(table_int(items, row, ITEM_OLDEST), age);
        values[ITEM_SKU] = sku;
        values[ITEM_OLDEST] = age;
        code = table_add(table, values);
    }
    if (code == 0)
        table_print(table);
    table_free(table);
    return code;
}

/* In `room` lines below their heading; says how many have none. */
static int show_items(const struct table *items, size_t room)
{
    size_t rows = table_rows(items);
    size_t shown = rows <= room ? rows : room - 1;
    if (rows == 0) {
        (void)puts("no item has waiting or paying buyers");
        return 0;
    }
    int code = print_items(items, shown);
    if (code == 0 && shown < rows)
        (void)printf("items that are not shown: %zu%s\n", rows - shown,
                     rows == ITEMS_MAX ? " or more" : "");
    return code;
}

static void print_aside(const struct aside_sum *aside)
{
    char age[HUMAN_SIZE];
    human_age(aside->oldest_ms, age);
    if (aside->items > 0)
        (void)printf("set aside: %" PRId64 " items with %" PRId64 " jobs, the oldest since %s\n",
                     aside->items, aside->jobs, age);
}

static int show(const struct top *top, const struct pool_view *view, const struct findings *found)
{
    const struct aside_sum *aside = &found->aside;
    const struct table *items = found->items;
    char now[CLOCK_RFC3339_SIZE];
    struct shards_sum sum;
    size_t frame = ROWS_OF_FRAME + sales_lines(&found->sales);
    size_t room = screen_rows();
    room = room > frame + 4 ? room - frame : 4;
    size_t below = table_rows(items) < room / 2 ? table_rows(items) : room / 2;
    size_t shards = view->shard_count < room - below ? view->shard_count : room - below;
    const struct view_shard **order = sort(view);
    if (order == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    clock_rfc3339(clock_wall_ms(), now);
    shards_sum(view, &sum);
    (void)printf("%s%s%s\n", top->terminal ? SCREEN_CLEAR : "", now,
                 top->terminal ? "  worst first; Ctrl-C ends" : "");
    sales_print(&found->sales);
    hot_print(found->hot);
    shards_print_sum(view, &sum);
    print_aside(aside);
    (void)putchar('\n');
    int exit_code = shards_print(view, order, shards);
    free(order);
    if (shards < view->shard_count)
        (void)printf("shards that are not shown: %zu", view->shard_count - shards);
    (void)putchar('\n');
    if (exit_code == CTL_FINE && show_items(items, room - shards) < 0)
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    return exit_code;
}

static int show_json(const struct pool_view *view, const struct findings *found)
{
    const struct aside_sum *aside = &found->aside;
    char now[CLOCK_RFC3339_SIZE];
    struct buf out;
    const struct view_shard **order = sort(view);
    if (order == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    buf_init(&out, DOCUMENT_MAX);
    clock_rfc3339(clock_wall_ms(), now);
    (void)buf_printf(&out, "{\"time\":\"%s\",\"dead_letters\":", now);
    if (view->dead_letters == VIEW_UNKNOWN)
        (void)buf_str(&out, "null");
    else
        (void)buf_int(&out, view->dead_letters);
    (void)buf_printf(&out,
                     ",\"set_aside\":{\"items\":%" PRId64 ",\"jobs\":%" PRId64
                     ",\"oldest_ms\":%" PRId64 "}",
                     aside->items, aside->jobs, aside->oldest_ms);
    sales_json(&found->sales, &out);
    hot_json(found->hot, &out);
    (void)buf_str(&out, ",\"shards\":[");
    for (size_t i = 0; i < view->shard_count; i++) {
        (void)buf_str(&out, i == 0 ? "" : ",");
        shards_json(view, order[i], &out);
    }
    (void)buf_str(&out, "],\"items\":");
    table_json(found->items, &out);
    (void)printf("%s}\n", buf_text(&out));
    buf_free(&out);
    free(order);
    return CTL_FINE;
}

/* ---- looking ---- */

static void read_aside(const struct pg_result *result, void *arg)
{
    struct aside_sum *aside = arg;
    *aside = (struct aside_sum){pg_int(result, 0, 0), pg_int(result, 0, 1),
                                pg_null(result, 0, 2) ? 0 : pg_int(result, 0, 2)};
}

static int find(struct ctl *ctl, struct findings *found)
{
    char limit[NUMBER_SIZE];
    const char *const params[] = {limit};
    (void)snprintf(limit, sizeof limit, "%d", ITEMS_MAX);
    int exit_code = listing_query(ctl, &busy_items, params, item_columns, ARRAY_LEN(item_columns),
                                  &found->items);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &count_aside, NULL, read_aside, &found->aside);
    if (exit_code == CTL_FINE)
        exit_code = sales_read(ctl, &found->sales);
    if (exit_code == CTL_FINE)
        exit_code = hot_read(ctl, &found->hot);
    return exit_code;
}

static int look(struct top *top)
{
    struct findings found = {.items = NULL};
    struct pool_view view;
    struct ctl *ctl = top->ctl;
    int exit_code = pool_view_read(ctl, &view);
    if (exit_code == CTL_FINE) {
        pool_view_read_queues(ctl, &view);
        exit_code = find(ctl, &found);
        if (exit_code == CTL_FINE)
            exit_code = ctl->json ? show_json(&view, &found) : show(top, &view, &found);
        pool_view_free(&view);
    }
    table_free(found.items);
    table_free(found.hot);
    sales_free(&found.sales);
    return exit_code;
}

static void wake(void *arg)
{
    struct top *top = arg;
    loop_stop(top->ctl->loop);
}

static void on_signal(void *arg)
{
    struct top *top = arg;
    top->stopping = true;
    if (top->sleeping) /* else an answer is under way */
        loop_stop(top->ctl->loop);
}

/* Reports a server that goes away meanwhile, and waits for it. */
static int go_on(struct top *top)
{
    int exit_code = look(top);
    while (!top->once && !top->stopping) {
        if (fflush(stdout) != 0)
            return CTL_FAILED;
        if (exit_code == CTL_FINE && !top->terminal && !top->ctl->json)
            (void)putchar('\n');
        top->sleeping = true;
        loop_timer_start(top->timer, (uint64_t)top->interval_ms, 0);
        loop_run(top->ctl->loop);
        top->sleeping = false;
        if (!top->stopping)
            exit_code = look(top);
    }
    return top->once ? exit_code : CTL_FINE;
}

static int run_signalled(struct top *top)
{
    struct loop *loop = top->ctl->loop;
    int exit_code;
    top->timer = loop_timer_new(loop, wake, top);
    struct loop_signal *interrupt = loop_signal_new(loop, SIGINT, on_signal, top);
    struct loop_signal *terminate = loop_signal_new(loop, SIGTERM, on_signal, top);
    if (top->timer == NULL || interrupt == NULL || terminate == NULL) {
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    } else {
        if (top->terminal)
            (void)fputs(SCREEN_ENTER, stdout);
        exit_code = go_on(top);
        if (top->terminal)
            (void)fputs(SCREEN_LEAVE, stdout);
    }
    loop_signal_free(interrupt);
    loop_signal_free(terminate);
    loop_timer_free(top->timer);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const char *reason;
    const char *interval = command_option(&command_top, args, "interval");
    struct top top = {.ctl = ctl,
                      .interval_ms = INTERVAL_USUAL_MS,
                      .once = command_switch(&command_top, args, "once")};
    if (interval != NULL &&
        (cfg_parse_duration(interval, &top.interval_ms) < 0 ||
         top.interval_ms < INTERVAL_LEAST_MS || top.interval_ms > INTERVAL_MOST_MS))
        return ctl_complain(CTL_USAGE,
                            "--interval: \"%.40s\" is not between 100ms and 1h, with its unit",
                            interval);
    top.terminal = !ctl->json && !top.once && isatty(STDOUT_FILENO) == 1;
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE && ctl_meet(ctl, &contact_broker, &reason) != CONTACT_UP)
        (void)ctl_complain(0, "RabbitMQ does not answer, so its queues are not known: %s", reason);
    if (exit_code != CTL_FINE)
        return exit_code;
    pg_patience(ctl->pg, CTL_ANSWER_SOON_MS); /* a signal waits for the answer, too */
    return run_signalled(&top);
}

const struct command command_top = {
    .words = "top",
    .operands = "",
    .summary = "shows shards and items live, the worst first",
    .details =
        "Shards without an owner come first, then those that are paused or whose payments are "
        "stopped, then those whose oldest order has "
        "waited longest; items likewise. Above them: orders confirmed and refused a second (of the "
        "last 10 s) and accepted by the producers, payments that wait for the gateway, daemons "
        "that are dead or not ready, and the items that most orders of the last 10 s were for. A "
        "line says how many items and jobs are set aside. The "
        "columns are those of `shards` and `items list`. "
        "Without a terminal it prints one view below the other; with --json each is a line.",
    .options = {{"interval", "1s", "time between two views, with ms, s, m or h"},
                {"once", NULL, "print one view and end"}},
    .settings = CFG_BIT(DATABASE_URL) | CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT),
    .run = run,
};
