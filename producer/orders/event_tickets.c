#include "producer/orders/event_tickets.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/strmap.h"

/* One place for each hash: a buyer who loses it only costs another signature. */
#define PLACES 8192
#define STAY_MIN_S 60
#define URL_MAX 4096

struct place {
    char *text; /* the user's name, NUL, the ticket, NUL; owned; NULL: free */
    const char *ticket;
    int64_t reuse_until_s;
    int64_t buyer_until_s; /* the buyer's token it was made for */
};

struct event_tickets {
    struct jwt *jwt;
    struct buf prefix; /* the URL up to the ticket, as the beginning of a JSON string */
    int64_t ttl_s;
    struct place places[PLACES];
};

struct event_tickets *event_tickets_new(struct jwt *jwt, const char *events_url, int64_t ttl_s)
{
    struct event_tickets *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->jwt = jwt;
    t->ttl_s = ttl_s;
    buf_init(&t->prefix, URL_MAX);
    (void)buf_json_str(&t->prefix, events_url);
    if (t->prefix.len > 0)
        t->prefix.data[--t->prefix.len] = '\0'; /* the closing quote */
    (void)buf_str(&t->prefix, strchr(events_url, '?') == NULL ? "?ticket=" : "&ticket=");
    if (t->prefix.failed) {
        event_tickets_free(t);
        return NULL;
    }
    return t;
}

void event_tickets_free(struct event_tickets *tickets)
{
    if (tickets == NULL)
        return;
    for (size_t i = 0; i < PLACES; i++)
        free(tickets->places[i].text);
    buf_free(&tickets->prefix);
    free(tickets);
}

static bool make(struct event_tickets *t, struct place *place, const struct jwt_claims *buyer,
                 int64_t now_s)
{
    char *token;
    int64_t stay_s = buyer->expires_s - now_s;
    if (stay_s < STAY_MIN_S)
        stay_s = STAY_MIN_S;
    if (jwt_sign(t->jwt, buyer->user, JWT_AUD_EVENTS, now_s, now_s + t->ttl_s, stay_s, &token) < 0)
        return false;
    size_t user_len = strlen(buyer->user);
    size_t token_len = strlen(token);
    char *text = malloc(user_len + token_len + 2);
    if (text != NULL) {
        memcpy(text, buyer->user, user_len + 1);
        memcpy(text + user_len + 1, token, token_len + 1);
        free(place->text);
        place->text = text;
        place->ticket = text + user_len + 1;
        place->reuse_until_s = now_s + t->ttl_s / 2;
        place->buyer_until_s = buyer->expires_s;
    }
    free(token);
    return text != NULL;
}

void event_tickets_encode(struct event_tickets *tickets, const struct jwt_claims *buyer,
                          int64_t now_s, struct buf *out)
{
    uint64_t hash = strmap_hash(buyer->user, strlen(buyer->user));
    struct place *place = &tickets->places[hash % PLACES];
    bool fits = place->text != NULL && now_s < place->reuse_until_s &&
                place->buyer_until_s == buyer->expires_s && strcmp(place->text, buyer->user) == 0;
    if (!fits && !make(tickets, place, buyer, now_s)) {
        log_error("event ticket not made");
        (void)buf_str(out, "null");
        return;
    }
    (void)buf_append(out, tickets->prefix.data, tickets->prefix.len);
    (void)buf_str(out, place->ticket);
    (void)buf_char(out, '"');
}
