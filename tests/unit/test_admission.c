#include "producer/admission/admission.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "producer/admission/redis_script.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define NONE (-1)
#define KNOWN "producer_known_orders"
#define ITEMS "producer_unknown_items"
#define MINE "11111111111111111111111111111111"
#define OTHER "22222222222222222222222222222222"
#define ID "3b94d501-1a99-88b2-9f64-5cc7c16aaf31"
#define DAY_MS 86400000

static struct loop *loop;
static struct redis *redis;
static struct sessions sessions;
static struct admission *admission;
static struct limits *limits;

struct asked {
    struct admission_entry entry;
    int verdict;
    char state[200];
};

static void on_verdict(struct admission_entry *entry, enum admission_verdict verdict, void *arg)
{
    struct asked *asked = (struct asked *)(void *)entry;
    (void)arg;
    ck_assert_int_eq(asked->verdict, NONE); /* it comes once */
    asked->verdict = (int)verdict;
    if (verdict == ADMISSION_KNOWN)
        (void)snprintf(asked->state, sizeof asked->state, "%s", entry->known.row.state);
}

static struct asked *ask_about(const char *id, const char *sku)
{
    struct asked *asked = calloc(1, sizeof *asked);
    asked->entry = (struct admission_entry){
        .order_id = id, .fingerprint = MINE, .sku = sku, .names.of[LIMIT_USER] = "ann"};
    asked->verdict = NONE;
    admission_ask(admission, &asked->entry);
    fake_loop_run(0);
    return asked;
}

/* Redis answers its oldest question, about one order. */
static void redis_says(int64_t code)
{
    const struct redis_reply item = {.type = REDIS_INTEGER, .integer = code};
    const struct redis_reply answer = {.type = REDIS_ARRAY, .items = &item, .count = 1};
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0), "EVAL"));
    fake_redis_answer(redis, 0, &answer);
    fake_loop_run(0);
}

/* A first order, so that the item is known afterwards. */
static void meet_item(void)
{
    struct asked *asked = ask_about(ID, "hat");
    fake_pg_answer(sessions.reads, ITEMS, "");
    fake_pg_answer(sessions.reads, KNOWN, "");
    redis_says(0);
    ck_assert_int_eq(asked->verdict, ADMISSION_PASS);
    free(asked);
}

static void begin_with(uint64_t vouches_after_ms, int64_t per_minute)
{
    const struct rate rates[LIMIT_KINDS] = {[LIMIT_USER] = {per_minute, 60}};
    fake_loop_reset();
    fake_pg_reset();
    loop = loop_new();
    redis = fake_redis_new();
    sessions = (struct sessions){.reads = fake_pg_new()};
    limits = limits_new(rates);
    const struct admission_options options = {.redis = redis,
                                              .sessions = &sessions,
                                              .limits = limits,
                                              .redis_vouches_after_ms = vouches_after_ms};
    admission = admission_new(loop, &options, on_verdict, NULL);
    ck_assert_ptr_nonnull(admission);
    fake_pg_up(sessions.reads);
    fake_redis_up(redis);
    meet_item();
    admission_redis_changed(admission, true);
}

static void begin(uint64_t vouches_after_ms)
{
    begin_with(vouches_after_ms, 0);
}

static void tell_info(const char *info)
{
    const struct redis_reply reply = {.type = REDIS_STRING, .str = info, .len = strlen(info)};
    ck_assert_str_eq(fake_redis_command(redis, 0), "INFO ALL");
    fake_redis_answer(redis, 0, &reply);
}

static void tell_age(const char *seconds)
{
    char info[500];
    (void)snprintf(info, sizeof info,
                   "# Server\r\nrun_id:7\r\nuptime_in_seconds:%s\r\n# Stats\r\nevicted_keys:0\r\n"
                   "# Replication\r\nrole:master\r\nmaster_replid2:%040d\r\n# Commandstats\r\n",
                   seconds, 0);
    tell_info(info);
}

/* Redis' process has been up for so long. */
static void begin_with_age(const char *seconds)
{
    begin(DAY_MS);
    tell_age(seconds);
}

