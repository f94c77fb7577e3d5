#include "common/service/contact.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

/* A server that is scripted: one letter a try. u: up, d: down, a: its login is refused, n: its host
 * has no address, v: its version does not suit; behind the last letter it says nothing more. */
struct server {
    struct contact *contact;
    const char *script;
    struct loop_timer *timer;
    bool closed;
};

/* How long is waited: for a server that says nothing more, and for one that speaks, however slow
 * the machine is. */
enum { SILENT_MS = 100, SPEAKING_MS = 60000 };

static struct loop *loop;
static struct server servers[2];
static size_t opened;

static void next_try(void *arg)
{
    struct server *server = arg;
    if (*server->script == '\0')
        return;
    char what = *server->script++;
    loop_timer_start(server->timer, 1, 0);
    if (what == 'u')
        contact_up(server->contact);
    else
        contact_failed(server->contact,
                       what == 'a'   ? ERR_AUTH
                       : what == 'v' ? ERR_CONFLICT
                       : what == 'n' ? ERR_NOT_FOUND
                                     : ERR_UNAVAILABLE,
                       what == 'a' ? "the login is refused" : "nobody answers");
}

static void *open_server(struct loop *on, const struct cfg *cfg, const char *program,
                         struct contact *contact)
{
    (void)cfg;
    ck_assert_str_eq(program, "test");
    struct server *server = &servers[opened++];
    if (server->script == NULL)
        return NULL;
    server->contact = contact;
    server->timer = loop_timer_new(on, next_try, server);
    loop_timer_start(server->timer, 1, 0);
    return server;
}

static void close_server(struct contact *contact)
{
    struct server *server = contact->client;
    if (server == NULL)
        return;
    loop_timer_free(server->timer);
    server->closed = true;
}

static const struct contact_kind kind = {CFG_AMQP_URL, "a server", open_server, close_server};
static struct cfg *cfg; /* with two brokers */

static void setup(void)
{
    static char url[] = "CHECKOUT_AMQP_URL=amqp://a,amqp://b";
    char *environment[] = {url, NULL};
    struct buf problem;
    buf_init(&problem, 1024);
    int code = cfg_load_some(CFG_CTL, CFG_BIT(AMQP_URL), environment, &cfg, &problem);
    ck_assert_msg(code == 0, "%s", buf_text(&problem));
    buf_free(&problem);
    loop = loop_new();
    opened = 0;
    memset(servers, 0, sizeof servers);
}

static void teardown(void)
{
    loop_free(loop);
    cfg_free(cfg);
}

static enum contact_state meet(const char *script, uint64_t patience_ms, const char *ret_reason[])
{
    static struct contact contact;
    opened = 0;
    servers[0] = (struct server){.script = script};
    contact_begin(&contact, &kind, loop, cfg, "test");
    contact_await(&contact, 1, patience_ms);
    enum contact_state state = contact.state;
    if (ret_reason != NULL)
        *ret_reason = contact.reason;
    contact_end(&contact);
    ck_assert(script == NULL || servers[0].closed);
    return state;
}

/* Two hosts: each is tried once. */
START_TEST(each_way_it_may_go)
{
    static const struct {
        const char *script;
        enum contact_state state;
    } cases[] = {
        {"u", CONTACT_UP},     {"du", CONTACT_UP},      {"nu", CONTACT_UP},
        {"dd", CONTACT_DOWN},  {"dn", CONTACT_DOWN},    {"nd", CONTACT_DOWN},
        {"nn", CONTACT_WRONG}, {"a", CONTACT_WRONG},    {"da", CONTACT_WRONG},
        {"na", CONTACT_WRONG}, {"ddu", CONTACT_DOWN},   {"dda", CONTACT_DOWN},
        {"uda", CONTACT_UP},   {"v", CONTACT_UNSUITED}, {"dv", CONTACT_UNSUITED},
        {"uv", CONTACT_UP},    {NULL, CONTACT_DOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_msg(meet(cases[i].script, SPEAKING_MS, NULL) == cases[i].state, "%s",
                      cases[i].script);
    static const char *silent[] = {"d", "n", ""};
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        ck_assert_msg(meet(silent[i], SILENT_MS, NULL) == CONTACT_DOWN, "%s", silent[i]);
}
END_TEST

START_TEST(the_reason_is_that_of_the_last_failure)
{
    const char *reason;
    (void)meet("da", SPEAKING_MS, &reason);
    ck_assert_str_eq(reason, "the login is refused");
    (void)meet("dd", SPEAKING_MS, &reason);
    ck_assert_str_eq(reason, "nobody answers");
    (void)meet("d", 10 * SILENT_MS, &reason);
    ck_assert_str_eq(reason, "nobody answers");
    (void)meet("", SILENT_MS, &reason);
    ck_assert_str_eq(reason, "no answer within 0 s");
    (void)meet(NULL, SPEAKING_MS, &reason);
    ck_assert_str_eq(reason, "out of memory");
    (void)meet("u", SPEAKING_MS, &reason);
    ck_assert_str_eq(reason, "");
}
END_TEST

static void meet_both(const char *one, const char *other, uint64_t patience_ms,
                      enum contact_state first, enum contact_state second)
{
    struct contact contacts[2];
    opened = 0;
    servers[0] = (struct server){.script = one};
    servers[1] = (struct server){.script = other};
    for (size_t i = 0; i < 2; i++)
        contact_begin(&contacts[i], &kind, loop, cfg, "test");
    contact_await(contacts, 2, patience_ms);
    ck_assert_int_eq(contacts[0].state, first);
    ck_assert_int_eq(contacts[1].state, second);
    for (size_t i = 0; i < 2; i++)
        contact_end(&contacts[i]);
}

START_TEST(all_are_waited_for_but_behind_a_wrong_one)
{
    meet_both("u", "dddu", SPEAKING_MS, CONTACT_UP, CONTACT_DOWN);
    meet_both("du", "u", SPEAKING_MS, CONTACT_UP, CONTACT_UP);
    meet_both("", "a", SPEAKING_MS, CONTACT_DOWN, CONTACT_WRONG);
    meet_both("u", "", 10 * SILENT_MS, CONTACT_UP, CONTACT_DOWN);
    contact_await(NULL, 0, SPEAKING_MS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contact");
    TCase *tests = tcase_create("contact");
    tcase_add_test(tests, each_way_it_may_go);
    tcase_add_test(tests, the_reason_is_that_of_the_last_failure);
    tcase_add_test(tests, all_are_waited_for_but_behind_a_wrong_one);
    tcase_add_checked_fixture(tests, setup, teardown);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
