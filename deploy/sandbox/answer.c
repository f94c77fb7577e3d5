#include "deploy/sandbox/answer.h"

#include "deploy/sandbox/card.h"

static void member(struct buf *out, const char *name, const char *text)
{
    (void)buf_str(out, name);
    if (text == NULL)
        (void)buf_str(out, "null");
    else
        (void)buf_json_str(out, text);
}

static void number(struct buf *out, const char *name, int64_t value)
{
    (void)buf_str(out, name);
    (void)buf_int(out, value);
}

/* Texts that need no escaping. */
static void plain(struct buf *out, const char *name, const char *text)
{
    (void)buf_str(out, name);
    (void)buf_char(out, '"');
    (void)buf_str(out, text);
    (void)buf_char(out, '"');
}

static void decline_members(const struct card *card, struct buf *out)
{
    plain(out, "{\"type\":", "card_error");
    plain(out, ",\"code\":", card->code);
    if (card->decline_code != NULL)
        plain(out, ",\"decline_code\":", card->decline_code);
    plain(out, ",\"message\":", card->message);
}

static void last_error(const struct intent *intent, struct buf *out)
{
    struct card card;
    (void)buf_str(out, ",\"last_payment_error\":");
    if (intent->status != INTENT_REQUIRES_PAYMENT_METHOD || !card_find(intent->method, &card) ||
        card.result != CARD_DECLINES) {
        (void)buf_str(out, "null");
        return;
    }
    decline_members(&card, out);
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
        member(out, ",\"return_url\":", intent->return_url);
        (void)buf_str(out, "}}");
    }
}

void answer_intent(const struct intent *intent, uint32_t salt, struct buf *out)
{
    char id[RECORD_ID_SIZE];
    char charge[RECORD_ID_SIZE];
    bool succeeded = intent->status == INTENT_SUCCEEDED;
    record_id(id, "pi_", salt, intent->number);
    record_id(charge, "ch_", salt, intent->number);
    plain(out, "{\"id\":", id);
    plain(out, ",\"object\":", "payment_intent");
    number(out, ",\"amount\":", intent->amount);
    number(out, ",\"amount_received\":", succeeded ? intent->amount : 0);
    number(out, ",\"amount_refunded\":", intent->refunded);
    plain(out, ",\"capture_method\":", "automatic");
    plain(out, ",\"confirmation_method\":", "automatic");
    number(out, ",\"created\":", intent->created);
    plain(out, ",\"currency\":", intent->currency);
    member(out, ",\"description\":", intent->description);
    (void)buf_str(out, ",\"latest_charge\":");
    if (succeeded || intent->status == INTENT_REQUIRES_PAYMENT_METHOD)
        plain(out, "", charge);
    else
        (void)buf_str(out, "null");
    last_error(intent, out);
    (void)buf_str(out, ",\"livemode\":false,\"metadata\":");
    (void)buf_str(out, intent->metadata);
    if (intent->status == INTENT_REQUIRES_ACTION)
        (void)buf_printf(out, ",\"client_secret\":\"%s_secret_sandbox\"", id);
    next_action(intent, id, out);
    member(out, ",\"payment_method\":",
           intent->status == INTENT_REQUIRES_PAYMENT_METHOD ? NULL : intent->method);
    member(out, ",\"receipt_email\":", intent->receipt_email);
    (void)buf_str(out, intent->refunded >= intent->amount ? ",\"refunded\":true"
                                                          : ",\"refunded\":false");
    plain(out, ",\"status\":", intent_status_text(intent->status));
    (void)buf_char(out, '}');
}

void answer_error(const struct answer_error *error, const struct intent *intent, uint32_t salt,
                  struct buf *out)
{
    plain(out, "{\"error\":{\"type\":", error->type);
    if (error->code != NULL)
        plain(out, ",\"code\":", error->code);
    if (error->param != NULL)
        member(out, ",\"param\":", error->param);
    member(out, ",\"message\":", error->message);
    if (intent != NULL) {
        (void)buf_str(out, ",\"payment_intent\":");
        answer_intent(intent, salt, out);
    }
    (void)buf_str(out, "}}");
}

static void answer_decline(const struct intent *intent, const struct card *card, uint32_t salt,
                           struct buf *out)
{
    char charge[RECORD_ID_SIZE];
    record_id(charge, "ch_", salt, intent->number);
    (void)buf_str(out, "{\"error\":");
    decline_members(card, out);
    plain(out, ",\"charge\":", charge);
    (void)buf_str(out, ",\"payment_intent\":");
    answer_intent(intent, salt, out);
    (void)buf_str(out, "}}");
}

void answer_refund(const struct record *record, uint32_t salt, struct buf *out)
{
    char id[RECORD_ID_SIZE];
    const struct refund *refund = &record->refund;
    record_id(id, "re_", salt, refund->number);
    plain(out, "{\"id\":", id);
    plain(out, ",\"object\":", "refund");
    number(out, ",\"amount\":", refund->amount);
    record_id(id, "ch_", salt, record->intent.number);
    plain(out, ",\"charge\":", id);
    number(out, ",\"created\":", refund->created);
    plain(out, ",\"currency\":", record->intent.currency);
    (void)buf_str(out, ",\"metadata\":");
    (void)buf_str(out, refund->metadata);
    record_id(id, "pi_", salt, record->intent.number);
    plain(out, ",\"payment_intent\":", id);
    member(out, ",\"reason\":", refund->reason);
    plain(out, ",\"status\":", "succeeded");
    (void)buf_char(out, '}');
}

unsigned answer_record(const struct record *record, uint32_t salt, struct buf *out)
{
    static const struct answer_error failed = {
        500, "api_error", NULL, NULL, "An error occurred on our side; look up what became of it."};
    struct card card;
    if (record->error != 0 || record->kind == RECORD_FAILED || record->kind == RECORD_OPENED) {
        answer_error(&failed, NULL, salt, out);
        return failed.status;
    }
    if (record->kind == RECORD_REFUND) {
        answer_refund(record, salt, out);
        return 200;
    }
    if (record->kind == RECORD_CHARGE && record->intent.status == INTENT_REQUIRES_PAYMENT_METHOD &&
        card_find(record->intent.method, &card) && card.result == CARD_DECLINES) {
        answer_decline(&record->intent, &card, salt, out);
        return 402;
    }
    answer_intent(&record->intent, salt, out);
    return 200;
}