static void end(void)
{
    admission_free(admission);
    limits_free(limits);
    pg_close(sessions.reads);
    redis_close(redis);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static struct asked *ask_for(const char *id)
{
    return ask_about(id, "hat");
}

static struct asked *ask(void)
{
    return ask_for(ID);
}

static void is(struct asked *asked, int verdict)
{
    ck_assert_int_eq(asked->verdict, verdict);
    free(asked);
}

static void table_says(const char *fingerprint, const char *status)
{
    char row[300] = "";
    if (fingerprint != NULL)
        (void)snprintf(row, sizeof row,
                       ID "|%s|null|hat|1|1000|usd|null|null|t1|t2|null|null|null|1|%s", status,
                       fingerprint);
    fake_pg_answer(sessions.reads, KNOWN, row);
}

static size_t table_asked(void)
{
    return fake_pg_waiting(sessions.reads, KNOWN);
}

/* The last command is one that sets the marker to this fingerprint, and gives back a lock of this
 * id. */
static void mended(const char *fingerprint, const char *lock_id)
{
    char ending[200];
    ck_assert_uint_eq(fake_redis_waiting(redis), 1);
    const char *command = fake_redis_command(redis, 0);
    (void)snprintf(ending, sizeof ending, " 2 checkout:seen:" ID " checkout:lock:hat %s %s",
                   fingerprint, lock_id);
    ck_assert_ptr_nonnull(strstr(command, "redis.call('SET', KEYS[1], ARGV[1]"));
    ck_assert_str_eq(command + strlen(command) - strlen(ending), ending);
    fake_redis_done(redis, 0);
}

static void nothing_is_mended(void)
{
    ck_assert_uint_eq(fake_redis_waiting(redis), 0);
}

/* ---- a Redis that vouches ---- */

START_TEST(a_new_order_passes_by_redis_alone)
{
    begin_with_age("86400");
    struct asked *asked = ask();
    ck_assert_uint_eq(table_asked(), 0);
    redis_says(0);
    ck_assert_uint_eq(table_asked(), 0);
    is(asked, ADMISSION_PASS);
    nothing_is_mended();
    end();
}
END_TEST

static const struct {
    int64_t redis;
    const char *row; /* NULL: there is no such order */
    int verdict;
    const char *mended; /* NULL: nothing */
} repeats[] = {
    {1, NULL, ADMISSION_RETRY, NULL},        {1, MINE, ADMISSION_KNOWN, NULL},
    {1, OTHER, ADMISSION_OTHER_BODY, OTHER}, {2, NULL, ADMISSION_OTHER_BODY, NULL},
    {2, MINE, ADMISSION_KNOWN, MINE},        {2, OTHER, ADMISSION_OTHER_BODY, OTHER},
};

/* Orders pass by one question more, which begins so. */
static void passes_by(const char *beginning)
{
    struct asked *asked = ask();
    ck_assert_uint_eq(fake_redis_waiting(redis), 1);
    ck_assert_ptr_eq(strstr(fake_redis_command(redis, 0), beginning), fake_redis_command(redis, 0));
    redis_says(0);
    is(asked, ADMISSION_PASS);
}

START_TEST(redis_gets_the_script_once_and_again_when_it_has_forgotten_it)
{
    static const struct redis_reply forgotten = {
        .type = REDIS_ERROR, .str = "NOSCRIPT No matching script.", .len = 28};
    begin_with_age("90000");
    passes_by("EVAL local ");
    passes_by("EVALSHA ");
    struct asked *asked = ask();
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0), "EVALSHA "));
    fake_redis_answer(redis, 0, &forgotten);
    ck_assert_int_eq(asked->verdict, NONE);
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0), "EVAL local "));
    redis_says(0);
    is(asked, ADMISSION_PASS);
    passes_by("EVALSHA ");
    fake_redis_down(redis);
    admission_redis_changed(admission, false);
    fake_redis_up(redis);
    admission_redis_changed(admission, true);
    tell_age("90000");
    passes_by("EVAL local ");
    end();
}
END_TEST

START_TEST(of_a_repeat_the_order_itself_decides)
{
    begin_with_age("90000");
    struct asked *asked = ask();
    redis_says(repeats[_i].redis);
    ck_assert_int_eq(asked->verdict, NONE);
    ck_assert_uint_eq(table_asked(), 1);
    ck_assert_str_eq(fake_pg_param(sessions.reads, 0), "{\"" ID "\"}");
    table_says(repeats[_i].row, "confirmed");
    if (repeats[_i].verdict == ADMISSION_KNOWN)
        ck_assert_ptr_nonnull(strstr(asked->state, "\"status\":\"confirmed\""));
    is(asked, repeats[_i].verdict);
    if (repeats[_i].mended == NULL)
        nothing_is_mended();
    else
        mended(repeats[_i].mended, "");
    end();
}
END_TEST

