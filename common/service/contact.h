/*
 * The first contact of a program with its servers. It distinguishes a wrong setting from a server
 * that is only down. A program names the servers that it needs, and links only these.
 */
#ifndef COMMON_SERVICE_CONTACT_H
#define COMMON_SERVICE_CONTACT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/service/cfg.h"

#define CONTACT_REASON_SIZE 320

enum contact_state {
    CONTACT_TRYING,
    CONTACT_UP,
    CONTACT_DOWN,     /* no answer, or not now */
    CONTACT_WRONG,    /* the setting: its host has no address, or the server refuses login or
                       * database */
    CONTACT_UNSUITED, /* its database is of a version that does not suit this program */
};

struct contact;

/* How to connect to one kind of server. */
struct contact_kind {
    enum cfg_id setting;
    const char *server; /* for people */
    /* Starts to connect; NULL: no memory. It calls contact_up and contact_failed from the loop. */
    void *(*open)(struct loop *loop, const struct cfg *cfg, const char *program,
                  struct contact *contact);
    void (*close)(struct contact *contact); /* its client may be NULL */
};

/* Clients: struct pg, struct broker, struct redis; of the gateway only the name is resolved. With
 * contact_pg_any a database of any version is met. */
extern const struct contact_kind contact_pg;
extern const struct contact_kind contact_pg_any;
extern const struct contact_kind contact_broker;
extern const struct contact_kind contact_redis;
extern const struct contact_kind contact_gateway;

/* One server: tries each host of its URL once. */
struct contact {
    const struct contact_kind *kind;
    struct loop *loop;
    void *client;  /* NULL: no memory */
    void *besides; /* of the kind: freed with the client */
    enum contact_state state;
    unsigned hosts;
    unsigned tries;                   /* that failed */
    unsigned unknown;                 /* of these: the host has no address */
    char reason[CONTACT_REASON_SIZE]; /* of the last failure, without secrets */
};

/* Starts. `program` is our name at the server. The contact must outlive its client; it ignores
 * later changes of the connection. */
void contact_begin(struct contact *contact, const struct contact_kind *kind, struct loop *loop,
                   const struct cfg *cfg, const char *program);
/* Runs the loop until each contact is up or has failed, or one is CONTACT_WRONG or _UNSUITED; one
 * that still tries after patience_ms is CONTACT_DOWN. */
void contact_await(struct contact *contacts, size_t count, uint64_t patience_ms);
/* Closes the client. */
void contact_end(struct contact *contact);

/* For the kinds: a client is connected; a try failed (`fault` as of pg_fault). */
void contact_up(struct contact *contact);
void contact_failed(struct contact *contact, int fault, const char *reason);

#endif
