/* The file of an identity provider's keys. What is read can be asked for, and checks a signature
 * without harm. */
#include "tests/fuzz/fuzz.h"

#include "common/base/err.h"
#include "common/identity/key_set.h"

static void check(const struct key_set *set, enum key_algorithm algorithm, const uint8_t *data,
                  size_t size)
{
    const struct key *key;
    size_t from = 0, seen = 0;
    while ((key = key_set_next(set, algorithm, "a", &from)) != NULL) {
        MUST(key_algorithm(key) == algorithm && strcmp(key_id(key), "a") == 0);
        (void)key_verifies(key, "text", 4, data, size < 64 ? size : 64);
        seen++;
    }
    MUST(seen <= key_set_count(set));
    from = 0;
    MUST(key_set_next(set, algorithm, NULL, &from) == NULL ||
         key_set_next(set, algorithm, NULL, &from) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_set *set = NULL;
    const char *problem = NULL;
    char *text = exact(data, size);
    int code = key_set_parse(text, size, &set, &problem);
    if (code == 0) {
        MUST(key_set_count(set) >= 1 && key_set_count(set) <= KEY_SET_KEYS_MAX);
        MUST((key_set_ignored(set) == 0) == (key_set_ignored_reason(set) == NULL));
        check(set, KEY_RS256, data, size);
        check(set, KEY_ES256, data, size);
        check(set, KEY_EDDSA, data, size);
        size_t from = 0;
        MUST(key_set_next(set, KEY_HS256, "a", &from) == NULL); /* no secret comes from a set */
        key_set_free(set);
    } else {
        MUST(code == ERR_PARSE && problem != NULL && set == NULL);
    }
    free(text);
    return 0;
}
