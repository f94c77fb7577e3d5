/* Openings of websockets: a line each for method, path, Upgrade, Connection, version, key,
 * protocols, origin and last_event_id; "-" is an absent one. */
#include "tests/fuzz/fuzz.h"

#include <strings.h>

#include "common/shop/origins.h"
#include "notifier/handshake.h"

#define FIELDS 9
#define ORIGINS "https://shop.example,http://127.0.0.1:8000"

/* Whether `text` is `origin`, with or without a port, which may begin with zeros. */
static bool is_origin(const char *text, const char *origin, const char *port, bool usual)
{
    size_t len = strlen(origin);
    if (strncasecmp(text, origin, len) != 0)
        return false;
    if (text[len] == '\0')
        return usual;
    return text[len] == ':' && strcmp(text + len + 1 + strspn(text + len + 1, "0"), port) == 0;
}

static bool is_ours(const char *origin)
{
    return is_origin(origin, "https://shop.example", "443", true) ||
           is_origin(origin, "http://127.0.0.1", "8000", false);
}

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
    static struct origins *origins;
    const char *problem = NULL;
    if (origins == NULL)
        MUST(origins_new(ORIGINS, &origins, &problem) == 0);
    int64_t after = -2;
    struct handshake_refusal refusal = {0};
    if (handshake_check(&handshake, origins, &after, &refusal) == 0) {
        char accept[HANDSHAKE_ACCEPT_SIZE];
        MUST(after >= -1 && (handshake.last_event_id != NULL) == (after >= 0));
        MUST(strcmp(handshake.method, "GET") == 0 && strcmp(handshake.path, HANDSHAKE_PATH) == 0);
        MUST(handshake.key != NULL && strlen(handshake.key) == 24);
        MUST(handshake.origin == NULL || is_ours(handshake.origin));
        MUST(handshake_accept(handshake.key, accept) == 0 &&
             strlen(accept) == HANDSHAKE_ACCEPT_SIZE - 1);
    } else {
        MUST(refusal.detail != NULL && after == -2);
    }
    for (size_t i = 0; i < FIELDS; i++)
        free(lines[i]);
    return 0;
}