/* ---- one that does not ---- */

static const struct {
    int64_t redis;
    const char *row, *status;
    int verdict;
    const char *mended;
    bool unlocked;
} forgotten[] = {
    {0, NULL, NULL, ADMISSION_PASS, NULL, false},
    {0, MINE, "reserved", ADMISSION_KNOWN, NULL, false},
    {0, OTHER, "reserved", ADMISSION_OTHER_BODY, OTHER, false},
    {3, NULL, NULL, ADMISSION_SOLD_OUT, NULL, false},
    {3, MINE, "confirmed", ADMISSION_KNOWN, MINE, false},
    {4, NULL, NULL, ADMISSION_TAKEN, NULL, false},
    {4, MINE, "waiting", ADMISSION_KNOWN, MINE, false},
    {5, NULL, NULL, ADMISSION_LOCKED, NULL, false},
    {5, MINE, "reserved", ADMISSION_KNOWN, NULL, false}, /* its lock is right */
    {5, MINE, "rejected", ADMISSION_KNOWN, MINE, true},
    {5, OTHER, "reserved", ADMISSION_OTHER_BODY, OTHER, true},
};

static void check_forgotten(size_t i, bool redis_first)
{
    begin_with_age("86399");
    struct asked *asked = ask();
    ck_assert_uint_eq(table_asked(), 1); /* beside Redis */
    if (redis_first)
        redis_says(forgotten[i].redis);
    else
        table_says(forgotten[i].row, forgotten[i].status);
    ck_assert_int_eq(asked->verdict, NONE);
    if (redis_first)
        table_says(forgotten[i].row, forgotten[i].status);
    else
        redis_says(forgotten[i].redis);
    is(asked, forgotten[i].verdict);
    if (forgotten[i].mended == NULL)
        nothing_is_mended();
    else
        mended(forgotten[i].mended, forgotten[i].unlocked ? ID : "");
    ck_assert_uint_eq(table_asked(), 0);
    end();
}

/* Redis does not vouch for a new order. */
static void both_are_asked(void)
{
    struct asked *asked = ask();
    ck_assert_uint_eq(table_asked(), 1);
    redis_says(0);
    table_says(NULL, NULL);
    is(asked, ADMISSION_PASS);
}

START_TEST(a_young_redis_is_asked_beside_postgresql)
{
    check_forgotten((size_t)_i, true);
    check_forgotten((size_t)_i, false);
}
END_TEST

START_TEST(one_that_says_nothing_of_use_does_not_vouch)
{
    begin(0);
    tell_info("# Server\r\nuptime_in_days:400\r\n");
    both_are_asked();
    end();
}
END_TEST

START_TEST(one_that_no_longer_answers_does_not_vouch)
{
    begin_with_age("86400");
    fake_loop_run(2999); /* it is asked again, and says nothing */
    struct asked *still = ask();
    ck_assert_uint_eq(table_asked(), 0);
    fake_loop_run(1);
    struct asked *not_any_more = ask();
    ck_assert_uint_eq(table_asked(), 1);
    fake_redis_down(redis);
    admission_redis_changed(admission, false);
    fake_loop_run(0);
    table_says(NULL, NULL);
    fake_pg_skip(sessions.reads, NULL);
    fake_loop_run(100);
    fake_pg_skip(sessions.reads, NULL);
    is(still, ADMISSION_OPEN);
    is(not_any_more, ADMISSION_OPEN);
    end();
}
END_TEST

/* ---- without one or the other ---- */

START_TEST(without_redis_the_order_decides)
{
    begin_with_age("86400");
    fake_redis_down(redis);
    admission_redis_changed(admission, false);
    const char *rows[] = {NULL, MINE, OTHER};
    const int verdicts[] = {ADMISSION_OPEN, ADMISSION_KNOWN, ADMISSION_OTHER_BODY};
    for (size_t i = 0; i < 3; i++) {
        struct asked *asked = ask();
        fake_loop_run(0);
        table_says(rows[i], "waiting");
        is(asked, verdicts[i]);
    }
    nothing_is_mended();
    end();
}
END_TEST

