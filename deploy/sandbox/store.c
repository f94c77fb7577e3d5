#include "deploy/sandbox/store.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/err.h"

#define SLOTS_FIRST 1024 /* a power of two */

struct key_slot {
    XXH128_hash_t hash; /* of the key; 0: the slot is free */
    uint64_t fingerprint;
    struct ledger_place place;  /* of the first result */
    enum store_key_state state; /* NEW: dropped, BUSY or KNOWN */
};

struct asked_slot {
    uint64_t hash; /* of the order; 0: the slot is free */
    unsigned count;
};

struct store_refund {
    struct ledger_place place;
    uint64_t intent;
};

struct store {
    struct store_intent *intents;
    uint64_t intent_count;
    uint64_t intent_cap;
    uint64_t intents_seen; /* durable */
    struct store_refund *refunds;
    uint64_t refund_count;
    uint64_t refund_cap;
    struct key_slot *keys; /* open addressing, at most half full */
    size_t key_slots;
    size_t key_count;
    struct asked_slot *asked;
    size_t asked_slots;
    size_t asked_count;
};

struct store *store_new(void)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->key_slots = SLOTS_FIRST;
    store->asked_slots = SLOTS_FIRST;
    store->keys = calloc(store->key_slots, sizeof *store->keys);
    store->asked = calloc(store->asked_slots, sizeof *store->asked);
    if (store->keys == NULL || store->asked == NULL) {
        store_free(store);
        return NULL;
    }
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    free(store->intents);
    free(store->refunds);
    free(store->keys);
    free(store->asked);
    free(store);
}

/* Room for one more element in `array`; the new array, or NULL. */
static void *grow(void *array, uint64_t count, uint64_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    uint64_t wanted = *cap == 0 ? SLOTS_FIRST : *cap * 2;
    void *grown = realloc(array, wanted * size);
    if (grown != NULL)
        *cap = wanted;
    return grown;
}

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

int store_add_refund(struct store *store, uint64_t *ret_number)
{
    struct store_refund *grown =
        grow(store->refunds, store->refund_count, &store->refund_cap, sizeof *store->refunds);
    if (grown == NULL)
        return ERR_NOMEM;
    store->refunds = grown;
    *ret_number = store->refund_count++;
    grown[*ret_number] = (struct store_refund){0};
    return 0;
}

void store_drop_intent(struct store *store)
{
    store->intent_count--;
}

void store_drop_refund(struct store *store)
{
    store->refund_count--;
}

uint64_t store_intent_count(const struct store *store)
{
    return store->intents_seen;
}

struct store_intent *store_intent(struct store *store, uint64_t number)
{
    return number < store->intents_seen ? &store->intents[number] : NULL;
}

struct ledger_place store_refund(const struct store *store, uint64_t number)
{
    return number < store->refund_count ? store->refunds[number].place : (struct ledger_place){0};
}

uint64_t store_refund_count(const struct store *store)
{
    return store->refund_count;
}

bool store_refund_before(const struct store *store, const uint64_t *intent, uint64_t *number)
{
    for (uint64_t i = *number; i-- > 0;) {
        const struct store_refund *refund = &store->refunds[i];
        if (refund->place.len > 0 && (intent == NULL || refund->intent == *intent)) {
            *number = i;
            return true;
        }
    }
    return false;
}

/* ---- keys ---- */

static bool is_free(const struct key_slot *slot)
{
    return slot->hash.low64 == 0 && slot->hash.high64 == 0;
}

/* The slot of this hash, or the free one where it belongs. */
static struct key_slot *find_hash(struct key_slot *slots, size_t count, XXH128_hash_t hash)
{
    size_t i = hash.low64 & (count - 1);
    while (!is_free(&slots[i]) && XXH128_isEqual(slots[i].hash, hash) == 0)
        i = (i + 1) & (count - 1);
    return &slots[i];
}

static XXH128_hash_t hash_key(const char *key)
{
    XXH128_hash_t hash = XXH3_128bits(key, strlen(key));
    hash.high64 |= 1; /* never that of a free slot */
    return hash;
}

static int make_room_for_key(struct store *store)
{
    if (store->key_count * 2 < store->key_slots)
        return 0;
    size_t count = store->key_slots * 2;
    struct key_slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < store->key_slots; i++)
        if (!is_free(&store->keys[i]))
            *find_hash(slots, count, store->keys[i].hash) = store->keys[i];
    free(store->keys);
    store->keys = slots;
    store->key_slots = count;
    return 0;
}

