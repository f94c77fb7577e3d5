/*
 * The other processes on our port (SO_REUSEPORT): asks them whether they take orders, and answers
 * them. Over datagram sockets in the abstract namespace, which processes share exactly if they can
 * share a port: one network namespace. Only words of processes of our own user count.
 */
#ifndef PRODUCER_NEIGHBOURS_H
#define PRODUCER_NEIGHBOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"

struct neighbours;

/* Whether this process listens and takes orders now. */
typedef bool (*neighbours_cb)(void *arg);

/* `address`: what they share, "host:port"; copied. NULL: no memory, no socket, or 64 processes are
 * there already. */
struct neighbours *neighbours_new(struct loop *loop, const char *address, neighbours_cb takes,
                                  void *arg);
void neighbours_free(struct neighbours *neighbours); /* NULL is allowed, here and below */

/* Asks all of them now; the answers come later. */
void neighbours_ask(struct neighbours *neighbours);
/*
 * Another process took orders at this time or later, by our monotonic clock in ms: when the newest
 * question was asked that one has answered so. 0: none since we last said it ourselves. So of
 * processes that leave by each other's words, each has said it later than the one that relies on
 * it, and the last to say it stays.
 */
uint64_t neighbours_heard_ms(const struct neighbours *neighbours);

#endif
