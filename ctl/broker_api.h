/* RabbitMQ's management API, for what AMQP neither shows nor sets. It is asked as the user of
 * CHECKOUT_AMQP_URL. */
#ifndef CTL_BROKER_API_H
#define CTL_BROKER_API_H

#include <jansson.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/http/curl.h"
#include "ctl/ctl.h"

#define BROKER_API_VHOST_SIZE 256

struct broker_api {
    struct loop *loop;
    struct curl_client *client;
    const char *base;
    char vhost[BROKER_API_VHOST_SIZE]; /* of CHECKOUT_AMQP_URL */
    struct buf login;                  /* a header */
};

struct broker_api_answer {
    int code;        /* 0: an answer came; else ERR_* */
    unsigned status; /* of HTTP, if one came */
    char reason[64]; /* why none came */
    json_t *body;    /* owned; NULL: none, or it is no JSON */
};

/* CHECKOUT_BROKER_API_URL and CHECKOUT_AMQP_URL are loaded and set. 0, or ERR_PARSE (of the latter)
 * or ERR_NOMEM. */
MUST_CHECK int broker_api_open(struct ctl *ctl, struct broker_api *ret_api);
void broker_api_close(struct broker_api *api);

/* Asks and waits, for 5 s at most. `path`: behind "/api/", its parts percent-encoded. `body` may be
 * NULL. */
void broker_api_call(struct broker_api *api, const char *method, const char *path,
                     const json_t *body, struct broker_api_answer *ret_answer);
void broker_api_answer_free(struct broker_api_answer *answer);

#endif
