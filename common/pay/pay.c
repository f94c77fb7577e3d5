#include "common/pay/pay.h"

const char *pay_outcome_text(enum pay_outcome outcome)
{
#define PAY_OUTCOME_NAME(id, text) text,
    static const char *const names[] = {PAY_OUTCOME_MAP(PAY_OUTCOME_NAME)};
    return names[outcome];
}

const char *pay_problem_text(enum pay_problem problem)
{
    switch (problem) {
    case PAY_NO_PROBLEM:
        return NULL;
    case PAY_USE_ANOTHER_METHOD:
        return "use_another_method";
    case PAY_WRONG_AMOUNT:
        return "amount";
    case PAY_WRONG_CURRENCY:
        return "currency";
    case PAY_TRY_AGAIN:
        return "try_again";
    }
    return NULL;
}
