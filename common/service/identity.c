#include "common/service/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/identity/key_file.h"
#include "common/service/daemon.h"

#define EXIT_SETTING 2
#define PROBLEM_MAX 512

struct identity {
    struct jwt *tokens;
    struct jwt *tickets;
    struct key_file *file; /* NULL: no keys but the secrets */
    struct metric *keys;
    struct metric *good;
};

struct jwt *identity_new_tokens(const struct cfg *cfg)
{
    struct jwt_options options = {.issuer = cfg_str(cfg, CFG_JWT_ISSUER),
                                  .leeway_s = cfg_int(cfg, CFG_JWT_LEEWAY) / 1000};
    options.secret = cfg_secret(cfg, CFG_JWT_SECRET_FILE, &options.secret_len);
    options.previous = cfg_secret(cfg, CFG_JWT_PREVIOUS_SECRET_FILE, &options.previous_len);
    return jwt_new(&options);
}

/* The tickets' key that belongs to a secret of tokens: whoever signs tokens needs no second secret,
 * and yet no token is a ticket. */
static int derive(const struct cfg *cfg, enum cfg_id setting, unsigned char ret_key[HMAC_BYTES],
                  size_t *ret_len)
{
    static const char purpose[] = "checkout event tickets";
    const struct hmac_part part = {purpose, sizeof purpose - 1};
    size_t len;
    const char *secret = cfg_secret(cfg, setting, &len);
    *ret_len = 0;
    if (len == 0)
        return 0;
    struct hmac *hmac = hmac_new(secret, len);
    int code = hmac == NULL ? ERR_NOMEM : hmac_of(hmac, &part, 1, ret_key);
    hmac_free(hmac);
    if (code == 0)
        *ret_len = HMAC_BYTES;
    return code;
}

struct jwt *identity_new_tickets(const struct cfg *cfg)
{
    unsigned char current[HMAC_BYTES], previous[HMAC_BYTES];
    struct jwt_options options = {.secret = (const char *)current,
                                  .previous = (const char *)previous};
    size_t own_len;
    const char *own = cfg_secret(cfg, CFG_TICKET_SECRET_FILE, &own_len);
    if (derive(cfg, CFG_JWT_SECRET_FILE, current, &options.secret_len) < 0 ||
        derive(cfg, CFG_JWT_PREVIOUS_SECRET_FILE, previous, &options.previous_len) < 0)
        return NULL;
    if (own_len > 0)
        options = (struct jwt_options){.secret = own, .secret_len = own_len};
    struct jwt *tickets = jwt_new(&options);
    explicit_bzero(current, sizeof current);
    explicit_bzero(previous, sizeof previous);
    return tickets;
}

static void keys_changed(struct key_set *keys, void *arg)
{
    struct identity *identity = arg;
    metric_set(identity->keys, (double)key_set_count(keys));
    jwt_use_keys(identity->tokens, keys);
}

static void file_judged(bool good, void *arg)
{
    struct identity *identity = arg;
    metric_set(identity->good, good);
}

static int watch(struct identity *identity, const struct daemon *daemon, enum cfg_id setting)
{
    const char *path = cfg_str(daemon->cfg, setting);
    const struct key_file_listener listener = {
        .changed = keys_changed, .judged = file_judged, .arg = identity};
    identity->keys = metrics_gauge(daemon->metrics, "checkout_token_keys",
                                   "Public keys whose tokens are taken.", NULL);
    identity->good =
        metrics_gauge(daemon->metrics, "checkout_token_keys_file_good",
                      "Whether the file of these keys, as it is now, can be used; 0: the keys "
                      "before it stay.",
                      NULL);
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    int code = key_file_open(daemon->loop, path, &listener, &identity->file, &problem);
    if (code == ERR_CONFIG)
        (void)fprintf(stderr, "%s: %s: %s\n", daemon->name, cfg_name(setting), buf_text(&problem));
    buf_free(&problem);
    return code;
}

/* With the keys of this setting, if it names a file. */
static int complete(struct identity *identity, const struct daemon *daemon, enum cfg_id setting,
                    struct identity **ret_identity)
{
    int code = identity->tokens == NULL || identity->tickets == NULL ? ERR_NOMEM : 0;
    if (code == 0 && cfg_str(daemon->cfg, setting)[0] != '\0')
        code = watch(identity, daemon, setting);
    if (code < 0) {
        identity_close(identity);
        return code == ERR_CONFIG ? EXIT_SETTING : EXIT_FAILURE;
    }
    *ret_identity = identity;
    return 0;
}

int identity_open(const struct daemon *daemon, struct identity **ret_identity)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL)
        return EXIT_FAILURE;
    identity->tokens = identity_new_tokens(daemon->cfg);
    identity->tickets = identity_new_tickets(daemon->cfg);
    return complete(identity, daemon, CFG_JWKS_FILE, ret_identity);
}

int identity_open_console(const struct daemon *daemon, struct identity **ret_identity)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL)
        return EXIT_FAILURE;
    const struct jwt_options options = {.issuer = cfg_str(daemon->cfg, CFG_CONSOLE_ISSUER),
                                        .leeway_s = cfg_int(daemon->cfg, CFG_JWT_LEEWAY) / 1000};
    const struct jwt_options none = {0};
    identity->tokens = jwt_new(&options);
    identity->tickets = jwt_new(&none);
    return complete(identity, daemon, CFG_CONSOLE_JWKS_FILE, ret_identity);
}

void identity_close(struct identity *identity)
{
    if (identity == NULL)
        return;
    key_file_close(identity->file);
    jwt_free(identity->tokens);
    jwt_free(identity->tickets);
    free(identity);
}

struct jwt *identity_tokens(const struct identity *identity)
{
    return identity->tokens;
}

struct jwt *identity_tickets(const struct identity *identity)
{
    return identity->tickets;
}
