#include "producer/limits/limits.h"

#include <stdlib.h>

#include "producer/limits/recent.h"

#define NAMES_MAX 8192   /* of each kind */
#define ORDERS_MAX 16384 /* that were let in here */

struct limits {
    struct rate rates[LIMIT_ALL];
    struct recent *full[LIMIT_KINDS]; /* when the bucket of a name is full again */
    struct recent *orders;
};

const char *limit_kind_name(enum limit_kind kind)
{
    static const char *const names[LIMIT_ALL] = {
        [LIMIT_USER] = "user", [LIMIT_ADDRESS] = "address", [LIMIT_OPEN] = "open"};
    return names[kind];
}

struct limits *limits_new(const struct rate rates[LIMIT_KINDS])
{
    struct limits *limits = calloc(1, sizeof *limits);
    if (limits == NULL)
        return NULL;
    limits->orders = recent_new(ORDERS_MAX);
    bool whole = limits->orders != NULL;
    for (size_t kind = 0; kind < LIMIT_KINDS; kind++) {
        limits->rates[kind] = rates[kind];
        limits->full[kind] = recent_new(NAMES_MAX);
        whole = whole && limits->full[kind] != NULL;
    }
    if (whole)
        return limits;
    limits_free(limits);
    return NULL;
}

void limits_free(struct limits *limits)
{
    if (limits == NULL)
        return;
    for (size_t kind = 0; kind < LIMIT_KINDS; kind++)
        recent_free(limits->full[kind]);
    recent_free(limits->orders);
    free(limits);
}

void limits_bound_open(struct limits *limits, int64_t max)
{
    limits->rates[LIMIT_OPEN] = (struct rate){.count = max};
}

size_t limits_kinds(const struct limits *limits, enum limit_kind ret_kinds[LIMIT_KINDS])
{
    size_t count = 0;
    for (size_t kind = 0; kind < LIMIT_KINDS; kind++)
        if (limits->rates[kind].count > 0)
            ret_kinds[count++] = (enum limit_kind)kind;
    return count;
}

const struct rate *limits_rate(const struct limits *limits, enum limit_kind kind)
{
    return &limits->rates[kind];
}

bool limits_know(struct limits *limits, const char *order_id)
{
    return recent_find(limits->orders, order_id) != NULL;
}

/* Of several kinds, the one with the longest wait refuses. */
static bool all_would_take(struct limits *limits, const struct limit_names *names, int64_t now_us,
                           struct limit_refusal *ret_refusal)
{
    enum limit_kind kinds[LIMIT_KINDS];
    size_t count = limits_kinds(limits, kinds);
    bool taken = true;
    for (size_t i = 0; i < count; i++) {
        const int64_t *full = recent_find(limits->full[kinds[i]], names->of[kinds[i]]);
        int64_t wait_us;
        if (rate_would_take(&limits->rates[kinds[i]], now_us, full == NULL ? 0 : *full, &wait_us))
            continue;
        if (taken || wait_us > ret_refusal->wait_us)
            *ret_refusal = (struct limit_refusal){.kind = kinds[i], .wait_us = wait_us};
        taken = false;
    }
    return taken;
}

enum limits_answer limits_ask(struct limits *limits, const struct limit_names *names,
                              const char *order_id, int64_t now_us,
                              struct limit_refusal *ret_refusal)
{
    enum limit_kind kinds[LIMIT_KINDS];
    size_t count = limits_kinds(limits, kinds);
    if (count == 0 || limits_know(limits, order_id))
        return LIMITS_KNOWN;
    if (!all_would_take(limits, names, now_us, ret_refusal))
        return LIMITS_REFUSED;
    for (size_t i = 0; i < count; i++) {
        int64_t wait_us;
        int64_t *full = recent_use(limits->full[kinds[i]], names->of[kinds[i]]);
        if (full != NULL && !rate_take(&limits->rates[kinds[i]], now_us, full, &wait_us))
            return LIMITS_REFUSED; /* it cannot be: the places were looked at */
    }
    (void)recent_use(limits->orders, order_id);
    return LIMITS_TAKEN;
}

void limits_put_back(struct limits *limits, const struct limit_names *names, const char *order_id)
{
    enum limit_kind kinds[LIMIT_KINDS];
    size_t count = limits_kinds(limits, kinds);
    if (!limits_know(limits, order_id))
        return;
    recent_remove(limits->orders, order_id);
    for (size_t i = 0; i < count; i++) {
        int64_t *full = recent_find(limits->full[kinds[i]], names->of[kinds[i]]);
        if (full != NULL)
            rate_put_back(&limits->rates[kinds[i]], full);
    }
}
