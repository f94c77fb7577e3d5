/* Which addresses are of the public internet, for requests to hosts that others have named. Pure.
 */
#ifndef COMMON_NET_ADDRESS_PUBLIC_H
#define COMMON_NET_ADDRESS_PUBLIC_H

#include <stdbool.h>

#include "common/net/address.h"

/*
 * Whether packets to it leave for a host of the public internet. False: this host (loopback), the
 * networks that it is in (private, link-local, shared by a carrier), multicast, what is reserved,
 * and whatever carries another address inside: 6to4, Teredo, NAT64. An IPv4 address that is mapped
 * into IPv6 is judged as what it is.
 */
bool address_is_public(const struct address *address);

#endif
