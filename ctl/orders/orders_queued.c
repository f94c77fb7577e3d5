#include "ctl/orders/orders_queued.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/shop/ids.h"
#include "common/shop/redis_keys.h"
#include "ctl/human.h"
#include "ctl/orders/order_text.h"
#include "ctl/pool/pool_view.h"
#include "ctl/pool/shards.h"

#define MARK_LIFE_MS (INT64_C(1000) * REDIS_KEY_SEEN_LIFE_S)
#define KEY_SIZE (sizeof REDIS_KEY_SEEN + IDS_ORDER_SIZE)
#define TEXT_MAX ((size_t)4096)

enum answer { NO, YES, UNKNOWN };

struct traces {
    char id[IDS_ORDER_SIZE]; /* lower-case */
    const char *user;
    bool well_formed;
    enum answer genuine; /* made for `user` */
    enum answer marked;  /* admission's marker in Redis */
    int64_t marked_ms_ago;
    bool aside; /* its job is set aside */
    char aside_sku[IDS_ORDER_SIZE * 2];
    char aside_why[160];
    int64_t aside_s, aside_before; /* since when; jobs of the item before it */
    enum answer cancel;            /* its buyer has asked to cancel it */
    int64_t queued;                /* messages in all queues; VIEW_UNKNOWN */
    size_t unserved;               /* shards */
};

/* Reads the settings again, with these. 0, or the problem is in `problem`. */
static int reload(struct ctl *ctl, cfg_set settings, struct buf *problem)
{
    struct cfg *cfg;
    buf_reset(problem);
    int code = cfg_load_some(CFG_CTL, settings, environ, &cfg, problem);
    if (code < 0)
        return code;
    cfg_free(ctl->cfg);
    ctl->cfg = cfg;
    return 0;
}

int orders_queued_settings(struct ctl *ctl, const char *user)
{
    cfg_set settings = CFG_BIT(DATABASE_URL);
    int exit_code = CTL_FINE;
    struct buf problem;
    buf_init(&problem, CTL_PROBLEM_SIZE);
    if (user != NULL) {
        settings |= CFG_BIT(ORDER_SECRET_FILE);
        if (reload(ctl, settings, &problem) < 0)
            exit_code = ctl_complain(CTL_USAGE, "%s", buf_text(&problem));
    }
    const cfg_set more[] = {CFG_BIT(REDIS_URL), CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT)};
    for (size_t i = 0; i < ARRAY_LEN(more) && exit_code == CTL_FINE; i++)
        if (reload(ctl, settings | more[i], &problem) == 0)
            settings |= more[i];
    buf_free(&problem);
    return exit_code;
}

static enum answer check_maker(struct ctl *ctl, const struct traces *traces)
{
    size_t len;
    if (traces->user == NULL)
        return UNKNOWN;
    const char *secret = cfg_secret(ctl->cfg, CFG_ORDER_SECRET_FILE, &len);
    struct ids *ids = ids_new(secret, len);
    if (ids == NULL)
        return UNKNOWN;
    enum answer answer = ids_verify(ids, traces->user, traces->id) ? YES : NO;
    ids_free(ids);
    return answer;
}

/* ---- Redis ---- */

struct asking {
    struct ctl *ctl;
    int64_t left_ms; /* -2: no such key; VIEW_UNKNOWN: no answer */
};

static void on_life(const struct redis_reply *reply, void *arg)
{
    struct asking *asking = arg;
    asking->left_ms = reply->type == REDIS_INTEGER ? reply->integer : VIEW_UNKNOWN;
    loop_stop(asking->ctl->loop);
}

