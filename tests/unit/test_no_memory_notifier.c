/* Memory runs out at each allocation of the notifier's pure cores in turn. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "notifier/envelope.h"
#include "notifier/progress.h"
#include "notifier/registry.h"
#include "tests/fake/fake_memory.h"

/* Two sockets of one user and one of another; who finds no memory is not in it. */
static int listeners(void)
{
    struct registry_member members[3] = {0};
    static const char *const users[] = {"ann", "ann", "bob"};
    bool first = false;
    struct registry *registry = registry_new(10, 2);
    int code = registry == NULL ? ERR_NOMEM : 0;
    size_t joined = 0;
    while (code == 0 && joined < ARRAY_LEN(members)) {
        code = registry_join(registry, users[joined], &members[joined], &first);
        MUST(code < 0 || first == (joined != 1));
        joined += code == 0;
    }
    if (registry != NULL) {
        MUST(registry_members(registry) == joined);
        MUST((registry_find(registry, "bob", 3) != NULL) == (joined == 3));
        MUST(joined < 2 || registry_room(registry, "ann") == ERR_REFUSED);
        for (size_t i = joined; i-- > 1;)
            (void)registry_leave(registry, &members[i]);
        MUST(joined == 0 || registry_users(registry) == 1);
    }
    registry_free(registry); /* with a user whose socket is still open */
    return code;
}

/* Without memory an event counts as news: it is sent once more rather than lost. */
static int orders(void)
{
    struct progress progress = {0};
    size_t news = 0;
    for (unsigned i = 0; i < 40; i++) {
        struct envelope envelope = {.sequence = 1};
        envelope.order[0] = (unsigned char)i;
        news += progress_advance(&progress, &envelope, i);
    }
    MUST(news == 40);
    progress_free(&progress);
    return 0;
}

START_TEST(listeners_and_their_orders)
{
    ck_assert_uint_gt(fake_memory_run(listeners), 3);
    ck_assert_uint_gt(fake_memory_run(orders), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no memory: notifier");
    TCase *tests = tcase_create("no memory: notifier");
    tcase_add_test(tests, listeners_and_their_orders);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
