#include "common/net/http/curl.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/net/http/http.h"

/* A client and a server on one loop. */
struct stage {
    const char *retry_after;
    const char *date;
    struct loop *loop;
    struct http_server *server;
    struct curl_client *client;
    char url[64];
    /* what the server saw last */
    unsigned requests;
    size_t connections;
    char method[16];
    char body[64];
    char header[64];
    /* what the client was told last */
    unsigned done;
    struct curl_response response;
    char answer[64];
    char problem[256];
    unsigned wanted; /* leave the loop after so many */
    unsigned again;  /* calls to start from the callback */
    struct http_request *held;
};

static void respond(struct http_request *request, unsigned status, const char *body, size_t len,
                    const struct http_header *header)
{
    struct http_response response = {.status = status,
                                     .body = body,
                                     .body_len = len,
                                     .headers = header,
                                     .header_count = header == NULL ? 0 : 1};
    http_respond(request, &response);
}

static void respond_dated(struct http_request *request, const char *date)
{
    char text[256];
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n%s%s\r\n\r\n",
                       date == NULL ? "X-None: " : "Date: ", date == NULL ? "" : date);
    http_abort(request, text, (size_t)len);
}

static void handle(struct http_request *request, void *arg)
{
    static const char large[100000];
    struct stage *s = arg;
    const struct http_header retry = {"Retry-After", s->retry_after};
    static const struct http_header location = {"Location", "/echo"};
    size_t len;
    const char *path = http_request_path(request);
    const char *header = http_request_header(request, "X-Test");
    s->requests++;
    s->connections = http_server_connections(s->server);
    (void)snprintf(s->method, sizeof s->method, "%s", http_request_method(request));
    (void)snprintf(s->body, sizeof s->body, "%s", http_request_body(request, &len));
    (void)snprintf(s->header, sizeof s->header, "%s", header == NULL ? "" : header);
    if (strcmp(path, "/large") == 0)
        respond(request, 200, large, sizeof large, NULL);
    else if (strcmp(path, "/busy") == 0)
        respond(request, 429, "wait", 4, &retry);
    else if (strcmp(path, "/moved") == 0)
        respond(request, 302, "", 0, &location);
    else if (strcmp(path, "/reset") == 0)
        http_abort(request, NULL, 0);
    else if (strcmp(path, "/cut") == 0)
        http_abort(request, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", 42);
    else if (strcmp(path, "/nonsense") == 0)
        http_abort(request, "+OK POP3 server ready\r\n", 23);
    else if (strcmp(path, "/dated") == 0)
        respond_dated(request, s->date);
    else if (strcmp(path, "/never") == 0)
        s->held = request;
    else
        respond(request, 200, "hello", 5, NULL);
}

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->loop = loop_new();
    const struct http_options http = {
        .host = "127.0.0.1", .connections_max = 16, .idle_timeout_s = 60, .body_max = 1024};
    ck_assert_int_eq(http_server_open(s->loop, &http, handle, s, &s->server), 0);
    const struct curl_options curl = {.connections_max = 8, .connect_timeout_ms = 1000};
    s->client = curl_client_new(s->loop, &curl);
    ck_assert_ptr_nonnull(s->client);
    return s;
}

static void stage_free(struct stage *s)
{
    curl_client_free(s->client);
    http_server_close(s->server);
    loop_free(s->loop);
    free(s);
}

static void start(struct stage *s, const char *method, const char *path, const char *body,
                  struct curl_call **ret_call);

static void on_done(const struct curl_response *response, void *arg)
{
    struct stage *s = arg;
    s->done++;
    s->response = *response;
    (void)snprintf(s->answer, sizeof s->answer, "%s", response->body == NULL ? "" : response->body);
    (void)snprintf(s->problem, sizeof s->problem, "%s",
                   response->problem == NULL ? "" : response->problem);
    if (s->again > 0) {
        s->again--;
        start(s, "GET", "/echo", NULL, NULL);
    }
    if (s->done == s->wanted)
        loop_stop(s->loop);
}

static void start(struct stage *s, const char *method, const char *path, const char *body,
                  struct curl_call **ret_call)
{
    static const char *const headers[] = {"X-Test: yes", NULL};
    (void)snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u%s", http_server_port(s->server),
                   path);
    struct curl_request request = {.method = method,
                                   .url = s->url,
                                   .headers = headers,
                                   .body = body,
                                   .body_len = body == NULL ? 0 : strlen(body),
                                   .timeout_ms = strcmp(path, "/never") == 0 ? 300 : 10000,
                                   .response_max = 1000};
    ck_assert_int_eq(curl_call_start(s->client, &request, on_done, s, ret_call), 0);
}

