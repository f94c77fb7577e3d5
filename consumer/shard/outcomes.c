#include "consumer/shard/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"

/* The texts of an outcome, each with its NUL, in one block, which `code` (never NULL) begins. */
static int copy_texts(struct outcome *copy, const struct outcome *of)
{
    const char *const texts[] = {of->code == NULL ? "" : of->code, of->intent_id, of->param,
                                 of->action, of->returns};
    const char **const to[] = {&copy->code, &copy->intent_id, &copy->param, &copy->action,
                               &copy->returns};
    size_t size = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        size += texts[i] == NULL ? 0 : strlen(texts[i]) + 1;
    char *block = malloc(size);
    if (block == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *to[i] = NULL;
        if (texts[i] == NULL)
            continue;
        size_t len = strlen(texts[i]) + 1;
        *to[i] = memcpy(block, texts[i], len);
        block += len;
    }
    return 0;
}

static void free_texts(struct outcome *outcome)
{
    free((char *)outcome->code);
    outcome->code = NULL;
}

static int grow(struct outcome **items, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return 0;
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    struct outcome *more = realloc(*items, wanted * sizeof *more);
    if (more == NULL)
        return ERR_NOMEM;
    *items = more;
    *capacity = wanted;
    return 0;
}

int outcomes_add(struct outcomes *outcomes, const struct outcome *outcome)
{
    int code = grow(&outcomes->items, outcomes->count, &outcomes->capacity);
    struct outcome copy = *outcome;
    if (code == 0)
        code = copy_texts(&copy, outcome);
    if (code < 0)
        return code;
    outcomes->items[outcomes->count++] = copy;
    return 0;
}

size_t outcomes_begin(struct outcomes *outcomes)
{
    size_t most = outcomes->one_by_one ? 1 : OUTCOMES_BATCH;
    if (outcomes->suspects > 0 && outcomes->most < most)
        most = outcomes->most;
    if (outcomes->suspects > 0 && outcomes->suspects < most)
        most = outcomes->suspects;
    outcomes->running = outcomes->count < most ? outcomes->count : most;
    return outcomes->running;
}

static void drop_running(struct outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->running; i++)
        free_texts(&outcomes->items[i]);
    outcomes->suspects -=
        outcomes->running < outcomes->suspects ? outcomes->running : outcomes->suspects;
    outcomes->count -= outcomes->running;
    if (outcomes->count > 0)
        memmove(outcomes->items, outcomes->items + outcomes->running,
                outcomes->count * sizeof *outcomes->items);
    outcomes->running = 0;
}

void outcomes_recorded(struct outcomes *outcomes)
{
    drop_running(outcomes);
    outcomes->one_by_one = false;
}

/* Its texts move along. Without memory it stays in place, and is dropped: the sweep finds it. */
static void hold(struct outcomes *outcomes, struct outcome *outcome)
{
    if (grow(&outcomes->held, outcomes->held_count, &outcomes->held_capacity) < 0)
        return;
    outcomes->held[outcomes->held_count++] = *outcome;
    outcome->code = NULL;
}

void outcomes_hold(struct outcomes *outcomes, const char *order_id, int64_t attempt)
{
    for (size_t i = 0; i < outcomes->running; i++) {
        struct outcome *o = &outcomes->items[i];
        if (o->attempt == attempt && strcmp(o->order_id, order_id) == 0)
            hold(outcomes, o);
    }
}

void outcomes_release(struct outcomes *outcomes)
{
    size_t moved = 0;
    while (moved < outcomes->held_count &&
           grow(&outcomes->items, outcomes->count, &outcomes->capacity) == 0)
        outcomes->items[outcomes->count++] = outcomes->held[moved++];
    outcomes->held_count -= moved;
    if (moved > 0 && outcomes->held_count > 0)
        memmove(outcomes->held, outcomes->held + moved,
                outcomes->held_count * sizeof *outcomes->held);
}

bool outcomes_have(const struct outcomes *outcomes, const char *order_id)
{
    for (size_t i = 0; i < outcomes->count; i++)
        if (strcmp(outcomes->items[i].order_id, order_id) == 0)
            return true;
    for (size_t i = 0; i < outcomes->held_count; i++)
        if (strcmp(outcomes->held[i].order_id, order_id) == 0)
            return true;
    return false;
}

void outcomes_busy(struct outcomes *outcomes)
{
    if (outcomes->running > 1) {
        outcomes->suspects = outcomes->running;
        outcomes->most = (outcomes->running + OUTCOMES_PARTS - 1) / OUTCOMES_PARTS;
    } else if (outcomes->running == 1) {
        /* it must not hold up the others */
        log_warning("outcome cannot be recorded now: something of its order is locked; will retry",
                    LOG_STR("order_id", outcomes->items[0].order_id),
                    LOG_STR("outcome", outcome_text(outcomes->items[0].kind)));
        hold(outcomes, &outcomes->items[0]);
        drop_running(outcomes);
        outcomes->suspects = 0;
    }
    outcomes->running = 0;
}

void outcomes_again(struct outcomes *outcomes)
{
    outcomes->running = 0;
}

void outcomes_refused(struct outcomes *outcomes)
{
    struct outcome *o = &outcomes->items[0];
    if (outcomes->running > 1) {
        outcomes->one_by_one = true;
    } else if (o->code == NULL || o->kind == OUTCOME_RETURNS) {
        /* that is not it: it must not hold up the others; the sweep tries again */
        log_error("outcome cannot be recorded now", LOG_STR("order_id", o->order_id),
                  LOG_STR("outcome", outcome_text(o->kind)));
        drop_running(outcomes);
    } else {
        log_error("outcome loses the gateway's texts: the database refuses one",
                  LOG_STR("order_id", o->order_id), LOG_STR("outcome", outcome_text(o->kind)));
        free_texts(o);
        o->intent_id = NULL;
        o->param = NULL;
        o->action = NULL;
    }
    outcomes->running = 0;
}

void outcomes_forget(struct outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->count; i++)
        free_texts(&outcomes->items[i]);
    for (size_t i = 0; i < outcomes->held_count; i++)
        free_texts(&outcomes->held[i]);
    outcomes->held_count = 0;
    outcomes->count = 0;
    outcomes->running = 0;
    outcomes->one_by_one = false;
    outcomes->suspects = 0;
}

void outcomes_free(struct outcomes *outcomes)
{
    outcomes_forget(outcomes);
    free(outcomes->items);
    free(outcomes->held);
}
