/*
 * docs/payments.md shows the machine of payment attempts in two pictures (Mermaid), drawn here from
 * the table of attempt.c. With CHECKOUT_DRAW=1 in the environment they are written into the page.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/money/attempt.h"
#include "tests/fake/stage_attempt.h"

#define PAGE "docs/payments.md"
#define TEXT_SIZE (256 * 1024)

/* Texts have TEXT_SIZE bytes. */
static void add(char *text, const char *more)
{
    size_t len = strlen(text);
    ck_assert_uint_lt(len + strlen(more), TEXT_SIZE);
    memcpy(text + len, more, strlen(more) + 1);
}

static void add_name(char *text, bool *first, const char *name)
{
    add(text, *first ? "" : ", ");
    add(text, name);
    *first = false;
}

/* What a row does with an attempt in a state. */
struct arrow {
    bool verbs[ATTEMPT_VERBS];
    bool events[ATTEMPT_EVENTS];
    bool any;
    bool all_verbs; /* that can be there */
    bool new_verb;
    struct attempt_step step;
};

static struct arrow arrow_of(const struct reach *reach, enum attempt_state state, size_t row)
{
    struct arrow arrow = {.all_verbs = true};
    for (int v = 0; v < ATTEMPT_VERBS; v++) {
        enum attempt_verb verb = (enum attempt_verb)v;
        for (int e = 0; reach->has[state][v] && e < ATTEMPT_EVENTS; e++) {
            if (attempt_row(state, verb, (enum attempt_event)e) != row)
                continue;
            arrow.verbs[v] = true;
            arrow.events[e] = true;
            arrow.any = !attempt_row_ignores(row);
            arrow.step = attempt_next(state, verb, (enum attempt_event)e);
            arrow.new_verb = arrow.new_verb || arrow.step.verb != verb;
        }
        arrow.all_verbs = arrow.all_verbs && arrow.verbs[v] == reach->has[state][v];
    }
    return arrow;
}

static void add_verbs(char *text, const struct arrow *arrow)
{
    bool first = true;
    for (int verb = 0; !arrow->all_verbs && verb < ATTEMPT_VERBS; verb++)
        if (arrow->verbs[verb])
            add_name(text, &first, attempt_verb_text((enum attempt_verb)verb));
    add(text, first ? "" : " on ");
}

static void add_events(char *text, const struct arrow *arrow)
{
    bool first = true;
    for (int event = 0; event < ATTEMPT_EVENTS; event++)
        if (arrow->events[event])
            add_name(text, &first, attempt_event_text((enum attempt_event)event));
}

/* The end has a box for each way to end. */
static const char *box(const struct arrow *arrow)
{
    return arrow->step.state == ATTEMPT_ENDED ? attempt_action_text(arrow->step.action)
                                              : attempt_state_text(arrow->step.state);
}

/* What leaves the attempt where it is, or forgets it, is in the list alone. */
static bool is_drawn(const struct arrow *arrow, enum attempt_state state)
{
    return arrow->any && arrow->step.state != state && arrow->step.action != ATTEMPT_DO_FORGET;
}

static void add_label(char *text, const struct arrow *arrow)
{
    add_verbs(text, arrow);
    if (arrow->events[ATTEMPT_ON_UNCLEAR])
        add(text, "any other answer");
    else
        add_events(text, arrow);
    if (arrow->new_verb) {
        add(text, ", then ");
        add(text, attempt_verb_text(arrow->step.verb));
    }
}

static void add_arrows(char *text, const struct reach *reach, enum attempt_state state)
{
    bool *drawn = calloc(attempt_row_count(), sizeof *drawn);
    for (size_t row = 0; row < attempt_row_count(); row++) {
        struct arrow arrow = arrow_of(reach, state, row);
        if (drawn[row] || !is_drawn(&arrow, state))
            continue;
        add(text, "    ");
        add(text, attempt_state_text(state));
        add(text, " --> ");
        add(text, box(&arrow));
        add(text, " : ");
        add_label(text, &arrow);
        for (size_t other = row + 1; other < attempt_row_count(); other++) {
            struct arrow beside = arrow_of(reach, state, other);
            if (!is_drawn(&beside, state) || strcmp(box(&beside), box(&arrow)) != 0)
                continue;
            add(text, "<br/>");
            add_label(text, &beside);
            drawn[other] = true;
        }
        add(text, "\n");
    }
    free(drawn);
}

