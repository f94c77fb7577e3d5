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

static int grow(struct outcomes *outcomes)
{
    if (outcomes->count < outcomes->capacity)
        return 0;
    size_t capacity = outcomes->capacity == 0 ? 64 : outcomes->capacity * 2;
    struct outcome *more = realloc(outcomes->items, capacity * sizeof *more);
    if (more == NULL)
        return ERR_NOMEM;
    outcomes->items = more;
    outcomes->capacity = capacity;
    return 0;
}

int outcomes_add(struct outcomes *outcomes, const struct outcome *outcome)
{
    int code = grow(outcomes);
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
    if (outcomes->most > 0 && outcomes->most < most)
        most = outcomes->most;
    outcomes->running = outcomes->count < most ? outcomes->count : most;
    return outcomes->running;
}

static void drop_running(struct outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->running; i++)
        free_texts(&outcomes->items[i]);
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
    outcomes->most = 0;
}

void outcomes_busy(struct outcomes *outcomes)
{
    if (outcomes->running > 1) {
        outcomes->most = outcomes->running / 2;
    } else if (outcomes->running == 1) {
        /* it must not hold up the others; the sweep tries again */
        log_warning("outcome cannot be recorded now: something of its order is locked",
                    LOG_STR("order_id", outcomes->items[0].order_id),
                    LOG_STR("outcome", outcome_text(outcomes->items[0].kind)));
        drop_running(outcomes);
        outcomes->most = 0;
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
    outcomes->count = 0;
    outcomes->running = 0;
    outcomes->one_by_one = false;
    outcomes->most = 0;
}

void outcomes_free(struct outcomes *outcomes)
{
    outcomes_forget(outcomes);
    free(outcomes->items);
}
