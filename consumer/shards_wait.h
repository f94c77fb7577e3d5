/* Before all else a consumer must know how many shards there are, and PostgreSQL says it. */
#ifndef CONSUMER_SHARDS_WAIT_H
#define CONSUMER_SHARDS_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/service/cfg.h"

/* Zero, before. */
struct shards_wait {
    struct loop *loop;
    struct pg *session;
    struct loop_timer *again;
    uint32_t shards;
    bool asked;     /* an answer is to come */
    bool none_said; /* that no shards are in service */
};

/* The number of the setting. Without it: runs the loop until PostgreSQL says the number, which it
 * is asked each second, or somebody else stops the loop: then 0. Also 0 without memory. */
MUST_CHECK uint32_t shards_wait_run(struct shards_wait *wait, struct loop *loop,
                                    const struct cfg *cfg);
/* PostgreSQL has another number than `shards`: logs it. True: no setting forbids to follow. */
bool shards_wait_again(const struct cfg *cfg, uint32_t shards, int64_t serving);
/* What it waits for; valid until the next turn. */
const char *shards_wait_why(const struct shards_wait *wait);

#endif
