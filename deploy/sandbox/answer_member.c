#include "deploy/sandbox/answer_member.h"

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
