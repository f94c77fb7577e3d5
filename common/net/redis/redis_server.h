/* Where Redis is, and who it must be. */
#ifndef COMMON_NET_REDIS_REDIS_SERVER_H
#define COMMON_NET_REDIS_REDIS_SERVER_H

#include "common/net/tls.h"

/* Whoever opens a connection copies the URL; the files' paths outlive the loop. */
struct redis_server {
    const char *url; /* redis://[user][:password]@host:port/db, or rediss:// for TLS */
    struct tls_files tls;
};

#endif
