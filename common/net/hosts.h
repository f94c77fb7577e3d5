/*
 * Which host, and which of its addresses, to try next: the same for every server. It walks a list
 * of hosts from a random one on. In each further round a name begins at another of its addresses,
 * so that an address that connects and never answers does not hide the others.
 */
#ifndef COMMON_NET_HOSTS_H
#define COMMON_NET_HOSTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/attrs.h"

#define HOST_ADDRESSES_MAX 8
#define HOST_ADDRESS_SIZE 64 /* an address as text */
#define HOST_NAME_SIZE 256

struct host_walk {
    size_t count; /* of hosts */
    size_t host;  /* the one to try, from 0 */
    size_t lost;  /* the one whose connection was lost last; `count`: none was */
    size_t left;  /* to try in this round, `host` included */
    unsigned round;
    uint64_t random; /* state (splitmix64) */
};

/* Starts at a random one of `count` (1 or more) hosts. `seed`: anything that differs between
 * processes. */
void host_walk_init(struct host_walk *walk, size_t count, uint64_t seed);
/* A try failed: the next host of the list. */
void host_walk_failed(struct host_walk *walk);
/* An established connection is lost: a random one of the other hosts, so that the clients of a lost
 * node do not all go to the same one; not the one that was lost before, if there is another. */
void host_walk_lost(struct host_walk *walk);

struct host_addresses {
    struct sockaddr_storage list[HOST_ADDRESSES_MAX];
    socklen_t sizes[HOST_ADDRESSES_MAX];
    size_t count;
};

/*
 * Looks a name up; the list begins at address number `round`. Blocks. 0, ERR_NOT_FOUND (there is no
 * such name) or ERR_UNAVAILABLE (no resolver answers now) with the reason.
 */
MUST_CHECK int host_resolve(const char *name, uint16_t port, unsigned round,
                            struct host_addresses *ret_addresses, char *ret_reason,
                            size_t reason_size);
/* Address number `index` as numbers, without its port. */
void host_address_text(const struct host_addresses *addresses, size_t index,
                       char ret_text[HOST_ADDRESS_SIZE]);

#endif