static void look_for_marker(struct ctl *ctl, struct traces *traces)
{
    const char *reason;
    char key[KEY_SIZE];
    struct asking asking = {ctl, VIEW_UNKNOWN};
    traces->marked = UNKNOWN;
    if (cfg_str(ctl->cfg, CFG_REDIS_URL)[0] == '\0' ||
        ctl_meet(ctl, &contact_redis, &reason) != CONTACT_UP)
        return;
    int len = snprintf(key, sizeof key, REDIS_KEY_SEEN "%s", traces->id);
    const char *argv[] = {"PTTL", key};
    const size_t lens[] = {4, (size_t)len};
    if (redis_command(ctl->redis, 2, argv, lens, on_life, &asking) < 0)
        return;
    loop_run(ctl->loop);
    if (asking.left_ms == VIEW_UNKNOWN)
        return;
    traces->marked = asking.left_ms >= 0 ? YES : NO;
    traces->marked_ms_ago = MARK_LIFE_MS - asking.left_ms;
}

/* ---- RabbitMQ and PostgreSQL ---- */

static void look_at_queues(struct ctl *ctl, struct traces *traces)
{
    const char *reason;
    struct pool_view view;
    struct shards_sum sum;
    traces->queued = VIEW_UNKNOWN;
    if (cfg_str(ctl->cfg, CFG_AMQP_URL)[0] != '\0')
        (void)ctl_meet(ctl, &contact_broker, &reason);
    if (pool_view_read(ctl, &view) != CTL_FINE)
        return;
    pool_view_read_queues(ctl, &view);
    shards_sum(&view, &sum);
    traces->queued = sum.queued;
    traces->unserved = sum.unserved;
    pool_view_free(&view);
}

static const struct pg_statement find_cancel = {
    "ctl_explain_cancel",
    "select exists (select 1 from checkout.commands where order_id = $1::uuid and kind = 'cancel'"
    " and state = 'pending')",
    1};

static const struct pg_statement find_aside = {
    "ctl_explain_aside",
    "select j.sku, i.why, extract(epoch from now() - j.set_aside_at)::bigint,"
    "       (select count(*) from checkout.jobs_aside b"
    "         where b.shard = j.shard and b.sku = j.sku and b.place < j.place)"
    "  from checkout.jobs_aside j join checkout.items_aside i on i.shard = j.shard and i.sku = "
    "j.sku"
    " where j.order_id = $1::uuid",
    1};

static void on_aside(const struct pg_result *result, void *arg)
{
    struct traces *traces = arg;
    if (pg_rows(result) == 0)
        return;
    traces->aside = true;
    (void)snprintf(traces->aside_sku, sizeof traces->aside_sku, "%s", pg_text(result, 0, 0));
    (void)snprintf(traces->aside_why, sizeof traces->aside_why, "%s", pg_text(result, 0, 1));
    traces->aside_s = pg_int(result, 0, 2);
    traces->aside_before = pg_int(result, 0, 3);
}

static void on_cancel(const struct pg_result *result, void *arg)
{
    struct traces *traces = arg;
    traces->cancel = pg_bool(result, 0, 0) ? YES : NO;
}

/* ---- telling ---- */

static const char *json_answer(enum answer answer)
{
    return answer == YES ? "true" : answer == NO ? "false" : "null";
}

static void print_json(const struct traces *traces, bool known)
{
    (void)printf("{\"id\":\"%s\",\"status\":%s,\"made_for_user\":%s,\"seen_by_the_door\":%s,",
                 traces->id, known ? "\"queued\"" : "null", json_answer(traces->genuine),
                 json_answer(traces->marked));
    if (traces->marked == YES)
        (void)printf("\"seen_seconds_ago\":%.3f,", (double)traces->marked_ms_ago / 1000);
    (void)printf("\"cancel_pending\":%s,\"queued_messages\":", json_answer(traces->cancel));
    if (traces->queued == VIEW_UNKNOWN)
        (void)printf("null");
    else
        (void)printf("%" PRId64, traces->queued);
    if (traces->aside)
        (void)printf(",\"set_aside_seconds\":%" PRId64 ",\"set_aside_before\":%" PRId64,
                     traces->aside_s, traces->aside_before);
    (void)printf(",\"shards_unserved\":%zu}\n", traces->unserved);
}

