#include "common/service/spans.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/net/http/http.h"
#include "common/service/span_export.h"
#include "common/service/span_settings.h"
#include "common/shop/ids.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
#define ORDER "5b1c9a70-3f0e-8a2b-9c4d-0e1f2a3b4c5d"
#define TEXT_MAX 1000000
#define FINISH_MS 30000 /* more than it takes */

/* A collector, and an exporter to it, on one loop. */
struct stage {
    struct loop *loop;
    struct metrics *metrics;
    struct http_server *server;
    struct span_export *export;
    char url[64];
    const char *answer; /* of status 200 */
    unsigned status;    /* of the next answers ... */
    unsigned times;     /* ... so many of them, then 200 */
    bool silent;
    struct http_request *held;
    unsigned requests;
    unsigned wanted; /* leave the loop after so many */
    char path[64], type[64], key[64];
    char *body; /* of the newest */
    char *first;
};

static void handle(struct http_request *request, void *arg)
{
    struct stage *s = arg;
    size_t len;
    const char *body = http_request_body(request, &len);
    const char *key = http_request_header(request, "X-Key");
    free(s->body);
    s->body = strdup(body);
    if (s->first == NULL)
        s->first = strdup(body);
    (void)snprintf(s->path, sizeof s->path, "%s", http_request_path(request));
    (void)snprintf(s->type, sizeof s->type, "%s", http_request_header(request, "Content-Type"));
    (void)snprintf(s->key, sizeof s->key, "%s", key == NULL ? "" : key);
    if (++s->requests == s->wanted)
        loop_stop(s->loop);
    if (s->silent) {
        s->held = request;
        return;
    }
    bool failing = s->times > 0;
    s->times -= failing ? 1 : 0;
    const char *answer = failing || s->answer == NULL ? "{}" : s->answer;
    http_respond(request, &(struct http_response){.status = failing ? s->status : 200,
                                                  .content_type = "application/json",
                                                  .body = answer,
                                                  .body_len = strlen(answer)});
}

static struct stage *stage_new(bool dead)
{
    struct stage *s = calloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->loop = loop_new();
    s->metrics = metrics_new();
    const struct http_options http = {
        .host = "127.0.0.1", .connections_max = 4, .idle_timeout_s = 60, .body_max = TEXT_MAX};
    ck_assert_int_eq(http_server_open(s->loop, &http, handle, s, &s->server), 0);
    (void)snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u/", http_server_port(s->server));
    if (dead) {
        http_server_close(s->server);
        s->server = NULL;
    }
    const struct span_export_options options = {.loop = s->loop,
                                                .metrics = s->metrics,
                                                .endpoint = s->url,
                                                .headers = "X-Key: one\nX-Other: two",
                                                .ca_file = "",
                                                .timeout_ms = 30000,
                                                .source = {"checkout-test", "host:1"},
                                                .delay_ms = 5,
                                                .retry_ms = 2};
    s->export = span_export_new(&options);
    ck_assert_ptr_nonnull(s->export);
    return s;
}

static void stage_free(struct stage *s)
{
    span_export_free(s->export);
    http_server_close(s->server);
    loop_free(s->loop);
    metrics_free(s->metrics);
    free(s->body);
    free(s->first);
    free(s);
}

static struct span *add(struct stage *s, int number)
{
    struct span *span = span_export_add(s->export);
    ck_assert(trace_ids_new(&span->ids));
    span->name = "charge payment";
    span->kind = SPAN_CLIENT;
    span->began_us = INT64_C(1769860800123456);
    span->took_us = 1000;
    (void)snprintf(span->order_id, sizeof span->order_id, "%s", ORDER);
    span_number(span, "checkout.number", number);
    return span;
}

static void add_many(struct stage *s, int count)
{
    for (int i = 0; i < count; i++)
        (void)add(s, i);
}

static void run_until_requests(struct stage *s, unsigned count)
{
    s->wanted = count;
    if (s->requests < count)
        loop_run(s->loop);
}

static double lost(const struct stage *s, const char *reason)
{
    char labels[32];
    (void)snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    return metric_value(metrics_counter(s->metrics, "checkout_spans_dropped_total", "", labels));
}

static double sent(const struct stage *s)
{
    return metric_value(metrics_counter(s->metrics, "checkout_spans_sent_total", "", NULL));
}

static double waiting(const struct stage *s)
{
    return metric_value(metrics_gauge(s->metrics, "checkout_spans_waiting", "", NULL));
}

