/* The payment gateway as a rival's backend calls it: one blocking call, the order as its key. */
#ifndef TESTS_BENCH_STRATEGIES_GATEWAY_H
#define TESTS_BENCH_STRATEGIES_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

struct gateway;

void gateway_begin(void); /* once, before the threads */
/* Ends the process if memory is short. `url`, `key` must outlive it. */
struct gateway *gateway_new(const char *url, const char *key);
void gateway_free(struct gateway *gateway);

/* Charges 1999 usd for order `number`. True: captured; false: declined. Asks again under the same
 * key until the answer is one of both. */
bool gateway_charge(struct gateway *gateway, uint32_t number);

#endif