static void tell_maker(const struct traces *traces, struct buf *out)
{
    if (!traces->well_formed)
        (void)buf_str(
            out, " The producer makes other ids (UUIDs of version 8), so it never accepted it.");
    else if (traces->genuine == YES)
        (void)buf_printf(out,
                         " The id was made for user %s, so a producer has seen the order; this "
                         "does not show whether it accepted it.",
                         traces->user);
    else if (traces->genuine == NO)
        (void)buf_printf(out, " The id was not made for user %s with our secret.", traces->user);
    else
        (void)buf_str(out, " --user shows whether the id was ever made.");
}

static void tell_marker(const struct traces *traces, struct buf *out)
{
    char age[HUMAN_SIZE];
    human_age(traces->marked_ms_ago, age);
    if (traces->marked == YES)
        (void)buf_printf(out, " Redis remembers its admission %s ago.", age);
    else if (traces->marked == NO)
        (void)buf_str(out, " Redis does not remember it: it had no admission in the last 24 "
                           "hours, or Redis was down or emptied since.");
    else
        (void)buf_str(out, " Redis did not answer.");
}

static void tell_queues(const struct traces *traces, struct buf *out)
{
    if (traces->queued == VIEW_UNKNOWN)
        (void)buf_str(out, " RabbitMQ did not answer.");
    else if (traces->queued == 0)
        (void)buf_str(out, " No message waits in the queues of the shards: if it was accepted, a "
                           "consumer is just about to decide it, or it is a dead letter "
                           "(`checkoutctl dead list`).");
    else
        (void)buf_printf(out,
                         " %" PRId64 " messages wait in the queues of the shards; it may be "
                         "in one of them.",
                         traces->queued);
    if (traces->unserved > 0)
        (void)buf_printf(out, " No consumer serves %zu shards (`checkoutctl shards`).",
                         traces->unserved);
}

static void print_words(const struct traces *traces, bool known)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    (void)buf_printf(&text, "No consumer has decided order %s%s.", traces->id,
                     known ? ": it is queued" : ", and it is unknown");
    tell_maker(traces, &text);
    if (traces->well_formed) {
        tell_marker(traces, &text);
        if (traces->aside)
            (void)buf_printf(&text,
                             " It is set aside since %" PRId64 " s, behind %" PRId64
                             " others of item %s, which cannot be decided now (%s). It is decided "
                             "once that item can be.",
                             traces->aside_s, traces->aside_before, traces->aside_sku,
                             traces->aside_why);
        if (traces->cancel == YES)
            (void)buf_str(&text,
                          " Its buyer has asked to cancel it, which happens when it arrives.");
        tell_queues(traces, &text);
    }
    order_text_print("", buf_text(&text));
    buf_free(&text);
}

int orders_explain_queued(struct ctl *ctl, const char *id, const char *user)
{
    struct traces traces = {.user = user, .queued = VIEW_UNKNOWN, .genuine = UNKNOWN};
    for (size_t i = 0; i + 1 < sizeof traces.id && id[i] != '\0'; i++)
        traces.id[i] = (char)tolower((unsigned char)id[i]);
    traces.well_formed = ids_well_formed(traces.id);
    traces.marked = UNKNOWN;
    traces.cancel = UNKNOWN;
    if (traces.well_formed) {
        const char *const params[] = {traces.id};
        traces.genuine = check_maker(ctl, &traces);
        look_for_marker(ctl, &traces);
        look_at_queues(ctl, &traces);
        int exit_code = ctl_query(ctl, &find_cancel, params, on_cancel, &traces);
        if (exit_code == CTL_FINE)
            exit_code = ctl_query(ctl, &find_aside, params, on_aside, &traces);
        if (exit_code != CTL_FINE)
            return exit_code;
    }
    bool known = traces.marked == YES || traces.cancel == YES || traces.aside;
    if (ctl->json)
        print_json(&traces, known);
    else
        print_words(&traces, known);
    return known ? CTL_FINE : CTL_FAILED;
}
