#include "producer/orders/order_request.h"

#include <string.h>

#include "common/base/email.h"
#include "common/base/err.h"
#include "common/base/json_reader.h"

/* ---- the body's members ---- */

static void wrong(struct problem *problem, const struct json_reader_member *m, const char *detail)
{
    problem_add(problem, (struct problem_error){
                             .detail = detail, .member = m->name, .member_len = m->name_len});
}

static void missing(struct problem *problem, const char *name)
{
    problem_add(problem, (struct problem_error){.detail = "this member is required",
                                                .member = name,
                                                .member_len = strlen(name)});
}

static const char *read_text(const struct json_reader_member *m,
                             bool (*valid)(const char *, size_t), const char *detail,
                             struct problem *problem)
{
    if (m->kind == JSON_READER_STRING && strlen(m->text) == m->len && valid(m->text, m->len))
        return m->text;
    wrong(problem, m, detail);
    return NULL;
}

struct seen {
    bool sku;
    bool quantity;
    bool payment_method;
};

/* Whether it is a card itself: 12 to 19 digits with the check digit of ISO/IEC 7812. A page that
 * sends one by mistake learns it before anything keeps it. */
static bool is_card_number(const char *text)
{
    unsigned sum = 0;
    unsigned digits = 0;
    for (size_t left = strlen(text); left > 0; left--) {
        char c = text[left - 1];
        if (c == '-')
            continue;
        if (c < '0' || c > '9')
            return false;
        unsigned value = (unsigned)(c - '0') * (1 + digits % 2);
        sum += value > 9 ? value - 9 : value;
        digits++;
    }
    return digits >= 12 && digits <= 19 && sum % 10 == 0;
}

static const char *read_method(const struct json_reader_member *m, struct problem *problem)
{
    const char *method = read_text(m, job_method_valid,
                                   "not a string of 1 to 255 visible ASCII characters", problem);
    if (method == NULL || !is_card_number(method))
        return method;
    wrong(problem, m, "a card's number is never sent here: send the gateway's id of the card");
    return NULL;
}

static bool read_optional(const struct json_reader_member *m, struct job *job,
                          struct problem *problem)
{
    if (json_reader_named(m, "receipt_email")) {
        job->receipt_email =
            read_text(m, email_valid, "not an e-mail address of 3 to 254 bytes", problem);
    } else if (json_reader_named(m, "unit_price")) {
        job->has_unit_price = json_reader_whole(m, 0, JOB_PRICE_MAX, &job->unit_price);
        if (!job->has_unit_price)
            wrong(problem, m, "not a whole number from 0 to 99999999999 (minor units)");
    } else if (json_reader_named(m, "reference")) {
        job->reference = read_text(m, job_reference_valid,
                                   "not a string of 1 to 64 visible ASCII characters", problem);
    } else if (json_reader_named(m, "locale")) {
        job->locale =
            read_text(m, job_locale_valid, "not a language tag like de or pt-BR", problem);
    } else {
        return false;
    }
    return true;
}

static void read_member(const struct json_reader_member *m, struct job *job, struct seen *seen,
                        struct problem *problem)
{
    if (m->twice) {
        wrong(problem, m, "this member is there twice");
    } else if (json_reader_named(m, "sku")) {
        seen->sku = true;
        job->sku =
            read_text(m, job_sku_valid,
                      "not a string of 1 to 64 letters, digits, '.', '_' or '-' that is not '.' or "
                      "'..' and does not begin with '-'",
                      problem);
    } else if (json_reader_named(m, "quantity")) {
        seen->quantity = true;
        if (!json_reader_whole(m, 1, JOB_QUANTITY_MAX, &job->quantity))
            wrong(problem, m, "not a whole number from 1 to 100");
    } else if (json_reader_named(m, "payment_method")) {
        seen->payment_method = true;
        job->payment_method = read_method(m, problem);
    } else if (!read_optional(m, job, problem)) {
        wrong(problem, m, "there is no such member");
    }
}

static void read_body(const struct order_request *input, char *scratch, struct job *job,
                      struct problem *problem)
{
    struct json_reader object;
    const char *detail;
    size_t position;
    if (json_reader_read(input->body, input->body_len, scratch, &object, &detail, &position) < 0) {
        problem_add(problem, (struct problem_error){.detail = detail});
        return;
    }
    struct seen seen = {0};
    for (size_t i = 0; i < object.count; i++)
        read_member(&object.members[i], job, &seen, problem);
    if (!seen.sku)
        missing(problem, "sku");
    if (!seen.quantity)
        missing(problem, "quantity");
    if (!seen.payment_method)
        missing(problem, "payment_method");
}

static void read_key(const struct order_request *input, char *ret_key, struct problem *problem)
{
    const char *detail = http_value_key(input->key, input->key_count, ret_key);
    if (detail != NULL)
        problem_add(problem, (struct problem_error){.detail = detail, .header = HTTP_KEY_HEADER});
}

/* Problems that make reading the rest pointless. */
static bool readable(const struct order_request *input, struct problem *problem)
{
    if (input->body_too_large || input->body_len > ORDER_REQUEST_BODY_MAX) {
        problem->type = PROBLEM_TOO_LARGE;
        problem->detail = "an order has at most 4096 bytes";
        return false;
    }
    problem->detail = http_value_not_json(&input->kind);
    if (problem->detail != NULL)
        problem->type = PROBLEM_UNSUPPORTED_MEDIA_TYPE;
    return problem->detail == NULL;
}

int order_request_read(struct ids *ids, const struct order_request *input, char *scratch,
                       struct job *ret_job, struct problem *ret_problem)
{
    char key[HTTP_KEY_MAX + 1];
    ret_problem->type = PROBLEM_INVALID_REQUEST;
    if (!readable(input, ret_problem))
        return ERR_INVALID;
    *ret_job = (struct job){.user_id = input->user};
    read_key(input, key, ret_problem);
    read_body(input, scratch, ret_job, ret_problem);
    if (ret_problem->error_count > 0)
        return ERR_INVALID;
    const char *trace = input->traceparent;
    if (trace != NULL && job_traceparent_valid(trace, strlen(trace)))
        ret_job->traceparent = trace; /* its standard says: ignore a malformed one */
    clock_rfc3339(input->now_ms, ret_job->accepted_at);
    int code = ids_order(ids, input->user, key, ret_job->order_id);
    return code < 0 ? code : job_fingerprint(ret_job, ret_job->fingerprint);
}
