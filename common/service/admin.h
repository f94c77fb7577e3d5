/* The admin address of a daemon: /livez, /readyz, /metrics. */
#ifndef COMMON_SERVICE_ADMIN_H
#define COMMON_SERVICE_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/service/metrics.h"

struct admin;

typedef bool (*admin_ready_cb)(void *arg, struct buf *ret_why);

/*
 * Serves on host:port (0 takes a free one) and logs the address. /readyz: 200 "ready", else 503 and
 * the lines of `ready`. `metrics` must outlive it. ERR_UNAVAILABLE: it cannot bind the address.
 */
MUST_CHECK int admin_open(struct loop *loop, const char *host, uint16_t port,
                          const struct metrics *metrics, admin_ready_cb ready, void *arg,
                          struct admin **ret_admin);
void admin_close(struct admin *admin);

#endif
