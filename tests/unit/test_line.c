#include "notifier/line.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "notifier/place.h"

#define TICKETS 400
#define BEHIND 250

static struct line line;

static void teardown(void)
{
    line_free(&line);
}

static struct line_news news(int64_t head, int64_t next, int64_t waiting)
{
    return (struct line_news){
        .head = head, .next = next, .waiting = waiting, .behind_ms = BEHIND, .pace_ms = 0};
}

static void read_line(int64_t head, int64_t next, int64_t waiting, const char *tickets)
{
    const struct line_news state = news(head, next, waiting);
    ck_assert_int_eq(line_read(&line, &state, tickets), 0);
}

static bool hear(int64_t head, int64_t next, int64_t waiting)
{
    const struct line_news state = news(head, next, waiting);
    return line_hear(&line, &state);
}

START_TEST(places_are_counted_over_the_gaps)
{
    ck_assert_int_eq(line_place(&line, 5), 0);
    ck_assert(!line_exact(&line));
    read_line(5, 21, 12, "5+3 9+1 13+8");
    ck_assert(line_exact(&line));
    ck_assert_int_eq(line_place(&line, 4), 0);
    ck_assert_int_eq(line_place(&line, 5), 1);
    ck_assert_int_eq(line_place(&line, 7), 3);
    ck_assert_int_eq(line_place(&line, 9), 4);
    ck_assert_int_eq(line_place(&line, 20), 12);
}
END_TEST

START_TEST(the_head_moves_and_others_come_behind_without_another_look)
{
    read_line(5, 21, 12, "5+3 9+1 13+8");
    ck_assert(hear(9, 24, 12));
    ck_assert(line_exact(&line));
    ck_assert_int_eq(line_place(&line, 9), 1);
    ck_assert_int_eq(line_place(&line, 20), 9);
    ck_assert_int_eq(line_place(&line, 23), 12);
    ck_assert_int_eq(line_place(&line, 25), 14); /* it came after the news */
}
END_TEST

START_TEST(who_leaves_in_the_middle_is_missed_by_the_count)
{
    read_line(1, 11, 10, "1+10");
    ck_assert(hear(1, 11, 9));
    ck_assert(!line_exact(&line));
    ck_assert_int_eq(line_place(&line, 8),
                     8); /* not below the true one: who left may stand behind */
    ck_assert_int_eq(line_place(&line, 10), 9);
    read_line(1, 11, 9, "1+4 6+5");
    ck_assert(line_exact(&line));
    ck_assert_int_eq(line_place(&line, 8), 7);
}
END_TEST

START_TEST(older_news_do_not_count)
{
    read_line(5, 21, 16, "5+16");
    ck_assert(!hear(4, 21, 17));
    ck_assert(!hear(5, 20, 15));
    ck_assert(hear(5, 21, 16));
    ck_assert_int_eq(line_place(&line, 5), 1);
}
END_TEST

START_TEST(an_empty_line_is_a_line)
{
    read_line(7, 7, 0, "");
    ck_assert(line_exact(&line));
    ck_assert_int_eq(line_place(&line, 6), 0);
    ck_assert_int_eq(line_place(&line, 7), 1);
}
END_TEST

START_TEST(what_is_no_line_changes_nothing)
{
    static const char *const wrong[] = {"5",
                                        "5+",
                                        "5+0",
                                        "+3",
                                        "5-3",
                                        "5+3 ",
                                        " 5+3",
                                        "5+3,7",
                                        "5+17",
                                        "9+1 5+3",
                                        "5+3 6+1",
                                        "x",
                                        "0+2",
                                        "5+99999999999999999999",
                                        "99999999999999999999+1"};
    read_line(5, 21, 16, "5+16");
    const struct line_news state = news(6, 21, 15);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (strcmp(wrong[i], "5+3 ") != 0) /* a blank at the end is no harm */
            ck_assert_msg(line_read(&line, &state, wrong[i]) == ERR_PARSE, "%s", wrong[i]);
    }
    ck_assert_int_eq(line_place(&line, 5), 1);
}
END_TEST