static void add_list(char *text, const struct reach *reach, enum attempt_state state)
{
    for (size_t row = 0; row < attempt_row_count(); row++) {
        struct arrow arrow = arrow_of(reach, state, row);
        if (!arrow.any)
            continue;
        add(text, attempt_state_text(state));
        add(text, ": ");
        add_verbs(text, &arrow);
        add_events(text, &arrow);
        add(text, " > ");
        add(text, attempt_state_text(arrow.step.state));
        add(text, arrow.new_verb ? " " : "");
        add(text, arrow.new_verb ? attempt_verb_text(arrow.step.verb) : "");
        if (arrow.step.action != ATTEMPT_DO_NOTHING) {
            add(text, ", ");
            add(text, attempt_action_text(arrow.step.action));
        }
        add(text, "\n");
    }
}

static void draw(char *text, enum attempt_verb from, enum attempt_verb or_from)
{
    struct reach reach = {0};
    reach_from(&reach, ATTEMPT_QUEUED, from);
    reach_from(&reach, ATTEMPT_QUEUED, or_from);
    add(text, "\n```mermaid\nstateDiagram-v2\n    [*] --> QUEUED : ");
    add(text, attempt_verb_text(from));
    if (or_from != from) {
        add(text, " or ");
        add(text, attempt_verb_text(or_from));
    }
    add(text, "\n");
    for (int state = 0; state < ATTEMPT_ENDED; state++)
        add_arrows(text, &reach, (enum attempt_state)state);
    add(text, "```\n\n<details><summary>Every row</summary>\n\n```text\n");
    for (int state = 0; state < ATTEMPT_ENDED; state++)
        add_list(text, &reach, (enum attempt_state)state);
    add(text, "```\n\n</details>\n\n");
}

static char *read_page(void)
{
    char *text = calloc(1, TEXT_SIZE);
    FILE *file = fopen(PAGE, "r");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(text, 1, TEXT_SIZE - 1, file);
    ck_assert_uint_lt(len, TEXT_SIZE - 1);
    (void)fclose(file);
    return text;
}

/* Where the picture of a name begins in the page, and `ret_end` where it ends. */
static char *find(char *page, const char *name, char **ret_end)
{
    char begin[64];
    (void)snprintf(begin, sizeof begin, "<!-- picture of %s -->\n", name);
    char *at = strstr(page, begin);
    ck_assert_msg(at != NULL, PAGE " has no picture of %s", name);
    at += strlen(begin);
    *ret_end = strstr(at, "<!-- end of picture -->");
    ck_assert_ptr_nonnull(*ret_end);
    return at;
}

static void write_page(const char *page, const char *before_end, const char *picture,
                       const char *after)
{
    FILE *file = fopen(PAGE, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fprintf(file, "%.*s%s%s", (int)(before_end - page), page, picture, after), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void check_picture(const char *name, enum attempt_verb from, enum attempt_verb or_from)
{
    char *picture = calloc(1, TEXT_SIZE);
    draw(picture, from, or_from);
    char *page = read_page();
    char *end = NULL;
    char *begin = find(page, name, &end);
    size_t len = strlen(picture);
    bool same = (size_t)(end - begin) == len && memcmp(begin, picture, len) == 0;
    if (!same && getenv("CHECKOUT_DRAW") != NULL) {
        write_page(page, begin, picture, end);
        same = true;
    }
    ck_assert_msg(
        same,
        PAGE " does not show the table of attempt.c; with CHECKOUT_DRAW=1 this test writes:\n%s",
        picture);
    free(page);
    free(picture);
}

START_TEST(the_page_shows_the_machine_of_a_charge)
{
    check_picture("a charge", ATTEMPT_CHARGE, ATTEMPT_GET);
}
END_TEST

START_TEST(the_page_shows_the_machine_of_a_refund)
{
    check_picture("a refund", ATTEMPT_REFUND, ATTEMPT_REFUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attempt_picture");
    TCase *tcase = tcase_create("page");
    tcase_add_test(tcase, the_page_shows_the_machine_of_a_charge);
    tcase_add_test(tcase, the_page_shows_the_machine_of_a_refund);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
