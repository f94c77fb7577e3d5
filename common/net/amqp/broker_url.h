/* The brokers a program may talk to, read from CHECKOUT_AMQP_URL. Pure: no I/O. */
#ifndef COMMON_NET_AMQP_BROKER_URL_H
#define COMMON_NET_AMQP_BROKER_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/tls.h"

#define BROKER_HOSTS_MAX 16

struct broker_host {
    bool tls;       /* amqps:// */
    char host[256]; /* name or address, an IPv6 one without its brackets */
    uint16_t port;  /* unless given 5672, with TLS 5671 */
    char user[256]; /* guest unless given */
    char password[1024];
    char vhost[256];        /* "/" unless given */
    struct tls_files files; /* for amqps://; empty: whoever connects sets them */
};

struct broker_hosts {
    struct broker_host *hosts;
    size_t count;
};

/*
 * Reads amqp[s]://user:password@host:port/vhost, several separated by commas, each part
 * percent-decoded (a comma inside one is written %2c). 0 and `ret_hosts` (broker_url_free), or
 * ERR_PARSE with a static text in `ret_problem` that repeats nothing of the URL, or ERR_NOMEM.
 */
MUST_CHECK int broker_url_parse(const char *urls, struct broker_hosts *ret_hosts,
                                const char **ret_problem);
/* Wipes and frees; an empty one is allowed. */
void broker_url_free(struct broker_hosts *hosts);

#endif
