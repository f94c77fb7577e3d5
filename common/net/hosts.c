#include "common/net/hosts.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void host_walk_init(struct host_walk *walk, size_t count, uint64_t seed)
{
    *walk = (struct host_walk){.count = count, .lost = count, .left = count, .random = seed};
    walk->host = (size_t)(next_random(&walk->random) % count);
}

void host_walk_failed(struct host_walk *walk)
{
    walk->host = (walk->host + 1) % walk->count;
    if (--walk->left == 0) {
        walk->left = walk->count;
        walk->round++;
    }
}

void host_walk_lost(struct host_walk *walk)
{
    size_t lost = walk->host;
    bool avoid = walk->count > 2 && walk->lost != walk->count && walk->lost != lost;
    if (walk->count > 1) {
        size_t others = walk->count - (avoid ? 2 : 1);
        size_t steps = 1 + (size_t)(next_random(&walk->random) % others);
        size_t to_avoid = (walk->lost + walk->count - lost) % walk->count;
        if (avoid && steps >= to_avoid)
            steps++;
        walk->host = (lost + steps) % walk->count;
    }
    walk->lost = lost;
    walk->left = walk->count;
}

/* Only a resolver that answers can report that there is no such name. */
static int code_of(int error)
{
    return error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY ? ERR_NOT_FOUND
                                                                                 : ERR_UNAVAILABLE;
}

/* The first addresses of the list, starting at number `round` of them. */
static void take(const struct addrinfo *found, unsigned round, struct host_addresses *ret)
{
    const struct addrinfo *kept[HOST_ADDRESSES_MAX];
    size_t count = 0;
    for (; found != NULL && count < HOST_ADDRESSES_MAX; found = found->ai_next)
        if (found->ai_addrlen <= sizeof ret->list[0])
            kept[count++] = found;
    for (size_t i = 0; i < count; i++) {
        const struct addrinfo *from = kept[(round + i) % count];
        memcpy(&ret->list[i], from->ai_addr, from->ai_addrlen);
        ret->sizes[i] = from->ai_addrlen;
    }
    ret->count = count;
}

int host_resolve(const char *name, uint16_t port, unsigned round,
                 struct host_addresses *ret_addresses, char *ret_reason, size_t reason_size)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(name, service, &hints, &found);
    struct host_addresses addresses = {.count = 0};
    if (error == 0) {
        take(found, round, &addresses);
        freeaddrinfo(found);
        error = addresses.count == 0 ? EAI_NONAME : 0;
    }
    if (error != 0) {
        (void)snprintf(ret_reason, reason_size, "%.128s: the host cannot be resolved: %s", name,
                       gai_strerror(error));
        return code_of(error);
    }
    *ret_addresses = addresses;
    return 0;
}

void host_address_text(const struct host_addresses *addresses, size_t index,
                       char ret_text[HOST_ADDRESS_SIZE])
{
    if (getnameinfo((const struct sockaddr *)&addresses->list[index], addresses->sizes[index],
                    ret_text, HOST_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST) != 0)
        ret_text[0] = '\0';
}
