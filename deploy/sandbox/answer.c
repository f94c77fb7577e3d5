#include "deploy/sandbox/answer.h"

#include "deploy/sandbox/answer_member.h"
#include "deploy/sandbox/answer_object.h"

/* ---- errors ---- */

static void optional(struct buf *out, const char *name, const char *text)
{
    if (text != NULL)
        answer_member(out, name, text);
}

void answer_refusal(const struct answer_error *error, const struct intent *intent, uint32_t salt,
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
    bool named = record->error == 0 && record->failure.status != 0;
    const struct answer_error *error = named ? &record->failure : &bare;
    answer_refusal(error, named && record->shown ? &record->intent : NULL, salt, out);
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
