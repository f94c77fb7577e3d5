/* A gateway that the test plays, in place of consumer/shard/shard_money.c: it counts what is asked.
 */
#ifndef TESTS_FAKE_MONEY_H
#define TESTS_FAKE_MONEY_H

#include <stddef.h>

#include "consumer/shard/shard_money.h"

struct fake_money {
    size_t taken; /* payments to take care of, in all */
    char last_order[64];
    size_t held;
    size_t forgotten;
    bool calling;
    const char *stopped;
};

/* Zeroed by the test. */
extern struct fake_money fake_money;

#endif
