#include "deploy/sandbox/answer_object.h"

#include <string.h>

#include "deploy/sandbox/answer_member.h"

/* ---- payment intents ---- */

static void last_error(const struct intent *intent, struct buf *out)
{
    struct card card;
    (void)buf_str(out, ",\"last_payment_error\":");
    if (!answer_is_declined(intent, &card)) {
        (void)buf_str(out, "null");
        return;
    }
    answer_decline_members(&card, out);
    (void)buf_char(out, '}');
}

static void next_action(const struct intent *intent, const char *id, struct buf *out)
{
    if (intent->status != INTENT_REQUIRES_ACTION) {
        (void)buf_str(out, ",\"next_action\":null");
    } else if (intent->bank == NULL) {
        (void)buf_str(out, ",\"next_action\":{\"type\":\"use_stripe_sdk\"}");
    } else {
        (void)buf_str(
            out, ",\"next_action\":{\"type\":\"redirect_to_url\",\"redirect_to_url\":{\"url\":\"");
        (void)buf_printf(out, "%s%s\"", intent->bank, id);
        answer_member(out, ",\"return_url\":", intent->return_url);
        (void)buf_str(out, "}}");
    }
}

/* Whether there has been a charge, perhaps a failed one. */
static bool has_charge(const struct intent *intent)
{
    struct card card;
    switch (intent->status) {
    case INTENT_SUCCEEDED:
    case INTENT_PROCESSING:
    case INTENT_REQUIRES_CAPTURE:
        return true;
    case INTENT_REQUIRES_PAYMENT_METHOD:
        return answer_is_declined(intent, &card);
    case INTENT_REQUIRES_ACTION:
    case INTENT_CANCELED:
    case INTENT_REQUIRES_CONFIRMATION:
        return false;
    }
    return false;
}

static const char *type_of(const char *name)
{
    struct card card;
    return name != NULL && card_find(name, &card) ? card.type : "card";
}

/* The id of the payment method; older ledgers have only the name of a template. */
static void show_method(const struct intent *intent, uint32_t salt, struct buf *out)
{
    bool gone = intent->status == INTENT_REQUIRES_PAYMENT_METHOD;
    if (!gone && intent->method == RECORD_NONE)
        answer_member(out, ",\"payment_method\":", intent->card);
    else
        answer_id(out, ",\"payment_method\":", "pm_", salt, gone ? RECORD_NONE : intent->method);
}

static void show_charge(const struct intent *intent, uint32_t salt, bool expanded, struct buf *out)
{
    if (expanded && has_charge(intent)) {
        (void)buf_str(out, ",\"latest_charge\":");
        answer_charge(intent, salt, out);
    } else {
        answer_id(out, ",\"latest_charge\":", "ch_", salt,
                  has_charge(intent) ? intent->number : RECORD_NONE);
    }
}

static void write_intent(const struct intent *intent, uint32_t salt, bool expanded, struct buf *out)
{
    char id[RECORD_ID_SIZE];
    record_id(id, "pi_", salt, intent->number);
    answer_plain(out, "{\"id\":", id);
    answer_plain(out, ",\"object\":", "payment_intent");
    answer_number(out, ",\"amount\":", intent->amount);
    answer_number(out, ",\"amount_capturable\":",
                  intent->status == INTENT_REQUIRES_CAPTURE ? intent->amount : 0);
    answer_number(out, ",\"amount_received\":", intent->received);
    answer_number(out, ",\"amount_refunded\":", intent->refunded);
    answer_plain(out, ",\"capture_method\":", intent->manual ? "manual" : "automatic");
    (void)buf_printf(out, ",\"client_secret\":\"%s_secret_sandbox\"", id);
    answer_plain(out, ",\"confirmation_method\":", "automatic");
    answer_number(out, ",\"created\":", intent->created);
    answer_plain(out, ",\"currency\":", intent->currency);
    answer_id(out, ",\"customer\":", "cus_", salt, intent->customer);
    answer_member(out, ",\"description\":", intent->description);
    show_charge(intent, salt, expanded, out);
    last_error(intent, out);
    answer_flag(out, ",\"livemode\":", intent->live);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, intent->metadata);
    next_action(intent, id, out);
    show_method(intent, salt, out);
    answer_plain(out, ",\"payment_method_types\":[", type_of(intent->card));
    (void)buf_char(out, ']');
    answer_member(out, ",\"receipt_email\":", intent->receipt_email);
    answer_flag(out, ",\"refunded\":", intent->refunded >= intent->amount);
    answer_plain(out, ",\"status\":", intent_status_text(intent->status));
    (void)buf_char(out, '}');
}

void answer_intent(const struct intent *intent, uint32_t salt, struct buf *out)
{
    write_intent(intent, salt, false, out);
}

void answer_intent_expanded(const struct intent *intent, uint32_t salt, struct buf *out)
{
    write_intent(intent, salt, true, out);
}

/* ---- its charge ---- */

static const char *charge_status(const struct intent *intent)
{
    if (intent->status == INTENT_SUCCEEDED || intent->status == INTENT_REQUIRES_CAPTURE)
        return "succeeded";
    return intent->status == INTENT_PROCESSING ? "pending" : "failed";
}

