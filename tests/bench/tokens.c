/*
 * What the tokens of buyers cost a producer: each of TOKENS_FILE once, which checks its signature,
 * and then many times, when it is known. One line of JSON: microseconds for a token, cold and warm,
 * and how many known ones were checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/identity/jwt.h"
#include "common/identity/key_set.h"
#include "tests/bench/client.h"

#define KEYS_MAX ((size_t)64 * 1024)
#define WARM_ROUNDS 50

static struct key_set *read_keys(const char *path)
{
    static char text[KEYS_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        client_die("%s cannot be read", path);
    size_t len = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    struct key_set *keys;
    const char *problem = "out of memory";
    if (key_set_parse(text, len, &keys, &problem) < 0)
        client_die("%s: %s", path, problem);
    return keys;
}

/* Microseconds that each took. */
static double verify_all(struct jwt *jwt, const struct client_tokens *tokens)
{
    struct jwt_claims claims;
    const char *problem = "";
    int64_t now_s = (int64_t)time(NULL);
    uint64_t began_us = client_now_us();
    for (size_t i = 0; i < tokens->count; i++)
        if (jwt_verify(jwt, tokens->lines[i], strlen(tokens->lines[i]), JWT_AUD_API, now_s, &claims,
                       &problem) < 0)
            client_die("token %zu: %s", i, problem);
    return (double)(client_now_us() - began_us) / (double)tokens->count;
}

/* Apart, so that callgrind can count it alone; clang clones nothing. */
#ifdef __clang__
#define APART __attribute__((noinline))
#else
#define APART __attribute__((noinline, noclone))
#endif

static APART double verify_warm(struct jwt *jwt, const struct client_tokens *tokens)
{
    double us = 0;
    for (int i = 0; i < WARM_ROUNDS; i++)
        us += verify_all(jwt, tokens) / WARM_ROUNDS;
    return us;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s JWKS_FILE SECRET TOKENS_FILE\n", argv[0]);
        return EXIT_FAILURE;
    }
    const struct jwt_options options = {.secret = argv[2], .secret_len = strlen(argv[2])};
    const struct client_tokens tokens = client_tokens_read(argv[3]);
    struct jwt *jwt = jwt_new(&options);
    if (jwt == NULL || tokens.count == 0)
        client_die("there are no tokens, or no memory");
    jwt_use_keys(jwt, read_keys(argv[1]));
    double cold_us = verify_all(jwt, &tokens);
    double warm_us = verify_warm(jwt, &tokens);
    (void)printf("{\"cold_us\":%.3f,\"warm_us\":%.4f,\"warm\":%zu}\n", cold_us, warm_us,
                 tokens.count * WARM_ROUNDS);
    jwt_free(jwt);
    return EXIT_SUCCESS;
}
