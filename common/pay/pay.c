#include "common/pay/pay.h"

#define PAY_NAME(id, text) text,

const char *pay_outcome_text(enum pay_outcome outcome)
{
    static const char *const names[] = {PAY_OUTCOME_MAP(PAY_NAME)};
    return names[outcome];
}

const char *pay_problem_text(enum pay_problem problem)
{
    static const char *const names[] = {PAY_PROBLEM_MAP(PAY_NAME)};
    return names[problem];
}
