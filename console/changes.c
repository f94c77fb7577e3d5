#include "console/changes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "common/shop/shards_serving.h"
#include "common/shop/status.h"
#include "console/watch.h"

#define WAIT_USUAL_S 5
#define NUMBER_SIZE 24
#define LOCATION_SIZE 128
#define DETAIL_SIZE (CURRENCY_RULE_SIZE + 32)

static const struct pg_statement before = {
    "console_before",
    "select known, shards, price, currency from checkout.console_before($1, $2, $3)", 3};
enum { BEFORE_KNOWN, BEFORE_SHARDS, BEFORE_PRICE, BEFORE_CURRENCY };

static const struct pg_statement request = {
    "console_request",
    "select outcome, command_id, state, result, answer from checkout.console_request("
    "$1, $2, $3, $4, $5::integer, $6::uuid, $7::jsonb, $8::jsonb, $9, $10::integer)",
    10};
enum { TAKEN_OUTCOME, TAKEN_COMMAND, TAKEN_STATE, TAKEN_RESULT, TAKEN_ANSWER };

static const struct pg_statement find_command = {
    "console_command", "select checkout.command_json($1::bigint)::text", 1};

/* ---- the answer ---- */

static void tell_item(struct call *call, const char *json)
{
    char location[LOCATION_SIZE];
    (void)snprintf(location, sizeof location, "/v1/shop/items/%s", call->change->fields[ITEMS_SKU]);
    const struct http_header header = {"Location", location};
    call_answer(call, 201, json, &header);
}

static void tell_command(struct call *call, const struct pg_result *result)
{
    const char *state = pg_text(result, 0, TAKEN_STATE);
    const char *json = pg_text(result, 0, TAKEN_ANSWER);
    call->command_id = pg_int(result, 0, TAKEN_COMMAND);
    log_info("change recorded", LOG_STR("request_id", http_request_id(call->request)),
             LOG_STR("kind", change_word(call->change->kind)),
             LOG_INT("command", call->command_id));
    if (command_state_of(state) != COMMAND_STATE_PENDING) {
        watch_tell(call, state, pg_text(result, 0, TAKEN_RESULT), json);
        return;
    }
    buf_reset(&call->out);
    (void)buf_str(&call->out, json);
    watch_add(call->console->watch, call);
}

static bool of_order(const struct call *call)
{
    enum change_kind kind = call->change->kind;
    return kind == CHANGE_REFUND || kind == CHANGE_CANCEL || kind == CHANGE_RESOLVE;
}

static bool of_item(const struct call *call)
{
    return !of_order(call) && call->change->kind != CHANGE_CREATE &&
           call->change->kind != CHANGE_REPLAY;
}

static void requested(const struct pg_result *result, void *arg)
{
    struct call *call = arg;
    if (!call_has_result(call, result))
        return;
    const char *outcome = pg_text(result, 0, TAKEN_OUTCOME);
    if (strcmp(outcome, "reused") == 0)
        call_refuse(call, PROBLEM_IDEMPOTENCY_KEY_REUSED,
                    "this key came before with another request");
    else if (strcmp(outcome, "exists") == 0)
        call_refuse(call, PROBLEM_REFUSED, "there is an item with this sku");
    else if (strcmp(outcome, "absent") == 0)
        call_refuse(call, PROBLEM_NOT_FOUND,
                    of_order(call) ? "there is no such order: it is not decided yet, or was purged"
                                   : "no such item");
    else if (call->change->kind == CHANGE_CREATE)
        tell_item(call, pg_text(result, 0, TAKEN_ANSWER));
    else
        tell_command(call, result);
}

/* ---- asking ---- */

static void send_request(struct call *call, uint32_t shards)
{
    struct change *change = call->change;
    char shard[NUMBER_SIZE], serving[NUMBER_SIZE];
    const char *sku = change->kind == CHANGE_CREATE ? change->fields[ITEMS_SKU]
                      : of_item(call)               ? call->name
                                                    : NULL;
    if (shards > 0 && sku != NULL)
        (void)snprintf(shard, sizeof shard, "%" PRIu32, shard_of(sku, strlen(sku), shards));
    (void)snprintf(serving, sizeof serving, "%" PRIu32, shards);
    bool creates = change->kind == CHANGE_CREATE;
    const char *const params[] = {
        call->subject,
        change->key,
        change_word(change->kind),
        sku,
        creates ? shard : NULL,
        of_order(call) ? call->name : NULL,
        buf_text(&change->wish),
        change->argument.len > 0 ? buf_text(&change->argument) : NULL,
        change->has_note ? change->note : NULL,
        creates ? serving : NULL,
    };
    call_query(call, call->console->sessions.writes, &request, params, requested);
}

