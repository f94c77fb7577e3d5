/* What the parts of the API share. */
#ifndef PRODUCER_API_H
#define PRODUCER_API_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/identity/jwt.h"
#include "common/net/http/http.h"
#include "common/service/sessions.h"
#include "common/shop/ids.h"
#include "producer/stats.h"

struct admission;
struct clients;
struct identity;
struct items;
struct limits;
struct line_paces;
struct open_orders;
struct order_status;
struct orders;
struct origins;
struct publisher;
struct senders;
struct shard_count;
struct timekeeper;
struct undecided;
struct event_tickets;
struct webhook_record;

struct api {
    struct loop *loop;
    struct stats stats;
    struct ids *ids;
    struct identity *identity; /* whose tokens are taken */
    struct jwt *jwt;           /* its tokens */
    struct sessions sessions;  /* with PostgreSQL */
    struct publisher *publisher;
    struct shard_count *shard_count;
    struct limits *limits;
    struct open_orders *open_orders; /* NULL: any number */
    struct clients *clients;
    struct senders *senders;
    struct admission *admission;
    struct timekeeper *timekeeper;
    struct undecided *undecided;
    struct origins *origins;
    struct event_tickets *tickets;
    struct orders *orders;
    struct order_status *status;
    struct line_paces *paces; /* of `status` */
    struct items *items;
    bool mails;                 /* orders carry the verified address of their buyers' tokens */
    bool mails_to_any;          /* … or the receipt_email of their body */
    bool saved_methods;         /* orders carry the customer of their buyers' tokens */
    bool traces;                /* an order without a trace gets a new one */
    const char *webhook_secret; /* "": no webhooks are taken */
    size_t webhook_secret_len;
    const char *webhook_mode; /* "true", "false": the livemode of events; "": either */
    struct webhook_record *webhooks;
    bool closing;   /* its parts are being freed: nothing new may begin */
    struct buf out; /* for the body of an answer; holds nothing between answers */
};

#endif
