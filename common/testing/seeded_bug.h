/*
 * Seeded bugs, which show in tests that the auditor finds them. They exist only in builds with the
 * CMake option CHECKOUT_SEEDED_BUGS; elsewhere all of this expands to nothing. The process takes
 * CHECKOUT_SEEDED_BUG=<name> from its environment; one bug at a time.
 */
#ifndef COMMON_TESTING_SEEDED_BUG_H
#define COMMON_TESTING_SEEDED_BUG_H

#ifdef CHECKOUT_SEEDED_BUGS

#include <stdbool.h>
#include <stddef.h>

/* X(id, name, the promise it breaks, what it does). Those marked "(SQL)" are edits of functions in
 * the test's database, see seeded_bug.c. */
#define SEEDED_BUG_MAP(X)                                                                          \
    X(ACK_EARLY, "ack-before-commit", "P8", "messages are acked before their jobs are decided")    \
    X(NO_FENCE, "no-fence", "P5", "a member that was away goes on, and the fence allows it (SQL)") \
    X(NO_BUMP, "no-epoch-bump", "P5", "a take-over keeps the epoch (SQL)")                         \
    X(CANCEL, "basic-cancel", "P3", "a shard is handed over by basic.cancel")                      \
    X(NACK, "nack-requeue", "P3", "a message is retried by nack")                                  \
    X(FRESH_KEY, "fresh-key", "P4", "each try of a payment has its own idempotency key")           \
    X(EARLY_202, "early-202", "P8", "202 is answered before the broker's confirm")                 \
    X(EARLY_WATERMARK, "early-watermark", "P6",                                                    \
      "the relay's watermark is written before the events go out")                                 \
    X(UNFAIR, "unfair-promotion", "P3", "the waitlist is promoted from its end (SQL)")             \
    X(LEAK, "held-not-released", "P1", "a declined order keeps its units held (SQL)")              \
    X(EAGER, "eager-standby", "P5", "the standby writes before the owner has released (SQL)")      \
    X(OVERTAKING, "overtaking", "P3", "a job passes those of its item that are set aside (SQL)")   \
    X(OLD_PRIMARY, "old-primary", "P8", "an old primary that came back is taken for the database")

enum seeded_bug {
#define SEEDED_BUG_ENUM(id, name, promise, text) SEEDED_BUG_##id,
    SEEDED_BUG_MAP(SEEDED_BUG_ENUM)
#undef SEEDED_BUG_ENUM
        SEEDED_BUG_COUNT
};

/* One replacement in the text of a function of the schema. */
struct seeded_bug_edit {
    enum seeded_bug bug;
    const char *function;
    const char *find; /* occurs once */
    const char *replace;
};

/* Whether this one is seeded in this process. */
bool seeded_bug_is(enum seeded_bug bug);
/* Whether a bug has that name; "" is none. */
bool seeded_bug_known(const char *name);
/* True once in `times` calls. */
bool seeded_bug_once_in(unsigned times);
/* Widens a window: the whole process stands still. */
void seeded_bug_pause(unsigned milliseconds);
const char *seeded_bug_name(enum seeded_bug bug);
const char *seeded_bug_promise(enum seeded_bug bug);
const char *seeded_bug_text(enum seeded_bug bug);
const struct seeded_bug_edit *seeded_bug_edits(size_t *ret_count);

#define SEEDED_BUG_IS(id) seeded_bug_is(SEEDED_BUG_##id)
/* Executes the statement only where `id` is seeded. */
#define SEEDED_BUG(id, ...)                                                                        \
    do {                                                                                           \
        if (SEEDED_BUG_IS(id)) {                                                                   \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

#else

#define SEEDED_BUG_IS(id) false
#define SEEDED_BUG(id, ...)                                                                        \
    do {                                                                                           \
    } while (0)

#endif
#endif
