#include "notifier/handshake.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/shop/event.h"
#include "common/shop/origins.h"

#define WS_VERSION "13"
#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, section 1.3 */
#define KEY_BYTES 16
#define SHA1_SIZE 20

/* Steps to the next member of a comma-separated list, without the blanks around it. */
static bool next_member(const char **rest, const char **ret_member, size_t *ret_len)
{
    const char *start = *rest + strspn(*rest, ", \t");
    if (*start == '\0')
        return false;
    size_t len = strcspn(start, ",");
    *rest = start + len;
    while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
        len--;
    *ret_member = start;
    *ret_len = len;
    return true;
}

bool handshake_lists(const char *header, const char *token)
{
    const char *member = NULL;
    size_t len = 0;
    while (header != NULL && next_member(&header, &member, &len))
        if (len == strlen(token) && strncasecmp(member, token, len) == 0)
            return true;
    return false;
}

static const struct handshake_refusal not_found = {PROBLEM_NOT_FOUND,
                                                   "Events are at " HANDSHAKE_PATH "."};
static const struct handshake_refusal wrong_method = {PROBLEM_METHOD_NOT_ALLOWED,
                                                      "A websocket is opened with GET."};
static const struct handshake_refusal no_websocket = {
    PROBLEM_INVALID_REQUEST, "This is no websocket handshake: the headers Connection: Upgrade and "
                             "Upgrade: websocket are needed."};
static const struct handshake_refusal wrong_version = {PROBLEM_UPGRADE_REQUIRED,
                                                       "Sec-WebSocket-Version must be 13."};
static const struct handshake_refusal wrong_key = {PROBLEM_INVALID_REQUEST,
                                                   "Sec-WebSocket-Key must be 16 bytes in base64."};
static const struct handshake_refusal wrong_protocol = {
    PROBLEM_INVALID_REQUEST, "Sec-WebSocket-Protocol must offer " EVENT_SUBPROTOCOL "."};
static const struct handshake_refusal wrong_origin = {
    PROBLEM_FORBIDDEN, "Pages of this origin may not listen to events."};
static const struct handshake_refusal wrong_id = {
    PROBLEM_INVALID_REQUEST, "last_event_id must be the id of an event that was received."};

/* The id of an event, or of a place in line: that of the event by which the order waits, and more
 * behind a dot. */
static int parse_last_id(const char *text, int64_t *ret_id)
{
    const char *dot = strchr(text, '.');
    int64_t more;
    if (dot != NULL && parse_int(dot + 1, 0, INT64_MAX, &more) < 0)
        return ERR_PARSE;
    return parse_intn(text, dot == NULL ? strlen(text) : (size_t)(dot - text), 0, INT64_MAX,
                      ret_id);
}

static const struct handshake_refusal *
find_refusal(const struct handshake *h, const struct origins *origins, int64_t *ret_after_id)
{
    if (strcmp(h->path, HANDSHAKE_PATH) != 0)
        return &not_found;
    if (strcmp(h->method, "GET") != 0)
        return &wrong_method;
    if (!handshake_lists(h->connection, "upgrade") || !handshake_lists(h->upgrade, "websocket"))
        return &no_websocket;
    if (h->version == NULL || strcmp(h->version, WS_VERSION) != 0)
        return &wrong_version;
    if (h->key == NULL || !base64_valid(h->key, KEY_BYTES))
        return &wrong_key;
    if (h->origin != NULL && !origins_allow(origins, h->origin))
        return &wrong_origin;
    if (!handshake_lists(h->protocols, EVENT_SUBPROTOCOL))
        return &wrong_protocol;
    if (h->last_event_id != NULL && parse_last_id(h->last_event_id, ret_after_id) < 0)
        return &wrong_id;
    return NULL;
}

int handshake_check(const struct handshake *handshake, const struct origins *origins,
                    int64_t *ret_after_id, struct handshake_refusal *ret_refusal)
{
    int64_t after_id = -1;
    const struct handshake_refusal *refusal = find_refusal(handshake, origins, &after_id);
    if (refusal != NULL) {
        *ret_refusal = *refusal;
        return ERR_REFUSED;
    }
    *ret_after_id = after_id;
    return 0;
}

int handshake_accept(const char *key, char ret_accept[HANDSHAKE_ACCEPT_SIZE])
{
    char text[BASE64_SIZE(KEY_BYTES) + sizeof WS_GUID];
    unsigned char digest[SHA1_SIZE];
    int len = snprintf(text, sizeof text, "%s" WS_GUID, key);
    if (EVP_Digest(text, (size_t)len, digest, NULL, EVP_sha1(), NULL) != 1)
        return ERR_NOMEM;
    base64_encode(digest, sizeof digest, ret_accept);
    return 0;
}
