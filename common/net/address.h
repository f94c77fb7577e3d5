/*
 * Who asks: the addresses of clients, those of proxies that are trusted, and the lists of addresses
 * that proxies send (X-Forwarded-For). Pure.
 */
#ifndef COMMON_NET_ADDRESS_H
#define COMMON_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/base/attrs.h"

#define ADDRESS_NAME_SIZE 64

/* IPv6, or IPv4 mapped into it (::ffff:a.b.c.d). */
struct address {
    unsigned char bytes[16];
};

struct networks;

/* The address of a socket's other side. ERR_INVALID: it has none, such as a Unix socket's. */
MUST_CHECK int address_of_socket(const struct sockaddr *socket, struct address *ret_address);
/* Reads `len` bytes: 192.0.2.7, 2001:db8::7, each with or without a port (192.0.2.7:80,
 * [2001:db8::7]:443). ERR_PARSE. */
MUST_CHECK int address_parse(const char *text, size_t len, struct address *ret_address);
/* What one client has: an IPv4 address, or the first 64 bits of an IPv6 address, as text. */
void address_name(const struct address *address, char ret_name[ADDRESS_NAME_SIZE]);

/*
 * Reads a list of addresses and networks (10.0.0.0/8), separated by commas; "": none. 0, ERR_NOMEM,
 * or ERR_PARSE with a static text in `ret_problem`.
 */
MUST_CHECK int networks_new(const char *list, struct networks **ret_networks,
                            const char **ret_problem);
void networks_free(struct networks *networks); /* NULL is allowed */
bool networks_hold(const struct networks *networks, const struct address *address);

/*
 * The client behind trusted proxies. `forwarded` is the list of X-Forwarded-For (NULL: none), where
 * each proxy has added at the end who asked it. It is read from there, for as long as it is a
 * trusted proxy that says so; what stands before that anybody may have written.
 */
struct address address_of_client(const struct networks *trusted, const struct address *peer,
                                 const char *forwarded);

#endif
