#include "deploy/sandbox/fault.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "deploy/sandbox/card.h"
#include "deploy/sandbox/options.h"

static char problem_text[256];

static int control(struct faults *faults, const char *json)
{
    struct buf problem = {
        .data = problem_text, .cap = sizeof problem_text, .max = sizeof problem_text - 1};
    return faults_read(faults, json, strlen(json), &problem);
}

START_TEST(a_mode_holds_for_its_times)
{
    struct faults faults;
    faults_init(&faults, 1);
    ck_assert_int_eq(faults_pick(&faults), FAULT_NONE);
    ck_assert_int_eq(control(&faults, "{\"mode\":\"500-after-charge\",\"times\":2}"), 0);
    ck_assert_int_eq(faults_pick(&faults), FAULT_500_AFTER_CHARGE);
    ck_assert_int_eq(faults_pick(&faults), FAULT_500_AFTER_CHARGE);
    ck_assert_int_eq(faults_pick(&faults), FAULT_NONE);
}
END_TEST

START_TEST(a_mode_without_times_holds_until_none)
{
    struct faults faults;
    faults_init(&faults, 1);
    ck_assert_int_eq(control(&faults, "{\"mode\":\"reset\",\"modes\":{\"429\":1}}"), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(faults_pick(&faults), FAULT_RESET);
    ck_assert_int_eq(control(&faults, "{\"mode\":\"none\"}"), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(faults_pick(&faults), FAULT_NONE);
}
END_TEST

START_TEST(what_reads_fails_by_its_own_chance)
{
    struct faults faults;
    unsigned counts[FAULT_COUNT] = {0};
    faults_init(&faults, 1);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(faults_pick_read(&faults), FAULT_NONE);
    ck_assert_int_eq(control(&faults, "{\"reads\":0.4}"), 0);
    for (int i = 0; i < 10000; i++)
        counts[faults_pick_read(&faults)]++;
    ck_assert(counts[FAULT_NONE] > 5700 && counts[FAULT_NONE] < 6300);
    ck_assert(counts[FAULT_RESET] > 800 && counts[FAULT_429] > 800);
    ck_assert(counts[FAULT_500] > 800 && counts[FAULT_GARBAGE] > 800);
    ck_assert_int_eq(faults_pick(&faults), FAULT_NONE);
    ck_assert_int_eq(control(&faults, "{\"reads\":1.5}"), ERR_PARSE);
    ck_assert_int_eq(control(&faults, "{\"mode\":\"none\"}"), 0);
    ck_assert_int_eq(faults_pick_read(&faults), FAULT_NONE);
}
END_TEST

START_TEST(chances_are_met_and_repeatable)
{
    struct faults faults;
    struct faults same;
    unsigned counts[FAULT_COUNT] = {0};
    faults_init(&faults, 42);
    ck_assert_int_eq(control(&faults, "{\"modes\":{\"reset\":0.1,\"429\":0.25}}"), 0);
    same = faults;
    for (int i = 0; i < 10000; i++) {
        enum fault fault = faults_pick(&faults);
        ck_assert_int_eq(faults_pick(&same), fault);
        counts[fault]++;
    }
    ck_assert_uint_gt(counts[FAULT_RESET], 850);
    ck_assert_uint_lt(counts[FAULT_RESET], 1150);
    ck_assert_uint_gt(counts[FAULT_429], 2300);
    ck_assert_uint_lt(counts[FAULT_429], 2700);
    ck_assert_uint_eq(counts[FAULT_NONE] + counts[FAULT_RESET] + counts[FAULT_429], 10000);
}
END_TEST

START_TEST(a_delay_is_latency_and_jitter)
{
    struct faults faults;
    faults_init(&faults, 1);
    ck_assert_uint_eq(faults_delay_ms(&faults), 0);
    ck_assert_int_eq(control(&faults, "{\"latency_ms\":100,\"jitter_ms\":10}"), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t delay = faults_delay_ms(&faults);
        ck_assert_uint_ge(delay, 100);
        ck_assert_uint_le(delay, 110);
    }
}
END_TEST

static const char *const wrong[] = {
    "",
    "[]",
    "1",
    "{",
    "{\"latency\":1}",
    "{\"latency_ms\":-1}",
    "{\"latency_ms\":1.5}",
    "{\"latency_ms\":\"1\"}",
    "{\"latency_ms\":600001}",
    "{\"mode\":\"nope\"}",
    "{\"mode\":500}",
    "{\"mode\":\"500\",\"times\":-1}",
    "{\"modes\":[]}",
    "{\"modes\":{\"nope\":0.1}}",
    "{\"modes\":{\"500\":1.1}}",
    "{\"modes\":{\"500\":-0.1}}",
    "{\"modes\":{\"500\":\"1\"}}",
    "{\"modes\":{\"500\":0.6,\"429\":0.6}}",
    "{\"seed\":\"x\"}",
    "{\"processing_ms\":600001}",
    "{\"rate_all\":1001}",
    "{\"missing_method\":405}",
    "{\"keep_refused\":2}",
    "{\"consume\":1}",
    "{\"truthful\":\"no\"}",
    "{\"refunds\":\"nope\"}",
    "{\"charges\":1}",
    "{\"latency_ms\":1,\"latency_ms\":2}",
    "{\"latency_ms\":7,\"mode\":\"nope\"}",
};

static void show(const struct faults *faults, char *ret_text, size_t size)
{
    struct buf out = {.data = ret_text, .cap = size, .max = size - 1};
    faults_write(faults, &out);
    ck_assert(!out.failed);
}

START_TEST(a_wrong_control_changes_nothing)
{
    struct faults faults;
    char before[2048];
    char after[2048];
    faults_init(&faults, 1);
    show(&faults, before, sizeof before);
    problem_text[0] = '\0';
    ck_assert_int_eq(control(&faults, wrong[_i]), ERR_PARSE);
    ck_assert_str_ne(problem_text, "");
    show(&faults, after, sizeof after);
    ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(every_fault_has_a_card_that_meets_it)
{
    for (int i = 0; i < FAULT_COUNT; i++) {
        char method[64];
        struct card card;
        enum fault found;
        ck_assert(fault_find(fault_text((enum fault)i), &found));
        ck_assert_int_eq(found, i);
        (void)snprintf(method, sizeof method, "pm_sandbox_%s", fault_text((enum fault)i));
        ck_assert(card_find(method, &card));
        ck_assert_int_eq(card.fault, i);
        ck_assert_int_eq(card.result, CARD_PAYS);
    }
    struct card card;
    ck_assert(card_find("pm_card_chargeDeclined", &card));
    ck_assert_int_eq(card.result, CARD_DECLINES);
    ck_assert(!card_find("pm_card_nope", &card));
    ck_assert(!card_find("", &card));
}
END_TEST

START_TEST(tokens_stand_for_cards)
{
    struct card card;
    ck_assert(card_find_token("tok_visa", &card));
    ck_assert_str_eq(card.name, "pm_card_visa");
    ck_assert(card_find_token("tok_usBankAccount_success", &card));
    ck_assert_str_eq(card.type, "us_bank_account");
    ck_assert(card_find_token("tok_sandbox_500", &card));
    ck_assert_str_eq(card.name, "pm_sandbox_500");
    ck_assert(!card_find_token("pm_card_visa", &card));
    ck_assert(!card_find_token("tok_nope", &card));
}
END_TEST

START_TEST(the_truth_is_the_default_and_can_be_set_aside)
{
    struct faults faults;
    faults_init(&faults, 1);
    const struct settings *settings = &faults.settings;
    ck_assert(settings->consume && settings->amounts && settings->return_url);
    ck_assert_uint_eq(settings->missing_method, 404);
    ck_assert(faults_roll(&faults, settings->keep_refused));
    ck_assert(!faults_roll(&faults, settings->keep_invalid));
    ck_assert_int_eq(control(&faults, "{\"truthful\":false,\"amounts\":true}"), 0);
    ck_assert(!settings->consume && settings->amounts && !settings->return_url);
    ck_assert_uint_eq(settings->missing_method, 400);
    ck_assert(!faults_roll(&faults, settings->keep_refused));
    ck_assert_int_eq(control(&faults, "{\"refunds\":\"no-balance\",\"rate_all\":100}"), 0);
    ck_assert_int_eq(settings->refunds, REFUNDS_NO_BALANCE);
    ck_assert_int_eq(control(&faults, "{\"mode\":\"none\"}"), 0);
    ck_assert_int_eq(settings->refunds, REFUNDS_OK); /* trouble ends, */
    ck_assert_uint_eq(settings->rate_all, 100);      /* rules stay */
}
END_TEST

/* ---- the command line ---- */

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static char *full_environment(const char *name)
{
    static char listen[] = "127.0.0.1:9000";
    static char other[] = "from-the-environment";
    return strcmp(name, "CHECKOUT_LISTEN") == 0 ? listen : other;
}

static int read_options(char *(*environment)(const char *), struct options *ret_options, char *a,
                        char *b, char *c, char *d)
{
    static char name[] = "checkout-sandbox-gateway";
    char *argv[] = {name, a, b, c, d, NULL};
    int argc = 1;
    while (argv[argc] != NULL)
        argc++;
    struct buf problem = {
        .data = problem_text, .cap = sizeof problem_text, .max = sizeof problem_text - 1};
    problem_text[0] = '\0';
    return options_read(argc, argv, environment, ret_options, &problem);
}

START_TEST(options_win_over_the_environment)
{
    struct options options = {0};
    ck_assert_int_eq(read_options(full_environment, &options, NULL, NULL, NULL, NULL), 0);
    ck_assert_str_eq(options.host, "127.0.0.1");
    ck_assert_uint_eq(options.port, 9000);
    ck_assert_str_eq(options.ledger, "from-the-environment");
    ck_assert_int_eq(
        read_options(full_environment, &options, "--listen", "[::1]:0", "--ledger", "/x"), 0);
    ck_assert_str_eq(options.host, "::1");
    ck_assert_uint_eq(options.port, 0);
    ck_assert_str_eq(options.ledger, "/x");
    ck_assert_str_eq(options.key_file, "from-the-environment");
    ck_assert_int_eq(read_options(no_environment, &options, "--ledger", "/x", "--latency", "250"),
                     0);
    ck_assert_uint_eq(options.latency_ms, 250);
    ck_assert_ptr_null(options.key_file);
    ck_assert_int_eq(read_options(no_environment, &options, "--help", NULL, NULL, NULL), 0);
    ck_assert(options.help);
}
END_TEST

static char *const bad_options[][2] = {
    {"--nope", "1"},         {"--listen", "8080"}, {"--listen", "h:65536"}, {"--listen", ":1"},
    {"--listen", "h:"},      {"--listen", "h:1x"}, {"--latency", "-1"},     {"--latency", "x"},
    {"--latency", "600001"}, {"--seed", "1.5"},    {"--ledger", NULL},      {"stray", NULL},
    {"--latency", "1"}, /* and no ledger */
};

START_TEST(a_wrong_option_is_named)
{
    struct options options;
    ck_assert_int_eq(
        read_options(no_environment, &options, bad_options[_i][0], bad_options[_i][1], NULL, NULL),
        ERR_CONFIG);
    const char *named = strcmp(bad_options[_i][0], "--latency") == 0 && bad_options[_i][1][0] == '1'
                            ? "--ledger"
                            : bad_options[_i][0];
    ck_assert_ptr_nonnull(strstr(problem_text, named));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sandbox_fault");
    TCase *tcase = tcase_create("sandbox_fault");
    tcase_add_test(tcase, a_mode_holds_for_its_times);
    tcase_add_test(tcase, a_mode_without_times_holds_until_none);
    tcase_add_test(tcase, what_reads_fails_by_its_own_chance);
    tcase_add_test(tcase, chances_are_met_and_repeatable);
    tcase_add_test(tcase, a_delay_is_latency_and_jitter);
    tcase_add_loop_test(tcase, a_wrong_control_changes_nothing, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(tcase, every_fault_has_a_card_that_meets_it);
    tcase_add_test(tcase, tokens_stand_for_cards);
    tcase_add_test(tcase, the_truth_is_the_default_and_can_be_set_aside);
    tcase_add_test(tcase, options_win_over_the_environment);
    tcase_add_loop_test(tcase, a_wrong_option_is_named, 0,
                        (int)(sizeof bad_options / sizeof bad_options[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