START_TEST(without_both_it_passes_at_once)
{
    begin_with_age("86400");
    fake_redis_down(redis);
    admission_redis_changed(admission, false);
    fake_pg_down(sessions.reads);
    struct asked *asked = ask();
    fake_loop_run(0);
    is(asked, ADMISSION_OPEN);
    end();
}
END_TEST

START_TEST(redis_that_is_late_is_as_if_it_were_away)
{
    begin_with_age("86400");
    struct asked *asked = ask();
    fake_loop_run(100);
    ck_assert_int_eq(asked->verdict, NONE);
    ck_assert_uint_eq(table_asked(), 1);
    table_says(MINE, "confirmed");
    is(asked, ADMISSION_KNOWN);
    end();
}
END_TEST

START_TEST(postgresql_is_waited_for_20_ms)
{
    begin_with_age("10");
    struct asked *asked = ask();
    redis_says(0);
    fake_loop_run(19);
    ck_assert_int_eq(asked->verdict, NONE);
    fake_loop_run(1);
    is(asked, ADMISSION_PASS);
    struct asked *next = ask(); /* nor is it asked for a while */
    redis_says(0);
    is(next, ADMISSION_PASS);
    ck_assert_uint_eq(table_asked(), 1);
    table_says(MINE, "confirmed"); /* too late; nobody waits */
    fake_loop_run(500);
    struct asked *again = ask();
    redis_says(0);
    table_says(MINE, "confirmed");
    is(again, ADMISSION_KNOWN);
    end();
}
END_TEST

START_TEST(those_that_come_during_a_query_go_together_with_the_next)
{
    begin_with_age("10");
    struct asked *first = ask(), *second = ask(), *third = ask();
    ck_assert_uint_eq(table_asked(), 1);
    for (int i = 0; i < 3; i++)
        redis_says(0);
    table_says(NULL, NULL);
    is(first, ADMISSION_PASS);
    fake_loop_run(0);
    ck_assert_uint_eq(table_asked(), 1);
    ck_assert_str_eq(fake_pg_param(sessions.reads, 0), "{\"" ID "\",\"" ID "\"}");
    table_says(MINE, "confirmed"); /* the row of the first of them */
    is(second, ADMISSION_KNOWN);
    is(third, ADMISSION_PASS);
    end();
}
END_TEST

START_TEST(those_behind_a_silent_query_wait_no_longer)
{
    begin_with_age("10");
    struct asked *first = ask();
    redis_says(0);
    fake_loop_run(10);
    struct asked *second = ask();
    redis_says(0);
    fake_loop_run(10);
    is(first, ADMISSION_PASS);
    is(second, ADMISSION_PASS);
    fake_loop_run(600);
    struct asked *third = ask(); /* the query is still under way */
    redis_says(0);
    is(third, ADMISSION_PASS);
    end();
}
END_TEST

START_TEST(a_refused_or_lost_query_lets_pass)
{
    begin_with_age("10");
    struct asked *refused = ask();
    redis_says(0);
    fake_pg_refuse(sessions.reads, KNOWN, "42883");
    is(refused, ADMISSION_PASS);
    struct asked *lost = ask();
    redis_says(0);
    fake_pg_down(sessions.reads);
    is(lost, ADMISSION_PASS);
    fake_pg_up(sessions.reads);
    fake_pg_fail_next(sessions.reads, ERR_FULL);
    struct asked *full = ask();
    redis_says(0);
    is(full, ADMISSION_PASS);
    end();
}
END_TEST

START_TEST(the_end_forgets_who_waits)
{
    begin_with_age("10");
    struct asked *asked = ask();
    struct asked *behind = ask();
    fake_loop_run(0);
    is(asked, NONE);
    is(behind, NONE);
    end();
}
END_TEST

/* ---- many at once ---- */

/* A query's worth of orders, all in this turn. */
static void ask_many(struct asked *many)
{
    for (size_t i = 0; i < REDIS_SCRIPT_ORDERS_MAX; i++) {
        many[i].entry = (struct admission_entry){
            .order_id = ID, .fingerprint = MINE, .sku = "hat", .names.of[LIMIT_USER] = "ann"};
        many[i].verdict = NONE;
        admission_ask(admission, &many[i].entry);
    }
}

static void are(const struct asked *many, int verdict)
{
    for (size_t i = 0; i < REDIS_SCRIPT_ORDERS_MAX; i++)
        ck_assert_int_eq(many[i].verdict, verdict);
}