static void run(struct stage *s, const char *method, const char *path, const char *body)
{
    s->wanted = s->done + 1 + s->again;
    start(s, method, path, body, NULL);
    loop_run(s->loop);
}

START_TEST(a_request_arrives_and_its_answer_returns)
{
    struct stage *s = stage_new();
    run(s, "POST", "/echo", "a=1");
    ck_assert_int_eq(s->response.code, 0);
    ck_assert_uint_eq(s->response.status, 200);
    ck_assert(s->response.connected);
    ck_assert_uint_eq(s->response.body_len, 5);
    ck_assert_str_eq(s->answer, "hello");
    ck_assert_str_eq(s->method, "POST");
    ck_assert_str_eq(s->body, "a=1");
    ck_assert_str_eq(s->header, "yes");
    run(s, "GET", "/echo", NULL);
    ck_assert_str_eq(s->method, "GET");
    ck_assert_str_eq(s->body, "");
    run(s, "PUT", "/echo", "a=2");
    ck_assert_str_eq(s->method, "PUT");
    ck_assert_str_eq(s->body, "a=2");
    run(s, "GET", "/echo", NULL);
    ck_assert_str_eq(s->method, "GET");
    ck_assert_str_eq(s->body, "");
    run(s, "POST", "/echo", NULL);
    ck_assert_str_eq(s->method, "POST");
    ck_assert_uint_eq(s->connections, 1); /* kept */
    stage_free(s);
}
END_TEST

START_TEST(calls_may_be_started_in_a_callback)
{
    struct stage *s = stage_new();
    s->again = 100;
    run(s, "GET", "/echo", NULL);
    ck_assert_uint_eq(s->done, 101);
    ck_assert_uint_eq(s->requests, 101);
    ck_assert_uint_eq(s->connections, 1);
    stage_free(s);
}
END_TEST

START_TEST(calls_beyond_the_connections_wait_for_one)
{
    struct stage *s = stage_new();
    s->wanted = 50;
    for (int i = 0; i < 50; i++)
        start(s, "GET", "/echo", NULL, NULL);
    loop_run(s->loop);
    ck_assert_uint_eq(s->done, 50);
    ck_assert_uint_le(s->connections, 8);
    stage_free(s);
}
END_TEST

START_TEST(an_answer_over_its_bound_is_an_error)
{
    struct stage *s = stage_new();
    run(s, "GET", "/large", NULL);
    ck_assert_int_eq(s->response.code, ERR_FULL);
    ck_assert(s->response.connected);
    run(s, "GET", "/echo", NULL);
    ck_assert_int_eq(s->response.code, 0);
    stage_free(s);
}
END_TEST

START_TEST(retry_after_is_told)
{
    struct stage *s = stage_new();
    s->retry_after = "7";
    run(s, "GET", "/busy", NULL);
    ck_assert_int_eq(s->response.code, 0);
    ck_assert_uint_eq(s->response.status, 429);
    ck_assert_uint_eq(s->response.retry_after_s, 7);
    run(s, "GET", "/echo", NULL);
    ck_assert_uint_eq(s->response.retry_after_s, 0);
    stage_free(s);
}
END_TEST

/* A payment holds a unit, so no gateway makes us wait for long; endpoints of the shop may. */
START_TEST(a_retry_after_of_no_sense_is_none_and_a_long_one_is_cut)
{
    static const struct {
        const char *value;
        uint32_t seconds;
    } rows[] = {{"-5", 0},
                {"soon", 0},
                {"Wed, 21 Oct 2015 07:28:00 GMT", 0},
                {"Thu, 21 Oct 2094 07:28:00 GMT", 60},
                {"86400", 60},
                {"9999999999", 60},
                {"99999999999999999999999", 0}};
    struct stage *s = stage_new();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        s->retry_after = rows[i].value;
        run(s, "GET", "/busy", NULL);
        ck_assert_msg(s->response.retry_after_s == rows[i].seconds, "%s: %u", rows[i].value,
                      s->response.retry_after_s);
    }
    curl_client_free(s->client);
    s->client = curl_client_new(s->loop, &(struct curl_options){.connections_max = 8,
                                                                .connect_timeout_ms = 1000,
                                                                .retry_after_max_s = 3600});
    s->retry_after = "1800";
    run(s, "GET", "/busy", NULL);
    ck_assert_uint_eq(s->response.retry_after_s, 1800);
    s->retry_after = "86400";
    run(s, "GET", "/busy", NULL);
    ck_assert_uint_eq(s->response.retry_after_s, 3600);
    stage_free(s);
}
END_TEST

