#include "deploy/sandbox/store_key.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/err.h"

#define SLOTS_FIRST 1024 /* a power of two */

struct key_slot {
    XXH128_hash_t hash; /* of the key; 0: the slot is free */
    uint64_t fingerprint;
    struct ledger_place place;  /* of the first result */
    int64_t used;               /* when, in seconds; 0: an old ledger does not say, it stays */
    enum store_key_state state; /* NEW: dropped, BUSY or KNOWN */
};

struct asked_slot {
    uint64_t hash; /* of the order; 0: the slot is free */
    unsigned count;
};

struct key_table {
    struct key_slot *keys; /* open addressing, at most half full */
    size_t key_slots;
    size_t key_count;
    struct asked_slot *asked;
    size_t asked_slots;
    size_t asked_count;
};

struct key_table *key_table_new(void)
{
    struct key_table *keys = calloc(1, sizeof *keys);
    if (keys == NULL)
        return NULL;
    keys->key_slots = SLOTS_FIRST;
    keys->asked_slots = SLOTS_FIRST;
    keys->keys = calloc(keys->key_slots, sizeof *keys->keys);
    keys->asked = calloc(keys->asked_slots, sizeof *keys->asked);
    if (keys->keys == NULL || keys->asked == NULL) {
        key_table_free(keys);
        return NULL;
    }
    return keys;
}

void key_table_free(struct key_table *keys)
{
    if (keys == NULL)
        return;
    free(keys->keys);
    free(keys->asked);
    free(keys);
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

static int make_room_for_key(struct key_table *keys)
{
    if (keys->key_count * 2 < keys->key_slots)
        return 0;
    size_t count = keys->key_slots * 2;
    struct key_slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < keys->key_slots; i++)
        if (!is_free(&keys->keys[i]))
            *find_hash(slots, count, keys->keys[i].hash) = keys->keys[i];
    free(keys->keys);
    keys->keys = slots;
    keys->key_slots = count;
    return 0;
}

/* One whose first request is under way is never forgotten. */
static bool is_forgotten(const struct key_slot *slot, int64_t now, int64_t lasts)
{
    return slot->state == STORE_KEY_KNOWN && slot->used > 0 && now - slot->used >= lasts;
}

int key_table_use(struct key_table *keys, const char *key, uint64_t fingerprint, int64_t now,
                  int64_t lasts, enum store_key_state *ret_state, struct ledger_place *ret_place)
{
    if (make_room_for_key(keys) < 0)
        return ERR_NOMEM;
    XXH128_hash_t hash = hash_key(key);
    struct key_slot *slot = find_hash(keys->keys, keys->key_slots, hash);
    keys->key_count += is_free(slot);
    if (is_free(slot) || slot->state == STORE_KEY_NEW || is_forgotten(slot, now, lasts)) {
        *slot = (struct key_slot){
            .hash = hash, .fingerprint = fingerprint, .used = now, .state = STORE_KEY_BUSY};
        *ret_state = STORE_KEY_NEW;
        return 0;
    }
    *ret_state = slot->fingerprint == fingerprint ? slot->state : STORE_KEY_OTHER;
    *ret_place = slot->place;
    return 0;
}

void key_table_drop(struct key_table *keys, const char *key)
{
    struct key_slot *slot = find_hash(keys->keys, keys->key_slots, hash_key(key));
    if (!is_free(slot) && slot->state == STORE_KEY_BUSY)
        slot->state = STORE_KEY_NEW;
}

void key_table_settle(struct key_table *keys, const struct record *record,
                      struct ledger_place place)
{
    struct key_slot *slot = find_hash(keys->keys, keys->key_slots, hash_key(record->key));
    if (is_free(slot))
        return;
    slot->state = STORE_KEY_KNOWN;
    slot->fingerprint = record->fingerprint;
    slot->used = record->used;
    slot->place = place;
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

static void make_room_for_asked(struct key_table *keys)
{
    size_t count = keys->asked_slots * 2;
    struct asked_slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return; /* it still works until it is full: see key_table_ask */
    for (size_t i = 0; i < keys->asked_slots; i++)
        if (keys->asked[i].hash != 0)
            *find_asked(slots, count, keys->asked[i].hash) = keys->asked[i];
    free(keys->asked);
    keys->asked = slots;
    keys->asked_slots = count;
}

unsigned key_table_ask(struct key_table *keys, const char *order_id)
{
    if (keys->asked_count * 2 >= keys->asked_slots)
        make_room_for_asked(keys);
    if (keys->asked_count + 1 >= keys->asked_slots)
        return 1; /* no memory: no order is the first any more */
    uint64_t hash = hash_order(order_id);
    struct asked_slot *slot = find_asked(keys->asked, keys->asked_slots, hash);
    keys->asked_count += slot->hash == 0;
    slot->hash = hash;
    return slot->count++;
}

unsigned key_table_asked(const struct key_table *keys, const char *order_id)
{
    return find_asked(keys->asked, keys->asked_slots, hash_order(order_id))->count;
}
