#include <stdlib.h>

#include "common/base/err.h"
#include "common/net/hosts.h"
#include "common/net/url.h"
#include "common/service/contact.h"

/* Only resolves the gateway's name: its answers belong to payments. */
struct lookup {
    struct contact *contact; /* NULL: the result is not needed any more */
    bool done;
    int code;
    char host[HOST_NAME_SIZE];
    char reason[CONTACT_REASON_SIZE];
};

/* In a thread. */
static void resolve(void *arg)
{
    struct lookup *lookup = arg;
    struct host_addresses addresses;
    lookup->code =
        host_resolve(lookup->host, 0, 0, &addresses, lookup->reason, sizeof lookup->reason);
}

static void resolved(void *arg)
{
    struct lookup *lookup = arg;
    lookup->done = true;
    if (lookup->contact == NULL)
        free(lookup);
    else if (lookup->code < 0)
        contact_failed(lookup->contact, lookup->code, lookup->reason);
    else
        contact_up(lookup->contact);
}

static void *open_lookup(struct loop *loop, const struct cfg *cfg, const char *program,
                         struct contact *contact)
{
    (void)program;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    lookup->contact = contact;
    url_host_of(cfg_str(cfg, CFG_GATEWAY_URL), lookup->host, sizeof lookup->host);
    if (loop_background(loop, resolve, resolved, lookup) < 0) {
        free(lookup);
        return NULL;
    }
    contact->hosts = 1; /* whatever its path holds */
    return lookup;
}

/* A thread that still resolves keeps it until it ends, at loop_free at the latest. */
static void close_lookup(struct contact *contact)
{
    struct lookup *lookup = contact->client;
    if (lookup == NULL)
        return;
    lookup->contact = NULL;
    if (lookup->done)
        free(lookup);
}

const struct contact_kind contact_gateway = {CFG_GATEWAY_URL, "the gateway", open_lookup,
                                             close_lookup};