START_TEST(a_full_query_leaves_before_the_end_of_the_turn)
{
    static struct asked many[REDIS_SCRIPT_ORDERS_MAX];
    begin_with_age("86400");
    ask_many(many);
    ck_assert_uint_eq(fake_redis_waiting(redis), 1);
    fake_loop_run(0);
    ck_assert_uint_eq(fake_redis_waiting(redis), 1);
    fake_redis_refuse(redis, 0);
    fake_loop_run(0);
    fake_pg_answer(sessions.reads, KNOWN, "");
    are(many, ADMISSION_OPEN);
    end();
}
END_TEST

START_TEST(a_full_query_that_cannot_leave_ends_with_the_turn)
{
    static struct asked many[REDIS_SCRIPT_ORDERS_MAX];
    begin_with_age("86400");
    fake_redis_fail_after(redis, 0, ERR_FULL);
    ask_many(many);
    ck_assert_uint_eq(fake_redis_waiting(redis), 0);
    are(many, NONE); /* no verdict comes while an order is handed over */
    fake_redis_fail_after(redis, 0, ERR_FULL);
    fake_loop_run(0);
    fake_pg_answer(sessions.reads, KNOWN, "");
    are(many, ADMISSION_OPEN);
    end();
}
END_TEST

/* ---- items that are not known yet ---- */

START_TEST(an_item_is_asked_about_beside_redis_and_once)
{
    begin_with_age("86400");
    struct asked *asked = ask_about(ID, "dress");
    ck_assert_uint_eq(fake_pg_waiting(sessions.reads, ITEMS), 1);
    ck_assert_str_eq(fake_pg_param(sessions.reads, 0), "{\"dress\"}");
    redis_says(0);
    ck_assert_int_eq(asked->verdict, NONE);
    fake_pg_answer(sessions.reads, ITEMS, "");
    is(asked, ADMISSION_PASS);
    struct asked *again = ask_about(ID, "dress");
    redis_says(0);
    is(again, ADMISSION_PASS);
    ck_assert_uint_eq(fake_pg_waiting(sessions.reads, ITEMS), 0);
    end();
}
END_TEST

START_TEST(one_that_is_not_there_is_refused_and_asked_about_again)
{
    begin_with_age("86400");
    for (int first = 0; first < 2; first++) {
        struct asked *asked = ask_about(ID, "ghost");
        if (first == 0)
            fake_pg_answer(sessions.reads, ITEMS, "1");
        redis_says(0);
        if (first == 1)
            fake_pg_answer(sessions.reads, ITEMS, "1");
        ck_assert_int_eq(asked->verdict, ADMISSION_NO_ITEM);
        admission_take_back(admission, &asked->entry);
        ck_assert_ptr_nonnull(
            strstr(fake_redis_command(redis, 0), "if redis.call('GET', KEYS[1]) == ARGV[1]"));
        fake_redis_done(redis, 0);
        free(asked);
    }
    struct asked *made = ask_about(ID, "ghost"); /* it is there now */
    redis_says(0);
    fake_pg_answer(sessions.reads, ITEMS, "");
    is(made, ADMISSION_PASS);
    end();
}
END_TEST

START_TEST(only_those_are_refused_that_are_not_there)
{
    begin_with_age("86400");
    struct asked *first = ask_about(ID, "dress");
    struct asked *ghost = ask_about(ID, "ghost"), *shoe = ask_about(ID, "shoe");
    for (int i = 0; i < 3; i++)
        redis_says(0);
    fake_pg_answer(sessions.reads, ITEMS, "");
    is(first, ADMISSION_PASS);
    fake_loop_run(0);
    ck_assert_str_eq(fake_pg_param(sessions.reads, 0), "{\"ghost\",\"shoe\"}");
    fake_pg_answer(sessions.reads, ITEMS, "1");
    is(ghost, ADMISSION_NO_ITEM);
    is(shoe, ADMISSION_PASS);
    end();
}
END_TEST

/* What Redis says of an order of an item that is not there, and what becomes of it. */
static const struct {
    int64_t redis;
    int verdict;
} without_item[] = {
    {1, ADMISSION_RETRY}, {2, ADMISSION_OTHER_BODY}, {3, ADMISSION_SOLD_OUT}, {4, ADMISSION_TAKEN}};

START_TEST(a_repeat_is_not_refused_for_its_item)
{
    begin_with_age("86400");
    struct asked *asked = ask_about(ID, "ghost");
    fake_pg_answer(sessions.reads, ITEMS, "1");
    redis_says(without_item[_i].redis);
    fake_pg_skip(sessions.reads, NULL); /* perhaps it is asked about the order, too */
    is(asked, without_item[_i].verdict);
    end();
}
END_TEST

