/*
 * What the main() of every daemon does alike: descriptors, signals, --help, --version,
 * --check-config, settings, log, loop, metrics, admin address.
 */
#ifndef COMMON_SERVICE_DAEMON_H
#define COMMON_SERVICE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/base/version.h"
#include "common/service/cfg.h"
#include "common/service/contact.h"
#include "common/service/metrics.h"

#define DAEMON_SERVERS_MAX 4

struct daemon {
    const char *name; /* checkout-producer */
    struct cfg *cfg;
    struct loop *loop;
    struct metrics *metrics;
    struct admin *admin;
    struct stop *stop;
    struct loop_lag *lag;
    struct spans *spans; /* NULL: none are made */
};

struct daemon_program {
    const char *name;     /* checkout-producer */
    const char *summary;  /* one line for --help */
    uint32_t cfg_program; /* CFG_PRODUCER, … */
    /* The servers to contact once before it starts: a wrong setting stops the start, a server that
     * is down does not. Ends with NULL. */
    const struct contact_kind *servers[DAEMON_SERVERS_MAX + 1];
    uint64_t contact_ms; /* how long they may take; 0: 3 s */
    /* Whether it can do its work now; else one line in `ret_why` for each missing thing. For
     * /readyz. */
    bool (*ready)(void *arg, struct buf *ret_why);
    loop_cb drain; /* SIGTERM: finish what was accepted, then call loop_stop */
    void *arg;
};

/*
 * Begins with process_begin(). Returns true with `ret_daemon` filled. False: the process should end
 * now with `ret_exit_code` (0: --help and its siblings; 1: it cannot start; 2: a wrong argument or
 * setting, whose line is on stderr).
 */
MUST_CHECK bool daemon_open(const struct daemon_program *program, int argc, char **argv,
                            struct daemon *ret_daemon, int *ret_exit_code);
/* Frees all of it, once spans that wait are sent, which takes up to a second. Call it after
 * loop_run has returned and the program has freed its own handles, then return process_end(). */
void daemon_close(struct daemon *daemon);

#endif
