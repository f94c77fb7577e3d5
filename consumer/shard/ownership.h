/*
 * Whether a shard is ours: the epoch machine. A take-over bumps the shard's epoch in PostgreSQL
 * before anything else; we serve the shard under that epoch until we release it, are fenced, or
 * lose the database session that the epoch belongs to. Pure: events come in, actions come out.
 */
#ifndef CONSUMER_SHARD_OWNERSHIP_H
#define CONSUMER_SHARD_OWNERSHIP_H

#include <stdbool.h>
#include <stdint.h>

enum ownership_state {
    OWNERSHIP_NONE,      /* not ours */
    OWNERSHIP_TAKING,    /* the take-over is under way */
    OWNERSHIP_SERVING,   /* deciding, charging, settling */
    OWNERSHIP_YIELDING,  /* no new jobs; finishing open work */
    OWNERSHIP_RELEASING, /* its release in PostgreSQL is under way */
    OWNERSHIP_STATES
};

enum ownership_event {
    OWNERSHIP_ASKED,        /* the bump was sent */
    OWNERSHIP_TAKEN,        /* the epoch is bumped */
    OWNERSHIP_PASSED,       /* the shard's epoch is not the one that we read */
    OWNERSHIP_REFUSED,      /* the database refuses the take-over */
    OWNERSHIP_ANSWER_LOST,  /* unknown whether the bump was committed */
    OWNERSHIP_SESSION_LOST, /* the epoch cannot be used any more, but the shard may still be ours */
    OWNERSHIP_FENCED,       /* another member took the shard over */
    OWNERSHIP_YIELD,        /* we must release the shard */
    OWNERSHIP_DRAINED,      /* no open work is left */
    OWNERSHIP_RELEASED,     /* the release was answered, or could not be sent */
    OWNERSHIP_EVENTS
};

enum ownership_action {
    OWNERSHIP_IGNORE,  /* the event has no meaning in this state, which stays */
    OWNERSHIP_GO_ON,   /* the state alone changes */
    OWNERSHIP_SERVE,   /* open the writer and the relay under the new epoch */
    OWNERSHIP_SUSPEND, /* close writer and relay; deliveries and payments are kept */
    OWNERSHIP_DRAIN,   /* take no new jobs, begin no new payments */
    OWNERSHIP_RELEASE, /* release it in PostgreSQL */
    OWNERSHIP_DROP,    /* forget all memory of it, reopen the channel */
};

struct ownership {
    enum ownership_state state;
    int64_t epoch;        /* of our present service; 0: we do not serve it */
    int64_t resume_epoch; /* of our service when its session was lost; 0: we did not serve it */
    uint64_t taken_ms;    /* monotonic: when serving began */
};

/* Handles an event: changes the state; the caller carries out the action. `epoch`: with
 * OWNERSHIP_TAKEN, the new one. */
enum ownership_action ownership_happen(struct ownership *ownership, enum ownership_event event,
                                       int64_t epoch, uint64_t now_ms);

/* We serve it: transactions may be sent. */
bool ownership_serving(const struct ownership *ownership);
/* We hold an epoch, or are taking or releasing one. */
bool ownership_held(const struct ownership *ownership);
/* The table shows a later epoch than ours. */
bool ownership_behind(const struct ownership *ownership, int64_t epoch);

/* Our own reason to take the shard over (static); NULL: none. We served it when its session was
 * lost (then only from resume_epoch on), or the broker feeds us (`fed`). */
const char *ownership_wanted(const struct ownership *ownership, bool fed);

const char *ownership_state_name(enum ownership_state state);

#endif
