#include "consumer/money/outcome.h"

const char *outcome_text(enum outcome_kind kind)
{
#define OUTCOME_NAME(id, text) text,
    static const char *const names[] = {OUTCOME_MAP(OUTCOME_NAME)};
    return names[kind];
}

bool outcome_of_refund(enum outcome_kind kind)
{
    return kind >= OUTCOME_REFUNDED;
}
