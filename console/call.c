#include "console/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"
#include "common/net/http/http_bearer.h"
#include "common/net/http/http_values.h"
#include "common/shop/problem_respond.h"

#define ARGUMENT_SHOWN 64 /* bytes of a name */
#define ARGUMENT_DETAIL_SIZE (ARGUMENT_SHOWN + 32)

struct call *call_new(struct console *console, struct http_request *request, enum stats_route route)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        const struct problem problem = {.type = PROBLEM_OVERLOADED, .detail = "out of memory"};
        problem_respond(request, &problem, NULL, 0);
        return NULL;
    }
    *call = (struct call){.console = console, .request = request, .route = route};
    buf_init(&call->out, CALL_ANSWER_MAX);
    return call;
}

static void count(struct call *call, unsigned status)
{
    stats_request(&call->console->stats, call->route, status);
    log_debug("request answered", LOG_STR("request_id", http_request_id(call->request)),
              LOG_STR("method", http_request_method(call->request)),
              LOG_STR("route", stats_route_name(call->route)), LOG_INT("status", status));
}

static void end(struct call *call)
{
    change_free(call->change);
    free(call->cursor);
    buf_free(&call->out);
    free(call);
}

void call_respond(struct call *call, const struct http_response *response)
{
    count(call, response->status);
    http_respond(call->request, response);
    end(call);
}

void call_answer(struct call *call, unsigned status, const char *json,
                 const struct http_header *header)
{
    const struct http_header headers[] = {{"Cache-Control", "no-store"},
                                          header == NULL ? (struct http_header){0} : *header};
    call_respond(call, &(struct http_response){.status = status,
                                               .content_type = "application/json",
                                               .body = json,
                                               .body_len = strlen(json),
                                               .headers = headers,
                                               .header_count = header == NULL ? 1 : 2});
}

static void answer_problem(struct call *call, const struct problem *problem,
                           const struct http_header *header)
{
    count(call, problem_status(problem->type));
    problem_respond(call->request, problem, header, header == NULL ? 0 : 1);
    end(call);
}

void call_problem(struct call *call, const struct problem *problem)
{
    answer_problem(call, problem, NULL);
}

void call_refuse(struct call *call, enum problem_type type, const char *detail)
{
    const struct problem problem = {.type = type, .detail = detail};
    answer_problem(call, &problem, NULL);
}

void call_not_allowed(struct call *call, const char *allow)
{
    const struct problem problem = {.type = PROBLEM_METHOD_NOT_ALLOWED};
    const struct http_header header = {"Allow", allow};
    answer_problem(call, &problem, &header);
}

void call_database_away(struct call *call)
{
    call_refuse(call, PROBLEM_DATABASE_UNAVAILABLE,
                call->change == NULL
                    ? NULL
                    : "it is not known whether this was recorded; send it again with the same "
                      "Idempotency-Key");
}

/* ---- who asks ---- */

static const char *scope_word(unsigned scope)
{
    switch (scope) {
    case JWT_SCOPE_SHOP_READ:
    case JWT_SCOPE_SHOP_READ | JWT_SCOPE_OPERATOR_READ: /* either will do */
        return "Bearer error=\"insufficient_scope\", scope=\"shop.read\"";
    case JWT_SCOPE_SHOP:
        return "Bearer error=\"insufficient_scope\", scope=\"shop\"";
    case JWT_SCOPE_OPERATOR_READ:
        return "Bearer error=\"insufficient_scope\", scope=\"operator.read\"";
    default:
        return "Bearer error=\"insufficient_scope\", scope=\"operator\"";
    }
}

int call_authenticate(struct call *call, unsigned scope)
{
    const char *token = NULL;
    const char *detail = NULL;
    struct jwt_claims claims = {.scopes = 0};
    int code = http_request_bearer(call->request, &token, &detail);
    bool absent = code == ERR_NOT_FOUND;
    if (code == 0)
        code = jwt_verify(call->console->tokens, token, strlen(token), JWT_AUD_CONSOLE,
                          clock_wall_ms() / 1000, &claims, &detail);
    if (code < 0) {
        const struct problem problem = {.type = PROBLEM_UNAUTHORIZED, .detail = detail};
        const struct http_header header = {"WWW-Authenticate",
                                           absent ? "Bearer" : "Bearer error=\"invalid_token\""};
        answer_problem(call, &problem, &header);
        return ERR_AUTH;
    }
    if ((claims.scopes & scope) == 0) {
        const struct problem problem = {.type = PROBLEM_FORBIDDEN,
                                        .detail = "the token's scope does not allow this"};
        const struct http_header header = {"WWW-Authenticate", scope_word(scope)};
        answer_problem(call, &problem, &header);
        return ERR_AUTH;
    }
    memcpy(call->subject, claims.user, sizeof call->subject);
    return 0;
}

/* ---- arguments of the query ---- */

struct arguments {
    const char *allowed;
    unsigned seen; /* a bit for each word of `allowed` */
    char detail[ARGUMENT_DETAIL_SIZE];
};