/* Each answer has its own, also after one that was the same, none, or no date. */
START_TEST(the_servers_clock_is_told)
{
    static const struct {
        const char *text;
        int64_t at_s;
    } rows[] = {{NULL, 0},
                {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
                {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
                {NULL, 0},
                {"Sun, 06 Nov 1994 08:49:38 GMT", 784111778},
                {"Sunday, 06-Nov-94 08:49:37 GMT                ", 784111777},
                {"Sunday, 06-Nov-1994            08:49:39 GMT", 784111779},
                {"soon", 0},
                {"Sun, 06 Nov 1994 08:49:38 GMT", 784111778}};
    struct stage *s = stage_new();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        s->date = rows[i].text;
        run(s, "GET", "/dated", NULL);
        ck_assert_int_eq(s->response.code, 0);
        ck_assert_msg(s->response.date_s == rows[i].at_s, "%zu: %lld", i,
                      (long long)s->response.date_s);
    }
    stage_free(s);
}
END_TEST

START_TEST(a_redirect_is_not_followed)
{
    struct stage *s = stage_new();
    run(s, "POST", "/moved", "a=1");
    ck_assert_uint_eq(s->response.status, 302);
    ck_assert_uint_eq(s->requests, 1);
    stage_free(s);
}
END_TEST

START_TEST(a_lost_connection_may_have_been_heard)
{
    static const char *const paths[] = {"/reset", "/cut", "/nonsense"};
    struct stage *s = stage_new();
    run(s, "POST", paths[_i], "a=1");
    ck_assert_int_eq(s->response.code, ERR_CLOSED);
    ck_assert(s->response.connected);
    ck_assert_str_ne(s->problem, "");
    run(s, "GET", "/echo", NULL);
    ck_assert_int_eq(s->response.code, 0);
    stage_free(s);
}
END_TEST

START_TEST(silence_ends_at_the_timeout)
{
    struct stage *s = stage_new();
    run(s, "POST", "/never", "a=1");
    ck_assert_int_eq(s->response.code, ERR_TIMEOUT);
    ck_assert(s->response.connected);
    stage_free(s);
}
END_TEST

/* A port where nobody listens. */
static unsigned closed_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void run_url(struct stage *s, const char *url)
{
    struct curl_request request = {
        .method = "GET", .url = url, .timeout_ms = 2000, .response_max = 1000};
    s->wanted = s->done + 1;
    ck_assert_int_eq(curl_call_start(s->client, &request, on_done, s, NULL), 0);
    loop_run(s->loop);
}

START_TEST(a_refused_connection_was_surely_not_heard)
{
    struct stage *s = stage_new();
    char url[64];
    run(s, "POST", "/echo", "so that the handle has sent before");
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", closed_port());
    run_url(s, url);
    ck_assert_int_eq(s->response.code, ERR_UNAVAILABLE);
    ck_assert(!s->response.connected);
    stage_free(s);
}
END_TEST

/* A port whose connections stay pending: its backlog is full. */
static uint16_t silent_port(int *ret_listener, int fillers[], size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *ret_listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(*ret_listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(*ret_listener, 0), 0);
    ck_assert_int_eq(getsockname(*ret_listener, (struct sockaddr *)&address, &len), 0);
    for (size_t i = 0; i < count; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, len);
    }
    return ntohs(address.sin_port);
}

START_TEST(connections_that_never_come_about_end_at_the_timeout)
{
    enum { FILLERS = 4, CALLS = 8, ROUNDS = 3 };
    struct stage *s = stage_new();
    int listener, fillers[FILLERS];
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/",
                   silent_port(&listener, fillers, FILLERS));
    const struct curl_request request = {
        .method = "GET", .url = url, .timeout_ms = 100, .response_max = 1000};
    for (unsigned round = 0; round < ROUNDS; round++) {
        s->wanted = s->done + CALLS;
        for (int i = 0; i < CALLS; i++)
            ck_assert_int_eq(curl_call_start(s->client, &request, on_done, s, NULL), 0);
        loop_run(s->loop);
        ck_assert_int_eq(s->response.code, ERR_TIMEOUT);
        ck_assert(!s->response.connected);
        run(s, "GET", "/echo", NULL); /* under numbers that theirs may have had */
        ck_assert_int_eq(s->response.code, 0);
    }
    for (size_t i = 0; i < FILLERS; i++)
        (void)close(fillers[i]);
    (void)close(listener);
    stage_free(s);
}
END_TEST

