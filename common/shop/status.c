#include "common/shop/status.h"

#include <stddef.h>
#include <string.h>

#define WORD(name, word, ...) word,

static const char *const order_states[] = {"", ORDER_STATE_MAP(WORD)};
static const char *const order_reasons[] = {"", ORDER_REASON_MAP(WORD)};
static const char *const payment_states[] = {"", PAYMENT_STATE_MAP(WORD)};
static const char *const refund_states[] = {"", REFUND_STATE_MAP(WORD)};
static const char *const command_states[] = {"", COMMAND_STATE_MAP(WORD)};

#define MEANING(name, word, meaning) meaning,
static const char *const meanings[] = {"", ORDER_REASON_MAP(MEANING)};
#define FINAL(name, word, final) final,
static const bool finals[] = {false, ORDER_STATE_MAP(FINAL)};

/* The index of a word among `count`; the first means none. */
static int find(const char *const *words, int count, const char *word)
{
    for (int i = 1; word != NULL && i < count; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return 0;
}

enum order_state order_state_of(const char *word)
{
    return (enum order_state)find(order_states, ORDER_STATE_COUNT, word);
}

enum order_reason order_reason_of(const char *word)
{
    return (enum order_reason)find(order_reasons, ORDER_REASON_COUNT, word);
}

enum payment_state payment_state_of(const char *word)
{
    return (enum payment_state)find(payment_states, PAYMENT_STATE_COUNT, word);
}

enum refund_state refund_state_of(const char *word)
{
    return (enum refund_state)find(refund_states, REFUND_STATE_COUNT, word);
}

enum command_state command_state_of(const char *word)
{
    return (enum command_state)find(command_states, COMMAND_STATE_COUNT, word);
}

const char *order_state_word(enum order_state state)
{
    return order_states[state];
}

const char *order_reason_word(enum order_reason reason)
{
    return order_reasons[reason];
}

const char *payment_state_word(enum payment_state state)
{
    return payment_states[state];
}

const char *refund_state_word(enum refund_state state)
{
    return refund_states[state];
}

const char *command_state_word(enum command_state state)
{
    return command_states[state];
}

bool order_state_final(enum order_state state)
{
    return finals[state];
}

const char *order_reason_meaning(enum order_reason reason)
{
    return meanings[reason];
}
