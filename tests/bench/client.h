/* What the load generators share: connections, tokens, orders as HTTP, times. Quits on any trouble
 * of its own: a bench that limps on measures nothing. */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

/* Prints a line on stderr and ends the process. */
_Noreturn void client_die(const char *format, ...) PRINTF_LIKE(1, 2);

uint64_t client_now_us(void);

/* A connected non-blocking TCP socket to "127.0.0.1:8080". */
int client_connect(const char *address);

/* Bearer tokens, one a line. */
struct client_tokens {
    char **lines;
    size_t count;
};
struct client_tokens client_tokens_read(const char *path);

/* What every order of a run has in common. */
struct client_order {
    const char *address;
    const char *key_prefix; /* of Idempotency-Keys and references; differs between runs */
    const char *method;     /* payment method, or several in turn, separated by commas */
    uint32_t items;         /* SKUs bench-000000 … are ordered at random; 1: a hot item */
};

#define CLIENT_REQUEST_MAX 4096

/* Writes the POST of order `number`; its `reference` is "<key_prefix>.<number>". Returns its
 * length. */
size_t client_request(const struct client_order *order, const char *token, uint64_t number,
                      char out[CLIENT_REQUEST_MAX]);

/* 0: not complete yet; else the bytes of the first answer in `data`, with its status. */
size_t client_answer(const char *data, size_t len, int *ret_status);

/* Sorts `us` and prints `"<name>p50_us":…,"<name>p99_us":…,"<name>max_us":…`. */
void client_print_times(const char *name, uint32_t *us, size_t count);

#endif
