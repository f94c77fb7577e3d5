#include "common/net/redis/redis.h"
#include "common/service/contact.h"
#include "common/service/servers.h"

#define PENDING_MAX 64

static void changed(bool up, const char *reason, void *arg)
{
    struct contact *contact = arg;
    if (up)
        contact_up(contact);
    else
        contact_failed(contact, redis_fault(contact->client), reason);
}

static void *open_redis(struct loop *loop, const struct cfg *cfg, const char *program,
                        struct contact *contact)
{
    (void)program; /* Redis gets no name */
    const struct redis_server server = servers_redis(cfg);
    return redis_open(loop, &server, PENDING_MAX, changed, contact);
}

static void close_redis(struct contact *contact)
{
    redis_close(contact->client);
}

const struct contact_kind contact_redis = {CFG_REDIS_URL, "Redis", open_redis, close_redis};
