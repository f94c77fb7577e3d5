#include "deploy/sandbox/request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/email.h"
#include "common/base/err.h"
#include "common/base/parse.h"

#define AMOUNT_MAX INT64_C(999999999999)
#define TYPES "payment_method_types["
/* From this version on, a form without types means what the account has switched on. */
#define AUTOMATIC_SINCE "2023-08-16"

int request_invalid(struct answer_error *error, const char *code, const char *param,
                    const char *message)
{
    *error = (struct answer_error){.status = 400,
                                   .type = "invalid_request_error",
                                   .code = code,
                                   .param = param,
                                   .message = message};
    return ERR_INVALID;
}

/* Whether the field is `known`, which may end in "[": then whatever is inside. */
static bool is_known(const struct form_field *field, const char *known)
{
    size_t len = strlen(known);
    if (known[len - 1] == '[')
        return strncmp(field->name, known, len) == 0;
    return strcmp(field->name, known) == 0;
}

/* All fields are among `known`, metadata or expansions. */
static int check_names(const struct form *form, const char *const *known, size_t count,
                       struct answer_error *error)
{
    for (size_t i = 0; i < form->count; i++) {
        const struct form_field *field = &form->fields[i];
        size_t len;
        bool found = form_member(field, "metadata", &len) != NULL || is_known(field, "expand[");
        for (size_t j = 0; !found && j < count; j++)
            found = is_known(field, known[j]);
        if (!found)
            return request_invalid(error, "parameter_unknown", field->name,
                                   "Received unknown parameter.");
    }
    return 0;
}

/* The metadata[…] fields as a JSON object. */
static int write_metadata(const struct form *form, struct buf *out, struct answer_error *error)
{
    const char *comma = "";
    buf_reset(out);
    (void)buf_char(out, '{');
    for (size_t i = 0; i < form->count; i++) {
        size_t len;
        const char *name = form_member(&form->fields[i], "metadata", &len);
        if (name == NULL)
            continue;
        (void)buf_str(out, comma);
        (void)buf_json_strn(out, name, len);
        (void)buf_char(out, ':');
        (void)buf_json_str(out, form->fields[i].value);
        comma = ",";
    }
    (void)buf_char(out, '}');
    return out->failed ? request_invalid(error, NULL, "metadata", "The metadata is too long.") : 0;
}

/* A whole number of at least 1. */
static int read_amount(const char *name, const char *text, int64_t *ret_amount,
                       struct answer_error *error)
{
    int64_t amount;
    if (text[parse_digits(text, &amount)] != '\0' || text[0] == '\0')
        return request_invalid(error, "parameter_invalid_integer", name, "Invalid integer.");
    if (amount < 1)
        return request_invalid(error, "parameter_invalid_integer", name,
                               "This value must be greater than or equal to 1.");
    *ret_amount = amount > AMOUNT_MAX ? AMOUNT_MAX + 1 : amount;
    return 0;
}

static int missing(struct answer_error *error, const char *param)
{
    return request_invalid(error, "parameter_missing", param, "Missing required param.");
}

static bool is_set(const struct form *form, const char *name, const char *value)
{
    const char *text = form_get(form, name);
    return text != NULL && strcmp(text, value) == 0;
}

/* ---- charges ---- */

/* The cast: the text is the form's own, which may be changed. */
static void to_lower(const char *text)
{
    for (char *c = (char *)(uintptr_t)text; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c); /* the locale is C */
}

static int read_money(struct form *form, struct intent *intent, struct answer_error *error)
{
    const char *amount = form_get(form, "amount");
    const char *currency = form_get(form, "currency");
    if (amount == NULL)
        return missing(error, "amount");
    if (currency == NULL)
        return missing(error, "currency");
    to_lower(currency);
    if (strlen(currency) != 3 || strspn(currency, "abcdefghijklmnopqrstuvwxyz") != 3)
        return request_invalid(error, NULL, "currency", "Invalid currency.");
    intent->currency = currency;
    return read_amount("amount", amount, &intent->amount, error);
}

static int read_return_url(const struct form *form, struct request_charge *charge,
                           struct answer_error *error)
{
    const char *url = form_get(form, "return_url");
    charge->intent.return_url = url;
    if (url != NULL && (strncmp(url, "http", 4) != 0 || strpbrk(url, "\"'<>\\ ") != NULL))
        return request_invalid(error, "url_invalid", "return_url", "Not a valid URL.");
    if (url != NULL && !charge->confirm)
        return request_invalid(error, NULL, "return_url",
                               "A return_url needs confirm=true, or a call that confirms.");
    return 0;
}

static const struct form_field *find_types(const struct form *form)
{
    for (size_t i = 0; i < form->count; i++)
        if (is_known(&form->fields[i], TYPES))
            return &form->fields[i];
    return NULL;
}

static int read_types(const struct form *form, const char *version, struct request_charge *charge,
                      struct answer_error *error)
{
    bool automatic = is_set(form, "automatic_payment_methods[enabled]", "true");
    charge->form = form;
    charge->types = find_types(form);
    if (charge->types != NULL && automatic)
        return request_invalid(error, NULL, "automatic_payment_methods",
                               "Name types of payment methods, or leave them to the account.");
    bool implied = charge->types == NULL &&
                   form_get(form, "automatic_payment_methods[enabled]") == NULL &&
                   strncmp(version, AUTOMATIC_SINCE, strlen(AUTOMATIC_SINCE)) >= 0;
    charge->any_type = automatic || implied;
    charge->may_redirect =
        charge->any_type && !is_set(form, "automatic_payment_methods[allow_redirects]", "never");
    return 0;
}

