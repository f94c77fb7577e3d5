/*
 * Whose tokens a program takes, by its settings: buyers' tokens by the HS256 secrets and the
 * identity provider's keys; event tickets by a key of their own, so that neither is ever the other.
 */
#ifndef COMMON_SERVICE_IDENTITY_H
#define COMMON_SERVICE_IDENTITY_H

#include "common/base/attrs.h"
#include "common/identity/jwt.h"
#include "common/service/cfg.h"

struct daemon;
struct identity;

/* By the daemon's settings. Returns 0, or the process's exit code: 2, with a line on standard error
 * (the provider's keys are bad), or 1 (no memory). */
MUST_CHECK int identity_open(const struct daemon *daemon, struct identity **ret_identity);
/* The same for the console: only the public keys of CHECKOUT_CONSOLE_JWKS_FILE sign its tokens (who
 * can check HS256 can sign it), and there are no tickets. */
MUST_CHECK int identity_open_console(const struct daemon *daemon, struct identity **ret_identity);
void identity_close(struct identity *identity); /* NULL is allowed */

/* Valid until identity_close. */
struct jwt *identity_tokens(const struct identity *identity);
struct jwt *identity_tickets(const struct identity *identity);

/* The two without the provider's keys, for a program that signs; the caller frees them. NULL: no
 * memory. */
struct jwt *identity_new_tokens(const struct cfg *cfg);
struct jwt *identity_new_tickets(const struct cfg *cfg);

#endif
