/*
 * Memory runs out at each allocation in turn: nothing crashes, nothing leaks, the error is
 * ERR_NOMEM or NULL, and what there was stays as it was.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/base/strmap.h"
#include "common/identity/jwt.h"
#include "common/net/http/curl_request.h"
#include "common/service/metrics.h"
#include "common/shop/assignment.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/origins.h"
#include "tests/fake/fake_memory.h"

#define SECRET "a secret of thirty-two bytes, or so"
#define NOW_S 1700000000

/* ---- base ---- */

static int append(void)
{
    struct buf b;
    buf_init(&b, 4096);
    int code = buf_str(&b, "begin ");
    if (code == 0)
        code = buf_printf(&b, "%0500d", 7);
    if (code == 0)
        code =
            buf_json_str(&b, "a \"quoted\"\ttext of a length that needs more room than there is");
    MUST(code == 0 || b.failed);
    buf_free(&b);
    return code;
}

/* Only an empty map may refuse a name; a fuller one becomes slower. */
static int fill_map(void)
{
    struct strmap map = {0};
    struct strmap_entry entries[100];
    char names[100][8];
    int code = 0;
    for (size_t i = 0; i < ARRAY_LEN(entries) && code == 0; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
        code = strmap_add(&map, &entries[i], names[i], strlen(names[i]));
        MUST(code == 0 || i == 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(entries) && code == 0; i++)
        MUST(strmap_find(&map, names[i], strlen(names[i])) == &entries[i]);
    strmap_free(&map);
    return code;
}

START_TEST(buffers_and_maps)
{
    ck_assert_uint_gt(fake_memory_run(append), 1);
    ck_assert_uint_gt(fake_memory_run(fill_map), 1);
}
END_TEST

/* ---- shop ---- */

static int make_id(void)
{
    char id[IDS_ORDER_SIZE];
    struct ids *ids = ids_new(SECRET, strlen(SECRET));
    int code = ids == NULL ? ERR_NOMEM : ids_order(ids, "ann", "key", id);
    MUST(code < 0 || ids_verify(ids, "ann", id) || fake_memory_failed());
    ids_free(ids);
    return code;
}

static int sign_bytes(void)
{
    char hex[HMAC_HEX_SIZE];
    return hmac_sha256_hex(SECRET, sizeof SECRET, "text", 4, hex);
}

static int sign_and_verify(void)
{
    char *token = NULL;
    const char *problem = NULL;
    struct jwt_claims claims;
    struct jwt *jwt =
        jwt_new(&(struct jwt_options){.secret = SECRET, .secret_len = strlen(SECRET)});
    int code =
        jwt == NULL ? ERR_NOMEM : jwt_sign(jwt, "ann", "checkout", NOW_S, NOW_S + 60, 30, &token);
    for (int i = 0; i < 2 && code == 0; i++) { /* the second time from the cache, if it has room */
        code = jwt_verify(jwt, token, strlen(token), "checkout", NOW_S, &claims, &problem);
        if (code ==
            ERR_AUTH) /* jansson and jose report no reason: a wrong token is the safe answer */
            code = ERR_NOMEM;
        MUST(code < 0 || strcmp(claims.user, "ann") == 0);
    }
    free(token);
    jwt_free(jwt);
    return code;
}

static struct ids *ids;

static int read_jobs(void)
{
    struct buf body;
    struct job_batch batch;
    const char *problem = NULL;
    struct job job = {.user_id = "ann",
                      .sku = "lamp",
                      .quantity = 1,
                      .payment_method = "pm_card_visa",
                      .accepted_at = "2026-01-31T18:00:00.000Z"};
    if (ids_order(ids, "ann", "key", job.order_id) < 0 ||
        job_fingerprint(&job, job.fingerprint) < 0)
        return ERR_NOMEM;
    buf_init(&body, 65536);
    (void)buf_str(&body, "{\"version\":1,\"jobs\":[");
    (void)job_encode(&body, &job);
    (void)buf_str(&body, ",{\"order_id\":7},{\"quantity\":1e999}]}");
    int code =
        body.failed ? ERR_NOMEM : job_batch_parse(body.data, body.len, 0, 1, ids, &batch, &problem);
    if (code == 0) {
        MUST(batch.count == 3);
        job_batch_free(&batch);
    }
    buf_free(&body);
    return code == ERR_PARSE && fake_memory_failed() ? ERR_NOMEM
                                                     : code; /* jansson names no reason */
}

static int read_origins(void)
{
    struct origins *origins = NULL;
    const char *problem = NULL;
    int code = origins_new("https://shop.example, capacitor://localhost", &origins, &problem);
    MUST(code < 0 || origins_allow(origins, "https://shop.example"));
    origins_free(origins);
    return code;
}

static int assign(void)
{
    const int64_t members[] = {3, 5, 9};
    struct assignment_place places[64];
    return assignment_assign(members, ARRAY_LEN(members), 64, places);
}

START_TEST(ids_tokens_jobs_origins_and_assignments)
{
    ck_assert_uint_gt(fake_memory_run(sign_bytes), 5);
    ck_assert_uint_gt(fake_memory_run(make_id), 12);
    ck_assert_uint_gt(fake_memory_run(sign_and_verify), 3);
    ck_assert_uint_gt(fake_memory_run(read_jobs), 3);
    ck_assert_uint_gt(fake_memory_run(read_origins), 1);
    ck_assert_uint_gt(fake_memory_run(assign), 4);
}
END_TEST

/* ---- calls and metrics ---- */

static int copy_texts(void)
{
    static const char *const headers[] = {"Accept: application/json", "X-A: b", NULL};
    struct curl_texts texts;
    curl_texts_init(&texts);
    int code = curl_texts_copy(&texts, headers, "a=b", 3);
    MUST(code < 0 || strcmp(curl_texts_body(&texts), "a=b") == 0);
    curl_texts_free(&texts);
    return code == ERR_FULL && fake_memory_failed() ? ERR_NOMEM : code;
}

/* A metric without memory is NULL, and every call takes it. */
static int count(void)
{
    struct buf out;
    struct metrics *metrics = metrics_new();
    if (metrics == NULL)
        return ERR_NOMEM;
    struct metric *counter = metrics_counter(metrics, "checkout_x_total", "X.", "a=\"b\"");
    struct metric *time = metrics_histogram(metrics, "checkout_y_seconds", "Y.", NULL);
    metric_add(counter, 1);
    metric_observe(time, 0.1);
    metric_set(metrics_server_up(metrics, METRICS_REDIS), 1);
    buf_init(&out, 65536);
    int code = metrics_render(metrics, &out);
    buf_free(&out);
    metrics_free(metrics);
    return code == ERR_FULL && fake_memory_failed() ? ERR_NOMEM : code;
}

START_TEST(texts_of_calls_and_metrics)
{
    ck_assert_uint_gt(fake_memory_run(copy_texts), 0);
    ck_assert_uint_gt(fake_memory_run(count), 3);
}
END_TEST

int main(void)
{
    fake_memory_open();
    ids = ids_new(SECRET, strlen(SECRET));
    Suite *suite = suite_create("no memory");
    TCase *tests = tcase_create("no memory");
    tcase_add_test(tests, buffers_and_maps);
    tcase_add_test(tests, ids_tokens_jobs_origins_and_assignments);
    tcase_add_test(tests, texts_of_calls_and_metrics);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    ids_free(ids);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
