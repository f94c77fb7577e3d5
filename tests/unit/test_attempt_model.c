/*
 * tests/model/attempt.pml is the table of attempt.c in Promela: tests/model/payments.pml takes
 * every step of a payment from it. It is written here from the table, and compared; with
 * CHECKOUT_DRAW=1 in the environment it is written to its file.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/money/attempt.h"
#include "tests/fake/stage_attempt.h"

#define MODEL "tests/model/attempt.pml"
#define PAYMENTS "tests/model/payments.pml"
#define FILE_MAX ((size_t)256 * 1024)
#define NAME_SIZE 64

/* A payment begins as a charge, or as a look at an intent that is known; or as a refund. */
static struct reach reach_all(void)
{
    struct reach reach = {0};
    reach_from(&reach, ATTEMPT_QUEUED, ATTEMPT_CHARGE);
    reach_from(&reach, ATTEMPT_QUEUED, ATTEMPT_GET);
    reach_from(&reach, ATTEMPT_QUEUED, ATTEMPT_REFUND);
    return reach;
}

static void write_names(FILE *out, const char *prefix, const char *(*text)(unsigned n),
                        unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        ck_assert_int_gt(fprintf(out, "#define %s%s %u\n", prefix, text(n), n), 0);
}

static void write_row(FILE *out, unsigned state, unsigned verb, unsigned event)
{
    struct attempt_step step =
        attempt_next((enum attempt_state)state, (enum attempt_verb)verb, (enum attempt_event)event);
    ck_assert_int_gt(fprintf(out, "  row(%s, %s, ON_%s, %s, %s, DO_%s);\n", state_text(state),
                             verb_text(verb), event_text(event), state_text(step.state),
                             verb_text(step.verb), action_text(step.action)),
                     0);
}

static void write_rows(FILE *out)
{
    struct reach reach = reach_all();
    for (unsigned state = 0; state < ATTEMPT_STATES; state++)
        for (unsigned verb = 0; verb < ATTEMPT_VERBS; verb++)
            for (unsigned event = 0; reach.has[state][verb] && event < ATTEMPT_EVENTS; event++)
                if (!attempt_row_ignores(attempt_row((enum attempt_state)state,
                                                     (enum attempt_verb)verb,
                                                     (enum attempt_event)event)))
                    write_row(out, state, verb, event);
}

/* Owned by the caller. */
static char *write_model(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_gt(
        fputs("/* The table of consumer/money/attempt.c, written from it by the test "
              "unit.attempt_model.\n   State, call, event; then the new state, the call and the "
              "action. */\n",
              out),
        0);
    write_names(out, "", state_text, ATTEMPT_STATES);
    write_names(out, "", verb_text, ATTEMPT_VERBS);
    write_names(out, "ON_", event_text, ATTEMPT_EVENTS);
    write_names(out, "DO_", action_text, ATTEMPT_ACTIONS);
    ck_assert_int_gt(fprintf(out, "#define ATTEMPT_VERBS %d\n#define ATTEMPT_EVENTS %d\n",
                             ATTEMPT_VERBS, ATTEMPT_EVENTS),
                     0);
    ck_assert_int_gt(fputs("inline attempt_rows() {\n", out), 0);
    write_rows(out);
    ck_assert_int_gt(fputs("  skip\n}\n", out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static bool file_has(const char *text)
{
    size_t len = strlen(text);
    char *seen = calloc(1, len + 2);
    FILE *file = fopen(MODEL, "r");
    size_t got = file == NULL ? 0 : fread(seen, 1, len + 1, file);
    if (file != NULL)
        ck_assert_int_eq(fclose(file), 0);
    bool same = got == len && memcmp(seen, text, len) == 0;
    free(seen);
    return same;
}

START_TEST(the_model_takes_its_steps_from_the_table)
{
    char *text = write_model();
    bool same = file_has(text);
    if (!same && getenv("CHECKOUT_DRAW") != NULL) {
        FILE *file = fopen(MODEL, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_gt(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        same = true;
    }
    ck_assert_msg(same,
                  MODEL " is not the table of attempt.c. CHECKOUT_DRAW=1 makes this test write "
                        "it; then check the model: tests/model/run");
    free(text);
}
END_TEST

static char *read_file(const char *name)
{
    FILE *file = fopen(name, "r");
    ck_assert_ptr_nonnull(file);
    char *text = calloc(1, FILE_MAX + 1);
    ck_assert_ptr_nonnull(text);
    size_t len = fread(text, 1, FILE_MAX, file);
    ck_assert_uint_lt(len, FILE_MAX);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

static size_t name_len(const char *text)
{
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
}

/* The number of names ON_… and DO_… in `model` that `table` does not define; the first of them. */
static unsigned unknown_names(const char *model, const char *table, char ret_name[NAME_SIZE])
{
    unsigned unknown = 0;
    for (const char *at = model; *at != '\0'; at += name_len(at) == 0 ? 1 : name_len(at)) {
        char line[NAME_SIZE + 16];
        bool ours = strncmp(at, "ON_", 3) == 0 || strncmp(at, "DO_", 3) == 0;
        if (!ours || name_len(at) >= NAME_SIZE)
            continue;
        (void)snprintf(line, sizeof line, "#define %.*s ", (int)name_len(at), at);
        if (strstr(table, line) == NULL && unknown++ == 0)
            (void)snprintf(ret_name, NAME_SIZE, "%.*s", (int)name_len(at), at);
    }
    return unknown;
}

/* A name that Spin does not know would just be another variable, or a step that is never taken. */
START_TEST(the_model_names_only_what_the_table_has)
{
    char name[NAME_SIZE] = "";
    char *table = read_file(MODEL);
    char *model = read_file(PAYMENTS);
    ck_assert_ptr_nonnull(strstr(model, "DO_END_CAPTURED"));
    ck_assert_msg(unknown_names(model, table, name) == 0, PAYMENTS " names %s", name);
    ck_assert_uint_eq(unknown_names("step(ON_SENT); DO_NOTE ON_SEND DO_NOTES", table, name), 2);
    ck_assert_str_eq(name, "ON_SEND");
    free(model);
    free(table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attempt_model");
    TCase *tcase = tcase_create("table");
    tcase_add_test(tcase, the_model_takes_its_steps_from_the_table);
    tcase_add_test(tcase, the_model_names_only_what_the_table_has);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
