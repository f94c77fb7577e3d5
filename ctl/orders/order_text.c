#include "ctl/orders/order_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"
#include "ctl/human.h"

#define COLUMNS 80

static bool is(const char *text, const char *expected)
{
    return text != NULL && strcmp(text, expected) == 0;
}

static const char *reason_words(const char *reason)
{
    static const struct {
        const char *reason;
        const char *words;
    } known[] = {
        {"sold_out", "sold out, fewer units were left than it wants"},
        {"payment_declined", "the payment was declined"},
        {"payment_failed", "the payment failed"},
        {"limit_exceeded", "its buyer would have had more units than one user may"},
        {"unknown_item", "there is no such item"},
        {"not_on_sale", "the item was not on sale at that moment"},
        {"price_changed", "the buyer had seen another price"},
        {"expired", "it had waited in line for the longest time allowed"},
        {"invalid", "what was ordered was not valid"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (is(reason, known[i].reason))
            return known[i].words;
    return reason == NULL ? "no reason is recorded" : reason;
}

/* " after 1.2s"; nothing if it is not known since when. */
static void after(struct buf *out, const char *words, int64_t since_ms, int64_t at_ms)
{
    char age[HUMAN_SIZE];
    if (since_ms == 0 || at_ms < since_ms)
        return;
    human_age(at_ms - since_ms, age);
    (void)buf_printf(out, ", after %s%s", age, words);
}

static void tell_change(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    bool first = step->sequence == 1;
    if (first)
        (void)buf_printf(out, "It came to the counter of shard %s: ", teller->shard);
    if (is(step->status, "waiting")) {
        (void)buf_printf(out, "%s number %s in the line of its item.",
                         first ? "waiting, as" : "waiting as",
                         step->place == NULL ? "(not recorded)" : step->place);
        teller->waiting_since_ms = step->at_ms;
        return;
    }
    if (is(step->status, "reserved") && teller->reserved)
        (void)buf_str(out, "The buyer was asked to act at the bank: its units stay held meanwhile");
    else if (is(step->status, "reserved"))
        (void)buf_str(out, first ? "reserved at once, its units are held"
                                 : "Its turn came: reserved, its units are held");
    else if (is(step->status, "confirmed"))
        (void)buf_str(out, "Confirmed: it is paid, its units are sold");
    else if (is(step->status, "rejected"))
        (void)buf_printf(out, "%s, %s", first ? "rejected" : "Rejected",
                         reason_words(step->reason));
    else if (is(step->status, "cancelled"))
        (void)buf_str(out, first ? "cancelled, as its buyer had asked before"
                                 : "Cancelled by its buyer");
    else if (is(step->status, "refunded"))
        (void)buf_str(out, "Refunded: the money went back");
    else
        (void)buf_printf(out, "it became %s", step->status);
    after(out, " in line", teller->waiting_since_ms, step->at_ms);
    (void)buf_char(out, '.');
    teller->reserved = is(step->status, "reserved");
    teller->waiting_since_ms = 0;
}

static void tell_event(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    tell_change(teller, step, out);
    if (step->member != NULL && step->epoch != NULL)
        (void)buf_printf(out, " Decided by %s, epoch %s;", step->member, step->epoch);
    else
        (void)buf_str(out, " Who decided it is not recorded;");
    if (is(step->relayed, "f"))
        (void)buf_str(out, " not relayed to the buyer's channel yet.");
    else if (step->relayed_at != NULL)
        (void)buf_printf(out, " relayed to the buyer's channel by %s.", step->relayed_at);
    else
        (void)buf_str(out, " relayed to the buyer's channel, when is not recorded.");
}

static void tell_answer(const struct order_teller *teller, const struct order_step *step,
                        struct buf *out)
{
    (void)buf_printf(out, "Payment attempt %s: ", step->attempt);
    if (is(step->status, "captured"))
        (void)buf_str(out, "the gateway took the money");
    else if (is(step->status, "declined"))
        (void)buf_str(out, "the gateway declined it");
    else
        (void)buf_printf(out, "it ended as %s", step->status);
    after(out, "", teller->payment_since_ms, step->at_ms);
    if (step->code != NULL)
        (void)buf_printf(out, ", answer \"%s\"", step->code);
    if (step->intent != NULL)
        (void)buf_printf(out, ", the gateway's id %s", step->intent);
    else
        (void)buf_str(out, ", no id of the gateway is recorded");
    (void)buf_char(out, '.');
}

static void tell_payment(struct order_teller *teller, const struct order_step *step,
                         struct buf *out)
{
    teller->payment_since_ms = step->at_ms;
    (void)buf_printf(out, "Payment attempt %s began: %s %s (minor units), idempotency key %s.",
                     step->attempt, step->amount, step->currency, step->key);
    if (is(step->status, "open") && step->code != NULL)
        (void)buf_printf(out, " It is open; the gateway's newest answer is \"%s\".", step->code);
    else if (is(step->status, "open"))
        (void)buf_str(out, " It is open: no definite answer of the gateway is recorded.");
}

static void tell_refund(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    teller->refund_since_ms = step->at_ms;
    (void)buf_printf(
        out, "Refund of %s %s (minor units) began, %s; the gateway's id of the payment is %s.",
        step->amount, step->currency,
        is(step->what, "requested") ? "as an operator asked"
                                    : "as the gateway took money for nothing",
        step->intent);
    if (is(step->status, "open") && step->code != NULL)
        (void)buf_printf(out, " It is open; the gateway's newest answer is \"%s\".", step->code);
    else if (is(step->status, "open"))
        (void)buf_str(out, " It is open: no definite answer of the gateway is recorded.");
}

static void tell_returned(const struct order_teller *teller, const struct order_step *step,
                          struct buf *out)
{
    (void)buf_str(out, is(step->status, "succeeded") ? "The gateway gave the money back"
                                                     : "The gateway refused to give it back");
    after(out, "", teller->refund_since_ms, step->at_ms);
    if (step->code != NULL && step->code[0] != '\0')
        (void)buf_printf(out, ", answer \"%s\"", step->code);
    if (step->intent != NULL)
        (void)buf_printf(out, ", its id of the refund is %s", step->intent);
    (void)buf_printf(out, "; idempotency key %s.", step->key);
}

static void tell_asked(const struct order_step *step, struct buf *out)
{
    if (is(step->what, "cancel"))
        (void)buf_str(out, "Its buyer asked to cancel it");
    else if (is(step->what, "restock"))
        (void)buf_printf(out, "Operator %s restocked its item by %s", step->asked_by,
                         step->units == NULL ? "(not recorded)" : step->units);
    else if (is(step->what, "refund"))
        (void)buf_printf(out, "Operator %s asked to refund it", step->asked_by);
    else if (is(step->what, "pause shard") || is(step->what, "resume shard"))
        (void)buf_printf(out, "Operator %s asked to %.*s its whole shard", step->asked_by,
                         (int)strcspn(step->what, " "), step->what);
    else if (is(step->what, "pause") || is(step->what, "resume"))
        (void)buf_printf(out, "Operator %s asked to %s its item", step->asked_by, step->what);
    else
        (void)buf_printf(out, "%s asked: %s", step->asked_by, step->what);
    if (is(step->status, "pending"))
        (void)buf_str(out, "; that is not executed yet.");
    else
        (void)buf_printf(out, "; %s: %s.", step->status,
                         step->result == NULL ? "no result is recorded" : step->result);
}

void order_text_step(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    if (is(step->kind, "accepted"))
        (void)buf_str(out, "The door accepted it (by the door's own clock).");
    else if (is(step->kind, "event"))
        tell_event(teller, step, out);
    else if (is(step->kind, "payment"))
        tell_payment(teller, step, out);
    else if (is(step->kind, "answer"))
        tell_answer(teller, step, out);
    else if (is(step->kind, "refund"))
        tell_refund(teller, step, out);
    else if (is(step->kind, "returned"))
        tell_returned(teller, step, out);
    else
        tell_asked(step, out);
}

bool order_text_is_id(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == 'x' ? isxdigit((unsigned char)text[i]) == 0 : text[i] != '-')
            return false;
    return true;
}

void order_text_print(const char *head, const char *text)
{
    size_t indent = strlen(head);
    size_t column = indent;
    (void)fputs(head, stdout);
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > COLUMNS) {
            (void)printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            (void)putchar(' ');
            column++;
        }
        (void)printf("%.*s", (int)word, text);
        column += word;
        text += word + strspn(text + word, " ");
    }
    (void)putchar('\n');
}
