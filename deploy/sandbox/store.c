#include "deploy/sandbox/store.h"

#include <stdlib.h>

#include "common/base/err.h"
#include "deploy/sandbox/store_key.h"

#define ROOM_FIRST 1024

/* A refund, dispute, payment method or customer. */
struct object {
    struct store_part part; /* its place is that of every kind */
    struct store_method method;
};

struct objects {
    struct object *all;
    uint64_t count;
    uint64_t cap;
};

struct store {
    struct store_intent *intents;
    uint64_t intent_count;
    uint64_t intent_cap;
    uint64_t intents_seen; /* durable */
    struct objects objects[STORE_KINDS];
    struct key_table *keys;
};

struct store *store_new(void)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->keys = key_table_new();
    if (store->keys != NULL)
        return store;
    free(store);
    return NULL;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < STORE_KINDS; i++)
        free(store->objects[i].all);
    free(store->intents);
    key_table_free(store->keys);
    free(store);
}

/* Room for one more element in `array`; the new array, or NULL. */
static void *grow(void *array, uint64_t count, uint64_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    uint64_t wanted = *cap == 0 ? ROOM_FIRST : *cap * 2;
    void *grown = realloc(array, wanted * size);
    if (grown != NULL)
        *cap = wanted;
    return grown;
}

/* ---- numbers ---- */

int store_add_intent(struct store *store, int64_t now, struct intent *ret_intent)
{
    struct store_intent *grown =
        grow(store->intents, store->intent_count, &store->intent_cap, sizeof *store->intents);
    if (grown == NULL)
        return ERR_NOMEM;
    store->intents = grown;
    uint64_t number = store->intent_count++;
    bool backwards = number > 0 && grown[number - 1].created > now;
    ret_intent->number = number;
    ret_intent->created = backwards ? grown[number - 1].created : now;
    grown[number] = (struct store_intent){.created = ret_intent->created, .busy = true};
    return 0;
}

int store_add(struct store *store, enum store_kind kind, uint64_t *ret_number)
{
    struct objects *objects = &store->objects[kind];
    struct object *grown = grow(objects->all, objects->count, &objects->cap, sizeof *objects->all);
    if (grown == NULL)
        return ERR_NOMEM;
    objects->all = grown;
    *ret_number = objects->count++;
    grown[*ret_number] = (struct object){0};
    return 0;
}

void store_drop_intent(struct store *store)
{
    store->intent_count--;
}

void store_drop(struct store *store, enum store_kind kind)
{
    store->objects[kind].count--;
}

/* ---- looking up ---- */

uint64_t store_intent_count(const struct store *store)
{
    return store->intents_seen;
}

struct store_intent *store_intent(struct store *store, uint64_t number)
{
    return number < store->intents_seen ? &store->intents[number] : NULL;
}

uint64_t store_count(const struct store *store, enum store_kind kind)
{
    return store->objects[kind].count;
}

/* NULL: it cannot be seen. */
static struct object *find(const struct store *store, enum store_kind kind, uint64_t number)
{
    const struct objects *objects = &store->objects[kind];
    bool seen = number < objects->count && objects->all[number].part.place.len > 0;
    return seen ? &objects->all[number] : NULL;
}

struct ledger_place store_place(const struct store *store, enum store_kind kind, uint64_t number)
{
    const struct object *object = find(store, kind, number);
    return object == NULL ? (struct ledger_place){0} : object->part.place;
}

struct store_method *store_method(struct store *store, uint64_t number)
{
    struct object *object = find(store, STORE_METHODS, number);
    return object == NULL ? NULL : &object->method;
}

const struct store_part *store_part(const struct store *store, enum store_kind kind,
                                    uint64_t number)
{
    const struct object *object = find(store, kind, number);
    return object == NULL ? NULL : &object->part;
}

bool store_before(const struct store *store, enum store_kind kind, const uint64_t *intent,
                  uint64_t *number)
{
    for (uint64_t i = *number; i-- > 0;) {
        const struct object *object = find(store, kind, i);
        if (object != NULL && (intent == NULL || object->part.intent == *intent)) {
            *number = i;
            return true;
        }
    }
    return false;
}

/* ---- settling ---- */

