#include "ctl/orders/order_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/shop/status.h"
#include "ctl/human.h"

#define COLUMNS 80

static bool is(const char *text, const char *expected)
{
    return text != NULL && strcmp(text, expected) == 0;
}

static const char *reason_words(const char *reason)
{
    if (reason == NULL)
        return "no reason is recorded";
    enum order_reason known = order_reason_of(reason);
    return known == ORDER_REASON_NONE ? reason : order_reason_meaning(known);
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

/* Its new state, other than waiting. */
static void tell_state(const struct order_teller *teller, const struct order_step *step,
                       enum order_state state, struct buf *out)
{
    bool first = step->sequence == 1;
    switch (state) {
    case ORDER_STATE_RESERVED:
        if (teller->reserved)
            (void)buf_str(out, "The buyer must act at the bank: its units stay held meanwhile");
        else
            (void)buf_str(out, first ? "reserved at once, its units are held"
                                     : "Its turn came: reserved, its units are held");
        return;
    case ORDER_STATE_CONFIRMED:
        (void)buf_str(out, "Confirmed: it is paid, its units are sold");
        return;
    case ORDER_STATE_REJECTED:
        (void)buf_printf(out, "%s, %s", first ? "rejected" : "Rejected",
                         reason_words(step->reason));
        return;
    case ORDER_STATE_CANCELLED:
        (void)buf_str(out, first ? "cancelled, as its buyer had asked earlier"
                                 : "Cancelled by its buyer");
        return;
    case ORDER_STATE_REFUNDED:
        (void)buf_str(out, "Refunded: the money went back");
        return;
    case ORDER_STATE_NONE:
    case ORDER_STATE_QUEUED:
    case ORDER_STATE_WAITING:
    case ORDER_STATE_COUNT:
        break;
    }
    (void)buf_printf(out, "it became %s", step->status);
}

static void tell_change(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    enum order_state state = order_state_of(step->status);
    bool first = step->sequence == 1;
    if (first)
        (void)buf_printf(out, "It reached the consumer of shard %s: ", teller->shard);
    if (state == ORDER_STATE_WAITING) {
        (void)buf_printf(out, "%s number %s on the waitlist of its item.",
                         first ? "waiting, as" : "waiting as",
                         step->place == NULL ? "(not recorded)" : step->place);
        teller->waiting_since_ms = step->at_ms;
        return;
    }
    tell_state(teller, step, state, out);
    after(out, " on the waitlist", teller->waiting_since_ms, step->at_ms);
    (void)buf_char(out, '.');
    teller->reserved = state == ORDER_STATE_RESERVED;
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
    if (payment_state_of(step->status) == PAYMENT_STATE_CAPTURED)
        (void)buf_str(out, "the gateway took the money");
    else if (payment_state_of(step->status) == PAYMENT_STATE_DECLINED)
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
    char money[HUMAN_MONEY_SIZE];
    human_money(step->amount, step->currency, money);
    (void)buf_printf(out, "Payment attempt %s began: %s, idempotency key %s.", step->attempt, money,
                     step->key);
    if (payment_state_of(step->status) == PAYMENT_STATE_OPEN && step->code != NULL)
        (void)buf_printf(out, " It is open; the gateway's newest answer is \"%s\".", step->code);
    else if (payment_state_of(step->status) == PAYMENT_STATE_OPEN)
        (void)buf_str(out, " It is open: no definite answer of the gateway is recorded.");
}

static void tell_refund(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    teller->refund_since_ms = step->at_ms;
    char money[HUMAN_MONEY_SIZE];
    human_money(step->amount, step->currency, money);
    (void)buf_printf(out, "Refund of %s began, %s; the gateway's id of the payment is %s.", money,
                     is(step->what, "requested") ? "as an operator asked"
                                                 : "as the gateway took money for a closed order",
                     step->intent);
    if (refund_state_of(step->status) == REFUND_STATE_OPEN && step->code != NULL)
        (void)buf_printf(out, " It is open; the gateway's newest answer is \"%s\".", step->code);
    else if (refund_state_of(step->status) == REFUND_STATE_OPEN)
        (void)buf_str(out, " It is open: no definite answer of the gateway is recorded.");
}

static void tell_returned(const struct order_teller *teller, const struct order_step *step,
                          struct buf *out)
{
    if (is(step->what, "outside")) {
        (void)buf_printf(out,
                         "The money went back outside of the gateway, as an operator says: %s.",
                         step->result == NULL ? "no reason is recorded" : step->result);
        return;
    }
    (void)buf_str(out, refund_state_of(step->status) == REFUND_STATE_SUCCEEDED
                           ? "The gateway refunded the money"
                           : "The gateway refused the refund");
    after(out, "", teller->refund_since_ms, step->at_ms);
    if (step->code != NULL && step->code[0] != '\0')
        (void)buf_printf(out, ", answer \"%s\"", step->code);
    if (step->intent != NULL)
        (void)buf_printf(out, ", its id of the refund is %s", step->intent);
    (void)buf_printf(out, "; idempotency key %s.", step->key);
}

static void tell_elsewhere(const struct order_step *step, struct buf *out)
{
    bool refund = is(step->what, "refund");
    char money[HUMAN_MONEY_SIZE];
    human_money(step->amount, step->currency, money);
    (void)buf_printf(out, "At the gateway, and not by us, %s ", money);
    if (refund && is(step->status, "succeeded"))
        (void)buf_printf(out, "went back: refund %s", step->intent);
    else if (refund)
        (void)buf_printf(out, "did not go back: refund %s is %s", step->intent, step->status);
    else if (is(step->status, "won") || is(step->status, "lost"))
        (void)buf_printf(out, "are not disputed any more: dispute %s is %s", step->intent,
                         step->status);
    else
        (void)buf_printf(out, "are disputed: dispute %s is %s", step->intent, step->status);
    if (step->reason != NULL)
        (void)buf_printf(out, " (%s)", step->reason);
    (void)buf_char(out, '.');
}

static void tell_asked(const struct order_step *step, struct buf *out)
{
    bool of_buyer = step->asked_by == NULL || is(step->asked_by, "buyer");
    if (is(step->what, "cancel") && of_buyer)
        (void)buf_str(out, "Its buyer asked to cancel it");
    else if (is(step->what, "cancel") || is(step->what, "refund"))
        (void)buf_printf(out, "Operator %s asked to %s it", step->asked_by, step->what);
    else if (is(step->what, "resolve"))
        (void)buf_printf(out, "Operator %s asked to resolve its payment", step->asked_by);
    else if (is(step->what, "readmit"))
        (void)buf_str(out, "Its dead letter was replayed");
    else if (is(step->what, "restock"))
        (void)buf_printf(out, "Operator %s restocked its item by %s", step->asked_by,
                         step->units == NULL ? "(not recorded)" : step->units);
    else if (is(step->what, "set"))
        (void)buf_printf(out, "Operator %s changed its item", step->asked_by);
    else if (is(step->what, "pause shard") || is(step->what, "resume shard"))
        (void)buf_printf(out, "Operator %s asked to %.*s its whole shard", step->asked_by,
                         (int)strcspn(step->what, " "), step->what);
    else if (is(step->what, "pause") || is(step->what, "resume"))
        (void)buf_printf(out, "Operator %s asked to %s its item", step->asked_by, step->what);
    else
        (void)buf_printf(out, "%s asked: %s", step->asked_by, step->what);
    if (command_state_of(step->status) == COMMAND_STATE_PENDING)
        (void)buf_str(out, "; that is not executed yet.");
    else
        (void)buf_printf(out, "; %s: %s.", step->status,
                         step->result == NULL ? "no result is recorded" : step->result);
}

void order_text_step(struct order_teller *teller, const struct order_step *step, struct buf *out)
{
    if (is(step->kind, "accepted"))
        (void)buf_str(out, "The producer accepted it (by the producer's own clock).");
    else if (is(step->kind, "event"))
        tell_event(teller, step, out);
    else if (is(step->kind, "payment"))
        tell_payment(teller, step, out);
    else if (is(step->kind, "answer"))
        tell_answer(teller, step, out);
    else if (is(step->kind, "elsewhere"))
        tell_elsewhere(step, out);
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