/* The list of spans in a request; borrowed from `root`. */
static const json_t *spans_of(const json_t *root)
{
    const json_t *resource = json_array_get(json_object_get(root, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    return json_object_get(scope, "spans");
}

START_TEST(a_batch_is_what_the_protocol_says)
{
    struct stage *s = stage_new(false);
    struct span *span = add(s, 7);
    memset(span->ids.trace, 0xab, sizeof span->ids.trace);
    memset(span->ids.span, 0xcd, sizeof span->ids.span);
    memset(span->parent, 0x01, sizeof span->parent);
    span->has_parent = true;
    span_text(span, "checkout.text", "a \"quoted\" text that is much longer than forty characters");
    span_fail(span, true);
    (void)add(s, 8);
    span_export_finish(s->export, FINISH_MS);
    ck_assert_str_eq(s->path, "/v1/traces");
    ck_assert_str_eq(s->type, "application/json");
    ck_assert_str_eq(s->key, "one");
    ck_assert(sent(s) == 2);
    ck_assert(waiting(s) == 0);
    json_t *root = json_loads(s->body, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(root);
    const json_t *spans = spans_of(root);
    ck_assert_uint_eq(json_array_size(spans), 2);
    char *text = json_dumps(json_array_get(spans, 0), JSON_COMPACT | JSON_SORT_KEYS);
    ck_assert_str_eq(
        text, "{\"attributes\":["
              "{\"key\":\"checkout.order.id\",\"value\":{\"stringValue\":\"" ORDER "\"}},"
              "{\"key\":\"checkout.number\",\"value\":{\"intValue\":\"7\"}},"
              "{\"key\":\"checkout.text\","
              "\"value\":{\"stringValue\":\"a \\\"quoted\\\" text that is much longer tha\"}}],"
              "\"endTimeUnixNano\":\"1769860800124456000\",\"kind\":3,\"name\":\"charge payment\","
              "\"parentSpanId\":\"0101010101010101\",\"spanId\":\"cdcdcdcdcdcdcdcd\","
              "\"startTimeUnixNano\":\"1769860800123456000\",\"status\":{\"code\":2},"
              "\"traceId\":\"abababababababababababababababab\"}");
    free(text);
    ck_assert_ptr_null(json_object_get(json_array_get(spans, 1), "parentSpanId"));
    ck_assert_ptr_null(json_object_get(json_array_get(spans, 1), "status"));
    json_decref(root);
    stage_free(s);
}
END_TEST

START_TEST(spans_gather_and_leave_in_batches)
{
    struct stage *s = stage_new(false);
    add_many(s, 2 * SPAN_EXPORT_BATCH + 1);
    run_until_requests(s, 3);
    span_export_finish(s->export, FINISH_MS);
    ck_assert_uint_eq(s->requests, 3);
    ck_assert(sent(s) == 2 * SPAN_EXPORT_BATCH + 1);
    ck_assert(waiting(s) == 0);
    stage_free(s);
}
END_TEST

START_TEST(the_longest_spans_fit_into_a_request)
{
    struct stage *s = stage_new(false);
    for (int i = 0; i < SPAN_EXPORT_BATCH; i++) {
        struct span *span = add(s, i);
        for (int note = 0; note < SPAN_NOTES_MAX; note++)
            span_text(
                span, "messaging.batch.message_count",
                "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01");
    }
    span_export_finish(s->export, FINISH_MS);
    ck_assert(sent(s) == SPAN_EXPORT_BATCH);
    stage_free(s);
}
END_TEST

START_TEST(without_a_collector_the_oldest_make_room_and_are_counted)
{
    struct stage *s = stage_new(true);
    add_many(s, SPAN_EXPORT_QUEUE + 1000);
    ck_assert(lost(s, "full") == 1000);
    ck_assert(waiting(s) == SPAN_EXPORT_QUEUE);
    const uint64_t began_ms = clock_mono_ms();
    span_export_finish(s->export, FINISH_MS); /* the first failure ends it */
    ck_assert_uint_lt(clock_mono_ms() - began_ms, FINISH_MS / 2);
    ck_assert(lost(s, "failed") == SPAN_EXPORT_BATCH);
    ck_assert(sent(s) == 0);
    stage_free(s);
}
END_TEST

static void look(void *arg)
{
    const struct stage *s = arg;
    if (lost(s, "failed") > 0)
        loop_stop(s->loop);
}

START_TEST(a_batch_that_finds_no_collector_is_given_up)
{
    struct stage *s = stage_new(true);
    struct loop_timer *timer = loop_timer_new(s->loop, look, s);
    loop_timer_start(timer, 1, 1);
    add_many(s, 10);
    loop_run(s->loop);
    ck_assert(lost(s, "failed") == 10);
    ck_assert(waiting(s) == 0);
    loop_timer_free(timer);
    stage_free(s);
}
END_TEST

START_TEST(a_silent_collector_holds_nobody_up)
{
    struct stage *s = stage_new(false);
    s->silent = true;
    (void)add(s, 1);
    run_until_requests(s, 1);
    add_many(s, SPAN_EXPORT_QUEUE + 5);
    ck_assert(lost(s, "full") == 5);
    ck_assert(waiting(s) == SPAN_EXPORT_QUEUE + 1);
    const uint64_t began_ms = clock_mono_ms();
    span_export_finish(s->export, 20);
    ck_assert_uint_lt(clock_mono_ms() - began_ms, FINISH_MS / 2);
    ck_assert(sent(s) == 0);
    stage_free(s);
}
END_TEST

START_TEST(what_is_refused_is_never_sent_again)
{
    struct stage *s = stage_new(false);
    s->status = 400;
    s->times = 1;
    add_many(s, 3);
    run_until_requests(s, 1);
    add_many(s, 1);
    run_until_requests(s, 2);
    span_export_finish(s->export, FINISH_MS);
    ck_assert_uint_eq(s->requests, 2);
    ck_assert(lost(s, "refused") == 3);
    ck_assert(sent(s) == 1);
    stage_free(s);
}
END_TEST

START_TEST(what_may_be_sent_again_is_the_same_batch)
{
    static const unsigned statuses[] = {429, 502, 503, 504};
    struct stage *s = stage_new(false);
    s->status = statuses[_i];
    s->times = 2;
    add_many(s, 3);
    run_until_requests(s, 3);
    span_export_finish(s->export, FINISH_MS);
    ck_assert_uint_eq(s->requests, 3);
    ck_assert_str_eq(s->first, s->body);
    ck_assert(sent(s) == 3);
    stage_free(s);
}
END_TEST

START_TEST(a_collector_that_takes_some_is_believed)
{
    static const struct {
        const char *answer;
        unsigned refused;
    } rows[] = {
        {"{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"too old\"}}", 2},
        {"{\"partialSuccess\":{\"rejectedSpans\":1}}", 1},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}", 3},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}", 0},
        {"{\"partialSuccess\":{\"errorMessage\":\"a warning\"}}", 0},
        {"{\"partialSuccess\":[]}", 0},
        {"no JSON", 0},
        {"", 0},
    };
    struct stage *s = stage_new(false);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const double before = sent(s), refused = lost(s, "refused");
        s->answer = rows[i].answer;
        add_many(s, 3);
        span_export_finish(s->export, FINISH_MS);
        ck_assert_msg(lost(s, "refused") - refused == rows[i].refused, "%s", rows[i].answer);
        ck_assert_msg(sent(s) - before == 3 - rows[i].refused, "%s", rows[i].answer);
    }
    stage_free(s);
}
END_TEST

