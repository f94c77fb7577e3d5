/* Producers on one port, as they ask each other: several in one process. */
#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "producer/port/neighbours.h"

#define MANY 64 /* as many as there may be on one port */
#define PATIENCE_MS 5000

static struct loop *loop;
static char address[32];

static bool does_take(void *arg)
{
    return *(const bool *)arg;
}

static void turn_over(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

/* Some turns of the loop. */
static void turns(uint32_t ms)
{
    struct loop_timer *timer = loop_timer_new(loop, turn_over, NULL);
    loop_timer_start(timer, ms, 0);
    loop_run(loop);
    loop_timer_free(timer);
}

/* Asks again and again, as the port does. */
static void hear(struct neighbours *asking)
{
    uint64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    while (neighbours_heard_ms(asking) == 0) {
        ck_assert_uint_lt(clock_mono_ms(), until_ms);
        neighbours_ask(asking);
        turns(2);
    }
}

static struct neighbours *join(const bool *takes)
{
    struct neighbours *n = neighbours_new(loop, address, does_take, (void *)(uintptr_t)takes);
    ck_assert_ptr_nonnull(n);
    return n;
}

static void set_up(void)
{
    loop = loop_new();
    (void)snprintf(address, sizeof address, "test:%ld", (long)getpid());
}

static void tear_down(void)
{
    loop_free(loop);
}

START_TEST(one_that_takes_orders_is_heard)
{
    bool yes = true, no = false;
    struct neighbours *asking = join(&no), *other = join(&yes);
    uint64_t begun_ms = clock_mono_ms();
    ck_assert_uint_eq(neighbours_heard_ms(asking), 0);
    hear(asking);
    ck_assert_uint_ge(neighbours_heard_ms(asking), begun_ms);
    ck_assert_uint_le(neighbours_heard_ms(asking), clock_mono_ms());
    neighbours_free(asking);
    neighbours_free(other);
}
END_TEST

START_TEST(one_that_takes_none_says_nothing)
{
    bool no = false;
    struct neighbours *asking = join(&no), *other = join(&no);
    for (int i = 0; i < 5; i++) {
        neighbours_ask(asking);
        turns(2);
    }
    ck_assert_uint_eq(neighbours_heard_ms(asking), 0);
    neighbours_free(asking);
    neighbours_free(other);
}
END_TEST

START_TEST(what_was_heard_ends_when_we_say_it_ourselves)
{
    bool yes = true;
    struct neighbours *one = join(&yes), *other = join(&yes);
    hear(one);
    hear(other); /* so `one` has said that it takes orders, later than it heard it */
    ck_assert_uint_eq(neighbours_heard_ms(one), 0);
    neighbours_free(one);
    neighbours_free(other);
}
END_TEST

/* Sends these bytes to slot 0 of the port, as a process does that has a name or none. */
static void send_bytes(const void *bytes, size_t len)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int text =
        snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "checkout-producer/%s/0", address);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    socklen_t name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)text);
    ck_assert_int_eq(sendto(fd, bytes, len, 0, (const struct sockaddr *)&name, name_len),
                     (ssize_t)len);
    ck_assert_int_eq(close(fd), 0);
}

/* The form of a word between processes of different builds. */
struct word {
    uint64_t asked_ms;
    char kind;
    char padding[7];
};

START_TEST(words_that_make_no_sense_change_nothing)
{
    bool yes = true;
    struct neighbours *n = join(&yes);
    const struct word future = {.asked_ms = clock_mono_ms() + 60000, .kind = 'T'};
    const struct word unknown = {.asked_ms = clock_mono_ms(), .kind = 'X'};
    send_bytes("T", 1);
    send_bytes(&future, sizeof future);
    send_bytes(&unknown, sizeof unknown);
    turns(5);
    ck_assert_uint_eq(neighbours_heard_ms(n), 0);
    const struct word past = {.asked_ms = clock_mono_ms(), .kind = 'T'};
    send_bytes(&past, sizeof past);
    turns(5);
    ck_assert_uint_eq(neighbours_heard_ms(n), past.asked_ms);
    const struct word older = {.asked_ms = past.asked_ms - 1, .kind = 'T'};
    send_bytes(&older, sizeof older);
    turns(5);
    ck_assert_uint_eq(neighbours_heard_ms(n), past.asked_ms);
    neighbours_free(n);
}
END_TEST

START_TEST(there_is_room_for_so_many_and_a_place_that_is_left_is_free)
{
    bool no = false;
    struct neighbours *all[MANY];
    for (size_t i = 0; i < MANY; i++)
        all[i] = join(&no);
    ck_assert_ptr_null(neighbours_new(loop, address, does_take, &no));
    neighbours_free(all[7]);
    all[7] = join(&no);
    for (size_t i = 0; i < MANY; i++)
        neighbours_free(all[i]);
}
END_TEST

START_TEST(none_is_allowed_and_a_long_address_is_not)
{
    bool no = false;
    char address_too_long[65];
    memset(address_too_long, 'a', 64);
    address_too_long[64] = '\0';
    ck_assert_ptr_null(neighbours_new(loop, address_too_long, does_take, &no));
    neighbours_ask(NULL);
    ck_assert_uint_eq(neighbours_heard_ms(NULL), 0);
    neighbours_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("neighbours");
    TCase *tests = tcase_create("processes on one port");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, one_that_takes_orders_is_heard);
    tcase_add_test(tests, one_that_takes_none_says_nothing);
    tcase_add_test(tests, what_was_heard_ends_when_we_say_it_ourselves);
    tcase_add_test(tests, words_that_make_no_sense_change_nothing);
    tcase_add_test(tests, there_is_room_for_so_many_and_a_place_that_is_left_is_free);
    tcase_add_test(tests, none_is_allowed_and_a_long_address_is_not);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