START_TEST(a_line_of_too_many_pieces_is_whole_behind_them)
{
    static char text[LINE_GROUPS_MAX * 16 + 32];
    size_t len = 0;
    for (int i = 0; i < LINE_GROUPS_MAX; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%s%d+1", i == 0 ? "" : " ", 1 + 2 * i);
    const int64_t behind = 2 * LINE_GROUPS_MAX; /* the first ticket that is not listed */
    read_line(1, behind + 11, LINE_GROUPS_MAX + 5, text);
    ck_assert_int_eq(line_place(&line, behind - 1), LINE_GROUPS_MAX);
    ck_assert_int_eq(line_place(&line, behind + 2), LINE_GROUPS_MAX + 3);
    ck_assert_int_eq(line_place(&line, behind + 10), LINE_GROUPS_MAX + 5);
    ck_assert(!line_exact(&line));
    (void)snprintf(text + len, sizeof text - len, " %d+1", (int)behind + 1);
    const struct line_news state = news(1, behind + 11, LINE_GROUPS_MAX + 5);
    ck_assert_int_eq(line_read(&line, &state, text), ERR_PARSE);
}
END_TEST

/* ---- against a line that is known ---- */

struct model {
    bool waits[TICKETS + 1];
    int64_t next;
};

static int64_t place_in(const struct model *model, int64_t ticket)
{
    int64_t place = 0;
    for (int64_t t = 1; t <= ticket; t++)
        place += model->waits[t];
    return place;
}

static struct line_news news_of(const struct model *model)
{
    int64_t head = 1;
    while (head < model->next && !model->waits[head])
        head++;
    return news(head, model->next, place_in(model, model->next - 1));
}

static void read_model(const struct model *model)
{
    char text[TICKETS * 12] = "";
    size_t len = 0;
    for (int64_t t = 1; t < model->next; t++) {
        int64_t end = t;
        while (end < model->next && model->waits[end])
            end++;
        if (end > t)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%d+%d", len == 0 ? "" : " ",
                                    (int)t, (int)(end - t));
        t = end;
    }
    const struct line_news state = news_of(model);
    ck_assert_int_eq(line_read(&line, &state, text), 0);
}

static void step(struct model *model)
{
    int kind = rand() % 4;
    int64_t ticket = 1 + rand() % (model->next > 1 ? model->next - 1 : 1);
    if (kind == 0 && model->next < TICKETS) {
        model->waits[model->next++] = true;
    } else if (kind == 1) {
        model->waits[ticket] = false; /* cancelled, wherever it stands */
    } else if (kind == 2) {
        model->waits[news_of(model).head] = model->next == news_of(model).head;
    }
}

/* Every buyer looks at each step: what is told never rises and is never below the truth. */
START_TEST(no_place_is_below_the_true_one_and_none_rises)
{
    static struct place places[TICKETS + 1];
    struct model model = {.next = 1};
    struct line_news late = {.head = 1, .next = 1};
    srand((unsigned)_i);
    memset(places, 0, sizeof places);
    for (int round = 0; round < 1500; round++) {
        step(&model);
        if (model.next < TICKETS && rand() % 8 != 0)
            model.waits[model.next] = false;
        if (rand() % 3 == 0)
            late = news_of(&model);
        if (rand() % 5 == 0)
            (void)line_hear(&line, &late); /* maybe for the second time, maybe too late */
        if (rand() % 40 == 0)
            read_model(&model);
        struct line_news now = news_of(&model);
        bool current = line.news.next == now.next && line.news.waiting == now.waiting &&
                       line.news.head == now.head;
        for (int64_t t = 1; t < model.next; t++) {
            struct place_news told;
            places[t].ticket = t;
            if (!model.waits[t] || !place_news(&places[t], &line, 0, &told))
                continue;
            int64_t before = places[t].shown;
            place_sent(&places[t], &told);
            ck_assert(before == 0 || told.place <= before);
            ck_assert_int_ge(told.place, place_in(&model, t));
            if (current && line_exact(&line))
                ck_assert_int_eq(told.place, place_in(&model, t));
        }
    }
}
END_TEST

