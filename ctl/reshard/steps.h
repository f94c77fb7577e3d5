/*
 * The steps of a change of the number of shards (docs/resharding.md). Each goes by the state in
 * PostgreSQL and may be repeated; each returns an exit code, after printing the problem.
 */
#ifndef CTL_RESHARD_STEPS_H
#define CTL_RESHARD_STEPS_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/ids.h"
#include "ctl/ctl.h"
#include "ctl/progress.h"
#include "ctl/reshard/moves.h"

/* The old exchange stays closed for longer than a producer waits for a confirm (5 s), so that no
 * order gets its 202 through it while another one comes in through the new exchange. */
#define STEPS_CLOSED_MS 6000

struct reshard {
    struct ctl *ctl;
    struct move move;
    struct ids *ids;
    struct progress progress;
    uint64_t closed_ms; /* by our clock: since then the old exchange has no bindings */
    uint64_t opened_ms; /* 0: not by this process */
    uint64_t forwarded;
    char why[MOVES_WHY_SIZE];
};

/* What would have to move at once; too much is a problem. */
MUST_CHECK int steps_check_size(struct reshard *r, struct move_size *ret_size);
/* A shard without a living consumer is a problem. */
MUST_CHECK int steps_check_owners(struct reshard *r);
/* From MOVE_BEGUN or MOVE_CLOSED to MOVE_MOVED; whatever is in the way is undone. */
MUST_CHECK int steps_to_cut(struct reshard *r);
/* From MOVE_MOVED to MOVE_OPEN. */
MUST_CHECK int steps_to_open(struct reshard *r);
/* From MOVE_OPEN to MOVE_DONE. */
MUST_CHECK int steps_to_end(struct reshard *r);
/* Before MOVE_MOVED: orders go on by the old number. */
MUST_CHECK int steps_undo(struct reshard *r);

#endif
