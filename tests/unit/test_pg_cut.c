/*
 * A connection that ends inside an answer: the asker hears of it, wherever that is. The server is a
 * script of this file, and all that it says, and its end, are there before the session looks.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/pg/pg.h"

#define LARGE 36000 /* libpq reads on at once behind so much, and then meets the end */
#define QUERIES 3
#define SMALL 69  /* bytes of an answer with a small value */
#define BEFORE 20 /* bytes of the large one at which the end comes, too */
#define SYNC "S\0\0\0\4"

static int listener;
static size_t said; /* bytes of the answers, before the end */
static struct loop *loop;
static struct buf heard;
static struct buf answers;
static size_t ends[QUERIES]; /* of each of them */

/* ---- a server ---- */

static void put(struct buf *out, char type, const char *body, size_t len)
{
    uint32_t length = htonl((uint32_t)len + 4);
    ck_assert_int_eq(buf_append(out, &type, 1), 0);
    ck_assert_int_eq(buf_append(out, (const char *)&length, sizeof length), 0);
    ck_assert_int_eq(buf_append(out, body, len), 0);
}

#define PUT(out, type, body) put(out, type, body, sizeof(body) - 1)

/* Parsed, bound, one column, one row, done, ready. */
static void put_answer(struct buf *out, uint32_t size)
{
    static const char column[] = "\0\1n\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
    static char row[6 + LARGE] = {0, 1};
    uint32_t length = htonl(size);
    memcpy(row + 2, &length, sizeof length);
    memset(row + 6, '7', size);
    PUT(out, '1', "");
    PUT(out, '2', "");
    PUT(out, 'T', column);
    put(out, 'D', row, 6 + size);
    PUT(out, 'C', "SELECT 1\0");
    PUT(out, 'Z', "I");
}

static void say(int fd, const char *text, size_t len)
{
    for (ssize_t n; len > 0; text += n, len -= (size_t)n) {
        n = send(fd, text, len, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
    }
}

/* Reads until `word` has come so often; no word: anything. */
static void listen_for(int fd, const char *word, size_t len, int times)
{
    char in[4096];
    size_t have = 0;
    for (const char *from = in; times > 0;) {
        ssize_t n = recv(fd, in + have, sizeof in - have, 0);
        ck_assert_int_gt(n, 0);
        have += (size_t)n;
        while (times > 0 && (from = memmem(from, (size_t)(in + have - from), word, len)) != NULL) {
            from += len;
            times--;
        }
        if (from == NULL)
            from = in + have - (have < len ? have : len - 1);
    }
}

static void *serve(void *arg)
{
    (void)arg;
    struct buf welcome;
    buf_init(&welcome, 256);
    PUT(&welcome, 'R', "\0\0\0\0");
    PUT(&welcome, 'S',
        "server_version\0"
        "15.0\0");
    PUT(&welcome, 'S',
        "default_transaction_read_only\0"
        "off\0");
    PUT(&welcome, 'S',
        "in_hot_standby\0"
        "off\0");
    PUT(&welcome, 'Z', "I");
    int fd = accept(listener, NULL, NULL);
    listen_for(fd, "\0\0", 2, 1); /* the end of the first message */
    say(fd, welcome.data, welcome.len);
    listen_for(fd, SYNC, sizeof SYNC - 1, QUERIES);
    say(fd, answers.data, said);
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    (void)close(fd);
    buf_free(&welcome);
    return NULL;
}

static uint16_t start_listening(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, size), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    return ntohs(at.sin_port);
}

/* ---- a session ---- */

static void changed(bool up, const char *reason, void *arg)
{
    (void)reason;
    (void)arg;
    (void)buf_str(&heard, up ? "up " : "down");
    loop_stop(loop);
}

static void answered(const struct pg_result *result, void *arg)
{
    (void)arg;
    (void)buf_printf(&heard, "%.1s ", pg_status(result) == PG_OK ? pg_text(result, 0, 0) : "lost");
}

static void set_up(void)
{
    buf_init(&heard, 256);
    buf_init(&answers, LARGE + 1024);
    for (int i = 0; i < QUERIES; i++) {
        put_answer(&answers, i == 0 ? LARGE : 1);
        ends[i] = answers.len;
    }
    ck_assert_uint_eq(ends[1] - ends[0], SMALL);
    loop = loop_new();
}

static void tear_down(void)
{
    loop_free(loop);
    buf_free(&heard);
    buf_free(&answers);
    (void)close(listener);
}

/* Hears `said` bytes of answers, and the end. */
static void ask(void)
{
    static const struct pg_statement seven = {"seven", "select 7 as n", 0};
    char url[128];
    pthread_t server;
    (void)snprintf(url, sizeof url, "postgresql://nobody@127.0.0.1:%u/x?sslmode=disable",
                   start_listening());
    const struct pg_options options = {.url = url, .application_name = "test", .pending_max = 8};
    ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
    struct pg *pg = pg_open(loop, &options, changed, NULL);
    loop_run(loop);
    for (int i = 0; i < QUERIES; i++)
        ck_assert_int_eq(pg_query(pg, &seven, NULL, answered, NULL), 0);
    ck_assert_int_eq(pthread_join(server, NULL), 0);
    loop_run(loop);
    pg_close(pg);
}

/* Everybody is told something, in order, and of an answer only if it came whole. */
static void end_after(size_t bytes)
{
    static const char *const possible[] = {"up l l l down", "up 7 l l down", "up 7 7 l down",
                                           "up 7 7 7 down"};
    size_t whole = 0;
    said = bytes;
    while (whole < QUERIES && said >= ends[whole])
        whole++;
    ask();
    while (strcmp(buf_text(&heard), possible[whole]) != 0) {
        ck_assert_msg(whole > 0, "after %zu bytes: %s", said, buf_text(&heard));
        whole--;
    }
}

START_TEST(an_end_at_each_byte)
{
    /* In one process: a fork for each takes minutes. */
    for (size_t i = 0; i <= BEFORE + 2 * SMALL; i++) {
        end_after(ends[0] - BEFORE + i);
        tear_down();
        set_up();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_cut");
    TCase *tests = tcase_create("a server that leaves");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, an_end_at_each_byte);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