START_TEST(a_decided_order_without_item_is_known)
{
    begin_with_age("10");
    struct asked *asked = ask_about(ID, "ghost");
    redis_says(0);
    fake_pg_answer(sessions.reads, ITEMS, "1");
    table_says(MINE, "rejected");
    is(asked, ADMISSION_KNOWN);
    end();
}
END_TEST

START_TEST(an_item_is_not_missing_because_nobody_says_that_it_is_there)
{
    begin_with_age("86400");
    struct asked *slow = ask_about(ID, "ghost");
    redis_says(0);
    fake_loop_run(20);
    is(slow, ADMISSION_PASS);
    struct asked *pause = ask_about(ID, "ghost");
    redis_says(0);
    is(pause, ADMISSION_PASS);
    fake_pg_answer(sessions.reads, ITEMS, "1"); /* too late; nobody waits */
    fake_loop_run(500);
    struct asked *refused = ask_about(ID, "ghost");
    redis_says(0);
    fake_pg_refuse(sessions.reads, ITEMS, "42883");
    is(refused, ADMISSION_PASS);
    struct asked *lost = ask_about(ID, "ghost");
    redis_says(0);
    fake_pg_down(sessions.reads);
    is(lost, ADMISSION_PASS);
    struct asked *away = ask_about(ID, "ghost");
    redis_says(0);
    is(away, ADMISSION_PASS);
    end();
}
END_TEST

START_TEST(without_redis_nobody_is_asked_about_items)
{
    begin_with_age("86400");
    fake_redis_down(redis);
    admission_redis_changed(admission, false);
    struct asked *asked = ask_about(ID, "ghost");
    ck_assert_uint_eq(fake_pg_waiting(sessions.reads, ITEMS), 0);
    table_says(NULL, NULL);
    is(asked, ADMISSION_OPEN);
    end();
}
END_TEST

/* ---- limits: two orders a minute ---- */

#define SECOND_ID "3b94d501-1a99-88b2-9f64-5cc7c16aaf32"
#define THIRD_ID "3b94d501-1a99-88b2-9f64-5cc7c16aaf33"
#define LIMITED_2S (-(2000000 * 8 + 1)) /* by the first kind, for 2 s */

static void begin_limited(void)
{
    begin_with(0, 2);
    tell_age("3");
}

/* The oldest command of Redis ends so; it is answered. */
static void redis_was_sent(const char *begins, const char *ending)
{
    ck_assert_uint_eq(fake_redis_waiting(redis), 1);
    const char *command = fake_redis_command(redis, 0);
    ck_assert_ptr_nonnull(strstr(command, begins));
    ck_assert_uint_ge(strlen(command), strlen(ending));
    ck_assert_str_eq(command + strlen(command) - strlen(ending), ending);
    fake_redis_done(redis, 0);
}

START_TEST(redis_is_asked_about_the_limit_in_the_same_query)
{
    begin_limited();
    struct asked *asked = ask();
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0),
                                 " 3 checkout:seen:" ID " checkout:gate:hat "
                                 "checkout:limit:user:ann 1 0 30000000 60000000 " MINE));
    redis_says(0);
    is(asked, ADMISSION_PASS);
    nothing_is_mended();
    end();
}
END_TEST

START_TEST(open_orders_are_counted_in_the_same_query)
{
    begin_limited();
    limits_bound_open(limits, 3);
    struct asked *asked = ask();
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0),
                                 " 4 checkout:seen:" ID
                                 " checkout:gate:hat checkout:limit:user:ann "
                                 "checkout:open:ann 1 3 30000000 60000000 " MINE));
    redis_says(0);
    ck_assert_int_eq(asked->verdict, ADMISSION_PASS);
    admission_take_back(admission, &asked->entry);
    ck_assert_str_eq(fake_redis_command(redis, 0), "ZREM checkout:open:ann " ID);
    fake_redis_done(redis, 0);
    redis_was_sent("redis.call('GET', KEYS[1]) == ARGV[1]", " " MINE " " ID " 30000000");
    free(asked);
    end();
}
END_TEST

