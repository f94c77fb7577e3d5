/*
 * Which member owns each shard, and which stands by: capacity-bounded rendezvous hashing. A pure
 * function of the members and N, so every member computes the same without messages.
 *
 * Each shard prefers members by hash(member, shard), each member prefers shards by the same number
 * and has room for ceil(1.15 * N / M). The assignment is the stable one (Gale and Shapley 1962,
 * hospitals and residents): no swap would give a higher number, so a change moves little.
 */
#ifndef COMMON_SHOP_ASSIGNMENT_H
#define COMMON_SHOP_ASSIGNMENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define ASSIGNMENT_MEMBERS_MAX 1024
#define ASSIGNMENT_NONE 0

struct assignment_place {
    int64_t owner;   /* member id, or ASSIGNMENT_NONE without members */
    int64_t standby; /* the owner if the present one leaves; ASSIGNMENT_NONE with fewer than two
                        members */
};

/* Most shards that one of `members` may own. */
uint32_t assignment_capacity(size_t members, uint32_t shards);

/* Fills ret_places[0..shards-1]. `members`: distinct positive ids in any order. ERR_NOMEM, or
 * ERR_FULL above ASSIGNMENT_MEMBERS_MAX. */
MUST_CHECK int assignment_assign(const int64_t *members, size_t count, uint32_t shards,
                                 struct assignment_place *ret_places);

#endif
