/*
 * What a process knows of the servers behind one URL: the cluster's identifier, the newest timeline
 * seen, and what the hosts answered when they were last asked. It judges whether a new session may
 * be used. Pure, but for the log; pg_peers.c asks the hosts.
 */
#ifndef COMMON_NET_PG_PG_CLUSTER_H
#define COMMON_NET_PG_PG_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg_result.h"

#define PG_PLACE_SIZE 272 /* "host:port" */
#define PG_SYSTEM_SIZE 24
#define PG_CLUSTER_HOSTS_MAX 8 /* further ones are not asked */

struct pg_identity {
    bool known; /* false: the server does not show it */
    char system[PG_SYSTEM_SIZE];
    int64_t timeline;
    bool standby;
    int backend; /* process id of the session's; a pooler makes up that of the login */
};

/* A session, embedded in what it belongs to. */
struct pg_cluster_member {
    char place[PG_PLACE_SIZE]; /* the server that it is connected to */
    struct pg_identity identity;
    bool up; /* accepted */
    struct pg_identity last;
    char last_place[PG_PLACE_SIZE]; /* of the newest that was accepted; "": none was */
    bool moved;                     /* that one differs from the one before it */
    bool waits;
    void (*known)(void *arg); /* the other hosts have been asked: judge now */
    /* A newer timeline is known: its session is to end. */
    void (*outdated)(const char *reason, void *arg);
    void *arg;
    TAILQ_ENTRY(pg_cluster_member) of_all;
    TAILQ_ENTRY(pg_cluster_member) of_waiting;
};

/* What one of them answered when they were last asked. */
struct pg_cluster_host {
    char place[PG_PLACE_SIZE];
    bool answered;
    struct pg_identity identity; /* not known if it has not answered */
};

TAILQ_HEAD(pg_cluster_list, pg_cluster_member);

struct pg_peers;

struct pg_cluster {
    struct pg_identity seen; /* the newest timeline; not known before the first session */
    char seen_place[PG_PLACE_SIZE];
    struct pg_cluster_host hosts[PG_CLUSTER_HOSTS_MAX]; /* in the order of the URL */
    size_t host_count;
    bool hidden_logged; /* that a server does not show its identity */
    struct pg_cluster_list all;
    struct pg_cluster_list waiting;
    struct pg_peers *peers;
    /* Starts to ask the hosts unless that is under way; false: what was found is recent. */
    bool (*ask)(struct pg_peers *peers);
};

extern const struct pg_statement pg_identity_statement;
/* Not known unless PG_OK came. */
struct pg_identity pg_identity_of(const struct pg_result *result);

void pg_cluster_join(struct pg_cluster *cluster, struct pg_cluster_member *member);
/* NULL is allowed, here and in pg_cluster_forget. */
void pg_cluster_leave(struct pg_cluster *cluster, struct pg_cluster_member *member);
/* Whether the other hosts have been asked; if not, `known` comes later. */
bool pg_cluster_asked(struct pg_cluster *cluster, struct pg_cluster_member *member);
/* The member's session has ended. */
void pg_cluster_forget(struct pg_cluster *cluster, struct pg_cluster_member *member);
/* Whether the member's session may be used, by its identity: 0, or ERR_UNAVAILABLE with the reason.
 * May end sessions of other members. */
MUST_CHECK int pg_cluster_judge(struct pg_cluster *cluster, struct pg_cluster_member *member,
                                char *ret_reason, size_t reason_size);

/* For pg_peers.c, which asks the hosts: forget what was found; note what the host number `host`
 * answered (`identity` NULL: nothing); all have answered. */
void pg_cluster_asking(struct pg_cluster *cluster);
void pg_cluster_found(struct pg_cluster *cluster, size_t host, const char *place,
                      const struct pg_identity *identity);
void pg_cluster_all_asked(struct pg_cluster *cluster);

#endif