int store_use_key(struct store *store, const char *key, uint64_t fingerprint,
                  enum store_key_state *ret_state, struct ledger_place *ret_place)
{
    if (make_room_for_key(store) < 0)
        return ERR_NOMEM;
    XXH128_hash_t hash = hash_key(key);
    struct key_slot *slot = find_hash(store->keys, store->key_slots, hash);
    store->key_count += is_free(slot);
    if (is_free(slot) || slot->state == STORE_KEY_NEW) {
        *slot =
            (struct key_slot){.hash = hash, .fingerprint = fingerprint, .state = STORE_KEY_BUSY};
        *ret_state = STORE_KEY_NEW;
        return 0;
    }
    *ret_state = slot->fingerprint == fingerprint ? slot->state : STORE_KEY_OTHER;
    *ret_place = slot->place;
    return 0;
}

void store_drop_key(struct store *store, const char *key)
{
    struct key_slot *slot = find_hash(store->keys, store->key_slots, hash_key(key));
    if (!is_free(slot) && slot->state == STORE_KEY_BUSY)
        slot->state = STORE_KEY_NEW;
}

static void settle_key(struct store *store, const char *key, struct ledger_place place)
{
    struct key_slot *slot = find_hash(store->keys, store->key_slots, hash_key(key));
    if (is_free(slot))
        return;
    slot->state = STORE_KEY_KNOWN;
    slot->place = place;
}

void store_settle(struct store *store, const struct record *record, struct ledger_place place)
{
    if (record->key != NULL)
        settle_key(store, record->key, place);
    if (record->kind == RECORD_REFUND)
        store->refunds[record->refund.number] = (struct store_refund){place, record->intent.number};
    if (record->kind != RECORD_CHARGE && record->kind != RECORD_CANCEL &&
        record->kind != RECORD_REFUND)
        return;
    struct store_intent *intent = &store->intents[record->intent.number];
    intent->place = place;
    intent->busy = false;
    if (record->kind == RECORD_CHARGE)
        store->intents_seen = record->intent.number + 1; /* records settle in order */
}

static int load_numbers(struct store *store, const struct record *record)
{
    struct intent intent = {0};
    uint64_t number = 0;
    int code = 0;
    if (record->kind == RECORD_CHARGE) {
        code = store_add_intent(store, record->intent.created, &intent);
        if (code == 0 && intent.number != record->intent.number)
            code = ERR_INVALID;
    } else if (record->kind == RECORD_CANCEL || record->kind == RECORD_REFUND) {
        code = record->intent.number < store->intents_seen ? 0 : ERR_INVALID;
    }
    if (code == 0 && record->kind == RECORD_REFUND) {
        code = store_add_refund(store, &number);
        if (code == 0 && number != record->refund.number)
            code = ERR_INVALID;
    }
    return code;
}

int store_load(struct store *store, const struct record *record, struct ledger_place place)
{
    enum store_key_state state;
    struct ledger_place before;
    int code = load_numbers(store, record);
    if (code == 0 && record->key != NULL)
        code = store_use_key(store, record->key, record->fingerprint, &state, &before);
    if (code == 0)
        store_settle(store, record, place);
    return code;
}

/* ---- how often orders were asked for ---- */

static struct asked_slot *find_asked(struct asked_slot *slots, size_t count, uint64_t hash)
{
    size_t i = hash & (count - 1);
    while (slots[i].hash != 0 && slots[i].hash != hash)
        i = (i + 1) & (count - 1);
    return &slots[i];
}

static uint64_t hash_order(const char *order_id)
{
    uint64_t hash = XXH3_64bits(order_id, strlen(order_id));
    return hash == 0 ? 1 : hash;
}

static void make_room_for_asked(struct store *store)
{
    size_t count = store->asked_slots * 2;
    struct asked_slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return; /* it still works until it is full: see store_ask */
    for (size_t i = 0; i < store->asked_slots; i++)
        if (store->asked[i].hash != 0)
            *find_asked(slots, count, store->asked[i].hash) = store->asked[i];
    free(store->asked);
    store->asked = slots;
    store->asked_slots = count;
}

unsigned store_ask(struct store *store, const char *order_id)
{
    if (store->asked_count * 2 >= store->asked_slots)
        make_room_for_asked(store);
    if (store->asked_count + 1 >= store->asked_slots)
        return 1; /* no memory: nobody is the first any more */
    uint64_t hash = hash_order(order_id);
    struct asked_slot *slot = find_asked(store->asked, store->asked_slots, hash);
    store->asked_count += slot->hash == 0;
    slot->hash = hash;
    return slot->count++;
}

unsigned store_asked(const struct store *store, const char *order_id)
{
    return find_asked(store->asked, store->asked_slots, hash_order(order_id))->count;
}
