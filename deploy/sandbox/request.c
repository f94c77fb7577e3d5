#include "deploy/sandbox/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define AMOUNT_MAX 99999999

static int invalid(struct answer_error *error, const char *code, const char *param,
                   const char *message)
{
    *error = (struct answer_error){400, "invalid_request_error", code, param, message};
    return ERR_INVALID;
}

/* All fields are among `known` or metadata. */
static int check_names(const struct form *form, const char *const *known, size_t count,
                       struct answer_error *error)
{
    for (size_t i = 0; i < form->count; i++) {
        const struct form_field *field = &form->fields[i];
        size_t len;
        bool found = form_member(field, "metadata", &len) != NULL;
        for (size_t j = 0; !found && j < count; j++)
            found = strcmp(field->name, known[j]) == 0;
        if (!found)
            return invalid(error, "parameter_unknown", field->name, "Received unknown parameter.");
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
    return out->failed ? invalid(error, NULL, "metadata", "The metadata is too long.") : 0;
}

/* A sum of at least 1 and `most` at most. */
static int read_amount(const char *text, int64_t most, int64_t *ret_amount,
                       struct answer_error *error)
{
    char *end;
    errno = 0;
    int64_t amount = strtoll(text, &end, 10);
    if (*end != '\0' || text[0] < '0' || text[0] > '9')
        return invalid(error, "parameter_invalid_integer", "amount", "Invalid integer.");
    if (amount < 1)
        return invalid(error, "amount_too_small", "amount", "The amount must be at least 1.");
    if (errno != 0 || amount > most)
        return invalid(error, "amount_too_large", "amount", "The amount is too large.");
    *ret_amount = amount;
    return 0;
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
        return invalid(error, "parameter_missing", "amount", "Missing required param.");
    if (currency == NULL)
        return invalid(error, "parameter_missing", "currency", "Missing required param.");
    to_lower(currency);
    if (strlen(currency) != 3 || strspn(currency, "abcdefghijklmnopqrstuvwxyz") != 3)
        return invalid(error, "parameter_invalid_string", "currency", "Invalid currency.");
    intent->currency = currency;
    return read_amount(amount, AMOUNT_MAX, &intent->amount, error);
}

static int read_card(const struct form *form, struct intent *intent, struct card *ret_card,
                     struct answer_error *error)
{
    const char *confirm = form_get(form, "confirm");
    intent->method = form_get(form, "payment_method");
    intent->receipt_email = form_get(form, "receipt_email");
    intent->description = form_get(form, "description");
    intent->return_url = form_get(form, "return_url");
    if (intent->return_url != NULL && (strncmp(intent->return_url, "http", 4) != 0 ||
                                       strpbrk(intent->return_url, "\"'<>&\\ ") != NULL))
        return invalid(error, "url_invalid", "return_url", "Not a valid URL.");
    if (confirm == NULL || strcmp(confirm, "true") != 0)
        return invalid(error, "parameter_missing", "confirm", "This sandbox needs confirm=true.");
    if (intent->method == NULL)
        return invalid(error, "parameter_missing", "payment_method", "Missing required param.");
    if (!card_find(intent->method, ret_card))
        return invalid(error, "resource_missing", "payment_method", "No such PaymentMethod.");
    if (intent->receipt_email != NULL && strchr(intent->receipt_email, '@') == NULL)
        return invalid(error, "email_invalid", "receipt_email", "Invalid email address.");
    return 0;
}

int request_charge(struct form *form, struct buf *metadata, struct intent *ret_intent,
                   struct card *ret_card, struct answer_error *ret_error)
{
    static const char *const known[] = {"amount",
                                        "currency",
                                        "payment_method",
                                        "confirm",
                                        "automatic_payment_methods[enabled]",
                                        "automatic_payment_methods[allow_redirects]",
                                        "return_url",
                                        "description",
                                        "receipt_email",
                                        "off_session",
                                        "error_on_requires_action",
                                        "statement_descriptor_suffix"};
    static const enum intent_status statuses[] = {[CARD_PAYS] = INTENT_SUCCEEDED,
                                                  [CARD_DECLINES] = INTENT_REQUIRES_PAYMENT_METHOD,
                                                  [CARD_ASKS] = INTENT_REQUIRES_ACTION};
    struct intent intent = {0};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0)
        code = read_card(form, &intent, ret_card, ret_error);
    if (code == 0)
        code = read_money(form, &intent, ret_error);
    if (code == 0)
        code = write_metadata(form, metadata, ret_error);
    if (code < 0)
        return code;
    intent.metadata = buf_text(metadata);
    intent.status = statuses[ret_card->result];
    *ret_intent = intent;
    return 0;
}

/* ---- the others ---- */

int request_cancel(const struct form *form, struct answer_error *ret_error)
{
    static const char *const known[] = {"cancellation_reason"};
    return check_names(form, known, ARRAY_LEN(known), ret_error);
}

int request_refund(const struct form *form, const struct intent *intent, struct buf *metadata,
                   struct refund *ret_refund, struct answer_error *ret_error)
{
    static const char *const known[] = {"payment_intent", "amount", "reason"};
    const char *amount = form_get(form, "amount");
    struct refund refund = {.amount = intent->amount - intent->refunded,
                            .reason = form_get(form, "reason")};
    int code = check_names(form, known, ARRAY_LEN(known), ret_error);
    if (code == 0 && intent->status != INTENT_SUCCEEDED)
        code = invalid(ret_error, "payment_intent_unexpected_state", NULL,
                       "This PaymentIntent has not succeeded.");
    if (code == 0 && refund.amount <= 0)
        code = invalid(ret_error, "charge_already_refunded", NULL,
                       "The charge has been refunded already.");
    if (code == 0 && amount != NULL)
        code = read_amount(amount, refund.amount, &refund.amount, ret_error);
    if (code == 0)
        code = write_metadata(form, metadata, ret_error);
    if (code < 0)
        return code;
    refund.metadata = buf_text(metadata);
    *ret_refund = refund;
    return 0;
}