static void settle_part(struct store *store, enum store_kind kind, uint64_t number,
                        const struct record *record, struct ledger_place place, int64_t due_ms)
{
    store->objects[kind].all[number].part =
        (struct store_part){.place = place, .intent = record->intent.number, .due_ms = due_ms};
}

static void settle_method(struct store *store, const struct method *method,
                          struct ledger_place place)
{
    struct object *object = &store->objects[STORE_METHODS].all[method->number];
    object->part.place = place;
    object->method = (struct store_method){
        .place = place, .customer = method->customer, .consumed = method->consumed};
}

void store_settle(struct store *store, const struct record *record, struct ledger_place place)
{
    if (record->key != NULL)
        key_table_settle(store->keys, record, place);
    if (record->kind == RECORD_REFUND || record->kind == RECORD_REFUND_CHANGE)
        settle_part(store, STORE_REFUNDS, record->refund.number, record, place,
                    record->refund.due_ms);
    if (record->kind == RECORD_DISPUTE)
        settle_part(store, STORE_DISPUTES, record->dispute.number, record, place, 0);
    if (record->kind == RECORD_CUSTOMER)
        store->objects[STORE_CUSTOMERS].all[record->customer.number].part.place = place;
    if (record->method.card != NULL)
        settle_method(store, &record->method, place);
    if (!record_changes_intent(record))
        return;
    struct store_intent *intent = &store->intents[record->intent.number];
    intent->place = place;
    intent->due_ms = record->intent.due_ms;
    intent->busy = false;
    if (record->kind == RECORD_CHARGE)
        store->intents_seen = record->intent.number + 1; /* records settle in order */
}

/* ---- loading ---- */

/* The object is new and has the next number, or it is known. */
static int load_number(struct store *store, enum store_kind kind, uint64_t wanted)
{
    uint64_t number = 0;
    if (wanted < store->objects[kind].count)
        return 0;
    int code = store_add(store, kind, &number);
    return code == 0 && number != wanted ? ERR_INVALID : code;
}

static int load_intent(struct store *store, const struct record *record)
{
    struct intent intent = {0};
    if (record->kind != RECORD_CHARGE)
        return record->intent.number < store->intents_seen ? 0 : ERR_INVALID;
    int code = store_add_intent(store, record->intent.created, &intent);
    return code == 0 && intent.number != record->intent.number ? ERR_INVALID : code;
}

static int load_numbers(struct store *store, const struct record *record)
{
    int code = record_changes_intent(record) ? load_intent(store, record) : 0;
    if (code == 0 && (record->kind == RECORD_REFUND || record->kind == RECORD_REFUND_CHANGE))
        code = load_number(store, STORE_REFUNDS, record->refund.number);
    if (code == 0 && record->kind == RECORD_DISPUTE)
        code = load_number(store, STORE_DISPUTES, record->dispute.number);
    if (code == 0 && record->kind == RECORD_CUSTOMER)
        code = load_number(store, STORE_CUSTOMERS, record->customer.number);
    if (code == 0 && record->method.card != NULL)
        code = load_number(store, STORE_METHODS, record->method.number);
    return code;
}

int store_load(struct store *store, const struct record *record, struct ledger_place place)
{
    enum store_key_state state;
    struct ledger_place before;
    int code = load_numbers(store, record);
    if (code == 0 && record->key != NULL)
        code = store_use_key(store, record->key, record->fingerprint, record->used, 0, &state,
                             &before);
    if (code == 0)
        store_settle(store, record, place);
    return code;
}

/* ---- keys ---- */

int store_use_key(struct store *store, const char *key, uint64_t fingerprint, int64_t now,
                  int64_t lasts, enum store_key_state *ret_state, struct ledger_place *ret_place)
{
    return key_table_use(store->keys, key, fingerprint, now, lasts, ret_state, ret_place);
}

void store_drop_key(struct store *store, const char *key)
{
    key_table_drop(store->keys, key);
}

unsigned store_ask(struct store *store, const char *order_id)
{
    return key_table_ask(store->keys, order_id);
}

unsigned store_asked(const struct store *store, const char *order_id)
{
    return key_table_asked(store->keys, order_id);
}