START_TEST(too_many_open_orders_are_told_as_such)
{
    const char *const rows[] = {NULL, MINE};
    const int verdicts[] = {ADMISSION_LIMITED, ADMISSION_KNOWN};
    for (size_t i = 0; i < 2; i++) {
        begin_limited();
        limits_bound_open(limits, 3);
        struct asked *asked = ask();
        redis_says(-(5000000 * 8 + 7));
        table_says(rows[i], "waiting"); /* a repeat is never refused */
        ck_assert_int_eq(asked->entry.refused.kind, LIMIT_OPEN);
        ck_assert_int_eq(asked->entry.refused.wait_us, 5000000);
        is(asked, verdicts[i]);
        end();
    }
}
END_TEST

START_TEST(an_order_that_is_not_accepted_returns_its_place)
{
    begin_limited();
    struct asked *asked = ask();
    redis_says(5);
    ck_assert_int_eq(asked->verdict, ADMISSION_LOCKED);
    admission_take_back(admission, &asked->entry);
    redis_was_sent("redis.call('GET', KEYS[1]) == ARGV[1]",
                   " 3 checkout:seen:" ID " checkout:lock:hat checkout:limit:user:ann " MINE " " ID
                   " 30000000");
    free(asked);
    struct asked *repeat = ask();
    redis_says(1);
    table_says(NULL, NULL);
    ck_assert_int_eq(repeat->verdict, ADMISSION_RETRY);
    admission_take_back(admission, &repeat->entry); /* it took nothing */
    nothing_is_mended();
    free(repeat);
    end();
}
END_TEST

START_TEST(one_that_postgresql_knows_returns_its_place)
{
    begin_with(DAY_MS, 2);
    tell_age("3");
    struct asked *asked = ask();
    redis_says(0);
    table_says(MINE, "confirmed");
    is(asked, ADMISSION_KNOWN);
    redis_was_sent("redis.call('SET', KEYS[1], ARGV[1]",
                   " 3 checkout:seen:" ID " checkout:lock:hat checkout:limit:user:ann " MINE
                   "  30000000");
    end();
}
END_TEST

START_TEST(a_refused_one_is_looked_up_first)
{
    const char *const rows[] = {NULL, MINE, OTHER};
    const int verdicts[] = {ADMISSION_LIMITED, ADMISSION_KNOWN, ADMISSION_OTHER_BODY};
    for (size_t i = 0; i < 3; i++) {
        begin_limited();
        struct asked *asked = ask();
        redis_says(LIMITED_2S);
        ck_assert_int_eq(asked->verdict, NONE);
        ck_assert_uint_eq(table_asked(), 1);
        table_says(rows[i], "waiting");
        ck_assert_int_eq(asked->entry.refused.wait_us, 2000000);
        ck_assert_int_eq(asked->entry.refused.kind, LIMIT_USER);
        is(asked, verdicts[i]);
        if (rows[i] == NULL)
            nothing_is_mended();
        else
            mended(rows[i], "");
        end();
    }
}
END_TEST

START_TEST(an_answer_that_names_no_limit_lets_it_pass)
{
    const int64_t answers[] = {-1 * 8, -(8 + 2), -(8 + 7), 6, INT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        begin_limited();
        struct asked *asked = ask();
        redis_says(answers[i]);
        table_says(NULL, NULL);
        is(asked, ADMISSION_OPEN);
        end();
    }
}
END_TEST

/* Redis is away, and PostgreSQL knows nothing. */
static struct asked *ask_alone(const char *id)
{
    struct asked *asked = ask_for(id);
    fake_loop_run(0);
    return asked;
}

static void begin_alone(void)
{
    begin_limited();
    fake_redis_down(redis);
    admission_redis_changed(admission, false);
    fake_pg_down(sessions.reads);
}

START_TEST(without_redis_the_process_counts)
{
    begin_alone();
    is(ask_alone(ID), ADMISSION_OPEN);
    is(ask_alone(SECOND_ID), ADMISSION_OPEN);
    struct asked *third = ask_alone(THIRD_ID);
    ck_assert_int_eq(third->entry.refused.wait_us, 30000000);
    is(third, ADMISSION_LIMITED);
    is(ask_alone(ID), ADMISSION_OPEN); /* a repeat takes no place and needs none */
    is(ask_alone(SECOND_ID), ADMISSION_OPEN);
    fake_loop_run(30000);
    is(ask_alone(THIRD_ID), ADMISSION_OPEN);
    end();
}
END_TEST

