#include "common/shop/assignment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define NONE UINT16_MAX

struct ranking {
    const int64_t *members;
    size_t count;
    uint32_t shards;
    uint16_t *preferred; /* [shard * count + rank]: index of the member */
    uint16_t *owner;     /* [shard]: index of the member, of the assignment being made */
    uint16_t *next;      /* [shard]: rank of the member to try next */
    uint32_t *unplaced;  /* stack of shards */
    uint32_t *owned;     /* [member]: how many shards it has */
};

/* Finalizer of splitmix64 (Steele, Lea, Flood 2014) over both numbers. */
static uint64_t score(int64_t member, uint32_t shard)
{
    uint64_t z = (uint64_t)member * 0x9e3779b97f4a7c15U + (uint64_t)shard * 0xd1342543de82ef95U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* Whether `a` goes before `b` on `shard`; ids break ties, so the order is total. */
static bool ahead(int64_t a, int64_t b, uint32_t shard)
{
    uint64_t score_a = score(a, shard);
    uint64_t score_b = score(b, shard);
    return score_a != score_b ? score_a > score_b : a < b;
}

uint32_t assignment_capacity(size_t members, uint32_t shards)
{
    uint64_t m = members;
    return (uint32_t)((115 * (uint64_t)shards + 100 * m - 1) / (100 * m));
}

static void sort_preferences(struct ranking *r)
{
    for (uint32_t shard = 0; shard < r->shards; shard++) {
        uint16_t *list = r->preferred + (size_t)shard * r->count;
        for (size_t i = 0; i < r->count;
             i++) { /* insertion sort: lists are short and made seldom */
            size_t at = i;
            while (at > 0 && ahead(r->members[i], r->members[list[at - 1]], shard)) {
                list[at] = list[at - 1];
                at--;
            }
            list[at] = (uint16_t)i;
        }
    }
}

/* The shard of `member` that it would give up first. */
static uint32_t least_wanted(const struct ranking *r, uint16_t member)
{
    uint32_t least = 0;
    bool found = false;
    for (uint32_t shard = 0; shard < r->shards; shard++) {
        if (r->owner[shard] != member)
            continue;
        uint64_t here = score(r->members[member], shard);
        if (!found || here < score(r->members[member], least))
            least = shard;
        found = true;
    }
    return least;
}

/* Places `shard` with the first member that has room or prefers it; returns the shard that lost its
 * place to it, or the number of shards if none did. */
static uint32_t place(struct ranking *r, uint32_t shard, uint32_t capacity, uint16_t excluded)
{
    const uint16_t *list = r->preferred + (size_t)shard * r->count;
    for (;;) { /* ends: the capacities suffice for all shards, so some member takes it */
        uint16_t member = list[r->next[shard]++];
        if (member == excluded)
            continue;
        if (r->owned[member] < capacity) {
            r->owned[member]++;
            r->owner[shard] = member;
            return r->shards;
        }
        uint32_t least = least_wanted(r, member);
        if (score(r->members[member], shard) > score(r->members[member], least)) {
            r->owner[shard] = member;
            r->owner[least] = NONE;
            return least;
        }
    }
}

/* The stable assignment without the member at index `excluded` (NONE: with all). */
static void assign(struct ranking *r, uint16_t excluded)
{
    uint32_t capacity = assignment_capacity(r->count - (excluded == NONE ? 0 : 1), r->shards);
    memset(r->next, 0, r->shards * sizeof *r->next);
    memset(r->owned, 0, r->count * sizeof *r->owned);
    uint32_t waiting = 0;
    for (uint32_t shard = r->shards; shard-- > 0;) {
        r->owner[shard] = NONE;
        r->unplaced[waiting++] = shard;
    }
    while (waiting > 0) {
        uint32_t evicted = place(r, r->unplaced[--waiting], capacity, excluded);
        if (evicted < r->shards)
            r->unplaced[waiting++] = evicted;
    }
}

static void assign_standbys(struct ranking *r, struct assignment_place *places)
{
    for (size_t gone = 0; gone < r->count; gone++) {
        assign(r, (uint16_t)gone);
        for (uint32_t shard = 0; shard < r->shards; shard++)
            if (places[shard].owner == r->members[gone])
                places[shard].standby = r->members[r->owner[shard]];
    }
}

static void ranking_free(struct ranking *r)
{
    free(r->preferred);
    free(r->owner);
    free(r->next);
    free(r->unplaced);
    free(r->owned);
}

static int ranking_init(struct ranking *r, const int64_t *members, size_t count, uint32_t shards)
{
    *r = (struct ranking){.members = members, .count = count, .shards = shards};
    r->preferred = calloc((size_t)shards * count, sizeof *r->preferred);
    r->owner = calloc(shards, sizeof *r->owner);
    r->next = calloc(shards, sizeof *r->next);
    r->unplaced = calloc(shards, sizeof *r->unplaced);
    r->owned = calloc(count, sizeof *r->owned);
    if (r->preferred != NULL && r->owner != NULL && r->next != NULL && r->unplaced != NULL &&
        r->owned != NULL)
        return 0;
    ranking_free(r);
    return ERR_NOMEM;
}

int assignment_assign(const int64_t *members, size_t count, uint32_t shards,
                      struct assignment_place *ret_places)
{
    if (count > ASSIGNMENT_MEMBERS_MAX)
        return ERR_FULL;
    for (uint32_t shard = 0; shard < shards; shard++)
        ret_places[shard] = (struct assignment_place){ASSIGNMENT_NONE, ASSIGNMENT_NONE};
    if (count == 0 || shards == 0)
        return 0;
    struct ranking r;
    int code = ranking_init(&r, members, count, shards);
    if (code < 0)
        return code;
    sort_preferences(&r);
    assign(&r, NONE);
    for (uint32_t shard = 0; shard < shards; shard++)
        ret_places[shard].owner = members[r.owner[shard]];
    if (count > 1)
        assign_standbys(&r, ret_places);
    ranking_free(&r);
    return 0;
}
