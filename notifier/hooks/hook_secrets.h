/*
 * The keys of endpoints: one file for each in a folder, with its name (common/shop/hook_keys.h). A
 * file is read when it is first needed, and again when it has changed, which is looked at once a
 * second. One that is bad or half written changes nothing: the keys before it stay, and an error
 * is logged each minute.
 */
#ifndef NOTIFIER_HOOKS_HOOK_SECRETS_H
#define NOTIFIER_HOOKS_HOOK_SECRETS_H

#include "common/shop/hook_keys.h"

struct hook_secrets;

/* `folder` outlives it. NULL: no memory. */
struct hook_secrets *hook_secrets_new(const char *folder);
void hook_secrets_free(struct hook_secrets *secrets); /* NULL is allowed */
/* Valid until the next call. NULL: there is no good file, and there was none. */
const struct hook_keys *hook_secrets_find(struct hook_secrets *secrets, const char *endpoint);
/* Every file is read again when it is needed next. */
void hook_secrets_reread(struct hook_secrets *secrets);

#endif
