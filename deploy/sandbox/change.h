/* A change that no request of the API asks for: time makes it, or somebody at the dashboard. */
#ifndef DEPLOY_SANDBOX_CHANGE_H
#define DEPLOY_SANDBOX_CHANGE_H

#include "common/base/attrs.h"
#include "deploy/sandbox/gateway_impl.h"

struct change {
    struct gateway *gateway;
    TAILQ_ENTRY(change) link;
    struct http_request *request; /* answered with the object once it is durable; NULL: none */
    struct record base;           /* what is changed, as it was */
    struct record record;         /* as it is to be; its texts are in `base`, or stay */
    struct ledger_place place;
    struct ledger_wait wait;
};

/*
 * Begins a change of what is recorded at `place`, which is that of `intent` or of a part of it;
 * both records are filled in. ERR_CONFLICT: the intent is being changed; ERR_IO, ERR_NOMEM.
 */
MUST_CHECK int change_begin(struct gateway *gateway, uint64_t intent, struct ledger_place place,
                            struct change **ret_change);
/* Records it; the shop hears of it, its request is answered. On an error it is forgotten (its
 * request stays the caller's). */
MUST_CHECK int change_commit(struct change *change);
/* Forgets it; its request stays the caller's. */
void change_cancel(struct change *change);
/* Forgets all that are not durable yet. */
void change_free_all(struct gateway *gateway);

#endif
