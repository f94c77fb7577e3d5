/*
 * Whether this member can do its job, judged before each heartbeat: ready means that it decides the
 * orders of the shards assigned to it. It judges by effects what it cannot see directly (the broker
 * does not report whom it feeds). Pure.
 *
 * After a cause of its own (all but a lost server and our leaving) the member stays not ready for a
 * while, longer each time, so that shards do not move to and fro.
 */
#ifndef CONSUMER_POOL_READINESS_H
#define CONSUMER_POOL_READINESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define READINESS_SESSION_MS 2000 /* a database session may be lost for so long */
#define READINESS_FEED_MS 5000    /* a channel may take so long to open, a shard to come to us */
#define READINESS_COMMIT_MS 10000 /* work may wait so long for a commit */
#define READINESS_TAKE_MS 10000   /* a shard that no member holds may wait so long for us */
#define READINESS_HOLD_MIN_MS 30000
#define READINESS_HOLD_MAX_MS 600000

enum readiness_cause {
    READINESS_READY,
    READINESS_LEAVING,
    READINESS_OUTDATED,  /* this version does not know a task */
    READINESS_BROKER,    /* it is not connected */
    READINESS_SESSION,   /* a necessary database session is missing */
    READINESS_CHANNEL,   /* the broker opens no channel for a shard of ours */
    READINESS_UNFED,     /* the broker feeds another member with a shard of ours */
    READINESS_NOT_TAKEN, /* we have not taken over a shard that is assigned to us and free */
    READINESS_STALLED,   /* a shard has work without a commit */
};

/* The part that is the same for all shards. */
struct readiness_member {
    bool leaving;
    bool outdated;
    bool broker_up;
    bool sessions_up; /* all of them */
    bool observed;    /* our own heartbeats have succeeded without a gap for some seconds */
};

/* One shard. */
struct readiness_shard {
    bool assigned;  /* we are its assigned owner */
    bool serving;   /* we serve it */
    int64_t epoch;  /* by the table */
    bool elsewhere; /* by the table, another live member owns it */
    bool channel_open;
    bool fed;            /* by the present channel */
    uint64_t stalled_ms; /* how long it has had work without a commit; 0: it has none */
};

/* Of each shard, from one judgement to the next. */
struct readiness_memory {
    uint64_t closed_since_ms;  /* assigned, and its channel is not open; 0: it is */
    uint64_t open_since_ms;    /* 0: it is not open */
    uint64_t untaken_since_ms; /* assigned, and held by no member; 0: it is held */
    int64_t fenced_epoch; /* the epoch that we lost to another member; 0: none, or already judged */
    uint64_t fenced_open_ms;    /* how long the channel was open then */
    unsigned failed_handovers;  /* in a row: it came to us, and the broker fed another member */
    uint64_t first_handover_ms; /* when the first of these failed */
};

struct readiness {
    uint32_t shards;
    struct readiness_memory *of_shard;
    uint64_t session_lost_ms;  /* when a session was first missing; 0: none is */
    bool sessions_seen;        /* all were up once */
    enum readiness_cause held; /* why it is not ready until … */
    uint32_t held_shard;
    uint64_t held_until_ms;
    uint64_t hold_ms; /* the newest hold */
    uint64_t incident_ms;
    bool troubled; /* the newest judgement is about a shard */
};

struct readiness_verdict {
    enum readiness_cause cause;
    uint32_t shard; /* with the causes of a shard */
    bool move;      /* connect to another node of the broker: it may feed us */
};

/* 0 or ERR_NOMEM; readiness_free is allowed after either. */
MUST_CHECK int readiness_init(struct readiness *readiness, uint32_t shards);
void readiness_free(struct readiness *readiness);

/* Another member took over the shard that we served under `epoch`. */
void readiness_fenced(struct readiness *readiness, uint32_t shard, int64_t epoch, uint64_t now_ms);
/* `shards` has all of them. */
struct readiness_verdict readiness_judge(struct readiness *readiness,
                                         const struct readiness_member *member,
                                         const struct readiness_shard *shards, uint64_t now_ms);
/* A line for people. */
void readiness_say(const struct readiness_verdict *verdict, struct buf *out);

#endif
