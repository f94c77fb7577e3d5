/* The public keys of an identity provider: a JSON Web Key Set (RFC 7517), as it is published. */
#ifndef COMMON_IDENTITY_KEY_SET_H
#define COMMON_IDENTITY_KEY_SET_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/identity/key.h"

#define KEY_SET_BYTES_MAX ((size_t)256 * 1024)
#define KEY_SET_KEYS_MAX 64

struct key_set;

/*
 * Reads a set. Keys that cannot be used here are left out (as the RFC asks), and counted. 0,
 * ERR_NOMEM, or ERR_PARSE with a static text in `ret_problem`: it is no such set (half of one, for
 * example), has more keys than KEY_SET_KEYS_MAX, or none that can be used.
 */
MUST_CHECK int key_set_parse(const char *text, size_t len, struct key_set **ret_set,
                             const char **ret_problem);
void key_set_free(struct key_set *set); /* NULL is allowed */

size_t key_set_count(const struct key_set *set);   /* keys that are used */
size_t key_set_ignored(const struct key_set *set); /* keys that were left out */
/* Why the first of these was left out; NULL: none was. */
const char *key_set_ignored_reason(const struct key_set *set);

/*
 * The next key that may have signed a token: of this algorithm, and with its `kid`. With `id` NULL
 * (a token without one) only the one key of the algorithm, if there is but one. Begin with *from =
 * 0. NULL: no further one. Several keys may share a `kid`.
 */
const struct key *key_set_next(const struct key_set *set, enum key_algorithm algorithm,
                               const char *id, size_t *from);

#endif
