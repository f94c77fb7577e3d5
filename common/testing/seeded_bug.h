/*
 * Bugs planted on purpose, so that tests can show that the auditor finds them. They exist only in
 * builds with the CMake option CHECKOUT_PLANTS; elsewhere all of this expands to nothing. The
 * process takes CHECKOUT_PLANT=<name> from its environment; one plant at a time.
 */
#ifndef COMMON_TESTING_SEEDED_BUG_H
#define COMMON_TESTING_SEEDED_BUG_H

#ifdef CHECKOUT_PLANTS

#include <stdbool.h>
#include <stddef.h>

/* X(id, name, the promise it breaks, what it does). Those marked "(SQL)" are edits of functions in
 * the test's database, see plant.c. */
#define PLANT_MAP(X)                                                                               \
    X(ACK_EARLY, "ack-before-commit", "P8", "messages are acked before their jobs are decided")    \
    X(NO_FENCE, "no-fence", "P5", "who was away goes on, and the fence lets it (SQL)")             \
    X(NO_BUMP, "no-epoch-bump", "P5", "a take-over keeps the epoch (SQL)")                         \
    X(CANCEL, "basic-cancel", "P3", "a shard is handed over by basic.cancel")                      \
    X(NACK, "nack-requeue", "P3", "a message is given back by nack to be tried again")             \
    X(FRESH_KEY, "fresh-key", "P4", "each try of a payment has its own idempotency key")           \
    X(EARLY_202, "early-202", "P8", "202 is answered before the broker's confirm")                 \
    X(EARLY_MARK, "early-mark", "P6", "the relay's mark is written before the events go out")      \
    X(UNFAIR, "unfair-promotion", "P3", "the line is promoted from its end (SQL)")                 \
    X(LEAK, "held-not-released", "P1", "a declined order keeps its units held (SQL)")              \
    X(EAGER, "eager-standby", "P5", "the standby writes before the owner has released (SQL)")

enum plant {
#define PLANT_ENUM(id, name, promise, text) PLANT_##id,
    PLANT_MAP(PLANT_ENUM)
#undef PLANT_ENUM
        PLANT_COUNT
};

/* One replacement in the text of a function of the schema. */
struct plant_edit {
    enum plant plant;
    const char *function;
    const char *find; /* occurs once */
    const char *replace;
};

/* Whether this one is planted in this process. */
bool plant_is(enum plant plant);
/* Whether there is a plant of that name, "" being none. */
bool plant_known(const char *name);
/* True once in `times` calls. */
bool plant_once_in(unsigned times);
/* Widens a window: the whole process stands still. */
void plant_pause(unsigned milliseconds);
const char *plant_name(enum plant plant);
const char *plant_promise(enum plant plant);
const char *plant_text(enum plant plant);
const struct plant_edit *plant_edits(size_t *ret_count);

#define PLANT_IS(id) plant_is(PLANT_##id)
/* The statement is executed only where `id` is planted. */
#define PLANT(id, ...)                                                                             \
    do {                                                                                           \
        if (PLANT_IS(id)) {                                                                        \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

#else

#define PLANT_IS(id) false
#define PLANT(id, ...)                                                                             \
    do {                                                                                           \
    } while (0)

#endif
#endif
