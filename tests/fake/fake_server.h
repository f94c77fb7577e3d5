/*
 * A server that follows a script, in a thread of its own, on a loopback port: for what a client
 * does when the other end refuses, dies, lies or keeps silent. It runs beside the real client.
 */
#ifndef TESTS_FAKE_SERVER_H
#define TESTS_FAKE_SERVER_H

#include <stddef.h>
#include <stdint.h>

enum fake_server_verb {
    FAKE_SERVER_ACCEPT, /* the next connection; the one before must have ended */
    FAKE_SERVER_EXPECT, /* exactly these bytes come next */
    FAKE_SERVER_UNTIL,  /* anything comes, up to and with these bytes */
    FAKE_SERVER_SAY,
    FAKE_SERVER_CLOSE,
    FAKE_SERVER_RESET,
    FAKE_SERVER_HOLD, /* silent, until the client has ended the connection */
    FAKE_SERVER_ALSO, /* the next connection, beside the one before, which waits */
    FAKE_SERVER_BACK, /* to the one that waits; the one beside it must have ended */
};

struct fake_server_step {
    enum fake_server_verb verb;
    const char *bytes;
    size_t len;
};

#define ACCEPT                                                                                     \
    {                                                                                              \
        FAKE_SERVER_ACCEPT, NULL, 0                                                                \
    }
#define EXPECT(text)                                                                               \
    {                                                                                              \
        FAKE_SERVER_EXPECT, text, sizeof(text) - 1                                                 \
    }
#define UNTIL(text)                                                                                \
    {                                                                                              \
        FAKE_SERVER_UNTIL, text, sizeof(text) - 1                                                  \
    }
#define SAY(text)                                                                                  \
    {                                                                                              \
        FAKE_SERVER_SAY, text, sizeof(text) - 1                                                    \
    }
#define CLOSE                                                                                      \
    {                                                                                              \
        FAKE_SERVER_CLOSE, NULL, 0                                                                 \
    }
#define RESET                                                                                      \
    {                                                                                              \
        FAKE_SERVER_RESET, NULL, 0                                                                 \
    }
#define HOLD                                                                                       \
    {                                                                                              \
        FAKE_SERVER_HOLD, NULL, 0                                                                  \
    }
#define ALSO                                                                                       \
    {                                                                                              \
        FAKE_SERVER_ALSO, NULL, 0                                                                  \
    }
#define BACK                                                                                       \
    {                                                                                              \
        FAKE_SERVER_BACK, NULL, 0                                                                  \
    }

struct fake_server;

/* Bound, but not listening: who connects is refused. */
struct fake_server *fake_server_new(void);
uint16_t fake_server_port(const struct fake_server *server);
/* Listens and follows the script, which must outlive it. */
void fake_server_start(struct fake_server *server, const struct fake_server_step *steps,
                       size_t count);
/* Steps that are done. */
size_t fake_server_done(const struct fake_server *server);
/* Waits for the end of the script, checks that all of it was followed, and frees. */
void fake_server_end(struct fake_server *server);

#endif
