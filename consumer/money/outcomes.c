#include "consumer/money/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"

static void free_item(struct orders_db_settlement *s)
{
    free((char *)s->intent); /* ours: strdup'ed in outcomes_add */
    free((char *)s->code);
}

int outcomes_add(struct outcomes *endings, const char *order_id, int64_t attempt, const char *state,
                 const char *ref, int64_t amount, const char *code)
{
    if (endings->count == endings->capacity) {
        size_t capacity = endings->capacity == 0 ? 64 : endings->capacity * 2;
        struct orders_db_settlement *more = realloc(endings->items, capacity * sizeof *more);
        if (more == NULL)
            return ERR_NOMEM;
        endings->items = more;
        endings->capacity = capacity;
    }
    struct orders_db_settlement *s = &endings->items[endings->count];
    *s = (struct orders_db_settlement){.attempt = attempt, .state = state, .amount = amount};
    memcpy(s->order_id, order_id, IDS_ORDER_SIZE);
    s->intent = ref[0] == '\0' ? NULL : strdup(ref);
    s->code = code[0] == '\0' ? NULL : strdup(code);
    endings->count++;
    return 0;
}

size_t outcomes_begin(struct outcomes *endings)
{
    size_t most = endings->one_by_one ? 1 : OUTCOMES_MAX;
    endings->running = endings->count < most ? endings->count : most;
    return endings->running;
}

static void drop_running(struct outcomes *endings)
{
    for (size_t i = 0; i < endings->running; i++)
        free_item(&endings->items[i]);
    endings->count -= endings->running;
    if (endings->count > 0)
        memmove(endings->items, endings->items + endings->running,
                endings->count * sizeof *endings->items);
    endings->running = 0;
}

void outcomes_recorded(struct outcomes *endings)
{
    drop_running(endings);
    endings->one_by_one = false;
}

void outcomes_again(struct outcomes *endings)
{
    endings->running = 0;
}

void outcomes_refused(struct outcomes *endings)
{
    struct orders_db_settlement *s = &endings->items[0];
    if (endings->running > 1) {
        endings->one_by_one = true;
    } else if (s->intent == NULL && s->code == NULL) {
        /* that is not it: it must not hold up the others; the sweep tries again */
        log_error("what has ended at the gateway cannot be recorded now",
                  LOG_STR("order_id", s->order_id));
        drop_running(endings);
    } else {
        log_error("the gateway's texts for an order are dropped", LOG_STR("order_id", s->order_id));
        free_item(s);
        s->intent = NULL;
        s->code = NULL;
    }
    endings->running = 0;
}

void outcomes_forget(struct outcomes *endings)
{
    for (size_t i = 0; i < endings->count; i++)
        free_item(&endings->items[i]);
    endings->count = 0;
    endings->running = 0;
    endings->one_by_one = false;
}

void outcomes_free(struct outcomes *endings)
{
    outcomes_forget(endings);
    free(endings->items);
}
