/* Openings of websockets: a line each for method, path, Upgrade, Connection, version, key,
 * protocols, origin and last_event_id; "-" is an absent one. */
#include "tests/fuzz/fuzz.h"

#include <strings.h>

#include "notifier/handshake.h"

#define FIELDS 9
#define ORIGINS "https://shop.example,http://127.0.0.1:8000"

static const char *present(const char *line)
{
    return strcmp(line, "-") == 0 ? NULL : line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *lines[FIELDS];
    for (size_t i = 0; i < FIELDS; i++)
        lines[i] = next_line(&data, &size);
    const struct handshake handshake = {.method = lines[0],
                                        .path = lines[1],
                                        .upgrade = present(lines[2]),
                                        .connection = present(lines[3]),
                                        .version = present(lines[4]),
                                        .key = present(lines[5]),
                                        .protocols = present(lines[6]),
                                        .origin = present(lines[7]),
                                        .last_event_id = present(lines[8])};
    int64_t after = -2;
    struct handshake_refusal refusal = {0};
    if (handshake_check(&handshake, ORIGINS, &after, &refusal) == 0) {
        char accept[HANDSHAKE_ACCEPT_SIZE];
        MUST(after >= -1 && (handshake.last_event_id != NULL) == (after >= 0));
        MUST(strcmp(handshake.method, "GET") == 0 && strcmp(handshake.path, HANDSHAKE_PATH) == 0);
        MUST(handshake.key != NULL && strlen(handshake.key) == 24);
        MUST(handshake.origin == NULL ||
             strcasecmp(handshake.origin, "https://shop.example") == 0 ||
             strcasecmp(handshake.origin, "http://127.0.0.1:8000") == 0);
        MUST(handshake_accept(handshake.key, accept) == 0 &&
             strlen(accept) == HANDSHAKE_ACCEPT_SIZE - 1);
    } else {
        MUST(refusal.detail != NULL && after == -2);
    }
    for (size_t i = 0; i < FIELDS; i++)
        free(lines[i]);
    return 0;
}
