#include "common/identity/key_set.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

struct key_set {
    size_t count;
    size_t ignored;
    const char *ignored_reason;
    struct key *keys[KEY_SET_KEYS_MAX];
};

void key_set_free(struct key_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        key_free(set->keys[i]);
    free(set);
}

static int add_key(struct key_set *set, const json_t *jwk)
{
    const char *problem = "it is no JSON object";
    int code =
        json_is_object(jwk) ? key_new_jwk(jwk, &set->keys[set->count], &problem) : ERR_INVALID;
    if (code == 0) {
        set->count++;
    } else if (code == ERR_INVALID) {
        set->ignored++;
        if (set->ignored_reason == NULL)
            set->ignored_reason = problem;
        code = 0;
    }
    return code;
}

static int add_keys(struct key_set *set, const json_t *list, const char **ret_problem)
{
    *ret_problem = "it has no list `keys`";
    if (!json_is_array(list))
        return ERR_PARSE;
    *ret_problem = "it has more than 64 keys";
    if (json_array_size(list) > KEY_SET_KEYS_MAX)
        return ERR_PARSE;
    for (size_t i = 0; i < json_array_size(list); i++) {
        int code = add_key(set, json_array_get(list, i));
        if (code < 0)
            return code;
    }
    *ret_problem = "it has no key that can be used here";
    return set->count == 0 ? ERR_PARSE : 0;
}

int key_set_parse(const char *text, size_t len, struct key_set **ret_set, const char **ret_problem)
{
    *ret_problem = "it is longer than 256 KiB";
    if (len > KEY_SET_BYTES_MAX)
        return ERR_PARSE;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    struct key_set *set = calloc(1, sizeof *set);
    *ret_problem = "it is no JSON object";
    int code = set == NULL             ? ERR_NOMEM
               : !json_is_object(root) ? ERR_PARSE
                                       : add_keys(set, json_object_get(root, "keys"), ret_problem);
    json_decref(root);
    if (code < 0) {
        key_set_free(set);
        return code;
    }
    *ret_set = set;
    return 0;
}

size_t key_set_count(const struct key_set *set)
{
    return set->count;
}

size_t key_set_ignored(const struct key_set *set)
{
    return set->ignored;
}

const char *key_set_ignored_reason(const struct key_set *set)
{
    return set->ignored_reason;
}

static size_t count_of(const struct key_set *set, enum key_algorithm algorithm)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += key_algorithm(set->keys[i]) == algorithm;
    return count;
}

const struct key *key_set_next(const struct key_set *set, enum key_algorithm algorithm,
                               const char *id, size_t *from)
{
    if (id == NULL && count_of(set, algorithm) != 1)
        return NULL;
    while (*from < set->count) {
        const struct key *key = set->keys[(*from)++];
        if (key_algorithm(key) == algorithm && (id == NULL || strcmp(key_id(key), id) == 0))
            return key;
    }
    return NULL;
}
