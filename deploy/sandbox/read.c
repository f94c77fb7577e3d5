/* Requests that read: objects by their id, lists with pages. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "deploy/sandbox/answer_object.h"
#include "deploy/sandbox/gateway_impl.h"

#define LIMIT_DEFAULT 10
#define LIMIT_LARGEST 100

/* ---- what is asked for ---- */

/* A query argument; `fallback` if it is absent; -1 if it is no number. */
static int64_t query_number(struct http_request *request, const char *name, int64_t fallback)
{
    const char *text = http_request_query(request, name);
    if (text == NULL)
        return fallback;
    int64_t number;
    return parse_int(text, 0, INT64_MAX, &number) < 0 ? -1 : number;
}

/* Whether the charge is wanted in place of its id. */
static bool wants_charge(struct http_request *request)
{
    static const char *const names[] = {"expand[]", "expand[0]"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *wanted = http_request_query(request, names[i]);
        if (wanted != NULL && strstr(wanted, "latest_charge") != NULL)
            return true;
    }
    return false;
}

/* NULL: there is no such intent. */
static const struct store_intent *find_intent(struct gateway *g, const char *id, const char *prefix)
{
    uint64_t number;
    return record_number(id, prefix, ledger_salt(g->ledger), &number) == 0
               ? store_intent(g->store, number)
               : NULL;
}

/* ---- one object ---- */

typedef void (*write_object)(const struct record *record, uint32_t salt, struct buf *out);

static void write_intent(const struct record *record, uint32_t salt, struct buf *out)
{
    answer_intent(&record->intent, salt, out);
}

static void write_expanded(const struct record *record, uint32_t salt, struct buf *out)
{
    answer_intent_expanded(&record->intent, salt, out);
}

static void write_charge(const struct record *record, uint32_t salt, struct buf *out)
{
    answer_charge(&record->intent, salt, out);
}

/* Answers with the object that is recorded at `place`. */
static void show(struct gateway *g, struct http_request *request, struct ledger_place place,
                 const char *param, write_object write)
{
    struct record record;
    if (place.len == 0) {
        gateway_refuse_missing(g, request, param);
        return;
    }
    if (ledger_read(g->ledger, place, &record) < 0) {
        gateway_refuse_unreadable(g, request);
        return;
    }
    buf_reset(&g->out);
    write(&record, ledger_salt(g->ledger), &g->out);
    record_free(&record);
    gateway_respond(g, request, 200, &g->out, NULL);
}

static void show_kind(struct gateway *g, struct http_request *request, const char *id,
                      const char *prefix, enum store_kind kind, write_object write)
{
    uint64_t number;
    struct ledger_place place = {0};
    if (record_number(id, prefix, ledger_salt(g->ledger), &number) == 0)
        place = store_place(g->store, kind, number);
    show(g, request, place, "id", write);
}

void read_intent(struct gateway *g, struct http_request *request, const char *id)
{
    const struct store_intent *intent = find_intent(g, id, "pi_");
    show(g, request, intent == NULL ? (struct ledger_place){0} : intent->place, "intent",
         wants_charge(request) ? write_expanded : write_intent);
}

void read_charge(struct gateway *g, struct http_request *request, const char *id)
{
    const struct store_intent *intent = find_intent(g, id, "ch_");
    show(g, request, intent == NULL ? (struct ledger_place){0} : intent->place, "charge",
         write_charge);
}

void read_refund(struct gateway *g, struct http_request *request, const char *id)
{
    show_kind(g, request, id, "re_", STORE_REFUNDS, answer_refund);
}

void read_dispute(struct gateway *g, struct http_request *request, const char *id)
{
    show_kind(g, request, id, "dp_", STORE_DISPUTES, answer_dispute);
}

void read_method(struct gateway *g, struct http_request *request, const char *id)
{
    show_kind(g, request, id, "pm_", STORE_METHODS, answer_method);
}

void read_customer(struct gateway *g, struct http_request *request, const char *id)
{
    show_kind(g, request, id, "cus_", STORE_CUSTOMERS, answer_customer);
}

/* ---- lists ---- */

/* Appends the object that is recorded at `place`. */
static int append(struct gateway *g, struct ledger_place place, bool first, write_object write)
{
    struct record record;
    if (ledger_read(g->ledger, place, &record) < 0)
        return ERR_IO;
    if (!first)
        (void)buf_char(&g->out, ',');
    write(&record, ledger_salt(g->ledger), &g->out);
    record_free(&record);
    return 0;
}

static void begin_list(struct gateway *g, const char *url)
{
    buf_reset(&g->out);
    (void)buf_printf(&g->out, "{\"object\":\"list\",\"url\":\"%s\",\"data\":[", url);
}