/* ---- which orders have spans ---- */

static struct spans *open_spans(struct loop *loop, struct metrics *metrics, const char *ratio)
{
    char text[64];
    (void)snprintf(text, sizeof text, "CHECKOUT_TRACE_RATIO=%s", ratio);
    char endpoint[] = "CHECKOUT_OTLP_ENDPOINT=http://127.0.0.1:1";
    char *const environment[] = {text, endpoint, NULL};
    struct buf problem;
    struct cfg *cfg = NULL;
    struct spans *spans = NULL;
    buf_init(&problem, CFG_PROBLEMS_SIZE);
    ck_assert_msg(cfg_load_some(CFG_MAILER,
                                CFG_BIT(TRACE_RATIO) | CFG_BIT(OTLP_ENDPOINT) |
                                    CFG_BIT(OTLP_TIMEOUT) | CFG_BIT(OTLP_HEADERS_FILE) |
                                    CFG_BIT(OTLP_CA_FILE),
                                environment, &cfg, &problem) == 0,
                  "%s", buf_text(&problem));
    ck_assert_int_eq(spans_open(loop, metrics, cfg, "checkout-test", &spans), 0);
    cfg_free(cfg);
    buf_free(&problem);
    return spans;
}

START_TEST(the_orders_id_alone_decides_and_no_client)
{
    struct loop *loop = loop_new();
    struct metrics *metrics = metrics_new();
    struct spans *tenth = open_spans(loop, metrics, "0.1");
    struct spans *all = open_spans(loop, metrics, "1");
    struct ids *ids = ids_new("0123456789012345678901234567890x", 32);
    ck_assert_ptr_null(open_spans(loop, metrics, "0"));
    unsigned count = 0;
    for (int i = 0; i < 2000; i++) {
        static const char sampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        struct span_mark mark, again;
        char order[IDS_ORDER_SIZE], key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        ck_assert_int_eq(ids_order(ids, "ann", key, order), 0);
        bool has = spans_begin(tenth, order, TRACE, &mark);
        ck_assert_int_eq(spans_begin(tenth, order, sampled, &again), has);
        ck_assert_int_eq(spans_begin(tenth, order, NULL, &again), has);
        ck_assert(spans_begin(all, order, TRACE, &again));
        ck_assert(!spans_begin(NULL, order, sampled, &again));
        ck_assert(!again.on);
        count += has;
    }
    ck_assert_uint_gt(count, 140); /* 200 are expected, with a deviation of 13 */
    ck_assert_uint_lt(count, 260);
    ids_free(ids);
    spans_close(tenth);
    spans_close(all);
    loop_free(loop);
    metrics_free(metrics);
}
END_TEST

