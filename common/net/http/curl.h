/* HTTP client (libcurl's multi interface on our loop), for payments and webhooks. TLS is verified;
 * redirects and proxies are not followed. */
#ifndef COMMON_NET_HTTP_CURL_H
#define COMMON_NET_HTTP_CURL_H

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/http/curl_exchange.h"

struct curl_client;
struct curl_call;

typedef void (*curl_done_cb)(const struct curl_response *response, void *arg);

struct curl_client *curl_client_new(struct loop *loop, const struct curl_options *options);
/* Cancels what is in flight (without callbacks) and frees; allowed in a callback. NULL is allowed.
 */
void curl_client_free(struct curl_client *client);

/* Starts a call; `done` comes exactly once, from the loop, unless it is cancelled before. */
MUST_CHECK int curl_call_start(struct curl_client *client, const struct curl_request *request,
                               curl_done_cb done, void *arg, struct curl_call **ret_call);
void curl_call_cancel(struct curl_call *call);

#endif