/* ---- what is told ---- */

START_TEST(what_was_told_is_not_told_again)
{
    struct place_news told;
    struct place place = {.ticket = 3, .until_ms = 1000000, .need = 2};
    read_line(1, 4, 3, "1+3");
    ck_assert(!place_news(&place, &line, 1, &told)); /* by a line that is older than the socket */
    ck_assert(place_news(&place, &line, 2, &told));
    ck_assert_int_eq(told.place, 3);
    ck_assert_int_eq(told.end_ms, 1000000 + BEHIND);
    ck_assert_int_eq(told.wait_s, 0);
    place_sent(&place, &told);
    ck_assert(!place_news(&place, &line, 2, &told));
    struct line_news state = news(2, 4, 2);
    state.pace_ms = 1500;
    ck_assert(line_hear(&line, &state));
    ck_assert(place_news(&place, &line, 2, &told));
    ck_assert_int_eq(told.place, 2);
    ck_assert_int_eq(told.wait_s, 3);
    place_sent(&place, &told);
    state.behind_ms = LINE_CLOCK_STANDS;
    ck_assert(line_hear(&line, &state));
    ck_assert(place_news(&place, &line, 2, &told));
    ck_assert_int_eq(told.place, 2);
    ck_assert_int_eq(told.end_ms, 0);
    ck_assert_int_eq(told.wait_s, 0);
}
END_TEST

START_TEST(the_message)
{
    struct buf out;
    const struct place_news told = {.place = 2, .end_ms = 1800000000000, .wait_s = 3};
    const struct place_news bare = {.place = 1};
    struct place place = {.event_id = 4711, .sequence = 1};
    for (size_t i = 0; i < sizeof place.order; i++)
        place.order[i] = (unsigned char)i;
    buf_init(&out, 1024);
    ck_assert_int_eq(place_encode(&out, &place, "hat", &told, 1799999999000), 0);
    ck_assert_str_eq(
        buf_text(&out),
        "{\"specversion\":\"1.0\",\"id\":\"4711.1799999999000\",\"source\":\"/checkout\","
        "\"type\":\"checkout.order.place.v1\","
        "\"subject\":\"00010203-0405-0607-0809-0a0b0c0d0e0f\","
        "\"time\":\"2027-01-15T07:59:59.000Z\",\"datacontenttype\":\"application/json\","
        "\"sequence\":1,\"data\":{\"order_id\":\"00010203-0405-0607-0809-0a0b0c0d0e0f\","
        "\"sku\":\"hat\",\"status\":\"waiting\",\"place_in_line\":2,"
        "\"expires_at\":\"2027-01-15T08:00:00.000Z\",\"estimated_wait_s\":3}}");
    buf_reset(&out);
    ck_assert_int_eq(place_encode(&out, &place, "hat", &bare, 1799999999000), 0);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"place_in_line\":1}}"));
    buf_free(&out);
    buf_init(&out, 64);
    ck_assert_int_lt(place_encode(&out, &place, "hat", &told, 0), 0);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("line");
    TCase *tests = tcase_create("line");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, places_are_counted_over_the_gaps);
    tcase_add_test(tests, the_head_moves_and_others_come_behind_without_another_look);
    tcase_add_test(tests, who_leaves_in_the_middle_is_missed_by_the_count);
    tcase_add_test(tests, older_news_do_not_count);
    tcase_add_test(tests, an_empty_line_is_a_line);
    tcase_add_test(tests, what_is_no_line_changes_nothing);
    tcase_add_test(tests, a_line_of_too_many_pieces_is_whole_behind_them);
    tcase_add_loop_test(tests, no_place_is_below_the_true_one_and_none_rises, 0, 12);
    tcase_add_test(tests, what_was_told_is_not_told_again);
    tcase_add_test(tests, the_message);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
