#include "ctl/audit/audit_markers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/shop/ids.h"
#include "common/shop/redis_keys.h"

#define OLD_MS INT64_C(300000)
#define LIFE_MS (INT64_C(1000) * REDIS_KEY_SEEN_LIFE_S)
#define PAGE "1000" /* keys that Redis looks at for one answer */
#define PAGE_MAX 4096
#define IDS_MAX ((size_t)PAGE_MAX * (IDS_ORDER_SIZE + 2))
#define CURSOR_SIZE 24

static const struct pg_statement count_unknown = {
    "ctl_audit_markers",
    "select count(*) from unnest($1::uuid[]) m(order_id)"
    " where not exists (select 1 from checkout.orders o where o.order_id = m.order_id)"
    "   and not exists (select 1 from checkout.purged_orders p where p.order_id = m.order_id)",
    1};

struct marker {
    char id[IDS_ORDER_SIZE];
    struct markers *of;
};

struct markers {
    struct ctl *ctl;
    bool failed; /* Redis: the count is not complete */
    char cursor[CURSOR_SIZE];
    struct marker page[PAGE_MAX];
    size_t count;
    size_t open;    /* answers that are still to come */
    struct buf ids; /* of old ones: an array of PostgreSQL */
    size_t old;
    uint64_t all_old;
    uint64_t unknown;
};

static void answer_came(struct markers *markers)
{
    if (--markers->open == 0)
        loop_stop(markers->ctl->loop);
}

static void read_key(struct markers *markers, const struct redis_reply *key)
{
    static const size_t prefix = sizeof REDIS_KEY_SEEN - 1;
    struct marker *marker = &markers->page[markers->count];
    if (key->type != REDIS_STRING || key->len != prefix + IDS_ORDER_SIZE - 1 ||
        markers->count >= PAGE_MAX)
        return;
    *marker = (struct marker){.of = markers};
    memcpy(marker->id, key->str + prefix, IDS_ORDER_SIZE - 1);
    if (ids_well_formed(marker->id)) /* of another program: it is no key of ours */
        markers->count++;
}

static void scanned(const struct redis_reply *reply, void *arg)
{
    struct markers *markers = arg;
    bool page = reply->type == REDIS_ARRAY && reply->count == 2 &&
                reply->items[0].type == REDIS_STRING && reply->items[0].len < CURSOR_SIZE &&
                reply->items[1].type == REDIS_ARRAY;
    if (page) {
        memcpy(markers->cursor, reply->items[0].str, reply->items[0].len);
        markers->cursor[reply->items[0].len] = '\0';
        for (size_t i = 0; i < reply->items[1].count; i++)
            read_key(markers, &reply->items[1].items[i]);
    }
    markers->failed = !page;
    answer_came(markers);
}

static void life_came(const struct redis_reply *reply, void *arg)
{
    struct marker *marker = arg;
    struct markers *markers = marker->of;
    if (reply->type != REDIS_INTEGER) {
        markers->failed = true;
    } else if (reply->integer >= 0 && LIFE_MS - reply->integer >= OLD_MS) {
        pg_array_text(&markers->ids, marker->id);
        markers->old++;
    }
    answer_came(markers);
}

static void wait_for_answers(const struct markers *markers)
{
    if (markers->open > 0)
        loop_run(markers->ctl->loop);
}

static void run_command(struct markers *markers, size_t argc, const char *const *argv,
                        redis_reply_cb cb, void *arg)
{
    size_t lens[6];
    for (size_t i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    int code = redis_command(markers->ctl->redis, argc, argv, lens, cb, arg);
    if (code == ERR_FULL) { /* as many as may wait at once */
        wait_for_answers(markers);
        code = redis_command(markers->ctl->redis, argc, argv, lens, cb, arg);
    }
    if (code < 0)
        markers->failed = true;
    else
        markers->open++;
}

static void read_page(struct markers *markers)
{
    static const char all[] = REDIS_KEY_SEEN "*";
    char from[CURSOR_SIZE]; /* the answer overwrites the cursor */
    (void)snprintf(from, sizeof from, "%s", markers->cursor);
    const char *scan[] = {"SCAN", from, "MATCH", all, "COUNT", PAGE};
    markers->count = 0;
    markers->old = 0;
    run_command(markers, ARRAY_LEN(scan), scan, scanned, markers);
    wait_for_answers(markers);
    buf_reset(&markers->ids);
    pg_array_begin(&markers->ids);
    for (size_t i = 0; i < markers->count && !markers->failed; i++) {
        char key[sizeof REDIS_KEY_SEEN + IDS_ORDER_SIZE];
        (void)snprintf(key, sizeof key, REDIS_KEY_SEEN "%s", markers->page[i].id);
        const char *life[] = {"PTTL", key};
        run_command(markers, ARRAY_LEN(life), life, life_came, &markers->page[i]);
    }
    wait_for_answers(markers);
    pg_array_end(&markers->ids);
}

static void counted(const struct pg_result *result, void *arg)
{
    struct markers *markers = arg;
    markers->unknown += (uint64_t)pg_int(result, 0, 0);
}

static int compare_page(struct markers *markers)
{
    const char *const params[] = {buf_text(&markers->ids)};
    markers->all_old += markers->old;
    if (markers->old == 0)
        return CTL_FINE;
    return ctl_query(markers->ctl, &count_unknown, params, counted, markers);
}

static int count_all(struct markers *markers)
{
    int exit_code = CTL_FINE;
    (void)snprintf(markers->cursor, sizeof markers->cursor, "0");
    do {
        read_page(markers);
        if (!markers->failed)
            exit_code = compare_page(markers);
    } while (exit_code == CTL_FINE && !markers->failed && strcmp(markers->cursor, "0") != 0);
    return exit_code;
}

int audit_markers(struct ctl *ctl, struct audit_report *report)
{
    static struct markers markers; /* large, and only one runs */
    const char *reason;
    if (cfg_str(ctl->cfg, CFG_REDIS_URL)[0] == '\0')
        return CTL_FINE;
    if (ctl_meet(ctl, &contact_redis, &reason) != CONTACT_UP) {
        (void)ctl_complain(0, "Redis does not answer, so its markers are not compared: %s", reason);
        return CTL_FINE;
    }
    markers = (struct markers){.ctl = ctl};
    buf_init(&markers.ids, IDS_MAX);
    int exit_code = count_all(&markers);
    if (markers.failed)
        (void)ctl_complain(0, "Redis did not answer whole, so its markers are not compared");
    if (exit_code == CTL_FINE && !markers.failed) {
        audit_report_checked(report, "markers", "admitted orders (older than 5 min, in Redis)",
                             markers.all_old);
        audit_report_checked(report, "markers_without_order",
                             "of them without a row: queued, not accepted, or lost",
                             markers.unknown);
    }
    buf_free(&markers.ids);
    return exit_code;
}
