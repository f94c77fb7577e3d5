/*
 * Tokens that were verified, so that a buyer's next request costs no signature: whole texts, and
 * what their claims say. At most 8192 tokens in 16 MiB, whichever is less; the oldest of a set, or
 * the next in turn, makes room.
 */
#ifndef COMMON_IDENTITY_TOKEN_CACHE_H
#define COMMON_IDENTITY_TOKEN_CACHE_H

#include <stddef.h>

#include "common/identity/claims.h"

struct token_cache;

struct token_cache *token_cache_new(void);        /* NULL: no memory */
void token_cache_free(struct token_cache *cache); /* NULL is allowed */

/* The claims of a token that is kept, valid until the next call; NULL: it is not. */
const struct claims *token_cache_find(const struct token_cache *cache, const char *token,
                                      size_t len);
/* Copies both. Without memory it keeps nothing. */
void token_cache_keep(struct token_cache *cache, const char *token, size_t len,
                      const struct claims *claims);
/* Forgets all: a key that signed some of them may be gone. */
void token_cache_clear(struct token_cache *cache);

#endif