START_TEST(a_span_is_below_the_traces_and_above_what_it_causes)
{
    struct loop *loop = loop_new();
    struct metrics *metrics = metrics_new();
    struct spans *spans = open_spans(loop, metrics, "1");
    struct span_mark mark;
    char below[TRACE_SIZE];
    ck_assert(spans_begin(spans, ORDER, TRACE, &mark));
    span_mark_traceparent(&mark, below);
    ck_assert(strncmp(below, TRACE, 36) == 0);
    ck_assert(strncmp(below + 36, &TRACE[36], 16) != 0);
    ck_assert_str_eq(below + 52, "-01");
    const struct span *span = spans_end(spans, &mark, "name", SPAN_SERVER, ORDER);
    ck_assert_ptr_nonnull(span);
    ck_assert(span->has_parent);
    ck_assert_int_eq(span->parent[1], 0xf0);
    ck_assert_str_eq(span->order_id, ORDER);
    ck_assert(llabs(span->began_us / 1000 - clock_wall_ms()) < 10000);
    ck_assert_ptr_null(spans_end(spans, &mark, "name", SPAN_SERVER, ORDER)); /* once */
    ck_assert(spans_begin(spans, ORDER, NULL, &mark));
    ck_assert(!spans_end(spans, &mark, "name", SPAN_SERVER, ORDER)->has_parent);
    ck_assert_ptr_null(spans_record(spans, ORDER, NULL, 0, "name", SPAN_SERVER));
    ck_assert_ptr_null(spans_record(spans, ORDER, "", 0, "name", SPAN_SERVER));
    ck_assert_ptr_null(spans_record(spans, ORDER, "00-nonsense", 0, "name", SPAN_SERVER));
    ck_assert_ptr_null(spans_record(spans, "", TRACE, 0, "name", SPAN_SERVER));
    ck_assert_ptr_nonnull(spans_record(spans, ORDER, TRACE, 0, "name", SPAN_SERVER));
    spans_close(spans);
    loop_free(loop);
    metrics_free(metrics);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spans");
    TCase *tcase = tcase_create("export");
    tcase_add_test(tcase, a_batch_is_what_the_protocol_says);
    tcase_add_test(tcase, spans_gather_and_leave_in_batches);
    tcase_add_test(tcase, the_longest_spans_fit_into_a_request);
    tcase_add_test(tcase, without_a_collector_the_oldest_make_room_and_are_counted);
    tcase_add_test(tcase, a_batch_that_finds_no_collector_is_given_up);
    tcase_add_test(tcase, a_silent_collector_holds_nobody_up);
    tcase_add_test(tcase, what_is_refused_is_never_sent_again);
    tcase_add_loop_test(tcase, what_may_be_sent_again_is_the_same_batch, 0, 4);
    tcase_add_test(tcase, a_collector_that_takes_some_is_believed);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("sampling");
    tcase_add_test(tcase, the_orders_id_alone_decides_and_no_client);
    tcase_add_test(tcase, a_span_is_below_the_traces_and_above_what_it_causes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
