/*
 * A loop with a scripted server, and the words that callbacks say on it: what tests of sessions
 * begin with. A fixture of Check: words_begin, words_end.
 */
#ifndef TESTS_FAKE_STAGE_WORDS_H
#define TESTS_FAKE_STAGE_WORDS_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "tests/fake/fake_server.h"

extern struct words {
    struct loop *loop;
    struct fake_server *server;
    struct buf heard; /* each word, followed by "; " */
    unsigned wanted;  /* words until the loop stops */
} words;

/* What the server does, connection after connection. */
#define FOLLOW(...)                                                                                \
    static const struct fake_server_step steps[] = {__VA_ARGS__};                                  \
    fake_server_start(words.server, steps, ARRAY_LEN(steps))

void words_begin(void);
/* After what was opened on the loop is closed. */
void words_end(void);

/* Adds "WHATWORD; ". Stops the loop with the last word that is wanted. */
void say_of(const char *what, const char *word);
void say(const char *word);
/* For connections: says "up", or why it is not. */
void say_changed(bool up, const char *reason, void *arg);

/* Forgets what was heard and runs the loop until `count` words are said; fails after 20 s. */
void hear(unsigned count);
/* Hears so many, and they must be these; then forgets them. */
void expect(unsigned count, const char *text);

#endif