bool request_allows(const struct request_charge *charge, const char *type)
{
    if (charge->any_type)
        return true;
    if (charge->types == NULL)
        return strcmp(type, "card") == 0;
    for (size_t i = 0; i < charge->form->count; i++) {
        const struct form_field *field = &charge->form->fields[i];
        if (is_known(field, TYPES) && strcmp(field->value, type) == 0)
            return true;
    }
    return false;
}

static int read_payment_method(const struct form *form, struct request_charge *charge,
                               struct answer_error *error)
{
    struct intent *intent = &charge->intent;
    const char *future = form_get(form, "setup_future_usage");
    charge->method = form_get(form, "payment_method");
    charge->customer = form_get(form, "customer");
    charge->confirm = is_set(form, "confirm", "true");
    charge->saves = future != NULL && future[0] != '\0';
    intent->receipt_email = form_get(form, "receipt_email");
    intent->description = form_get(form, "description");
    intent->manual = is_set(form, "capture_method", "manual");
    intent->method = RECORD_NONE;
    intent->customer = RECORD_NONE;
    if (charge->confirm && charge->method == NULL)
        return missing(error, "payment_method");
    if (intent->receipt_email != NULL &&
        !email_valid(intent->receipt_email, strlen(intent->receipt_email)))
        return request_invalid(error, "email_invalid", "receipt_email", "Invalid email address.");
    return read_return_url(form, charge, error);
}

int request_charge(struct form *form, const char *version, struct buf *metadata,
                   struct request_charge *ret_charge, struct answer_error *ret_error)
{
    static const char *const known[] = {"amount",
                                        "currency",
                                        "payment_method",
                                        TYPES,
                                        "customer",
                                        "setup_future_usage",
                                        "confirm",
                                        "capture_method",
                                        "automatic_payment_methods[enabled]",
                                        "automatic_payment_methods[allow_redirects]",
                                        "return_url",
                                        "description",
                                        "receipt_email",
                                        "off_session",
                                        "error_on_requires_action",
                                        "use_stripe_sdk",
                                        "statement_descriptor_suffix"};
    struct request_charge charge = {0};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0)
        code = read_payment_method(form, &charge, ret_error);
    if (code == 0)
        code = read_types(form, version, &charge, ret_error);
    if (code == 0)
        code = read_money(form, &charge.intent, ret_error);
    if (code == 0)
        code = write_metadata(form, metadata, ret_error);
    if (code < 0)
        return code;
    charge.intent.metadata = buf_text(metadata);
    *ret_charge = charge;
    return 0;
}

int request_confirm(const struct form *form, struct request_charge *ret_charge,
                    struct answer_error *ret_error)
{
    static const char *const known[] = {"payment_method", "return_url",     "receipt_email",
                                        "off_session",    "use_stripe_sdk", "setup_future_usage"};
    struct request_charge charge = {.confirm = true, .form = form, .any_type = true};
    const char *future = form_get(form, "setup_future_usage");
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0)
        code = read_return_url(form, &charge, ret_error);
    if (code < 0)
        return code;
    charge.method = form_get(form, "payment_method");
    charge.saves = future != NULL && future[0] != '\0';
    *ret_charge = charge;
    return 0;
}

/* ---- the others ---- */

int request_cancel(const struct form *form, struct answer_error *ret_error)
{
    static const char *const known[] = {"cancellation_reason"};
    return check_names(form, known, ARRAY_LEN(known), ret_error);
}

int request_capture(const struct form *form, int64_t *ret_amount, struct answer_error *ret_error)
{
    static const char *const known[] = {"amount_to_capture"};
    const char *amount = form_get(form, "amount_to_capture");
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    *ret_amount = 0;
    if (code == 0 && amount != NULL)
        code = read_amount("amount_to_capture", amount, ret_amount, ret_error);
    return code;
}

int request_refund(const struct form *form, struct buf *metadata, struct refund *ret_refund,
                   struct answer_error *ret_error)
{
    static const char *const known[] = {"payment_intent", "amount", "reason"};
    const char *amount = form_get(form, "amount");
    struct refund refund = {.reason = form_get(form, "reason")};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0 && form_get(form, "payment_intent") == NULL)
        code = missing(ret_error, "payment_intent");
    if (code == 0 && amount != NULL)
        code = read_amount("amount", amount, &refund.amount, ret_error);
    if (code == 0)
        code = write_metadata(form, metadata, ret_error);
    if (code < 0)
        return code;
    refund.metadata = buf_text(metadata);
    *ret_refund = refund;
    return 0;
}

int request_method(const struct form *form, const char **ret_token, struct answer_error *ret_error)
{
    static const char *const known[] = {"type", "card[token]", "billing_details["};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0 && form_get(form, "type") == NULL)
        code = missing(ret_error, "type");
    if (code == 0 && form_get(form, "card[token]") == NULL)
        code = missing(ret_error, "card");
    if (code == 0)
        *ret_token = form_get(form, "card[token]");
    return code;
}

int request_customer(const struct form *form, struct buf *metadata, struct customer *ret_customer,
                     struct answer_error *ret_error)
{
    static const char *const known[] = {"email", "name", "description"};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0)
        code = write_metadata(form, metadata, ret_error);
    if (code < 0)
        return code;
    *ret_customer = (struct customer){.email = form_get(form, "email"),
                                      .name = form_get(form, "name"),
                                      .metadata = buf_text(metadata)};
    return 0;
}

int request_attach(const struct form *form, const char **ret_customer,
                   struct answer_error *ret_error)
{
    static const char *const known[] = {"customer"};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0 && form_get(form, "customer") == NULL)
        code = missing(ret_error, "customer");
    if (code == 0)
        *ret_customer = form_get(form, "customer");
    return code;
}
