#include "deploy/sandbox/gateway_impl.h"

void gateway_tell_drained(struct gateway *g)
{
    if (!g->draining || g->drained == NULL || !TAILQ_EMPTY(&g->open) || !TAILQ_EMPTY(&g->changes))
        return;
    loop_cb drained = g->drained;
    g->drained = NULL; /* once */
    drained(g->drained_arg);
}
