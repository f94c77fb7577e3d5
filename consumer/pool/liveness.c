#include "consumer/pool/liveness.h"

#include <stdlib.h>

void liveness_init(struct liveness *m, int64_t self)
{
    *m = (struct liveness){.self = self};
}

static const struct member *find(const struct member *list, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

static struct member judge(const struct liveness *m, const struct member *before,
                           const struct member_row *row, bool gap, uint64_t now_ms)
{
    struct member member = {.id = row->id, .heartbeat = row->heartbeat, .ready = row->ready};
    bool moved = before == NULL || before->heartbeat != row->heartbeat;
    member.changed_ms = moved || gap ? now_ms : before->changed_ms;
    if (!row->locked)
        member.unlocked = moved || gap ? 1 : before->unlocked + 1;
    bool trusted = m->gap_ms == 0 || now_ms - m->gap_ms >= LIVENESS_DEAD_MS;
    bool lock_lost = trusted && member.unlocked >= 2;
    /* an unknown member without its lock is the rest of an earlier crash */
    bool leftover = before == NULL && !row->locked;
    member.alive = row->id == m->self ||
                   (!leftover && !lock_lost && now_ms - member.changed_ms < LIVENESS_DEAD_MS);
    if (before != NULL && !before->alive && !moved && row->id != m->self)
        member.alive = false; /* a dead one counts again only after a heartbeat */
    return member;
}

static int by_id(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

void liveness_observe(struct liveness *m, const struct member_row *rows, size_t count,
                      uint64_t now_ms)
{
    bool gap = m->observed_ms == 0 || now_ms - m->observed_ms > LIVENESS_GAP_MS;
    struct member list[LIVENESS_MAX];
    size_t kept = 0;
    if (gap && m->observed_ms != 0)
        m->gap_ms = now_ms;
    for (size_t i = 0; i < count && kept < LIVENESS_MAX; i++)
        list[kept++] = judge(m, find(m->list, m->count, rows[i].id), &rows[i], gap, now_ms);
    qsort(list, kept, sizeof list[0], by_id);
    for (size_t i = 0; i < kept; i++)
        m->list[i] = list[i];
    m->count = kept;
    m->observed_ms = now_ms;
}

bool liveness_alive(const struct liveness *m, int64_t id)
{
    const struct member *member = find(m->list, m->count, id);
    return member != NULL && member->alive;
}

bool liveness_ready(const struct liveness *m, int64_t id)
{
    const struct member *member = find(m->list, m->count, id);
    return member != NULL && member->alive && member->ready;
}

size_t liveness_assignable(const struct liveness *m, int64_t ret_ids[LIVENESS_MAX])
{
    bool any_ready = false;
    for (size_t i = 0; i < m->count; i++)
        any_ready = any_ready || (m->list[i].alive && m->list[i].ready);
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].alive && (m->list[i].ready || !any_ready))
            ret_ids[count++] = m->list[i].id;
    return count;
}

bool liveness_steady(const struct liveness *m, uint64_t now_ms)
{
    return m->observed_ms != 0 && now_ms - m->observed_ms <= LIVENESS_GAP_MS &&
           (m->gap_ms == 0 || now_ms - m->gap_ms >= LIVENESS_DEAD_MS);
}