static void refuse_price(struct call *call, const char *rule)
{
    char detail[DETAIL_SIZE];
    const char *name = items_field_names[ITEMS_PRICE];
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST};
    (void)snprintf(detail, sizeof detail, "the price %s", rule);
    problem_add(&problem, (struct problem_error){
                              .detail = detail, .member = name, .member_len = strlen(name)});
    call_problem(call, &problem);
}

/* A request that came before is answered as it was then, whatever the item is now. */
static void looked_before(const struct pg_result *result, void *arg)
{
    struct call *call = arg;
    char rule[CURRENCY_RULE_SIZE];
    if (!call_has_result(call, result))
        return;
    if (pg_rows(result) == 0) {
        call_refuse(call, PROBLEM_REFUSED, SHARDS_NONE_SERVE);
        return;
    }
    bool known = pg_bool(result, 0, BEFORE_KNOWN);
    bool creates = call->change->kind == CHANGE_CREATE;
    if (!known && !creates && pg_null(result, 0, BEFORE_PRICE))
        call_refuse(call, PROBLEM_NOT_FOUND, "no such item");
    else if (!known &&
             change_check_price(call->change, creates ? NULL : pg_text(result, 0, BEFORE_PRICE),
                                creates ? NULL : pg_text(result, 0, BEFORE_CURRENCY), rule) < 0)
        refuse_price(call, rule);
    else
        send_request(call, (uint32_t)pg_int(result, 0, BEFORE_SHARDS));
}

static void look_before(struct call *call)
{
    const struct change *change = call->change;
    bool creates = change->kind == CHANGE_CREATE;
    const char *const params[] = {call->subject, change->key,
                                  creates ? change->fields[ITEMS_SKU] : call->name};
    call_query(call, call->console->sessions.reads, &before, params, looked_before);
}

/* ---- reading the request ---- */

static bool readable(struct call *call, size_t len)
{
    struct http_body_kind kind = http_request_body_kind(call->request);
    const char *not_json = len > 0 ? http_value_not_json(&kind) : NULL;
    if (http_request_body_too_large(call->request) || len > CALL_BODY_MAX)
        call_refuse(call, PROBLEM_TOO_LARGE, "a request has at most 8192 bytes");
    else if (not_json != NULL)
        call_refuse(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE, not_json);
    else
        return true;
    return false;
}

/* False: the call is answered. */
static bool read_change(struct call *call, enum change_kind kind)
{
    char scratch[CALL_BODY_MAX + 1];
    char key[HTTP_KEY_MAX + 1];
    size_t len;
    const char *body = http_request_body(call->request, &len);
    if (!readable(call, len))
        return false;
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST};
    const char *detail =
        http_value_key(http_request_header(call->request, HTTP_KEY_HEADER),
                       http_request_header_count(call->request, HTTP_KEY_HEADER), key);
    if (detail != NULL)
        problem_add(&problem, (struct problem_error){.detail = detail, .header = HTTP_KEY_HEADER});
    int code = change_read(kind, body, len, scratch, &call->change, &problem);
    if (code == ERR_INVALID)
        call_problem(call, &problem);
    else if (code < 0)
        call_refuse(call, PROBLEM_OVERLOADED, "out of memory");
    if (code == 0)
        memcpy(call->change->key, key, sizeof key);
    return code == 0;
}

void changes_ask(struct call *call, enum change_kind kind)
{
    if (call_wait(call, WAIT_USUAL_S) < 0 || !read_change(call, kind))
        return;
    bool names = of_order(call)  ? ids_well_formed(call->name)
                 : of_item(call) ? job_sku_valid(call->name, strlen(call->name))
                                 : true;
    if (!names)
        call_refuse(call, PROBLEM_NOT_FOUND, of_order(call) ? "no such order" : "no such item");
    else if (kind == CHANGE_CREATE || kind == CHANGE_SET)
        look_before(call);
    else
        send_request(call, 0);
}

/* ---- what became of it ---- */

static void found(const struct pg_result *result, void *arg)
{
    call_answer_row(arg, result, "no such command");
}

void changes_get(struct call *call)
{
    int64_t id;
    const char *const params[] = {call->name};
    if (parse_int(call->name, 1, INT64_MAX, &id) < 0)
        call_refuse(call, PROBLEM_NOT_FOUND, "no such command");
    else
        call_query(call, call->console->sessions.reads, &find_command, params, found);
}
