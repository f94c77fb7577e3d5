#include "common/pay/stripe/stripe_refusal.h"

#include <stdio.h>
#include <string.h>

#include "common/pay/stripe/stripe_json.h"

/* Codes are shown to people and written to logs, so nothing that looks like a payment method, a key
 * or a client secret is one: these have capital letters, or a head of this kind. */
static bool code_valid(const char *code)
{
    static const char *const heads[] = {"pm_", "pi_", "sk_", "rk_", "pk_", "src_", "tok_", "seti_"};
    size_t len = strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789_");
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (strncmp(code, heads[i], strlen(heads[i])) == 0)
            return false;
    return len > 0 && len < PAY_CODE_MAX && code[len] == '\0';
}

void stripe_set(struct pay_answer *answer, enum pay_outcome outcome, const char *code)
{
    answer->outcome = outcome;
    answer->action[0] = '\0';
    (void)snprintf(answer->code, sizeof answer->code, "%s",
                   code != NULL && code_valid(code) ? code : "");
}

static void set_status(struct pay_answer *answer, enum pay_outcome outcome, unsigned status)
{
    char code[24];
    (void)snprintf(code, sizeof code, "http_%u", status);
    stripe_set(answer, outcome, code);
}

void stripe_set_id(struct pay_answer *answer, const json_t *intent)
{
    const char *id = stripe_string(intent, "id");
    if (id != NULL && stripe_id_valid(id))
        (void)snprintf(answer->intent_id, sizeof answer->intent_id, "%s", id);
}

void stripe_set_foreign(struct pay_answer *answer, const char *wrong)
{
    stripe_set(answer, PAY_UNKNOWN, wrong);
    answer->intent_id[0] = '\0';
}

const char *stripe_error_code(const json_t *error)
{
    static const char *const names[] = {"decline_code", "code", "message_code", "type"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *code = stripe_string(error, names[i]);
        if (code != NULL && code_valid(code))
            return code;
    }
    return NULL;
}

/* What the buyer can do: a hint for people, by the field that is refused. */
static enum pay_problem problem_of(const char *param, const char *code)
{
    static const struct {
        const char *head;
        enum pay_problem problem;
    } heads[] = {{"payment_method", PAY_USE_ANOTHER_METHOD},
                 {"source", PAY_USE_ANOTHER_METHOD},
                 {"amount", PAY_WRONG_AMOUNT},
                 {"currency", PAY_WRONG_CURRENCY},
                 {"invalid_currency", PAY_WRONG_CURRENCY},
                 {"card", PAY_USE_ANOTHER_METHOD}};
    const char *words[] = {param, code};
    for (size_t w = 0; w < ARRAY_LEN(words); w++)
        for (size_t i = 0; words[w] != NULL && i < ARRAY_LEN(heads); i++)
            if (strncmp(words[w], heads[i].head, strlen(heads[i].head)) == 0)
                return heads[i].problem;
    /* one without any word may be a method that was used before: that one says no more */
    return param == NULL && code == NULL ? PAY_USE_ANOTHER_METHOD : PAY_TRY_AGAIN;
}

static bool param_valid(const char *param)
{
    size_t len = strspn(param, "abcdefghijklmnopqrstuvwxyz0123456789_[]");
    return len > 0 && len < PAY_PARAM_MAX && param[len] == '\0';
}

void stripe_set_refused(struct pay_answer *answer, enum pay_outcome outcome, const json_t *error,
                        unsigned status)
{
    const char *code = stripe_error_code(error);
    const char *param = stripe_string(error, "param");
    if (code != NULL)
        stripe_set(answer, outcome, code);
    else
        set_status(answer, outcome, status);
    answer->problem = problem_of(param, stripe_string(error, "code"));
    if (param != NULL && param_valid(param))
        (void)snprintf(answer->param, sizeof answer->param, "%s", param);
}

bool stripe_read_status(unsigned status, const json_t *error, struct pay_answer *answer)
{
    if (status == 401 || status == 403)
        stripe_set_refused(answer, status == 401 ? PAY_UNAUTHORIZED : PAY_FORBIDDEN, error, status);
    else if (status == 429)
        set_status(answer, PAY_BUSY, status);
    else if (status >= 500)
        set_status(answer, answer->of_the_api ? PAY_ERROR : PAY_UNKNOWN, status);
    else if (status == 409 || status < 400 || !answer->of_the_api) /* or it is not of the API */
        set_status(answer, PAY_UNKNOWN, status);
    else if (stripe_string_is(error, "type", "idempotency_error"))
        stripe_set(answer, PAY_KEY_USED, "idempotency_error");
    else
        return false;
    answer->problem = PAY_NO_PROBLEM;
    answer->param[0] = '\0';
    return true;
}

json_t *stripe_parse(unsigned status, const char *body, size_t len, struct pay_answer *answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    answer->intent_id[0] = '\0';
    answer->param[0] = '\0';
    answer->problem = PAY_NO_PROBLEM;
    answer->received = 0;
    answer->of_the_api =
        status != 200 && stripe_string(json_object_get(root, "error"), "type") != NULL;
    return root;
}
