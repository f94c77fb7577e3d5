/* The pool as the database shows it: its members, the shards and their standbys. */
#ifndef CTL_POOL_POOL_VIEW_H
#define CTL_POOL_POOL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/assignment.h"
#include "ctl/ctl.h"

#define VIEW_TEXT_SIZE 160
#define VIEW_UNKNOWN (-1) /* an unknown number */
#define VIEW_LIVE_MS 5000 /* older heartbeats do not count; the pool's members judge alike */

struct view_member {
    int64_t id;
    char name[VIEW_TEXT_SIZE];
    char host[VIEW_TEXT_SIZE];
    char version[VIEW_TEXT_SIZE];
    char started_at[VIEW_TEXT_SIZE];
    char node[VIEW_TEXT_SIZE]; /* of RabbitMQ, "": none */
    int64_t pid;
    int64_t heartbeat;
    int64_t heartbeat_age_ms;
    bool ready;  /* its connection to RabbitMQ stands */
    bool locked; /* its session lock is held: the process lives */
    uint32_t owned;
    uint32_t standby;
};

struct view_shard {
    uint32_t shard;
    int64_t epoch;
    int64_t owner; /* member id; 0: released */
    char owner_name[VIEW_TEXT_SIZE];
    int64_t since_ms; /* VIEW_UNKNOWN: never taken */
    bool paused;
    int64_t waiting;
    int64_t waiting_ms; /* of the longest; VIEW_UNKNOWN: none */
    int64_t open_payments;
    int64_t payment_ms;
    int64_t unrelayed;
    int64_t unrelayed_ms;
    double decided_per_s;
    struct assignment_place place;
    int64_t queued;               /* messages in the broker's queue; VIEW_UNKNOWN */
    int64_t consumers;            /* of the queue; VIEW_UNKNOWN */
    char stopped[VIEW_TEXT_SIZE]; /* why payments are stopped; "": they go on */
};

struct pool_view {
    struct view_member *members;
    size_t member_count;
    struct view_shard *shards;
    size_t shard_count;
    int64_t dead_letters; /* in checkout.dead; VIEW_UNKNOWN */
};

/* Reads members and shards, and assigns. 0 with `ret_view` (pool_view_free), or an exit code after
 * printing the problem. */
MUST_CHECK int pool_view_read(struct ctl *ctl, struct pool_view *ret_view);
/* Reads from the broker, if it is connected, how full each queue is. */
void pool_view_read_queues(struct ctl *ctl, struct pool_view *view);
void pool_view_free(struct pool_view *view);

/* Alive and ready: the pool assigns shards to it. */
bool view_member_ready(const struct view_member *member);
/* NULL if there is none (ASSIGNMENT_NONE, or it has left). */
const struct view_member *pool_view_member(const struct pool_view *view, int64_t id);
/* The member that takes the shard over next: the assigned owner if it is not the present one, else
 * the standby; NULL: none. */
const struct view_member *pool_view_next(const struct pool_view *view,
                                         const struct view_shard *shard);
/* The age of the oldest order that waits or is being paid for; VIEW_UNKNOWN: none. */
int64_t view_shard_oldest_ms(const struct view_shard *shard);
/* In how many shards of `owner` (ASSIGNMENT_NONE: of all) payments are stopped, and why in the
 * first of them. */
size_t pool_view_stopped(const struct pool_view *view, int64_t owner, const char **ret_why);
/* A note for operators, or "". */
void pool_view_note(const struct pool_view *view, const struct view_shard *shard,
                    char ret_note[VIEW_TEXT_SIZE]);

#endif
