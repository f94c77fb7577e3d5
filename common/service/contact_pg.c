#include "common/net/pg/pg.h"
#include "common/service/contact.h"
#include "common/shop/database_version.h"

#define TCP_USER_TIMEOUT_MS 10000
#define PENDING_MAX 64

static void changed(bool up, const char *reason, void *arg)
{
    struct contact *contact = arg;
    if (up)
        contact_up(contact);
    else
        contact_failed(contact, pg_fault(contact->client), reason);
}

static void *open_with(struct loop *loop, const struct cfg *cfg, const char *program,
                       struct contact *contact, const struct pg_greeting *greeting)
{
    const char *url = cfg_str(cfg, CFG_DATABASE_URL);
    struct pg_cluster *cluster = pg_cluster_new(loop, url, program);
    if (cluster == NULL)
        return NULL;
    const struct pg_options options = {.url = url,
                                       .cluster = cluster,
                                       .application_name = program,
                                       .greeting = greeting,
                                       .tcp_user_timeout_ms = TCP_USER_TIMEOUT_MS,
                                       .pending_max = PENDING_MAX};
    struct pg *pg = pg_open(loop, &options, changed, contact);
    if (pg == NULL)
        pg_cluster_free(cluster);
    else
        contact->besides = cluster;
    return pg;
}

static void *open_pg(struct loop *loop, const struct cfg *cfg, const char *program,
                     struct contact *contact)
{
    return open_with(loop, cfg, program, contact, &database_version_greeting);
}

static void *open_any(struct loop *loop, const struct cfg *cfg, const char *program,
                      struct contact *contact)
{
    return open_with(loop, cfg, program, contact, NULL);
}

static void close_pg(struct contact *contact)
{
    pg_close(contact->client);
    pg_cluster_free(contact->besides);
    contact->besides = NULL;
}

const struct contact_kind contact_pg = {CFG_DATABASE_URL, "PostgreSQL", open_pg, close_pg};
const struct contact_kind contact_pg_any = {CFG_DATABASE_URL, "PostgreSQL", open_any, close_pg};