static void end_list(struct gateway *g, struct http_request *request, bool more, int code)
{
    (void)buf_str(&g->out, more ? "],\"has_more\":true}" : "],\"has_more\":false}");
    if (code < 0 || g->out.failed)
        gateway_refuse_unreadable(g, request);
    else
        gateway_respond(g, request, 200, &g->out, NULL);
}

/* The newest intents are not in lists yet, by so many milliseconds. */
static uint64_t skip_late(struct gateway *g, uint64_t before)
{
    int64_t late_ms = g->faults.settings.list_late_ms;
    int64_t now_ms = clock_wall_ms();
    while (late_ms > 0 && before > 0 &&
           store_intent(g->store, before - 1)->created * 1000 + late_ms > now_ms)
        before--;
    return before;
}

/* Intents below number `before`, newest first, none created before `since`. */
static void list_intents(struct gateway *g, struct http_request *request, uint64_t before,
                         int64_t since, int64_t limit)
{
    write_object write = wants_charge(request) ? write_expanded : write_intent;
    uint64_t next = skip_late(g, before);
    int code = 0;
    begin_list(g, "/v1/payment_intents");
    for (int64_t i = 0; code == 0 && i < limit && next > 0; i++, next--) {
        const struct store_intent *intent = store_intent(g->store, next - 1);
        if (intent->created < since)
            break;
        code = append(g, intent->place, i == 0, write);
    }
    end_list(g, request, next > 0 && store_intent(g->store, next - 1)->created >= since, code);
}

void read_intents(struct gateway *g, struct http_request *request, const char *id)
{
    int64_t limit = query_number(request, "limit", LIMIT_DEFAULT);
    int64_t since = query_number(request, "created[gte]", 0);
    const char *after = http_request_query(request, "starting_after");
    uint64_t before = store_intent_count(g->store);
    (void)id;
    if (limit < 1 || limit > LIMIT_LARGEST) {
        gateway_refuse_parameter(g, request, "limit");
        return;
    }
    if (since < 0) {
        gateway_refuse_parameter(g, request, "created[gte]");
        return;
    }
    if (after != NULL && (record_number(after, "pi_", ledger_salt(g->ledger), &before) < 0 ||
                          store_intent(g->store, before) == NULL)) {
        gateway_refuse_missing(g, request, "starting_after");
        return;
    }
    list_intents(g, request, before, since, limit);
}

/* What belongs to intents, newest first. */
struct part_list {
    enum store_kind kind;
    const char *url;
    const char *prefix;
    write_object write;
};

static void list_parts(struct gateway *g, struct http_request *request,
                       const struct part_list *list, uint64_t before, const uint64_t *intent)
{
    int64_t limit = query_number(request, "limit", LIMIT_DEFAULT);
    uint64_t number = before;
    int code = 0;
    if (limit < 1 || limit > LIMIT_LARGEST) {
        gateway_refuse_parameter(g, request, "limit");
        return;
    }
    begin_list(g, list->url);
    bool found = store_before(g->store, list->kind, intent, &number);
    for (int64_t i = 0; code == 0 && i < limit && found; i++) {
        code = append(g, store_place(g->store, list->kind, number), i == 0, list->write);
        found = store_before(g->store, list->kind, intent, &number);
    }
    end_list(g, request, found, code);
}

static void read_parts(struct gateway *g, struct http_request *request,
                       const struct part_list *list)
{
    uint32_t salt = ledger_salt(g->ledger);
    const char *after = http_request_query(request, "starting_after");
    const char *id = http_request_query(request, "payment_intent");
    uint64_t before = store_count(g->store, list->kind);
    uint64_t intent = 0;
    if (id != NULL &&
        (record_number(id, "pi_", salt, &intent) < 0 || store_intent(g->store, intent) == NULL)) {
        gateway_refuse_missing(g, request, "payment_intent");
        return;
    }
    if (after != NULL && (record_number(after, list->prefix, salt, &before) < 0 ||
                          store_part(g->store, list->kind, before) == NULL)) {
        gateway_refuse_missing(g, request, "starting_after");
        return;
    }
    list_parts(g, request, list, before, id == NULL ? NULL : &intent);
}

void read_refunds(struct gateway *g, struct http_request *request, const char *id)
{
    static const struct part_list refunds = {STORE_REFUNDS, "/v1/refunds", "re_", answer_refund};
    (void)id;
    read_parts(g, request, &refunds);
}

void read_disputes(struct gateway *g, struct http_request *request, const char *id)
{
    static const struct part_list disputes = {STORE_DISPUTES, "/v1/disputes", "dp_",
                                              answer_dispute};
    (void)id;
    read_parts(g, request, &disputes);
}
