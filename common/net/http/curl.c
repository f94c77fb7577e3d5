#include "common/net/http/curl.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/err.h"
#include "common/net/http/curl_transfer.h"

#define CALLS_KEPT 256 /* idle calls kept for later ones, at most */

TAILQ_HEAD(call_list, curl_call);

struct curl_call {
    struct curl_client *client;
    TAILQ_ENTRY(curl_call) link; /* in `idle` or `busy` */
    struct curl_transfer *transfer;
    curl_done_cb done;
    void *arg;
};

struct curl_client {
    struct curl_transfers *transfers;
    struct call_list idle;
    struct call_list busy;
    size_t idle_count;
    bool reporting; /* calling back */
    bool doomed;    /* freed meanwhile */
};

/* ---- calls ---- */

static void free_call(struct curl_call *call)
{
    curl_transfer_free(call->transfer);
    free(call);
}

static struct curl_call *new_call(struct curl_client *client)
{
    struct curl_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->client = client;
    call->transfer = curl_transfer_new(client->transfers, call);
    if (call->transfer == NULL) {
        free_call(call);
        return NULL;
    }
    return call;
}

static struct curl_call *take_call(struct curl_client *client)
{
    struct curl_call *call = TAILQ_FIRST(&client->idle);
    if (call == NULL)
        return new_call(client);
    TAILQ_REMOVE(&client->idle, call, link);
    client->idle_count--;
    return call;
}

/* The call, in no list, is over. The one used last is used next: its memory is warm. */
static void give_back(struct curl_call *call)
{
    struct curl_client *client = call->client;
    if (client->idle_count >= CALLS_KEPT) {
        free_call(call);
        return;
    }
    curl_transfer_shrink(call->transfer);
    TAILQ_INSERT_HEAD(&client->idle, call, link);
    client->idle_count++;
}

int curl_call_start(struct curl_client *client, const struct curl_request *request,
                    curl_done_cb done, void *arg, struct curl_call **ret_call)
{
    struct curl_call *call = take_call(client);
    if (call == NULL)
        return ERR_NOMEM;
    int code = curl_transfer_start(call->transfer, request);
    if (code < 0) {
        give_back(call);
        return code;
    }
    call->done = done;
    call->arg = arg;
    TAILQ_INSERT_TAIL(&client->busy, call, link);
    if (ret_call != NULL)
        *ret_call = call;
    return 0;
}

static void leave(struct curl_call *call)
{
    curl_transfer_stop(call->transfer);
    TAILQ_REMOVE(&call->client->busy, call, link);
}

void curl_call_cancel(struct curl_call *call)
{
    leave(call);
    give_back(call);
}

/* ---- the client ---- */

static void destroy(struct curl_client *client)
{
    struct curl_call *next;
    for (struct curl_call *call = TAILQ_FIRST(&client->busy); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        curl_transfer_stop(call->transfer);
        free_call(call);
    }
    for (struct curl_call *call = TAILQ_FIRST(&client->idle); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        free_call(call);
    }
    curl_transfers_free(client->transfers);
    free(client);
}

/* Calls back for every call that has ended; a callback may start, cancel, and free the client. */
static void report_ended(void *arg)
{
    struct curl_client *client = arg;
    struct curl_response response;
    struct curl_call *call;
    if (client->reporting)
        return;
    client->reporting = true;
    while (!client->doomed && (call = curl_transfers_next(client->transfers, &response)) != NULL) {
        leave(call);
        call->done(&response, call->arg);
        give_back(call);
    }
    client->reporting = false;
    if (client->doomed)
        destroy(client);
}

struct curl_client *curl_client_new(struct loop *loop, const struct curl_options *options)
{
    struct curl_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    TAILQ_INIT(&client->idle);
    TAILQ_INIT(&client->busy);
    client->transfers = curl_transfers_new(loop, options, report_ended, client);
    if (client->transfers == NULL) {
        free(client);
        return NULL;
    }
    return client;
}

void curl_client_free(struct curl_client *client)
{
    if (client == NULL)
        return;
    if (client->reporting)
        client->doomed = true;
    else
        destroy(client);
}
