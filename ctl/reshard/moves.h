/* What `checkoutctl reshard` asks PostgreSQL: schemas/sql/functions/reshard.sql. */
#ifndef CTL_RESHARD_MOVES_H
#define CTL_RESHARD_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

enum move_state {
    MOVE_NONE, /* no change is under way */
    MOVE_BEGUN,
    MOVE_CLOSED,
    MOVE_MOVED,
    MOVE_OPEN,
    MOVE_DONE,
    MOVE_UNDOING,
    MOVE_UNDONE,
};

struct move {
    int64_t id;
    uint32_t from;
    uint32_t to;
    enum move_state state;
};

struct move_size {
    int64_t items;
    int64_t waiting;
    int64_t payments;
    int64_t others;
};

#define MOVES_WHY_SIZE 512

/* All of these return an exit code, after printing the problem. PostgreSQL is met. */

/* A database that lacks what buyers have seen (a restore, an old primary) is a problem: what the
 * broker has is then of another time. */
MUST_CHECK int moves_check_database(struct ctl *ctl);
/* No other process changes the number meanwhile. */
MUST_CHECK int moves_lock(struct ctl *ctl);
/* The change that is under way. */
MUST_CHECK int moves_read(struct ctl *ctl, struct move *ret_move);
MUST_CHECK int moves_size(struct ctl *ctl, struct move_size *ret_size);
/* Why the number cannot become `to`, "": it can. */
MUST_CHECK int moves_problem(struct ctl *ctl, uint32_t to, char ret_why[MOVES_WHY_SIZE]);
/* In the name of `by`. */
MUST_CHECK int moves_begin(struct ctl *ctl, uint32_t to, const char *by);
/* The new shards of all items that have none yet. */
MUST_CHECK int moves_place_items(struct ctl *ctl, uint32_t to);
/* Goes on to this state; move->state is what it is then. */
MUST_CHECK int moves_step(struct ctl *ctl, struct move *move, enum move_state to);
/* Tries to put the new number into service: move->state is MOVE_MOVED, or `ret_why` says why it
 * cannot be done now. */
MUST_CHECK int moves_cut(struct ctl *ctl, struct move *move, char ret_why[MOVES_WHY_SIZE]);
/* Shards of this number that no consumer owns. */
MUST_CHECK int moves_unowned(struct ctl *ctl, uint32_t shards, uint32_t *ret_unowned);

const char *moves_word(enum move_state state);

#endif
