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
    const struct pg_options options = {.url = cfg_str(cfg, CFG_DATABASE_URL),
                                       .application_name = program,
                                       .greeting = greeting,
                                       .tcp_user_timeout_ms = TCP_USER_TIMEOUT_MS,
                                       .pending_max = PENDING_MAX};
    return pg_open(loop, &options, changed, contact);
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

static void close_pg(void *client)
{
    pg_close(client);
}

const struct contact_kind contact_pg = {CFG_DATABASE_URL, "PostgreSQL", open_pg, close_pg};
const struct contact_kind contact_pg_any = {CFG_DATABASE_URL, "PostgreSQL", open_any, close_pg};