void answer_charge(const struct intent *intent, uint32_t salt, struct buf *out)
{
    struct card card;
    bool declined = answer_is_declined(intent, &card);
    bool succeeded = intent->status == INTENT_SUCCEEDED;
    answer_id(out, "{\"id\":", "ch_", salt, intent->number);
    answer_plain(out, ",\"object\":", "charge");
    answer_number(out, ",\"amount\":", intent->amount);
    answer_number(out, ",\"amount_captured\":", intent->received);
    answer_number(out, ",\"amount_refunded\":", intent->refunded);
    answer_flag(out, ",\"captured\":", succeeded);
    answer_number(out, ",\"created\":", intent->created);
    answer_plain(out, ",\"currency\":", intent->currency);
    answer_id(out, ",\"customer\":", "cus_", salt, intent->customer);
    answer_member(out, ",\"description\":", intent->description);
    answer_flag(out, ",\"disputed\":", intent->disputed);
    answer_member(out, ",\"failure_code\":", declined ? card.code : NULL);
    answer_member(out, ",\"failure_message\":", declined ? card.message : NULL);
    answer_flag(out, ",\"livemode\":", intent->live);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, intent->metadata);
    answer_flag(out, ",\"paid\":", succeeded);
    answer_id(out, ",\"payment_intent\":", "pi_", salt, intent->number);
    answer_id(out, ",\"payment_method\":", "pm_", salt, intent->method);
    answer_member(out, ",\"receipt_email\":", intent->receipt_email);
    answer_flag(out, ",\"refunded\":", succeeded && intent->refunded >= intent->received);
    answer_plain(out, ",\"status\":", charge_status(intent));
    (void)buf_char(out, '}');
}

/* ---- what belongs to it ---- */

void answer_refund(const struct record *record, uint32_t salt, struct buf *out)
{
    const struct refund *refund = &record->refund;
    answer_id(out, "{\"id\":", "re_", salt, refund->number);
    answer_plain(out, ",\"object\":", "refund");
    answer_number(out, ",\"amount\":", refund->amount);
    answer_id(out, ",\"charge\":", "ch_", salt, record->intent.number);
    answer_number(out, ",\"created\":", refund->created);
    answer_plain(out, ",\"currency\":", record->intent.currency);
    if (refund->status == REFUND_FAILED)
        answer_plain(out, ",\"failure_reason\":", "expired_or_canceled_card");
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, refund->metadata);
    answer_id(out, ",\"payment_intent\":", "pi_", salt, record->intent.number);
    answer_member(out, ",\"reason\":", refund->reason);
    answer_plain(out, ",\"status\":", refund_status_text(refund->status));
    (void)buf_char(out, '}');
}

void answer_dispute(const struct record *record, uint32_t salt, struct buf *out)
{
    const struct dispute *dispute = &record->dispute;
    answer_id(out, "{\"id\":", "dp_", salt, dispute->number);
    answer_plain(out, ",\"object\":", "dispute");
    answer_number(out, ",\"amount\":", dispute->amount);
    answer_id(out, ",\"charge\":", "ch_", salt, record->intent.number);
    answer_number(out, ",\"created\":", dispute->created);
    answer_plain(out, ",\"currency\":", record->intent.currency);
    answer_flag(out, ",\"is_charge_refundable\":", false);
    answer_flag(out, ",\"livemode\":", record->intent.live);
    (void)buf_str(out, ",\"metadata\":{}");
    answer_id(out, ",\"payment_intent\":", "pi_", salt, record->intent.number);
    answer_member(out, ",\"reason\":", dispute->reason);
    answer_plain(out, ",\"status\":", dispute_status_text(dispute->status));
    (void)buf_char(out, '}');
}

/* ---- who pays, and by what ---- */

void answer_method(const struct record *record, uint32_t salt, struct buf *out)
{
    const struct method *method = &record->method;
    const char *type = type_of(method->card);
    answer_id(out, "{\"id\":", "pm_", salt, method->number);
    answer_plain(out, ",\"object\":", "payment_method");
    (void)buf_str(out, ",\"billing_details\":{\"email\":null,\"name\":null}");
    if (strcmp(type, "card") == 0)
        (void)buf_str(out, ",\"card\":{\"brand\":\"visa\",\"last4\":\"4242\",\"exp_month\":12,"
                           "\"exp_year\":2034,\"funding\":\"credit\"}");
    answer_number(out, ",\"created\":", method->created);
    answer_id(out, ",\"customer\":", "cus_", salt, method->customer);
    (void)buf_str(out, ",\"livemode\":false,\"metadata\":{}");
    answer_plain(out, ",\"type\":", type);
    (void)buf_char(out, '}');
}

void answer_customer(const struct record *record, uint32_t salt, struct buf *out)
{
    const struct customer *customer = &record->customer;
    answer_id(out, "{\"id\":", "cus_", salt, customer->number);
    answer_plain(out, ",\"object\":", "customer");
    answer_number(out, ",\"created\":", customer->created);
    answer_member(out, ",\"email\":", customer->email);
    (void)buf_str(out, ",\"livemode\":false,\"metadata\":");
    (void)buf_str(out, customer->metadata);
    answer_member(out, ",\"name\":", customer->name);
    (void)buf_char(out, '}');
}
