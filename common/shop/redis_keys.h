/*
 * The names of everything that Checkout keeps in Redis or sends through it. schemas/redis.md
 * describes the values; a test compares it with these rows. Redis is never the truth: each key may
 * be lost at any time.
 */
#ifndef COMMON_SHOP_REDIS_KEYS_H
#define COMMON_SHOP_REDIS_KEYS_H

/* Keys: prefix, then the id in <>. */
#define REDIS_KEY_SEEN "checkout:seen:"   /* <order id>: fingerprint of an admitted order */
#define REDIS_KEY_GATE "checkout:gate:"   /* <sku>: "<mode>:<state>" of the item's admission */
#define REDIS_KEY_LOCK "checkout:lock:"   /* <sku>: id of the order that has the item in its cart */
#define REDIS_KEY_LIMIT "checkout:limit:" /* <kind>:<name>: when its places are all free */
#define REDIS_KEY_SENDERS "checkout:senders:" /* <minute>: orders by the address they came from */
/* <user>: ids of orders that have not ended, each with the time until which it counts */
#define REDIS_KEY_OPEN "checkout:open:"

/* How long they live; REDIS_KEYS_TEXT makes the text for a command of Redis. */
#define REDIS_KEY_SEEN_LIFE_S 86400
#define REDIS_KEY_GATE_LIFE_MS 5000 /* renewed by the item's owner */
#define REDIS_KEY_LOCK_LIFE_MS 30000
#define REDIS_KEY_SENDERS_LIFE_S 180
/* an order counts for so long, unless it is seen open again */
#define REDIS_KEY_OPEN_LIFE_MS 60000
#define REDIS_KEYS_TEXT(number) REDIS_KEYS_TEXT_OF(number)
#define REDIS_KEYS_TEXT_OF(number) #number

/* Channels. */
#define REDIS_CHANNEL_EVENTS "checkout:events:" /* <user>: the events of a buyer's orders */
#define REDIS_CHANNEL_LINE "checkout:line:"     /* <sku>: how its waitlist stands */

/* X(prefix, what follows it, its life) */
#define REDIS_KEYS_MAP(X)                                                                          \
    X(REDIS_KEY_SEEN, "order_id", REDIS_KEYS_TEXT(REDIS_KEY_SEEN_LIFE_S) " s")                     \
    X(REDIS_KEY_GATE, "sku", REDIS_KEYS_TEXT(REDIS_KEY_GATE_LIFE_MS) " ms")                        \
    X(REDIS_KEY_LOCK, "sku", REDIS_KEYS_TEXT(REDIS_KEY_LOCK_LIFE_MS) " ms")                        \
    X(REDIS_KEY_LIMIT, "kind>:<name", "until its places are all free again")                       \
    X(REDIS_KEY_OPEN, "user_id", REDIS_KEYS_TEXT(REDIS_KEY_OPEN_LIFE_MS) " ms")                    \
    X(REDIS_KEY_SENDERS, "minute", REDIS_KEYS_TEXT(REDIS_KEY_SENDERS_LIFE_S) " s")                 \
    X(REDIS_CHANNEL_EVENTS, "user_id", "channel")                                                  \
    X(REDIS_CHANNEL_LINE, "sku", "channel")

#endif