/* The place of `name` among words with a blank between them; -1: it is none of them. */
static int place_of(const char *words, const char *name)
{
    size_t len = strlen(name);
    for (int place = 0; *words != '\0'; place++) {
        size_t word = strcspn(words, " ");
        if (word == len && strncmp(words, name, len) == 0)
            return place;
        words += word + strspn(words + word, " ");
    }
    return -1;
}

static bool look_at(const char *name, const char *value, void *arg)
{
    struct arguments *arguments = arg;
    int place = place_of(arguments->allowed, name);
    const char *wrong = place < 0                                         ? "there is no argument"
                        : value == NULL                                   ? "there is no value of"
                        : (arguments->seen & (1U << (unsigned)place)) > 0 ? "there is a second"
                                                                          : NULL;
    if (place >= 0)
        arguments->seen |= 1U << (unsigned)place;
    if (wrong == NULL)
        return true;
    (void)snprintf(arguments->detail, sizeof arguments->detail, "%s %.*s", wrong, ARGUMENT_SHOWN,
                   name);
    if (!utf8_valid(arguments->detail, strlen(arguments->detail)))
        (void)snprintf(arguments->detail, sizeof arguments->detail, "%s of this name", wrong);
    return false;
}

int call_arguments(struct call *call, const char *allowed)
{
    struct arguments arguments = {.allowed = allowed};
    http_request_arguments(call->request, look_at, &arguments);
    if (arguments.detail[0] == '\0')
        return 0;
    call_refuse(call, PROBLEM_INVALID_REQUEST, arguments.detail);
    return ERR_INVALID;
}

int call_number(struct call *call, const char *argument, int64_t low, int64_t high, int64_t usual,
                int64_t *ret_number)
{
    const char *text = http_request_query(call->request, argument);
    char detail[80];
    *ret_number = usual;
    if (text == NULL || parse_int(text, low, high, ret_number) == 0)
        return 0;
    (void)snprintf(detail, sizeof detail, "%s must be a number from %lld to %lld", argument,
                   (long long)low, (long long)high);
    call_refuse(call, PROBLEM_INVALID_REQUEST, detail);
    return ERR_INVALID;
}

int call_wait(struct call *call, int64_t usual_s)
{
    struct buf prefer;
    int64_t wait_s;
    buf_init(&prefer, HEADER_LIST_MAX);
    unsigned preferred =
        http_value_wait(http_request_list(call->request, "Prefer", &prefer), CALL_WAIT_MAX_S);
    buf_free(&prefer);
    if (call_number(call, "wait", 0, CALL_WAIT_MAX_S, preferred > 0 ? preferred : usual_s,
                    &wait_s) < 0)
        return ERR_INVALID;
    call->until_ms = clock_mono_ms() + (uint64_t)wait_s * 1000;
    return 0;
}

/* ---- PostgreSQL ---- */

void call_query(struct call *call, struct pg *pg, const struct pg_statement *statement,
                const char *const *params, pg_result_cb cb)
{
    if (pg_query(pg, statement, params, cb, call) < 0)
        call_refuse(call, PROBLEM_DATABASE_UNAVAILABLE, NULL); /* nothing was sent */
}

bool call_has_result(struct call *call, const struct pg_result *result)
{
    if (pg_status(result) == PG_OK)
        return true;
    if (pg_status(result) == PG_ERROR) {
        log_error("query failed", LOG_STR("request_id", http_request_id(call->request)),
                  LOG_STR("sqlstate", pg_sqlstate(result)), LOG_STR("problem", pg_message(result)));
        call_refuse(call, PROBLEM_DATABASE_UNAVAILABLE, NULL); /* it was undone */
    } else {
        call_database_away(call);
    }
    return false;
}

void call_answer_row(struct call *call, const struct pg_result *result, const char *absent)
{
    if (!call_has_result(call, result))
        return;
    if (pg_null(result, 0, 0))
        call_refuse(call, PROBLEM_NOT_FOUND, absent);
    else
        call_answer(call, 200, pg_text(result, 0, 0), NULL);
}

void call_answer_page(struct call *call, const struct pg_result *result, const char *member)
{
    if (!call_has_result(call, result))
        return;
    int rows = pg_rows(result);
    (void)buf_printf(&call->out, "{\"%s\":[", member);
    for (int i = 0; i < rows && i < call->limit; i++) {
        (void)buf_str(&call->out, i == 0 ? "" : ",");
        (void)buf_str(&call->out, pg_text(result, i, 1));
    }
    (void)buf_char(&call->out, ']');
    if (rows > call->limit) {
        (void)buf_str(&call->out, ",\"next\":");
        (void)buf_json_str(&call->out, pg_text(result, (int)call->limit - 1, 0));
    }
    (void)buf_char(&call->out, '}');
    if (call->out.failed)
        call_refuse(call, PROBLEM_OVERLOADED, "the page is too large: ask for fewer");
    else
        call_answer(call, 200, buf_text(&call->out), NULL);
}