START_TEST(only_the_web_is_spoken)
{
    struct stage *s = stage_new();
    run_url(s, "file:///etc/hostname");
    ck_assert_int_ne(s->response.code, 0);
    ck_assert(!s->response.connected);
    run_url(s, "http://[");
    ck_assert_int_ne(s->response.code, 0);
    ck_assert(!s->response.connected);
    stage_free(s);
}
END_TEST

START_TEST(proxies_of_the_environment_are_not_used)
{
    char proxy[64];
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", closed_port());
    ck_assert_int_eq(setenv("http_proxy", proxy, 1), 0);
    ck_assert_int_eq(setenv("ALL_PROXY", proxy, 1), 0);
    struct stage *s = stage_new();
    run(s, "GET", "/echo", NULL);
    ck_assert_int_eq(s->response.code, 0);
    stage_free(s);
}
END_TEST

START_TEST(a_cancelled_call_is_never_reported)
{
    struct stage *s = stage_new();
    struct curl_call *call;
    run(s, "GET", "/echo", NULL);
    start(s, "GET", "/never", NULL, &call);
    curl_call_cancel(call);
    run(s, "GET", "/echo", NULL);
    ck_assert_uint_eq(s->done, 2);
    stage_free(s);
}
END_TEST

START_TEST(freeing_cancels_what_is_in_flight)
{
    struct stage *s = stage_new();
    run(s, "GET", "/echo", NULL);
    for (int i = 0; i < 20; i++)
        start(s, "GET", "/never", NULL, NULL);
    stage_free(s);
}
END_TEST

static void free_client(const struct curl_response *response, void *arg)
{
    struct stage *s = arg;
    ck_assert_int_eq(response->code, 0);
    curl_client_free(s->client);
    s->client = NULL;
    loop_stop(s->loop);
}

START_TEST(the_client_may_be_freed_in_a_callback)
{
    struct stage *s = stage_new();
    (void)snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u/", http_server_port(s->server));
    struct curl_request request = {
        .method = "GET", .url = s->url, .timeout_ms = 1000, .response_max = 1000};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(curl_call_start(s->client, &request, free_client, s, NULL), 0);
    loop_run(s->loop);
    ck_assert_ptr_null(s->client);
    stage_free(s);
}
END_TEST

START_TEST(what_no_call_can_be_is_refused)
{
    struct stage *s = stage_new();
    const char *many[40];
    for (size_t i = 0; i < 39; i++)
        many[i] = "X-Test: 1";
    many[39] = NULL;
    struct curl_request request = {
        .method = "BREW", .url = "http://127.0.0.1/", .timeout_ms = 100, .response_max = 100};
    ck_assert_int_eq(curl_call_start(s->client, &request, on_done, s, NULL), ERR_INVALID);
    request.method = "GET";
    request.headers = many;
    ck_assert_int_eq(curl_call_start(s->client, &request, on_done, s, NULL), ERR_FULL);
    ck_assert_uint_eq(s->done, 0);
    stage_free(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curl");
    TCase *tcase = tcase_create("curl");
    tcase_add_test(tcase, a_request_arrives_and_its_answer_returns);
    tcase_add_test(tcase, calls_may_be_started_in_a_callback);
    tcase_add_test(tcase, calls_beyond_the_connections_wait_for_one);
    tcase_add_test(tcase, an_answer_over_its_bound_is_an_error);
    tcase_add_test(tcase, retry_after_is_told);
    tcase_add_test(tcase, a_retry_after_of_no_sense_is_none_and_a_long_one_is_cut);
    tcase_add_test(tcase, the_servers_clock_is_told);
    tcase_add_test(tcase, a_redirect_is_not_followed);
    tcase_add_loop_test(tcase, a_lost_connection_may_have_been_heard, 0, 3);
    tcase_add_test(tcase, silence_ends_at_the_timeout);
    tcase_add_test(tcase, a_refused_connection_was_surely_not_heard);
    tcase_add_test(tcase, connections_that_never_come_about_end_at_the_timeout);
    tcase_add_test(tcase, only_the_web_is_spoken);
    tcase_add_test(tcase, proxies_of_the_environment_are_not_used);
    tcase_add_test(tcase, a_cancelled_call_is_never_reported);
    tcase_add_test(tcase, freeing_cancels_what_is_in_flight);
    tcase_add_test(tcase, the_client_may_be_freed_in_a_callback);
    tcase_add_test(tcase, what_no_call_can_be_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
