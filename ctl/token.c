#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/service/identity.h"
#include "common/shop/job.h"
#include "ctl/command.h"

#define ANSWER_MAX ((size_t)16 * 1024)
#define TTL_USUAL_MS 3600000
#define TTL_MAX_MS (INT64_C(365) * 24 * 3600000)

static int print(const struct ctl *ctl, const char *user, const char *audience, int64_t expires_s,
                 const char *token)
{
    if (!ctl->json) {
        (void)puts(token);
        return CTL_FINE;
    }
    char expires[CLOCK_RFC3339_SIZE];
    struct buf out;
    clock_rfc3339(expires_s * 1000, expires);
    buf_init(&out, ANSWER_MAX);
    (void)buf_str(&out, "{\"token\":");
    (void)buf_json_str(&out, token);
    (void)buf_str(&out, ",\"user\":");
    (void)buf_json_str(&out, user);
    (void)buf_printf(&out, ",\"audience\":\"%s\",\"expires_at\":\"%s\"}", audience, expires);
    (void)puts(buf_text(&out));
    buf_free(&out);
    return CTL_FINE;
}

static int sign(const struct ctl *ctl, const char *user, bool events, int64_t ttl_ms)
{
    const char *audience = events ? JWT_AUD_EVENTS : JWT_AUD_API;
    int64_t now_s = clock_wall_ms() / 1000;
    int64_t expires_s = now_s + ttl_ms / 1000;
    if (!events && cfg_str(ctl->cfg, CFG_JWT_SECRET_FILE)[0] == '\0')
        return ctl_complain(CTL_USAGE, "%s: must be set, since a public key signs nothing",
                            cfg_name(CFG_JWT_SECRET_FILE));
    struct jwt *jwt = events ? identity_new_tickets(ctl->cfg) : identity_new_tokens(ctl->cfg);
    char *token = NULL;
    int code = jwt == NULL ? ERR_NOMEM : jwt_sign(jwt, user, audience, now_s, expires_s, 0, &token);
    int exit_code = code < 0 ? ctl_complain(CTL_FAILED, "cannot sign the token: %s", err_text(code))
                             : print(ctl, user, audience, expires_s, token);
    free(token);
    jwt_free(jwt);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const char *user = command_option(&command_token, args, "user");
    const char *ttl = command_option(&command_token, args, "ttl");
    const char *aud = command_option(&command_token, args, "aud");
    int64_t ttl_ms = TTL_USUAL_MS;
    if (user == NULL || !job_user_valid(user, strlen(user)))
        return ctl_complain(CTL_USAGE,
                            "--user must be given: 1 to 255 bytes, no control characters");
    if (ttl != NULL &&
        (cfg_parse_duration(ttl, &ttl_ms) < 0 || ttl_ms < 1000 || ttl_ms > TTL_MAX_MS))
        return ctl_complain(CTL_USAGE,
                            "--ttl: \"%.40s\" is not between 1s and 8760h, with its unit", ttl);
    if (aud == NULL || strcmp(aud, "api") == 0)
        return sign(ctl, user, false, ttl_ms);
    if (strcmp(aud, "events") == 0)
        return sign(ctl, user, true, ttl_ms);
    return ctl_complain(CTL_USAGE, "--aud: \"%.40s\" is neither api nor events", aud);
}

const struct command command_token = {
    .words = "token",
    .operands = "",
    .summary = "signs a buyer's token, for trying things out",
    .details = "Prints a JWT (HS256) that the API takes as this user's; with --aud events one that "
               "opens a websocket. Its holder acts as that user until it expires.",
    .options = {{"user", "U", "whose token (the claim sub)"},
                {"ttl", "1h", "how long it is good: a number with ms, s, m or h"},
                {"aud", "api|events", "its use: the API (default), or the websocket"}},
    .settings = CFG_BIT(JWT_SECRET_FILE) | CFG_BIT(TICKET_SECRET_FILE) | CFG_BIT(JWT_ISSUER),
    .run = run,
};
