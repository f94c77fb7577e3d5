#include "deploy/sandbox/answer_impl.h"

/* ---- members ---- */

void answer_member(struct buf *out, const char *name, const char *text)
{
    (void)buf_str(out, name);
    if (text == NULL)
        (void)buf_str(out, "null");
    else
        (void)buf_json_str(out, text);
}

void answer_number(struct buf *out, const char *name, int64_t value)
{
    (void)buf_str(out, name);
    (void)buf_int(out, value);
}

void answer_plain(struct buf *out, const char *name, const char *text)
{
    (void)buf_str(out, name);
    (void)buf_char(out, '"');
    (void)buf_str(out, text);
    (void)buf_char(out, '"');
}

void answer_id(struct buf *out, const char *name, const char *prefix, uint32_t salt,
               uint64_t number)
{
    char id[RECORD_ID_SIZE];
    if (number == RECORD_NONE) {
        answer_member(out, name, NULL);
        return;
    }
    record_id(id, prefix, salt, number);
    answer_plain(out, name, id);
}

void answer_flag(struct buf *out, const char *name, bool set)
{
    (void)buf_str(out, name);
    (void)buf_str(out, set ? "true" : "false");
}

/* ---- errors ---- */

void answer_decline_members(const struct card *card, struct buf *out)
{
    answer_plain(out, "{\"type\":", card->error);
    answer_plain(out, ",\"code\":", card->code);
    if (card->decline_code != NULL)
        answer_plain(out, ",\"decline_code\":", card->decline_code);
    answer_plain(out, ",\"message\":", card->message);
}

bool answer_is_declined(const struct intent *intent, struct card *ret_card)
{
    return intent->status == INTENT_REQUIRES_PAYMENT_METHOD && intent->card != NULL &&
           card_find(intent->card, ret_card) && ret_card->code != NULL;
}

static void optional(struct buf *out, const char *name, const char *text)
{
    if (text != NULL)
        answer_member(out, name, text);
}

void answer_error(const struct answer_error *error, const struct intent *intent, uint32_t salt,
                  struct buf *out)
{
    answer_plain(out, "{\"error\":{\"type\":", error->type);
    optional(out, ",\"code\":", error->code);
    optional(out, ",\"decline_code\":", error->decline_code);
    optional(out, ",\"message_code\":", error->message_code);
    optional(out, ",\"param\":", error->param);
    answer_member(out, ",\"message\":", error->message);
    if (intent != NULL) {
        (void)buf_str(out, ",\"payment_intent\":");
        answer_intent(intent, salt, out);
    }
    (void)buf_str(out, "}}");
}

static void answer_decline(const struct intent *intent, const struct card *card, uint32_t salt,
                           struct buf *out)
{
    (void)buf_str(out, "{\"error\":");
    answer_decline_members(card, out);
    answer_id(out, ",\"charge\":", "ch_", salt, intent->number);
    (void)buf_str(out, ",\"payment_intent\":");
    answer_intent(intent, salt, out);
    (void)buf_str(out, "}}");
}

/* ---- records ---- */

static unsigned answer_failure(const struct record *record, uint32_t salt, struct buf *out)
{
    static const struct answer_error bare = {
        .status = 500,
        .type = "api_error",
        .message = "An error occurred on our side; look up what became of it."};
    bool told = record->error == 0 && record->failure.status != 0;
    const struct answer_error *error = told ? &record->failure : &bare;
    answer_error(error, told && record->shown ? &record->intent : NULL, salt, out);
    return error->status;
}

static unsigned answer_intent_record(const struct record *record, uint32_t salt, struct buf *out)
{
    struct card card;
    bool charges = record->kind == RECORD_CHARGE || record->kind == RECORD_CONFIRM;
    if (charges && answer_is_declined(&record->intent, &card) && card.result == CARD_DECLINES) {
        answer_decline(&record->intent, &card, salt, out);
        return 402;
    }
    answer_intent(&record->intent, salt, out);
    return 200;
}

unsigned answer_record(const struct record *record, uint32_t salt, struct buf *out)
{
    if (record->error != 0)
        return answer_failure(record, salt, out);
    switch (record->kind) {
    case RECORD_OPENED:
    case RECORD_FAILED:
        return answer_failure(record, salt, out);
    case RECORD_REFUND:
    case RECORD_REFUND_CHANGE:
        answer_refund(record, salt, out);
        return 200;
    case RECORD_METHOD:
        answer_method(record, salt, out);
        return 200;
    case RECORD_CUSTOMER:
        answer_customer(record, salt, out);
        return 200;
    case RECORD_DISPUTE:
        answer_dispute(record, salt, out);
        return 200;
    case RECORD_CHARGE:
    case RECORD_CHANGE:
    case RECORD_CONFIRM:
        break;
    }
    return answer_intent_record(record, salt, out);
}
