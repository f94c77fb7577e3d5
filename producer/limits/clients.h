/*
 * The addresses of clients, as limits count them, and how many refused tokens each has sent to this
 * process. Once an address has sent too many, its tokens that are not known as good are refused
 * unread, since reading one costs a signature; those of customers who are here already are not.
 */
#ifndef PRODUCER_LIMITS_CLIENTS_H
#define PRODUCER_LIMITS_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/rate.h"
#include "common/net/address.h"
#include "common/net/http/http.h"

struct clients;

/* `trusted_proxies` was checked as a setting. NULL: no memory. */
struct clients *clients_new(const char *trusted_proxies, const struct rate *bad_tokens);
void clients_free(struct clients *clients); /* NULL is allowed */

/* "" if the connection has no address. `scratch` is reset. */
void clients_name(const struct clients *clients, const struct http_request *request,
                  struct buf *scratch, char ret_name[ADDRESS_NAME_SIZE]);

/* A count of 0: no limit. */
const struct rate *clients_bad_tokens(const struct clients *clients);
/* Whether one more unknown token of this address is read. */
MUST_CHECK bool clients_may_try(struct clients *clients, const char *name, int64_t now_us,
                                int64_t *ret_wait_us);
/* A token of it was refused. */
void clients_tried(struct clients *clients, const char *name, int64_t now_us);

#endif
