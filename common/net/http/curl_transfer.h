/*
 * One request and its answer by libcurl, on our loop: the inside of curl.h. What is made for one
 * request serves further ones, one after the other.
 */
#ifndef COMMON_NET_HTTP_CURL_TRANSFER_H
#define COMMON_NET_HTTP_CURL_TRANSFER_H

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/http/curl_exchange.h"

struct curl_transfers;
struct curl_transfer;

/* Some transfers may have ended: curl_transfers_next says which. */
typedef void (*curl_ended_cb)(void *arg);

/* NULL: no memory. */
struct curl_transfers *curl_transfers_new(struct loop *loop, const struct curl_options *options,
                                          curl_ended_cb ended, void *arg);
/* Its transfers must have been freed before. NULL is allowed. */
void curl_transfers_free(struct curl_transfers *all);
/* The owner of the next one that has ended, and its answer, valid until it is stopped; NULL: none.
 * It is to be stopped before the next look. */
void *curl_transfers_next(struct curl_transfers *all, struct curl_response *ret_response);

/* NULL: no memory. */
struct curl_transfer *curl_transfer_new(struct curl_transfers *all, void *owner);
/* Stopped before, if it was started. NULL is allowed. */
void curl_transfer_free(struct curl_transfer *transfer);
/* 0; or ERR_INVALID, ERR_FULL, ERR_NOMEM: it is not started. */
MUST_CHECK int curl_transfer_start(struct curl_transfer *transfer,
                                   const struct curl_request *request);
/* Ends it, also after its own end. Its answer stays valid until it is started again or shrunk. */
void curl_transfer_stop(struct curl_transfer *transfer);
/* Frees the memory that an idle one may not keep. */
void curl_transfer_shrink(struct curl_transfer *transfer);

#endif