START_TEST(without_redis_too_an_order_that_is_not_accepted_returns_its_place)
{
    begin_alone();
    struct asked *first = ask_alone(ID);
    is(ask_alone(SECOND_ID), ADMISSION_OPEN);
    struct asked *repeat = ask_alone(SECOND_ID);
    admission_take_back(admission, &repeat->entry); /* the first of them may be accepted */
    is(ask_alone(THIRD_ID), ADMISSION_LIMITED);
    admission_take_back(admission, &first->entry);
    is(ask_alone(THIRD_ID), ADMISSION_OPEN);
    is(ask_alone(ID), ADMISSION_LIMITED);
    free(first);
    free(repeat);
    end();
}
END_TEST

START_TEST(what_came_in_without_redis_is_no_new_order_once_it_is_back)
{
    begin_alone();
    is(ask_alone(ID), ADMISSION_OPEN);
    fake_redis_up(redis);
    admission_redis_changed(admission, true);
    tell_age("3");
    struct asked *repeat = ask_for(ID);
    redis_says(LIMITED_2S);
    fake_loop_run(0);
    is(repeat, ADMISSION_RETRY);
    struct asked *other = ask_for(SECOND_ID);
    redis_says(LIMITED_2S);
    fake_loop_run(0);
    is(other, ADMISSION_LIMITED);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admission");
    TCase *tcase = tcase_create("admission");
    tcase_add_test(tcase, a_new_order_passes_by_redis_alone);
    tcase_add_test(tcase, redis_gets_the_script_once_and_again_when_it_has_forgotten_it);
    tcase_add_loop_test(tcase, of_a_repeat_the_order_itself_decides, 0, ARRAY_LEN(repeats));
    tcase_add_loop_test(tcase, a_young_redis_is_asked_beside_postgresql, 0, ARRAY_LEN(forgotten));
    tcase_add_test(tcase, one_that_says_nothing_of_use_does_not_vouch);
    tcase_add_test(tcase, one_that_no_longer_answers_does_not_vouch);
    tcase_add_test(tcase, without_redis_the_order_decides);
    tcase_add_test(tcase, without_both_it_passes_at_once);
    tcase_add_test(tcase, redis_that_is_late_is_as_if_it_were_away);
    tcase_add_test(tcase, postgresql_is_waited_for_20_ms);
    tcase_add_test(tcase, those_that_come_during_a_query_go_together_with_the_next);
    tcase_add_test(tcase, those_behind_a_silent_query_wait_no_longer);
    tcase_add_test(tcase, a_refused_or_lost_query_lets_pass);
    tcase_add_test(tcase, the_end_forgets_who_waits);
    tcase_add_test(tcase, an_item_is_asked_about_beside_redis_and_once);
    tcase_add_test(tcase, one_that_is_not_there_is_refused_and_asked_about_again);
    tcase_add_test(tcase, only_those_are_refused_that_are_not_there);
    tcase_add_loop_test(tcase, a_repeat_is_not_refused_for_its_item, 0, ARRAY_LEN(without_item));
    tcase_add_test(tcase, a_decided_order_without_item_is_known);
    tcase_add_test(tcase, an_item_is_not_missing_because_nobody_says_that_it_is_there);
    tcase_add_test(tcase, without_redis_nobody_is_asked_about_items);
    suite_add_tcase(suite, tcase);
    TCase *limited = tcase_create("limits");
    tcase_add_test(limited, redis_is_asked_about_the_limit_in_the_same_query);
    tcase_add_test(limited, a_full_query_leaves_before_the_end_of_the_turn);
    tcase_add_test(limited, a_full_query_that_cannot_leave_ends_with_the_turn);
    tcase_add_test(limited, open_orders_are_counted_in_the_same_query);
    tcase_add_test(limited, too_many_open_orders_are_told_as_such);
    tcase_add_test(limited, an_order_that_is_not_accepted_returns_its_place);
    tcase_add_test(limited, one_that_postgresql_knows_returns_its_place);
    tcase_add_test(limited, a_refused_one_is_looked_up_first);
    tcase_add_test(limited, an_answer_that_names_no_limit_lets_it_pass);
    tcase_add_test(limited, without_redis_the_process_counts);
    tcase_add_test(limited, without_redis_too_an_order_that_is_not_accepted_returns_its_place);
    tcase_add_test(limited, what_came_in_without_redis_is_no_new_order_once_it_is_back);
    suite_add_tcase(suite, limited);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
