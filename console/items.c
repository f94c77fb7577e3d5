#include "console/items.h"

#include <stdio.h>
#include <string.h>

#include "common/shop/job.h"

#define LIMIT_USUAL 100
#define LIMIT_MAX 500
#define NUMBER_SIZE 24

static const struct pg_statement find_item = {"console_item",
                                              "select checkout.console_item($1)::text", 1};
static const struct pg_statement list_items = {
    "console_items", "select sku, item::text from checkout.console_items($1, $2::integer)", 2};

static void found(const struct pg_result *result, void *arg)
{
    call_answer_row(arg, result, "no such item");
}

void items_get(struct call *call)
{
    const char *const params[] = {call->name};
    if (!job_sku_valid(call->name, strlen(call->name)))
        call_refuse(call, PROBLEM_NOT_FOUND, "no such item");
    else
        call_query(call, call->console->sessions.reads, &find_item, params, found);
}

static void listed(const struct pg_result *result, void *arg)
{
    call_answer_page(arg, result, "items");
}

void items_list(struct call *call)
{
    const char *after = http_request_query(call->request, "after");
    char limit[NUMBER_SIZE];
    if (call_number(call, "limit", 1, LIMIT_MAX, LIMIT_USUAL, &call->limit) < 0)
        return;
    if (after != NULL && !job_sku_valid(after, strlen(after))) {
        call_refuse(call, PROBLEM_INVALID_REQUEST, "after must be the sku of an item");
        return;
    }
    (void)snprintf(limit, sizeof limit, "%lld", (long long)call->limit);
    const char *const params[] = {after == NULL ? "" : after, limit};
    call_query(call, call->console->sessions.reads, &list_items, params, listed);
}
