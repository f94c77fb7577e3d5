#include "producer/limits/clients.h"

#include <stdlib.h>
#include <string.h>

#include "producer/limits/recent.h"

#define ADDRESSES_MAX 8192

struct clients {
    struct networks *trusted;
    struct rate bad_tokens;
    struct recent *full; /* when the bucket of an address is full again */
};

struct clients *clients_new(const char *trusted_proxies, const struct rate *bad_tokens)
{
    struct clients *clients = calloc(1, sizeof *clients);
    const char *problem; /* only memory can be missing */
    if (clients == NULL)
        return NULL;
    clients->bad_tokens = *bad_tokens;
    clients->full = recent_new(ADDRESSES_MAX);
    if (clients->full != NULL && networks_new(trusted_proxies, &clients->trusted, &problem) == 0)
        return clients;
    clients_free(clients);
    return NULL;
}

void clients_free(struct clients *clients)
{
    if (clients == NULL)
        return;
    networks_free(clients->trusted);
    recent_free(clients->full);
    free(clients);
}

void clients_name(const struct clients *clients, const struct http_request *request,
                  struct buf *scratch, char ret_name[ADDRESS_NAME_SIZE])
{
    struct address peer;
    ret_name[0] = '\0';
    if (http_request_peer(request, &peer) < 0)
        return;
    const char *forwarded = NULL;
    if (networks_hold(clients->trusted, &peer))
        forwarded = http_request_list(request, "X-Forwarded-For", scratch);
    struct address client = address_of_client(clients->trusted, &peer, forwarded);
    address_name(&client, ret_name);
    buf_reset(scratch);
}

const struct rate *clients_bad_tokens(const struct clients *clients)
{
    return &clients->bad_tokens;
}

bool clients_may_try(struct clients *clients, const char *name, int64_t now_us,
                     int64_t *ret_wait_us)
{
    const int64_t *full = recent_find(clients->full, name);
    return rate_would_take(&clients->bad_tokens, now_us, full == NULL ? 0 : *full, ret_wait_us);
}

void clients_tried(struct clients *clients, const char *name, int64_t now_us)
{
    int64_t wait_us;
    int64_t *full = recent_use(clients->full, name);
    if (full != NULL && !rate_take(&clients->bad_tokens, now_us, full, &wait_us))
        return; /* it is full: others of it were read meanwhile */
}
