#include "producer/admission/known_items.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/strmap.h"
#include "common/shop/job.h"

/* Items that are remembered, up to PLACES_EACH with the same hash; another one takes a place. */
#define BUCKETS 8192
#define PLACES_EACH 4

static const struct pg_statement find_unknown = {
    "producer_unknown_items", "select u.n from checkout.unknown_items($1::text[]) u", 1};

struct known_items {
    struct table_asker *asker;
    item_answer_cb answer;
    void *arg;
    unsigned next;                                    /* of the places of a full bucket */
    char skus[BUCKETS][PLACES_EACH][JOB_SKU_MAX + 1]; /* memory comes with their use */
};

static struct item_question *of(struct table_question *question)
{
    return (struct item_question *)(void *)question;
}

/* Among the places of `sku`, the one that holds `sought`, or NULL. */
static char *find(struct known_items *items, const char *sku, const char *sought)
{
    size_t bucket = strmap_hash(sku, strlen(sku)) % BUCKETS;
    for (size_t i = 0; i < PLACES_EACH; i++)
        if (strcmp(items->skus[bucket][i], sought) == 0)
            return items->skus[bucket][i];
    return NULL;
}

static void remember(struct known_items *items, const char *sku)
{
    size_t len = strlen(sku);
    if (len > JOB_SKU_MAX || find(items, sku, sku) != NULL)
        return;
    char *place = find(items, sku, "");
    if (place == NULL)
        place = items->skus[strmap_hash(sku, len) % BUCKETS][items->next++ % PLACES_EACH];
    memcpy(place, sku, len + 1);
}

static void missing(struct table_question *question, const struct pg_result *result, int row,
                    void *arg)
{
    (void)result;
    (void)row;
    (void)arg;
    of(question)->missing = true;
}

static void answered(struct table_question *question, bool read, void *arg)
{
    struct known_items *items = arg;
    if (read && !of(question)->missing)
        remember(items, question->text);
    items->answer(of(question), items->arg);
}

bool known_items_ask(struct known_items *items, struct item_question *question, const char *sku)
{
    question->missing = false;
    if (find(items, sku, sku) != NULL)
        return false;
    question->question.text = sku;
    table_asker_ask(items->asker, &question->question);
    return true;
}

struct known_items *known_items_new(struct loop *loop, const struct sessions *sessions,
                                    item_answer_cb answer, void *arg)
{
    struct known_items *items = calloc(1, sizeof *items);
    if (items == NULL)
        return NULL;
    const struct table_asker_options options = {
        .sessions = sessions,
        .statement = &find_unknown,
        .number = 0,
        .text_max = JOB_SKU_MAX,
        .row = missing,
        .answer = answered,
        .arg = items,
        .unread = "unknown items not read",
        .slow = "PostgreSQL is slow: orders of unknown items pass"};
    items->answer = answer;
    items->arg = arg;
    items->asker = table_asker_new(loop, &options);
    if (items->asker == NULL) {
        free(items);
        return NULL;
    }
    return items;
}

void known_items_free(struct known_items *items)
{
    if (items == NULL)
        return;
    table_asker_free(items->asker);
    free(items);
}
