#include "common/identity/token_cache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hmac.h"
#include "common/base/strmap.h"

#define SETS 2048
#define WAYS 4
#define PLACES ((size_t)SETS * WAYS)
#define BYTES_MAX ((size_t)16 * 1024 * 1024) /* of texts */

struct place {
    uint64_t hash;
    size_t token_len;
    size_t bytes;
    char *token; /* owned; the texts of its claims follow it; NULL: a free place */
    struct claims claims;
};

struct token_cache {
    size_t bytes;
    size_t hand; /* the place that is freed next when all bytes are taken */
    struct place places[PLACES];
};

struct token_cache *token_cache_new(void)
{
    return calloc(1, sizeof(struct token_cache));
}

static void forget(struct token_cache *cache, struct place *place)
{
    if (place->token == NULL)
        return;
    cache->bytes -= place->bytes;
    free(place->token);
    *place = (struct place){0};
}

void token_cache_clear(struct token_cache *cache)
{
    for (size_t i = 0; i < PLACES; i++)
        forget(cache, &cache->places[i]);
}

void token_cache_free(struct token_cache *cache)
{
    if (cache == NULL)
        return;
    token_cache_clear(cache);
    free(cache);
}

const struct claims *token_cache_find(const struct token_cache *cache, const char *token,
                                      size_t len)
{
    uint64_t hash = strmap_hash(token, len);
    const struct place *set = cache->places + (hash % SETS) * WAYS;
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].hash == hash && set[i].token != NULL && set[i].token_len == len &&
            hmac_equal(set[i].token, token, len))
            return &set[i].claims;
    return NULL;
}

void token_cache_keep(struct token_cache *cache, const char *token, size_t len,
                      const struct claims *claims)
{
    size_t user_size = strlen(claims->user) + 1;
    size_t customer_size = strlen(claims->customer) + 1;
    size_t human_size = strlen(claims->human) + 1;
    size_t email_size = strlen(claims->email) + 1;
    size_t bytes = len + user_size + customer_size + human_size + email_size;
    char *copy = malloc(bytes);
    if (copy == NULL)
        return;
    memcpy(copy, token, len);
    memcpy(copy + len, claims->user, user_size);
    memcpy(copy + len + user_size, claims->customer, customer_size);
    memcpy(copy + len + user_size + customer_size, claims->human, human_size);
    memcpy(copy + bytes - email_size, claims->email, email_size);
    uint64_t hash = strmap_hash(token, len);
    struct place *set = cache->places + (hash % SETS) * WAYS;
    forget(cache, &set[WAYS - 1]);
    while (cache->bytes + bytes > BYTES_MAX)
        forget(cache, &cache->places[cache->hand++ % PLACES]);
    memmove(set + 1, set, (WAYS - 1) * sizeof *set);
    set[0] = (struct place){
        .hash = hash, .token_len = len, .bytes = bytes, .token = copy, .claims = *claims};
    set[0].claims.user = copy + len;
    set[0].claims.customer = copy + len + user_size;
    set[0].claims.human = copy + len + user_size + customer_size;
    set[0].claims.email = copy + bytes - email_size;
    cache->bytes += bytes;
}
